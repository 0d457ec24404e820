//! Adopting a machine that runs: who may, and what is refused before anything is touched.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Server};

fn adoption() -> Value {
    json!({"name": "old-1", "flavor": "preset", "image": "cirros", "backend": "pod-a", "node": "rack-3"})
}

async fn furnished() -> Server {
    let server = Server::furnished().await;
    let flavor = json!({"route": {"claim": ["pod-a"], "deploy": ["pod-a"]}});
    assert_eq!(server.put("/v1/flavors/preset", &flavor).await.status, 200);
    server
}

#[tokio::test]
async fn an_adoption_answers_where_to_follow_it_and_is_ordered_once() {
    let server = furnished().await;
    let send = || {
        Answer::of(server.request(Method::POST, "/v1/instances/adopt").header("idempotency-key", "k").json(&adoption()))
    };
    let (made, again) = (send().await, send().await);
    assert_eq!((made.status, again.status), (202, 202), "{made:?}");
    assert_eq!(made.field("id"), again.field("id"));
    assert_eq!(made.headers["location"], format!("/v1/instances/{}", made.field("id")));
    let flow = server.get(&format!("/v1/flows/{}", made.field("flow"))).await.body();
    assert_eq!(flow["kind"], "instance.adopt");
    let tasks: Vec<_> = flow["tasks"].as_array().unwrap().iter().map(|task| task["name"].as_str().unwrap()).collect();
    assert_eq!(tasks, ["claim", "verify", "deploy"]);
    let held = server.get("/v1/holdings").await.body();
    assert_eq!(held["items"][0]["role"], "claim");
}

#[tokio::test]
async fn only_an_operator_adopts_and_for_whom_he_says() {
    let server = furnished().await;
    let operator = server.token(None, "root", "default", "operator").await;
    let member = server.token(Some(&operator), "user", "users", "member").await;
    let send = |token: &str, body: &Value| {
        Answer::of(server.request(Method::POST, "/v1/instances/adopt").bearer_auth(token).json(body))
    };
    assert_eq!(send(&member, &adoption()).await.problem(), (403, "role-too-small".into()));
    let mut theirs = adoption();
    theirs["project"] = "users".into();
    let made = send(&operator, &theirs).await;
    assert_eq!((made.status, made.field("project")), (202, "users".into()), "{made:?}");
    let path = format!("/v1/instances/{}", made.field("id"));
    assert_eq!(Answer::of(server.request(Method::GET, &path).bearer_auth(&member)).await.status, 200);
}

#[tokio::test]
async fn each_adoption_that_cannot_be_has_its_code() {
    let server = furnished().await;
    server.write_backend("pod-b").await;
    for (field, value, status, code) in [
        ("flavor", json!("ghost"), 422, "unknown-flavor"),
        ("image", json!("ghost"), 422, "unknown-image"),
        ("backend", json!("ghost"), 422, "unknown-backend"),
        ("backend", json!("pod-b"), 422, "flavor-not-for-backend"),
        ("node", json!(""), 422, "invalid-field"),
        ("node", json!("a b"), 422, "invalid-field"),
        ("hostname", json!("-"), 422, "invalid-field"),
        ("ssh_keys", json!([]), 422, "invalid-field"),
    ] {
        let mut body = adoption();
        body[field] = value;
        let answer = server.post("/v1/instances/adopt", &body).await;
        assert_eq!(answer.problem(), (status, code.to_owned()), "{body}: {answer:?}");
    }
    assert_eq!(server.get("/v1/instances").await.body()["items"], json!([]));
    let flavor = json!({"shape": {"properties": {"adopt": true}}, "route": {"claim": ["pod-a"], "deploy": ["pod-a"]}});
    assert_eq!(server.put("/v1/flavors/sly", &flavor).await.problem(), (422, "invalid-field".into()));
}
