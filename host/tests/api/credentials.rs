//! With and without tokens.

use reqwest::{Method, header};
use serde_json::json;

use crate::server::{Answer, Server};

#[tokio::test]
async fn without_a_token_everybody_here_is_operator_and_it_says_so() {
    let server = Server::start().await;
    let about = server.get("/v1").await.body();
    assert_eq!(about["credentials"], "none: loopback only");
    assert_eq!(about["role"], "operator");
    assert_eq!(about["project"], "default");
}

#[tokio::test]
async fn without_a_token_a_page_in_a_browser_is_kept_out() {
    let server = Server::start().await;
    let get = || server.request(Method::GET, "/v1/flavors");
    let rebound = Answer::of(get().header(header::HOST, "rebound.example")).await;
    assert_eq!(rebound.problem(), (403, "wrong-host".into()));
    let crossed = Answer::of(get().header(header::ORIGIN, "http://evil.example")).await;
    assert_eq!(crossed.problem(), (403, "cross-origin".into()));
    assert_eq!(Answer::of(get().header(header::ORIGIN, server.base.clone())).await.status, 200);
}

#[tokio::test]
async fn from_the_first_token_on_every_request_needs_one() {
    let server = Server::start().await;
    let refused = server.post("/v1/tokens", &json!({"name": "a", "project": "p", "role": "member"})).await;
    assert_eq!(refused.problem(), (409, "first-token-operator".into()));
    let root = server.token(None, "root", "default", "operator").await;
    assert!(root.starts_with("mgt_") && root.len() == 56, "{root}");
    assert_eq!(server.get("/v1").await.problem(), (401, "no-token".into()));
    let wrong = Answer::of(server.request(Method::GET, "/v1").bearer_auth("mgt_wrong")).await;
    assert_eq!(wrong.problem(), (401, "unknown-token".into()));
    assert_eq!(wrong.headers["www-authenticate"], "Bearer");
    let basic = Answer::of(server.request(Method::GET, "/v1").basic_auth("root", Some("x"))).await;
    assert_eq!(basic.problem(), (401, "unknown-token".into()));
    let listed = Answer::of(server.request(Method::GET, "/v1/tokens").bearer_auth(&root)).await;
    assert_eq!(listed.body()["items"][0]["name"], "root");
    assert!(!listed.text.contains(&root), "its text is shown once");
    let again = server.request(Method::POST, "/v1/tokens").bearer_auth(&root);
    let again = Answer::of(again.json(&json!({"name": "root", "project": "default", "role": "operator"}))).await;
    assert_eq!(again.problem(), (409, "already-exists".into()));
}

#[tokio::test]
async fn the_last_operator_cannot_lock_the_others_in() {
    let server = Server::start().await;
    let root = server.token(None, "root", "default", "operator").await;
    server.token(Some(&root), "user", "default", "member").await;
    let remove =
        |name: &str| Answer::of(server.request(Method::DELETE, &format!("/v1/tokens/{name}")).bearer_auth(&root));
    assert_eq!(remove("root").await.problem(), (409, "last-operator-token".into()));
    assert_eq!(remove("user").await.status, 204);
    assert_eq!(remove("root").await.status, 204);
    assert_eq!(server.get("/v1").await.body()["credentials"], "none: loopback only");
}

#[tokio::test]
async fn liveness_and_readiness_ask_for_no_token() {
    let server = Server::start().await;
    server.token(None, "root", "default", "operator").await;
    assert_eq!(server.get("/healthz").await.status, 200);
    assert_eq!(server.get("/readyz").await.status, 200);
    assert_eq!(server.get("/metrics").await.problem(), (401, "no-token".into()));
}

#[tokio::test]
async fn a_plugin_that_a_backend_names_and_that_is_not_here_is_listed_as_refused() {
    let server = Server::furnished().await;
    let ready = server.get("/readyz").await;
    assert_eq!(ready.status, 200);
    assert_eq!(ready.body()["refused"].as_array().map(Vec::len), Some(1), "{ready:?}");
}

#[tokio::test]
async fn every_answer_has_the_callers_request_id_or_one_of_ours() {
    let server = Server::start().await;
    let given = Answer::of(server.request(Method::GET, "/v1").header("x-request-id", "abc-1")).await;
    assert_eq!(given.headers["x-request-id"], "abc-1");
    let odd = Answer::of(server.request(Method::GET, "/nowhere").header("x-request-id", "a b")).await;
    assert_eq!(odd.headers["x-request-id"].len(), 36);
}
