//! Networks: registered by operators, ordered by their names.

use reqwest::Method;
use serde_json::json;

use crate::server::{Answer, Server};

#[tokio::test]
async fn a_network_is_written_shown_listed_and_removed() {
    let server = Server::start().await;
    let body = json!({"name": "blue", "backends": {"pod-a": {"vlan": 4}}});
    assert_eq!(server.post("/v1/networks", &body).await.status, 201);
    assert_eq!(server.post("/v1/networks", &body).await.status, 201, "the same again is no error");
    let other = json!({"name": "blue", "backends": {"pod-a": {"vlan": 5}}});
    assert_eq!(server.post("/v1/networks", &other).await.problem(), (409, "already-exists".into()));
    assert_eq!(server.put("/v1/networks/blue", &other).await.body(), other);
    assert_eq!(server.get("/v1/networks/blue").await.body(), other);
    assert_eq!(server.get("/v1/networks").await.body()["items"], json!([other]));
    assert_eq!(server.delete("/v1/networks/blue").await.status, 204);
    assert_eq!(server.get("/v1/networks").await.body()["items"], json!([]));
}

#[tokio::test]
async fn a_network_that_no_deploying_backend_knows_is_refused_by_name() {
    let server = Server::furnished().await;
    for (name, backend) in [("blue", "pod-a"), ("red", "elsewhere")] {
        let network = json!({"backends": {backend: {"vlan": 4}}});
        assert_eq!(server.put(&format!("/v1/networks/{name}"), &network).await.status, 200);
    }
    let order = |networks: &[&str]| json!({"name": "web", "flavor": "small", "image": "cirros", "networks": networks});
    let made = server.post("/v1/instances", &order(&["blue"])).await;
    assert_eq!((made.status, &made.body()["networks"]), (202, &json!(["blue"])), "what was ordered is shown by name");
    let refused = server.post("/v1/instances", &order(&["blue", "red"])).await;
    assert_eq!(refused.problem(), (422, "network-not-for-backend".into()));
    assert!(refused.field("detail").contains("red"), "{refused:?}");
}

#[tokio::test]
async fn only_an_operator_chooses_a_node() {
    let server = Server::furnished().await;
    let flavor = json!({"route": {"claim": ["pod-a"], "deploy": ["pod-a"]}});
    assert_eq!(server.put("/v1/flavors/preset", &flavor).await.status, 200);
    let operator = server.token(None, "root", "default", "operator").await;
    let member = server.token(Some(&operator), "user", "users", "member").await;
    let order = json!({"name": "web", "flavor": "preset", "image": "cirros", "node": "rack-3"});
    let send = |token: &str| Answer::of(server.request(Method::POST, "/v1/instances").bearer_auth(token).json(&order));
    assert_eq!(send(&member).await.problem(), (403, "role-too-small".into()));
    let made = send(&operator).await;
    assert_eq!(made.status, 202, "{made:?}");
    assert_eq!(made.body()["shape"]["properties"]["node"], "rack-3");
}
