//! A BMC's password reaches Ironic and nothing else: no guest, no checkpoint, no row, no log, no answer.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use scenarios::{BMC_PASSWORD, Stack};
use serde_json::json;

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[tokio::test]
async fn the_password_is_in_ironics_request_and_nowhere_else() {
    let stack = Stack::start().await.unwrap();
    let (id, flow) = stack.create("web", "small").await.unwrap();
    stack.service.instance_in(&id, "active").await.unwrap();
    let log = stack.sim.log(0).await.unwrap();
    let created =
        log.iter().find(|entry| entry["side"] == "ironic" && entry["method"] == "POST" && entry["path"] == "/v1/nodes");
    assert_eq!(created.unwrap()["body"]["driver_info"]["redfish_password"], BMC_PASSWORD);
    for path in
        [format!("/v1/flows/{flow}"), format!("/v1/instances/{id}"), "/v1/secrets".into(), "/v1/backends/pod-a".into()]
    {
        let shown = stack.service.api.get(&path).await.unwrap().body.to_string();
        assert!(!shown.contains(BMC_PASSWORD), "{path}");
    }
    assert!(!contains(&stack.written().unwrap(), BMC_PASSWORD), "in the state folder or the log");
    stack.delete_and_wait(&id).await.unwrap();
    assert!(!contains(&stack.written().unwrap(), BMC_PASSWORD), "in the state folder or the log, after the delete");
}

#[tokio::test]
async fn a_changed_password_reaches_the_copies_that_ironic_keeps() {
    let stack = Stack::start().await.unwrap();
    let (id, _) = stack.create("web", "small").await.unwrap();
    stack.service.instance_in(&id, "active").await.unwrap();
    let api = &stack.service.api;
    let copies = api.get("/v1/secrets/bmc-password/copies").await.unwrap().ok().unwrap();
    assert_eq!(copies["items"], json!([{"instance": id, "backend": "ironic-1", "of": "pod-a"}]));

    let changed = async |value: &str| {
        api.put("/v1/secrets/bmc-password", &json!({"value": value})).await.unwrap().ok().unwrap();
        let refreshed = api.post("/v1/secrets/bmc-password/refresh", &json!({})).await.unwrap().ok().unwrap();
        let flow = refreshed["items"][0]["flow"].as_str().unwrap().to_owned();
        let ended = stack.service.flow(&flow, "ends", |flow| flow["phase"] != "forward").await.unwrap();
        assert_eq!(ended["phase"], "done", "{ended:#}");
        let log = stack.sim.log(0).await.unwrap();
        let told = log.iter().rfind(|entry| entry["side"] == "ironic" && entry["method"] == "PATCH");
        assert_eq!(
            told.unwrap()["body"][2],
            json!({"op": "add", "path": "/driver_info/redfish_password", "value": value})
        );
    };
    changed("another-canary-0815").await;
    assert!(!contains(&stack.written().unwrap(), "another-canary-0815"), "in the state folder or the log");
    // As the machines have it: with the other one Ironic could not turn them off.
    changed(BMC_PASSWORD).await;
    stack.delete_and_wait(&id).await.unwrap();
    let copies = api.get("/v1/secrets/bmc-password/copies").await.unwrap().ok().unwrap();
    assert_eq!(copies["items"], json!([]));
    assert_eq!(stack.sim.left_behind().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_copy_of_an_instance_that_is_busy_is_left_out_and_says_so() {
    let stack = Stack::start().await.unwrap();
    let (id, _) = stack.create("web", "small").await.unwrap();
    stack.service.instance_in(&id, "active").await.unwrap();
    let api = &stack.service.api;
    let pause = json!({"reason": "the test has it wait"});
    api.post("/v1/backends/ironic-1/pause", &pause).await.unwrap().ok().unwrap();
    api.post(&format!("/v1/instances/{id}/power"), &json!({"wish": "off"})).await.unwrap().ok().unwrap();
    let refreshed = api.post("/v1/secrets/bmc-password/refresh", &json!({})).await.unwrap().ok().unwrap();
    let item = &refreshed["items"][0];
    assert_eq!((&item["instance"], &item["flow"]), (&json!(id), &json!(null)), "{item}");
    assert!(item["refused"].as_str().unwrap().contains("flow"), "{item}");
    let unknown = api.post("/v1/secrets/ghost/refresh", &json!({})).await.unwrap();
    assert_eq!(unknown.status, 404);
}
