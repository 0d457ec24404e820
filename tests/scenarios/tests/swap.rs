//! A driver is swapped while the service runs: what runs ends on the old one, what begins runs on the new.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use scenarios::{Options, Stack, repacked};
use serde_json::{Value, json};

/// Which plugins a task of a flow was called with.
fn plugins(flow: &Value, task: &str) -> BTreeSet<String> {
    let events = flow["events"].as_array().unwrap().iter();
    events
        .filter(|event| event["task"] == task)
        .filter_map(|event| event["plugin"].as_str())
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn a_waiting_create_ends_on_the_old_digest_and_the_next_runs_on_the_new() {
    let stack = Stack::with(Options { sim: &["--assemble-ms", "1500"], ..Options::default() }).await.unwrap();
    let api = &stack.service.api;
    let old = stack.service.digest("valence-redfish").await.unwrap();
    let (first, first_flow) = stack.create("first", "small").await.unwrap();
    stack
        .service
        .flow(&first_flow, "waits", |flow| flow["waits_for"].as_str().is_some_and(|note| note.contains("ssembl")))
        .await
        .unwrap();

    let other = repacked("valence-redfish", "0.1.1", stack.folder.path()).unwrap();
    let added = api.upload("/v1/plugins", other).await.unwrap().ok().unwrap();
    let new = added["digest"].as_str().unwrap().to_owned();
    assert_ne!(old, new);
    api.post("/v1/backends/pod-a/swap", &json!({"digest": new})).await.unwrap().ok().unwrap();
    let (second, second_flow) = stack.create("second", "small").await.unwrap();
    for id in [&first, &second] {
        stack.service.instance_in(id, "active").await.unwrap();
    }

    let of = async |flow: &str| plugins(&api.get(&format!("/v1/flows/{flow}")).await.unwrap().body, "compose");
    let only = |set: BTreeSet<String>, version: &str, digest: &str| {
        assert_eq!(set.len(), 1, "{set:?}");
        let word = set.first().unwrap();
        assert!(word.contains(version) && word.contains(&digest["sha256:".len()..][..12]), "{word}");
    };
    only(of(&first_flow).await, "0.1.0", &old);
    only(of(&second_flow).await, "0.1.1", &new);

    // The far side saw both.
    let agents: BTreeSet<_> = stack
        .sim
        .log(0)
        .await
        .unwrap()
        .iter()
        .filter_map(|entry| entry["user_agent"].as_str().map(str::to_owned))
        .collect();
    for version in ["valence-redfish@0.1.0", "valence-redfish@0.1.1"] {
        assert!(agents.iter().any(|agent| agent.contains(version)), "{agents:?}");
    }
    for id in [&first, &second] {
        stack.delete_and_wait(id).await.unwrap();
    }
    assert_eq!(stack.sim.left_behind().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_plugin_that_cannot_undo_what_lives_is_refused() {
    let stack = Stack::start().await.unwrap();
    let api = &stack.service.api;
    let (id, _) = stack.create("web", "small").await.unwrap();
    stack.service.instance_in(&id, "active").await.unwrap();
    let ironic = stack.service.digest("ironic").await.unwrap();
    let newest = api.get("/v1/backends/pod-a").await.unwrap().ok().unwrap();
    let refused = api.post("/v1/backends/pod-a/swap", &json!({"digest": ironic})).await.unwrap();
    assert!((400..500).contains(&refused.status), "{refused:?}");
    assert_eq!(api.get("/v1/backends/pod-a").await.unwrap().body["revision"], newest["revision"]);
    stack.delete_and_wait(&id).await.unwrap();
}
