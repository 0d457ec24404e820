//! State folders that released versions left, with flows in every position: today's binary opens each and ends every flow in it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scenarios::{Patience, Stack, fingerprints, until};
use serde_json::{Value, json};

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let mut found: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

async fn items(stack: &Stack, path: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut next = format!("{path}?limit=500");
    loop {
        let page = stack.service.api.get(&next).await.unwrap().ok().unwrap();
        all.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(cursor) => next = format!("{path}?limit=500&cursor={cursor}"),
            None => return all,
        }
    }
}

/// What only a person can end is tried once more, and then skipped: these far sides are empty, and where a machine is gone nobody can say
/// any more what is on its disks.
async fn all_end(stack: &Stack) {
    let api = &stack.service.api;
    let (mut left, mut tried) = (Vec::new(), BTreeSet::new());
    let ended = until("every flow to end", Duration::from_secs(120), async || {
        left.clear();
        for flow in items(stack, "/v1/flows").await {
            let path = format!("/v1/flows/{}", flow["id"].as_str().unwrap());
            let phase = flow["phase"].as_str().unwrap();
            if !matches!(phase, "done" | "reverted") {
                left.push(format!("{} {phase} {}: {}", flow["kind"], flow["task"], flow["waits_for"]));
            }
            if phase == "needs-operator" {
                let verb = if tried.insert(path.clone()) { "retry" } else { "skip" };
                api.post(&format!("{path}/{verb}"), &json!({"reason": "looked at it"})).await?;
            }
            if flow["paused"].is_string() {
                api.post(&format!("{path}/resume"), &json!({"reason": "looked at it"})).await?;
            }
        }
        Ok(left.is_empty().then_some(()))
    })
    .await;
    assert!(ended.is_ok(), "left: {left:#?}");
}

#[test]
fn a_migration_that_a_fixture_was_written_with_is_not_edited() {
    let today = fingerprints().unwrap();
    for fixture in fixtures() {
        let about: Value = serde_json::from_slice(&std::fs::read(fixture.join("about.json")).unwrap()).unwrap();
        for (name, written_with) in about["migrations"].as_object().unwrap() {
            assert_eq!(
                &today[name], written_with,
                "{name} was edited: write the next migration instead; before its release `cargo xtask fixture --pour` will do"
            );
        }
    }
}

#[tokio::test]
async fn the_state_of_each_version_is_opened_and_every_flow_in_it_ends() {
    for fixture in fixtures() {
        let patience = Patience { observe_every: Duration::from_millis(500), ..Patience::default() };
        let stack = Stack::opened(&fixture, patience).await.unwrap();
        let flows = items(&stack, "/v1/flows").await;
        // Forward, backward, resting, ended; none of them moves while all is frozen.
        for phase in ["forward", "backward", "needs-operator", "done", "reverted"] {
            assert!(flows.iter().any(|flow| flow["phase"] == phase), "{phase} in {}", fixture.display());
        }
        let unfinished =
            flows.iter().filter(|flow| !matches!(flow["phase"].as_str(), Some("done" | "reverted"))).count();
        assert!(unfinished >= 20, "{unfinished}");
        assert!(!items(&stack, "/v1/debts").await.is_empty());
        assert!(!items(&stack, "/v1/quarantine").await.is_empty());
        assert!(items(&stack, "/v1/holdings").await.len() >= unfinished);
        let writes = stack.sim.log(0).await.unwrap().into_iter().filter(|entry| entry["method"] != "GET").count();
        assert_eq!(writes, 0, "frozen");

        let reason = json!({"reason": "today's simulators are there"});
        stack.service.api.post("/v1/unfreeze", &reason).await.unwrap().ok().unwrap();
        all_end(&stack).await;
        for instance in items(&stack, "/v1/instances").await {
            stack.delete(instance["id"].as_str().unwrap()).await.unwrap();
        }
        all_end(&stack).await;
        assert_eq!(items(&stack, "/v1/instances").await, [Value::Null; 0]);
        assert_eq!(items(&stack, "/v1/holdings").await, [Value::Null; 0], "nothing is owed");
        assert_eq!(stack.sim.left_behind().await.unwrap(), Vec::<String>::new());
        // What is told of them stays, as the old version wrote it.
        for flow in flows {
            let told = stack.timeline(flow["id"].as_str().unwrap()).await.unwrap();
            assert!(!told.is_empty(), "{flow}");
        }
    }
}
