//! A server that CloudBoot discovered: claimed, installed, given back with its inventory.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use scenarios::Stack;
use serde_json::{Value, json};

#[tokio::test]
async fn a_discovered_server_is_lent_installed_and_given_back() {
    let stack = Stack::start().await.unwrap();
    stack.cloudboot(&json!({})).await.unwrap();
    let id = stack.create_from("web", "discovered", "linux").await.unwrap();
    let ended = stack.service.instance(&id, "ended", |instance| instance["state"] != "creating").await.unwrap();
    assert_eq!(ended["state"], "active", "{}", ended["reason"]);
    assert_eq!(ended["composed"], false);
    let ledger = stack.sim.ledger().await.unwrap();
    assert_eq!(ledger["cloudboot"]["held"].as_array().map(Vec::len), Some(1), "{ledger}");
    stack.delete_and_wait(&id).await.unwrap();
    let left: Vec<_> = stack.sim.left_behind().await.unwrap();
    // CloudBoot cannot erase and the flavor says erase: none, so the system that was installed is still on the disk.
    let left: Vec<_> = left.into_iter().filter(|line| !line.starts_with("data is left")).collect();
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(stack.sim.ledger().await.unwrap()["alarms"], json!([]));
}

#[tokio::test]
async fn a_flavor_that_asks_cloudboot_to_erase_is_refused() {
    let stack = Stack::start().await.unwrap();
    stack.cloudboot(&json!({})).await.unwrap();
    let route = json!({"claim": ["cb-1"], "deploy": ["cb-1"]});
    let flavor = json!({"name": "clean", "shape": {"cores": 2}, "route": route, "erase": "quick"});
    let refused = stack.service.api.put("/v1/flavors/clean", &flavor).await.unwrap();
    assert_eq!((refused.status, &refused.body["code"]), (422, &json!("flavor-not-expressible")), "{refused:?}");
}

#[tokio::test]
async fn an_install_that_fails_is_taken_back_and_no_guest_sees_a_token() {
    let stack = Stack::start().await.unwrap();
    stack.cloudboot(&json!({})).await.unwrap();
    stack.sim.fault(json!({"kind": "install-fails", "times": 0})).await.unwrap();
    let id = stack.create_from("web", "discovered", "linux").await.unwrap();
    let ended = stack.service.instance(&id, "ended", |instance| instance["state"] != "creating").await.unwrap();
    assert_eq!(ended["state"], "failed");
    stack.delete_and_wait(&id).await.unwrap();
    assert_eq!(stack.sim.ledger().await.unwrap()["cloudboot"]["held"], json!([]));

    let log = stack.sim.log(0).await.unwrap();
    let tokens: Vec<String> = log
        .iter()
        .filter_map(|entry| entry["body"].pointer("/0/AccessToken").and_then(Value::as_str).map(str::to_owned))
        .collect();
    assert!(!tokens.is_empty() && tokens.iter().all(|token| !token.contains("{{")), "the gate put it in");
    let written = stack.written().unwrap();
    for token in tokens {
        assert!(
            !written.windows(token.len()).any(|window| window == token.as_bytes()),
            "in the state folder or the log"
        );
    }
}
