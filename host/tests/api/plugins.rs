//! What operators decide about plugin files that need not be here.

use moganite::model::Digest;
use reqwest::Method;
use serde_json::json;

use crate::server::{Answer, Server};

async fn add(server: &Server, file: &'static [u8]) -> Answer {
    Answer::of(server.request(Method::POST, "/v1/plugins").header("content-type", "application/wasm").body(file)).await
}

#[tokio::test]
async fn a_denied_file_is_not_added_until_it_is_allowed_and_all_of_it_is_in_the_audit_log() {
    let server = Server::start().await;
    let digest = Digest::of(b"no component").to_string();
    let path = |verb: &str| format!("/v1/plugins/{digest}/{verb}");
    let why = |reason: &str| json!({ "reason": reason });
    let denied = server.post(&path("deny"), &why("it was stolen")).await;
    assert_eq!((denied.status, &denied.body()["denied"]["why"]), (200, &json!("it was stolen")), "{denied:?}");
    assert_eq!(add(&server, b"no component").await.problem(), (409, "plugin-denied".into()));
    let listed = server.get("/v1/stopped-plugins").await.body()["items"].clone();
    assert_eq!((&listed[0]["digest"], &listed[0]["disabled"]), (&json!(digest), &json!(null)));
    assert_eq!(server.post(&path("enable"), &why("a slip")).await.problem(), (409, "plugin-not-stopped".into()));
    assert_eq!(server.post(&path("allow"), &why("a slip")).await.status, 200);
    assert_eq!(add(&server, b"no component").await.problem(), (422, "plugin-not-a-component".into()));
    assert_eq!(server.get("/v1/stopped-plugins").await.body()["items"], json!([]));
    let audit = server.get("/v1/audit").await.body()["items"].clone();
    let verbs: Vec<_> = audit.as_array().unwrap().iter().map(|line| line["verb"].clone()).collect();
    assert_eq!(verbs, ["plugin.allow", "plugin.deny"]);
    assert_eq!((&audit[1]["subject"], &audit[1]["reason"]), (&json!(digest), &json!("it was stolen")));
}

#[tokio::test]
async fn only_a_whole_digest_names_a_file_that_is_not_here() {
    let server = Server::start().await;
    let why = json!({ "reason": "it was stolen" });
    for name in ["ghost", "sha256:0123", "ghost@0.1.0"] {
        let answer = server.post(&format!("/v1/plugins/{name}/disable"), &why).await;
        assert_eq!(answer.problem(), (404, "not-found".into()), "{name}");
    }
    let digest = Digest::of(b"x");
    let silent = server.post(&format!("/v1/plugins/{digest}/disable"), &json!({ "reason": " " })).await;
    assert_eq!(silent.problem(), (422, "invalid-field".into()));
}

#[tokio::test]
async fn a_floor_is_a_version_and_is_taken_away_again() {
    let server = Server::start().await;
    let put = server.put("/v1/plugin-floors/ironic", &json!({ "version": "0.2.0", "reason": "a hole" })).await;
    assert_eq!((put.status, put.field("version"), put.field("why")), (200, "0.2.0".into(), "a hole".into()));
    assert_eq!(server.get("/v1/plugin-floors").await.body()["items"][0]["name"], "ironic");
    let bad = server.put("/v1/plugin-floors/ironic", &json!({ "version": "new", "reason": "a hole" })).await;
    assert_eq!(bad.status, 422, "{bad:?}");
    assert_eq!(server.delete("/v1/plugin-floors/ironic").await.status, 204);
    assert_eq!(server.delete("/v1/plugin-floors/ironic").await.problem(), (404, "not-found".into()));
}
