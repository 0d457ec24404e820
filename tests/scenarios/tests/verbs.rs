//! What can be done to an active instance, and what a look at it finds.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use scenarios::{Http, Patience, Stack, until};
use serde_json::{Value, json};

async fn flow_of(stack: &Stack, path: &str, body: Value) -> Value {
    let started = stack.service.api.post(path, &body).await.unwrap().ok().unwrap();
    let flow = started["flow"].as_str().unwrap().to_owned();
    stack
        .service
        .flow(&flow, "its end", |flow| matches!(flow["phase"].as_str(), Some("done" | "reverted")))
        .await
        .unwrap()
}

async fn running(stack: &Stack) -> usize {
    stack.sim.ledger().await.unwrap()["machines"]["running"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn power_goes_off_and_on_and_a_rebuild_puts_the_image_on_anew() {
    let stack = Stack::start().await.unwrap();
    let (id, _) = stack.create("web", "small").await.unwrap();
    stack.service.instance_in(&id, "active").await.unwrap();
    let power = format!("/v1/instances/{id}/power");
    assert_eq!(flow_of(&stack, &power, json!({"wish": "off"})).await["phase"], "done");
    assert_eq!(running(&stack).await, 0);
    assert_eq!(flow_of(&stack, &power, json!({"wish": "on"})).await["phase"], "done");
    assert_eq!(running(&stack).await, 1);

    let rebuilt = flow_of(&stack, &format!("/v1/instances/{id}/rebuild"), json!({})).await;
    assert_eq!(rebuilt["phase"], "done", "{rebuilt}");
    stack.service.instance_in(&id, "active").await.unwrap();
    assert_eq!(running(&stack).await, 1);
    assert_eq!(stack.sim.made("pod").await.unwrap(), (1, 0), "the machine stayed");
    stack.delete_and_wait(&id).await.unwrap();
    assert_eq!(stack.sim.left_behind().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_machine_that_somebody_turned_off_is_degraded_and_not_repaired_unasked() {
    let patience = Patience { observe_every: Duration::from_millis(200), ..Default::default() };
    let stack = Stack::with(scenarios::Options { patience, ..Default::default() }).await.unwrap();
    let (id, _) = stack.create("web", "small").await.unwrap();
    let active = stack.service.instance_in(&id, "active").await.unwrap();
    assert_eq!(active["degraded"], Value::Null);
    turn_off(&stack).await;
    let seen = stack.service.instance(&id, "degraded", |instance| instance["degraded"].is_string()).await.unwrap();
    assert!(seen["degraded"].as_str().unwrap().contains("powered off"), "{seen}");
    assert_eq!(running(&stack).await, 0, "nobody asked for a repair");
    stack.delete_and_wait(&id).await.unwrap();
}

#[tokio::test]
async fn a_backend_that_hangs_keeps_nobody_from_looking_at_another() {
    let patience = Patience { observe_every: Duration::from_millis(200), ..Default::default() };
    let options = scenarios::Options { patience, sim: &["--cloudboot-systems", "1"], ..Default::default() };
    let stack = Stack::with(options).await.unwrap();
    stack.cloudboot(&json!({})).await.unwrap();
    let found = stack.create_from("found", "discovered", "linux").await.unwrap();
    let (composed, _) = stack.create("composed", "small").await.unwrap();
    for id in [&found, &composed] {
        stack.service.instance_in(id, "active").await.unwrap();
    }
    let hang = json!({"kind": "delay", "side": "cloudboot", "times": 0, "ms": 600_000});
    stack.sim.fault(hang).await.unwrap();
    let hung = async || stack.sim.control.get("/faults").await?.ok().map(|faults| faults["faults"][0]["fired"].clone());
    until("a look at CloudBoot", Duration::from_secs(10), async || Ok((hung().await? == 1).then_some(())))
        .await
        .unwrap();
    turn_off(&stack).await;
    let seen =
        stack.service.instance(&composed, "degraded", |instance| instance["degraded"].is_string()).await.unwrap();
    assert!(seen["degraded"].as_str().unwrap().contains("powered off"), "{seen}");
    assert_eq!(hung().await.unwrap(), 1, "the look at CloudBoot still waits, and there is no second one");
}

/// Somebody turns the machine off that Ironic has, past us.
async fn turn_off(stack: &Stack) {
    let ledger = stack.sim.ledger().await.unwrap();
    let uuid = ledger["ironic"]["held"][0]["uuid"].as_str().unwrap().to_owned();
    let ironic = Http::to(&stack.sim.ironic).unwrap().always("x-openstack-ironic-api-version", "1.86");
    ironic.put(&format!("/v1/nodes/{uuid}/states/power"), &json!({"target": "power off"})).await.unwrap().ok().unwrap();
}
