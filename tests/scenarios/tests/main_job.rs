//! Create and delete a composed instance; whatever goes wrong on the way, the far sides' own ledger ends empty.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use scenarios::{Options, Stack};
use serde_json::{Value, json};

async fn nothing_left(stack: &Stack) {
    assert_eq!(stack.sim.left_behind().await.unwrap(), Vec::<String>::new());
    let held = stack.service.api.get("/v1/holdings").await.unwrap().ok().unwrap();
    assert_eq!(held["items"], json!([]), "moganite's own ledger");
}

#[tokio::test]
async fn a_composed_instance_is_created_and_deleted_and_nothing_is_left() {
    let stack = Stack::start().await.unwrap();
    let (id, _) = stack.create("web", "small").await.unwrap();
    let active = stack.service.instance_in(&id, "active").await.unwrap();
    assert_eq!(active["composed"], true);
    let ledger = stack.sim.ledger().await.unwrap();
    assert_eq!(ledger["pod"]["held"].as_array().map(Vec::len), Some(1));
    assert_eq!(ledger["ironic"]["held"][0]["provision_state"], "active");
    assert_eq!(ledger["machines"]["running"].as_array().map(Vec::len), Some(1));
    stack.delete_and_wait(&id).await.unwrap();
    nothing_left(&stack).await;
    assert_eq!(stack.sim.made("pod").await.unwrap(), (1, 1));
    assert_eq!(stack.sim.made("ironic").await.unwrap(), (1, 1));
}

#[tokio::test]
async fn a_deploy_that_fails_is_reverted_and_the_instance_says_why() {
    let stack = Stack::start().await.unwrap();
    stack.sim.fault(json!({"kind": "deploy-fails", "message": "the ramdisk did not boot"})).await.unwrap();
    let (id, flow) = stack.create("web", "small").await.unwrap();
    let failed = stack.service.instance_in(&id, "failed").await.unwrap();
    assert!(failed["reason"].as_str().unwrap().contains("the ramdisk did not boot"), "{failed}");
    let flow = stack.service.flow(&flow, "reverted", |flow| flow["phase"] == "reverted").await.unwrap();
    let states: Vec<_> = flow["tasks"].as_array().unwrap().iter().map(|task| task["state"].clone()).collect();
    assert_eq!(states, ["reverted"; 4]);
    nothing_left(&stack).await;
    stack.delete_and_wait(&id).await.unwrap();
}

#[tokio::test]
async fn a_delete_during_a_create_gives_everything_back() {
    let stack = Stack::with(Options { sim: &["--deploy-ms", "2000"], ..Options::default() }).await.unwrap();
    for task in ["compose", "enroll", "deploy"] {
        let (id, flow) = stack.create("web", "small").await.unwrap();
        stack.service.flow(&flow, task, |flow| flow["task"] == task).await.unwrap();
        stack.delete_and_wait(&id).await.unwrap();
        nothing_left(&stack).await;
    }
}

#[tokio::test]
async fn half_the_memory_never_becomes_active() {
    let stack = Stack::start().await.unwrap();
    for lies in [false, true] {
        stack.sim.fault(json!({"kind": "half-memory", "lies": lies})).await.unwrap();
        let (id, _) = stack.create("web", "small").await.unwrap();
        let failed = stack.service.instance_in(&id, "failed").await.unwrap();
        assert!(failed["reason"].as_str().unwrap().contains("8192 MiB of memory were asked for"), "{failed}");
        nothing_left(&stack).await;
    }
}

#[tokio::test]
async fn the_same_system_twice_never_becomes_active_and_the_first_is_left_alone() {
    let stack = Stack::start().await.unwrap();
    let (first, _) = stack.create("first", "small").await.unwrap();
    stack.service.instance_in(&first, "active").await.unwrap();
    stack.sim.fault(json!({"kind": "same-system-twice"})).await.unwrap();
    let (second, flow) = stack.create("second", "small").await.unwrap();
    let failed = stack.service.instance_in(&second, "failed").await.unwrap();
    assert!(failed["reason"].as_str().unwrap().contains(&first), "{failed}");
    let rests = stack.service.flow(&flow, "rests", |flow| flow["phase"] == "needs-operator").await.unwrap();
    assert!(rests["waits_for"].as_str().unwrap().contains("operator"), "{rests}");
    let ledger = stack.sim.ledger().await.unwrap();
    assert_eq!(ledger["alarms"], json!([]));
    assert_eq!(ledger["machines"]["running"].as_array().map(Vec::len), Some(1));
    stack.service.instance_in(&first, "active").await.unwrap();

    // The operator deletes the first, then lets the second go back.
    stack.delete_and_wait(&first).await.unwrap();
    stack.service.api.post(&format!("/v1/flows/{}/retry", text(&rests, "id")), &json!({})).await.unwrap().ok().unwrap();
    stack.service.flow(&flow, "reverted", |flow| flow["phase"] == "reverted").await.unwrap();
    nothing_left(&stack).await;
}

#[tokio::test]
async fn two_creates_at_once_compose_one_after_the_other_and_get_two_machines() {
    let stack = Stack::with(Options { sim: &["--assemble-ms", "300"], ..Options::default() }).await.unwrap();
    let (a, _) = stack.create("a", "small").await.unwrap();
    let (b, second) = stack.create("b", "small").await.unwrap();
    let behind = |flow: &Value| flow["waits_for"].as_str().is_some_and(|why| why.contains("is ahead"));
    stack.service.flow(&second, "to be told who is ahead", behind).await.unwrap();
    for id in [&a, &b] {
        stack.service.instance_in(id, "active").await.unwrap();
    }
    let ledger = stack.sim.ledger().await.unwrap();
    let systems: std::collections::BTreeSet<_> =
        ledger["pod"]["held"].as_array().unwrap().iter().map(|node| node["system"].to_string()).collect();
    assert_eq!(systems.len(), 2);
    for id in [&a, &b] {
        stack.delete_and_wait(id).await.unwrap();
    }
    nothing_left(&stack).await;
}

#[tokio::test]
async fn what_valence_cannot_express_is_refused_before_anything_is_touched() {
    let stack = Stack::start().await.unwrap();
    let before = stack.sim.log(0).await.unwrap().len();
    let disk = json!({
        "name": "disk", "shape": {"cores": 2, "disks_gib": [100]},
        "route": {"compose": ["pod-a"], "enroll": ["ironic-1"], "deploy": ["ironic-1"]},
    });
    let refused = stack.service.api.put("/v1/flavors/disk", &disk).await.unwrap();
    assert_eq!((refused.status, &refused.body["code"]), (422, &json!("flavor-not-expressible")), "{refused:?}");
    assert!(refused.body["detail"].as_str().unwrap().contains("pod-a cannot express disk"), "{refused:?}");

    // A property of a driver's own is only known to the driver: the flow says it.
    stack.put_flavor("odd", json!({"cores": 2, "properties": {"warp": 9}}), "quick").await.unwrap();
    let (id, flow) = stack.create("web", "odd").await.unwrap();
    stack.service.instance_in(&id, "failed").await.unwrap();
    let flow = stack.service.flow(&flow, "reverted", |flow| flow["phase"] == "reverted").await.unwrap();
    assert_eq!(flow["fault"]["kind"], "rejected");
    assert!(flow["fault"]["message"].as_str().unwrap().contains("warp"), "{flow}");
    let writes =
        stack.sim.log(0).await.unwrap().into_iter().skip(before).filter(|entry| entry["method"] != "GET").count();
    assert_eq!(writes, 0);
    nothing_left(&stack).await;
}

#[tokio::test]
async fn what_a_backend_calls_a_network_is_passed_to_it() {
    let stack = Stack::start().await.unwrap();
    let api = &stack.service.api;
    let network = json!({"name": "blue", "backends": {"ironic-1": {}, "pod-a": {"vlan": 7}}});
    api.put("/v1/networks/blue", &network).await.unwrap().ok().unwrap();
    let order = json!({"name": "web", "flavor": "small", "image": "cirros", "networks": ["blue"]});
    let made = api.post("/v1/instances", &order).await.unwrap().ok().unwrap();
    let failed = stack.service.instance_in(made["id"].as_str().unwrap(), "failed").await.unwrap();
    // Valence has no networks, and says so before anything is touched.
    assert!(failed["reason"].as_str().unwrap().contains("networks"), "{failed}");
    nothing_left(&stack).await;
}

fn text(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap_or_default().to_owned()
}
