//! Nodes that failed, and an operator's word that they may be taken again.

use moganite::model::{Fault, FaultKind, Name};
use moganite::store::Effect;
use serde_json::json;

use crate::server::Server;

#[tokio::test]
async fn a_node_in_quarantine_is_listed_with_its_cause_and_cleared_once() {
    let server = Server::furnished().await;
    // Handles hold what far sides like.
    let handle = "/redfish/v1/Systems/1?x=ü%2F";
    let order = json!({"name": "web-1", "flavor": "small", "image": "cirros"});
    for _ in 0..2 {
        let flow = server.post("/v1/instances", &order).await.field("flow");
        let backend = Name::parse("name", "pod-a").unwrap();
        let cause = Fault::new(FaultKind::Mismatch, "half of its memory is gone");
        server.end(&flow, vec![Effect::Quarantine { backend, handle: handle.into(), cause }]).await;
    }
    let listed = server.get("/v1/quarantine").await.body();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
    let node = &listed["items"][0];
    assert_eq!((&node["backend"], &node["handle"], &node["strikes"]), (&json!("pod-a"), &json!(handle), &json!(2)));
    assert_eq!(node["cause"], json!({"kind": "mismatch", "message": "half of its memory is gone"}));

    let path = format!("/v1/quarantine/pod-a/{}", handle.replace('%', "%25").replace('/', "%2F").replace('?', "%3F"));
    assert_eq!(server.delete(&path).await.status, 204);
    assert_eq!(server.delete(&path).await.problem(), (404, "not-found".into()));
    assert_eq!(server.get("/v1/quarantine").await.body()["items"], json!([]));
    assert_eq!(server.delete("/v1/quarantine/Pod/x").await.problem(), (400, "invalid-parameter".into()));
}
