//! Flavors and backends that are limited to projects.

use moganite::model::{InstanceId, Name, Projects};
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Server};

fn route(compose: &[&str]) -> Value {
    json!({"compose": compose, "enroll": ["pod-a"], "deploy": ["pod-a"]})
}

async fn order(server: &Server, token: &str, flavor: &str) -> Answer {
    let order = json!({"name": "web", "flavor": flavor, "image": "cirros"});
    Answer::of(server.request(Method::POST, "/v1/instances").bearer_auth(token).json(&order)).await
}

async fn seen(server: &Server, token: &str, path: &str) -> Answer {
    Answer::of(server.request(Method::GET, path).bearer_auth(token)).await
}

#[tokio::test]
async fn a_flavor_of_other_projects_is_as_one_that_does_not_exist() {
    let server = Server::furnished().await;
    let flavor = json!({"route": route(&["pod-a"]), "projects": ["owners"]});
    assert_eq!(server.put("/v1/flavors/secret-shape", &flavor).await.status, 200);
    let nobody = json!({"route": route(&["pod-a"]), "projects": []});
    assert_eq!(server.put("/v1/flavors/nobodys", &nobody).await.problem(), (422, "invalid-field".into()));
    let operator = server.token(None, "root", "default", "operator").await;
    let owner = server.token(Some(&operator), "owner", "owners", "member").await;
    let stranger = server.token(Some(&operator), "stranger", "strangers", "member").await;

    let listed = seen(&server, &stranger, "/v1/flavors").await;
    assert!(!listed.text.contains("secret-shape"), "{}", listed.text);
    let (shown, ghost) = (
        seen(&server, &stranger, "/v1/flavors/secret-shape").await,
        seen(&server, &stranger, "/v1/flavors/ghost-shape1").await,
    );
    assert_eq!(shown.text.replace("secret-shape", "ghost-shape1"), ghost.text);
    let (refused, ghost) =
        (order(&server, &stranger, "secret-shape").await, order(&server, &stranger, "ghost-shape1").await);
    assert_eq!(refused.problem(), (422, "unknown-flavor".into()));
    assert_eq!(refused.text.replace("secret-shape", "ghost-shape1"), ghost.text);

    let own = seen(&server, &owner, "/v1/flavors/secret-shape").await;
    assert_eq!((own.status, &own.body()["projects"]), (200, &Value::Null), "who else may is not theirs to know");
    assert_eq!(order(&server, &owner, "secret-shape").await.status, 202);
    assert_eq!(seen(&server, &operator, "/v1/flavors/secret-shape").await.body()["projects"], json!(["owners"]));
}

#[tokio::test]
async fn no_order_is_routed_to_a_backend_that_its_project_may_not_use() {
    let server = Server::furnished().await;
    let owners = Projects::of([Name::parse("name", "owners").unwrap()]);
    server.write_backend_for("pod-b", owners).await;
    let both = json!({"route": route(&["pod-b", "pod-a"])});
    assert_eq!(server.put("/v1/flavors/both", &both).await.status, 200);
    let only = json!({"route": route(&["pod-b"])});
    assert_eq!(server.put("/v1/flavors/only", &only).await.status, 200);
    let operator = server.token(None, "root", "default", "operator").await;
    let owner = server.token(Some(&operator), "owner", "owners", "member").await;
    let stranger = server.token(Some(&operator), "stranger", "strangers", "member").await;
    let composers = async |token: &str, flavor: &str| {
        let id: InstanceId = order(&server, token, flavor).await.field("id").parse().unwrap();
        let (instance, _) = server.store.instance(None, id).await.unwrap().unwrap();
        instance.order.route.compose.iter().map(Name::to_string).collect::<Vec<_>>()
    };
    assert_eq!(composers(&stranger, "both").await, ["pod-a"]);
    assert_eq!(composers(&owner, "both").await, ["pod-b", "pod-a"]);
    assert_eq!(order(&server, &stranger, "only").await.problem(), (409, "flavor-not-for-project".into()));
    assert_eq!(order(&server, &owner, "only").await.status, 202);
}

#[tokio::test]
async fn nothing_is_adopted_for_a_project_at_a_backend_that_it_may_not_use() {
    let server = Server::furnished().await;
    let owners = Projects::of([Name::parse("name", "owners").unwrap()]);
    server.write_backend_for("pod-b", owners).await;
    let preset = json!({"route": {"claim": ["pod-b"], "deploy": ["pod-b"]}});
    assert_eq!(server.put("/v1/flavors/preset", &preset).await.status, 200);
    let image = json!({"backends": {"pod-a": {}, "pod-b": {}}});
    assert_eq!(server.put("/v1/images/both", &image).await.status, 200);
    let adopt = async |project: &str| {
        let adoption = json!({"name": "old", "flavor": "preset", "image": "both", "backend": "pod-b", "node": "rack-3", "project": project});
        server.post("/v1/instances/adopt", &adoption).await
    };
    assert_eq!(adopt("strangers").await.problem(), (409, "flavor-not-for-project".into()));
    assert_eq!(adopt("owners").await.status, 202);
}

#[tokio::test]
async fn who_lost_the_answer_to_an_order_gets_it_though_the_flavor_is_closed_to_him_by_now() {
    let server = Server::furnished().await;
    let order = async |key: &str| {
        let order = json!({"name": "web", "flavor": "small", "image": "cirros"});
        let request = server.request(Method::POST, "/v1/instances").header("idempotency-key", key);
        Answer::of(request.json(&order)).await
    };
    let first = order("lost").await;
    assert_eq!(first.status, 202);
    let closed = json!({"route": route(&["pod-a"]), "projects": ["owners"]});
    assert_eq!(server.put("/v1/flavors/small", &closed).await.status, 200);
    assert_eq!(order("lost").await.field("id"), first.field("id"));
    assert_eq!(order("another").await.problem(), (422, "unknown-flavor".into()));
}
