//! A backup on a running service, and what a service that was restored from it does to the far sides: nothing, until a person decided.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use scenarios::{Options, Patience, Stack, until};
use serde_json::{Value, json};

/// What drivers sent after number `after`. The simulated Valence and Ironic speak to the pod manager by themselves.
async fn sent(stack: &Stack, after: u64) -> Vec<Value> {
    let log = stack.sim.log(after).await.unwrap();
    let of_ours = |entry: &Value| entry["user_agent"].as_str().is_some_and(|agent| agent.contains('@'));
    log.into_iter().filter(of_ours).collect()
}

async fn last(stack: &Stack) -> u64 {
    stack.sim.log(0).await.unwrap().last().map_or(0, |entry| entry["n"].as_u64().unwrap())
}

#[tokio::test]
async fn a_restored_service_changes_nothing_on_a_far_side_and_says_so() {
    let patience = Patience { observe_every: Duration::from_millis(200), ..Patience::default() };
    let sim = ["--deploy-ms", "1500"];
    let stack = Stack::with(Options { sim: &sim, patience, ..Options::default() }).await.unwrap();
    let mut active = Vec::new();
    for name in ["web-1", "web-2"] {
        active.push(stack.create(name, "small").await.unwrap().0);
    }
    for id in &active {
        stack.service.instance_in(id, "active").await.unwrap();
    }
    let mut under_way = Vec::new();
    for name in ["web-3", "web-4", "web-5"] {
        under_way.push(stack.create(name, "small").await.unwrap());
    }
    stack.service.flow(&under_way[0].1, "deploy", |flow| flow["task"] == "deploy").await.unwrap();
    let file = stack.folder.path().join("backup.tar");
    stack.backup(&file).await.unwrap();
    // What happens after it is not in it.
    for (id, _) in &under_way {
        stack.service.instance_in(id, "active").await.unwrap();
    }

    let stack = stack.restored(&file).await.unwrap();
    let before = last(&stack).await;
    let api = &stack.service.api;
    let ready = api.get("/readyz").await.unwrap().ok().unwrap();
    assert!(ready["restored_at"].is_string(), "{ready}");
    assert!(stack.command(&["status"]).await.unwrap().contains("until `moganite reconcile` is decided"));

    // Wishes are taken and wait: nothing new begins, nothing old goes on.
    let (created, create) = stack.create("web-6", "small").await.unwrap();
    let delete = stack.delete(&active[1]).await.unwrap();
    let compared = |instance: &Value| instance["degraded"] != "not compared with the far side since the restore";
    let looks = async || sent(&stack, before).await.len();
    until("looks at what is active", Duration::from_secs(20), async || Ok((looks().await >= 4).then_some(())))
        .await
        .unwrap();
    let requests = sent(&stack, before).await;
    assert!(requests.iter().all(|request| request["method"] == "GET"), "{requests:?}");
    for flow in [&create, &delete, &under_way[0].1] {
        let flow = api.get(&format!("/v1/flows/{flow}")).await.unwrap().ok().unwrap();
        assert!(flow["waits_for"].as_str().unwrap().contains("moganite reconcile"), "{flow}");
    }
    for id in [&created, &under_way[0].0] {
        stack.service.instance_in(id, "creating").await.unwrap();
    }
    let listed = api.get("/v1/instances").await.unwrap().ok().unwrap();
    let shown: Vec<_> = listed["items"].as_array().unwrap().iter().filter(|item| item["state"] == "active").collect();
    assert_eq!(shown.len(), 1, "{listed}");
    assert!(!compared(shown[0]), "a look that found nothing wrong is not a comparison: {listed}");
    let ledger = stack.sim.ledger().await.unwrap();
    assert_eq!(ledger["machines"]["running"].as_array().map(Vec::len), Some(5));
    assert_eq!(ledger["alarms"], json!([]));
}
