//! Composed without Valence: cores, memory and disk from resource blocks, erased before they go back.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use scenarios::Stack;
use serde_json::json;

#[tokio::test]
async fn an_instance_with_a_disk_is_composed_erased_and_released() {
    let stack = Stack::start().await.unwrap();
    stack.redfish().await.unwrap();
    for project in ["first", "second"] {
        let (id, _) = stack.create(project, "with-disk").await.unwrap();
        let ended = stack.service.instance(&id, "ended", |instance| instance["state"] != "creating").await.unwrap();
        assert_eq!(ended["state"], "active", "{}", ended["reason"]);
        stack.delete_and_wait(&id).await.unwrap();
        assert_eq!(stack.sim.left_behind().await.unwrap(), Vec::<String>::new(), "no disk holds {project}'s data");
    }
    assert_eq!(stack.sim.made("pod").await.unwrap(), (2, 2));
}

#[tokio::test]
async fn an_erase_that_fails_keeps_the_machine_out_of_the_pool_with_one_line_in_the_ledger() {
    let patience = scenarios::Patience { revert_attempts: 3, ..scenarios::Patience::default() };
    // Nothing but the pod manager erases here.
    let ironic = json!({"erases": "none", "automated_clean": false});
    let options = scenarios::Options { patience, ironic, erase: "none", ..Default::default() };
    let stack = Stack::with(options).await.unwrap();
    stack.redfish().await.unwrap();
    let (id, _) = stack.create("web", "with-disk").await.unwrap();
    stack.service.instance_in(&id, "active").await.unwrap();
    stack.sim.fault(json!({"kind": "erase-fails", "times": 0})).await.unwrap();
    let flow = stack.delete(&id).await.unwrap();
    let rests = stack.service.flow(&flow, "rests", |flow| flow["phase"] == "needs-operator").await.unwrap();
    assert_eq!(rests["task"], "release");
    let held = stack.service.api.get("/v1/holdings").await.unwrap().ok().unwrap();
    let lines = held["items"].as_array().unwrap();
    assert_eq!(lines.len(), 1, "{held}");
    assert!(lines[0]["fault"].to_string().contains("eras"), "{held}");
    let ledger = stack.sim.ledger().await.unwrap();
    assert_eq!(ledger["pod"]["held"].as_array().map(Vec::len), Some(1), "not in the free pool");
    assert_ne!(ledger["machines"]["data"], json!([]), "the data is still there, and so is the machine");

    // Repaired, an operator lets it try again.
    stack.sim.no_faults().await.unwrap();
    stack.service.api.post(&format!("/v1/flows/{flow}/retry"), &json!({})).await.unwrap().ok().unwrap();
    stack.service.instance_gone(&id).await.unwrap();
    assert_eq!(stack.sim.left_behind().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn valence_is_refused_a_disk_and_the_answer_names_who_can() {
    let stack = Stack::start().await.unwrap();
    stack.redfish().await.unwrap();
    let route = json!({"compose": ["pod-a"], "enroll": ["ironic-1"], "deploy": ["ironic-1"]});
    let flavor = json!({"name": "disk", "shape": {"cores": 2, "disks_gib": [50]}, "route": route});
    let refused = stack.service.api.put("/v1/flavors/disk", &flavor).await.unwrap();
    assert_eq!(refused.body["code"], "flavor-not-expressible", "{refused:?}");
    assert!(refused.body["detail"].as_str().unwrap().contains("pod-r can"), "{refused:?}");
}
