//! What an operator hears of a backend that is not as it should be. One that works is in the scenarios: it needs a plugin.

use serde_json::json;

use crate::server::Server;

#[tokio::test]
async fn a_backend_whose_plugin_is_gone_fails_its_test_with_what_to_do() {
    let server = Server::furnished().await;
    let tested = server.post("/v1/backends/pod-a/test", &json!({})).await;
    assert_eq!(tested.status, 200, "{tested:?}");
    let body = tested.body();
    assert_eq!((&body["backend"], &body["ok"]), (&json!("pod-a"), &json!(false)));
    assert_eq!(body["checks"].as_array().map(Vec::len), Some(1), "nobody is asked without a plugin: {body}");
    let check = &body["checks"][0];
    assert_eq!((&check["what"], &check["state"]), (&json!("plugin"), &json!("failed")));
    assert!(check["to_do"].as_str().is_some_and(|to_do| to_do.contains("moganite plugin add")), "{check}");
    assert_eq!(server.post("/v1/backends/ghost/test", &json!({})).await.problem(), (404, "not-found".into()));
}
