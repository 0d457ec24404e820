//! Pre-set servers: claimed, deployed, given back; another one when one fails; a composed one when none is left.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use scenarios::{Options, Stack};
use serde_json::{Value, json};

fn states(flow: &Value, task: &str) -> Vec<String> {
    let events = flow["events"].as_array().unwrap().iter();
    events.filter(|event| event["task"] == task).map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
}

async fn nothing_left(stack: &Stack) {
    assert_eq!(stack.sim.left_behind().await.unwrap(), Vec::<String>::new());
    assert_eq!(stack.service.api.get("/v1/holdings").await.unwrap().body["items"], json!([]));
}

#[tokio::test]
async fn a_pre_set_server_is_claimed_deployed_and_given_back() {
    let stack = Stack::start().await.unwrap();
    let nodes = stack.preset(7..8).await.unwrap();
    stack.put_preset_flavor("gold", false).await.unwrap();
    let (id, _) = stack.create("web", "gold").await.unwrap();
    let ended = stack.service.instance(&id, "ended", |instance| instance["state"] != "creating").await.unwrap();
    assert_eq!(ended["state"], "active", "{}", ended["reason"]);
    assert_eq!(ended["composed"], false);
    let ledger = stack.sim.ledger().await.unwrap();
    assert_eq!(ledger["ironic"]["held"][0]["uuid"], nodes[0].as_str());
    assert_eq!(ledger["ironic"]["held"][0]["provision_state"], "active");
    stack.delete_and_wait(&id).await.unwrap();
    nothing_left(&stack).await;
    assert_eq!(stack.sim.made("pod").await.unwrap().0, 0, "nothing was composed");
}

#[tokio::test]
async fn eight_creates_for_four_servers_give_four_and_say_why_not() {
    let stack = Stack::start().await.unwrap();
    stack.preset(5..9).await.unwrap();
    stack.put_preset_flavor("gold", false).await.unwrap();
    let mut ids = Vec::new();
    for n in 0..8 {
        ids.push(stack.create(&format!("web-{n}"), "gold").await.unwrap().0);
    }
    let mut ended = Vec::new();
    for id in &ids {
        ended.push(stack.service.instance(id, "ended", |instance| instance["state"] != "creating").await.unwrap());
    }
    let active = ended.iter().filter(|instance| instance["state"] == "active").count();
    let reasons: Vec<_> = ended.iter().filter_map(|instance| instance["reason"].as_str()).collect();
    assert_eq!((active, reasons.len()), (4, 4), "{reasons:?}");
    let ledger = stack.sim.ledger().await.unwrap();
    let owners: BTreeSet<_> =
        ledger["ironic"]["held"].as_array().unwrap().iter().map(|node| node["instance_uuid"].to_string()).collect();
    assert_eq!(owners.len(), 4, "none twice");
    for id in &ids {
        stack.delete_and_wait(id).await.unwrap();
    }
    nothing_left(&stack).await;
}

#[tokio::test]
async fn a_server_that_fails_is_quarantined_and_another_one_is_taken() {
    let stack = Stack::start().await.unwrap();
    stack.preset(6..9).await.unwrap();
    stack.put_preset_flavor("gold", false).await.unwrap();
    stack.sim.fault(json!({"kind": "deploy-fails", "message": "a bad DIMM"})).await.unwrap();
    let (id, flow) = stack.create("web", "gold").await.unwrap();
    let ended = stack.service.instance(&id, "ended", |instance| instance["state"] != "creating").await.unwrap();
    assert_eq!(ended["state"], "active", "{}", ended["reason"]);
    let flow = stack.service.api.get(&format!("/v1/flows/{flow}")).await.unwrap().body;
    assert_eq!(flow["round"], 2);
    let quarantine = stack.service.api.get("/v1/quarantine").await.unwrap().ok().unwrap();
    let bad = &quarantine["items"][0];
    assert!(bad["cause"].to_string().contains("a bad DIMM"), "{quarantine}");
    let ledger = stack.sim.ledger().await.unwrap();
    let ours = ledger["ironic"]["held"].as_array().unwrap().iter().find(|node| node["provision_state"] == "active");
    assert_ne!(ours.unwrap()["uuid"], bad["handle"], "not the one that failed");
    stack.delete_and_wait(&id).await.unwrap();
    nothing_left(&stack).await;

    // It is not scheduled again until an operator clears it.
    let path = format!("/v1/quarantine/ironic-1/{}", bad["handle"].as_str().unwrap());
    stack.service.api.delete(&path).await.unwrap().ok().unwrap();
    assert_eq!(stack.service.api.get("/v1/quarantine").await.unwrap().body["items"], json!([]));
}

#[tokio::test]
async fn after_three_pre_set_servers_that_fail_one_is_composed_in_the_same_timeline() {
    // Valence has no classes: the class of pre-set servers is then the backend's own.
    let ironic = json!({"claim_resource_class": "gold"});
    let stack = Stack::with(Options { ironic, ..Options::default() }).await.unwrap();
    stack.preset(5..9).await.unwrap();
    stack.put_preset_flavor("either", true).await.unwrap();
    stack.sim.fault(json!({"kind": "deploy-fails", "times": 3})).await.unwrap();
    let (id, flow) = stack.create("web", "either").await.unwrap();
    let ended = stack.service.instance(&id, "ended", |instance| instance["state"] != "creating").await.unwrap();
    assert_eq!(ended["state"], "active", "{}", ended["reason"]);
    assert_eq!(ended["composed"], true);
    let flow = stack.service.api.get(&format!("/v1/flows/{flow}")).await.unwrap().body;
    assert_eq!(flow["round"], 4);
    assert_eq!(states(&flow, "deploy").iter().filter(|kind| *kind == "failed").count(), 3);
    assert!(states(&flow, "compose").contains(&"done".to_owned()));
    stack.delete_and_wait(&id).await.unwrap();
    nothing_left(&stack).await;
    assert_eq!(stack.sim.made("pod").await.unwrap(), (1, 1));
}

#[tokio::test]
async fn an_operator_chooses_the_server() {
    let stack = Stack::start().await.unwrap();
    let nodes = stack.preset(6..9).await.unwrap();
    stack.put_preset_flavor("gold", false).await.unwrap();
    let order = json!({"name": "web", "flavor": "gold", "image": "cirros", "node": nodes[1]});
    let made = stack.service.api.post("/v1/instances", &order).await.unwrap().ok().unwrap();
    let id = made["id"].as_str().unwrap();
    stack.service.instance_in(id, "active").await.unwrap();
    let ledger = stack.sim.ledger().await.unwrap();
    let ours = ledger["ironic"]["held"].as_array().unwrap().iter().find(|node| node["provision_state"] == "active");
    assert_eq!(ours.unwrap()["uuid"], nodes[1].as_str());
    let composed = json!({"name": "web", "flavor": "small", "image": "cirros", "node": nodes[1]});
    let refused = stack.service.api.post("/v1/instances", &composed).await.unwrap();
    assert_eq!(refused.body["code"], "node-of-composed-flavor");
    stack.delete_and_wait(id).await.unwrap();
    nothing_left(&stack).await;
}
