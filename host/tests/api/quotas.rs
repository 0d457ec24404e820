//! Quotas: never one instance too many, and given back by the transition that marks one gone.

use moganite::store::{Effect, InstanceChange};
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Server};

fn order() -> Value {
    json!({"name": "web", "flavor": "small", "image": "cirros"})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_parallel_orders_no_more_are_taken_than_the_quota_has() {
    let server = Server::furnished().await;
    assert_eq!(server.put("/v1/quotas/default", &json!({"instances": 5})).await.status, 200);
    let orders: Vec<_> = (0..40)
        .map(|_| tokio::spawn(Answer::of(server.request(Method::POST, "/v1/instances").json(&order()))))
        .collect();
    let mut taken = 0;
    for order in orders {
        let answer = order.await.unwrap();
        if answer.status == 202 {
            taken += 1;
        } else {
            assert_eq!(answer.problem(), (409, "quota-exceeded".into()));
            assert!(answer.field("detail").contains("5 of 5 instances"), "{answer:?}");
        }
    }
    assert_eq!(taken, 5);
    let quota = server.get("/v1/quotas/default").await.body();
    assert_eq!(quota, json!({"project": "default", "instances": 5, "used": 5}));
    assert_eq!(server.get("/v1/instances").await.body()["items"].as_array().map(Vec::len), Some(5));
}

#[tokio::test]
async fn a_repeat_of_a_key_is_answered_at_the_quota_and_a_refused_key_is_free() {
    let server = Server::furnished().await;
    assert_eq!(server.put("/v1/quotas/default", &json!({"instances": 1})).await.status, 200);
    let send = |key: &str| {
        let request = server.request(Method::POST, "/v1/instances").header("idempotency-key", key.to_owned());
        Answer::of(request.json(&order()))
    };
    let (first, again) = (send("k1").await, send("k1").await);
    assert_eq!((first.status, again.status), (202, 202), "{again:?}");
    assert_eq!(first.field("id"), again.field("id"));
    assert_eq!(send("k2").await.problem(), (409, "quota-exceeded".into()));
    assert_eq!(server.put("/v1/quotas/default", &json!({"instances": 2})).await.status, 200);
    assert_eq!(send("k2").await.status, 202);
}

#[tokio::test]
async fn what_is_gone_counts_no_more_and_what_is_deleting_does() {
    let server = Server::furnished().await;
    assert_eq!(server.put("/v1/quotas/default", &json!({"instances": 1})).await.status, 200);
    let made = server.post("/v1/instances", &order()).await;
    let id = made.field("id");
    let deleting = server.delete(&format!("/v1/instances/{id}")).await;
    assert_eq!(server.post("/v1/instances", &order()).await.problem(), (409, "quota-exceeded".into()));
    let gone = InstanceChange { gone: true, ..InstanceChange::of(id.parse().unwrap()) };
    server.end(&deleting.field("flow"), vec![Effect::Instance(gone)]).await;
    // What it took is still owed.
    assert_eq!(server.get("/v1/holdings").await.body()["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(server.post("/v1/instances", &order()).await.status, 202);
}

#[tokio::test]
async fn a_project_reads_its_own_quota_alone_and_only_an_operator_writes_one() {
    let server = Server::furnished().await;
    let operator = server.token(None, "root", "default", "operator").await;
    let member = server.token(Some(&operator), "m", "team-a", "member").await;
    let ask = |method: Method, path: &str, token: &str| {
        Answer::of(server.request(method, path).bearer_auth(token).json(&json!({"instances": 3})))
    };
    assert_eq!(ask(Method::PUT, "/v1/quotas/team-a", &member).await.problem(), (403, "role-too-small".into()));
    assert_eq!(ask(Method::PUT, "/v1/quotas/team-a", &operator).await.status, 200);
    assert_eq!(ask(Method::PUT, "/v1/quotas/team-b", &operator).await.status, 200);
    assert_eq!(ask(Method::GET, "/v1/quotas/team-a", &member).await.body()["used"], 0);
    assert_eq!(ask(Method::GET, "/v1/quotas/team-b", &member).await.problem(), (404, "not-found".into()));
    assert_eq!(ask(Method::DELETE, "/v1/quotas/team-b", &operator).await.status, 204);
    assert_eq!(ask(Method::DELETE, "/v1/quotas/team-b", &operator).await.problem(), (404, "not-found".into()));
    let listed = ask(Method::GET, "/v1/quotas", &operator).await.body();
    assert_eq!(listed["items"], json!([{"project": "team-a", "instances": 3, "used": 0}]));
}
