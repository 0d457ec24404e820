//! What can be done to an active instance, and what a look at it finds.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use scenarios::{Http, Stack};
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
    let patience = scenarios::Patience { observe_every: std::time::Duration::from_millis(200), ..Default::default() };
    let stack = Stack::with(scenarios::Options { patience, ..Default::default() }).await.unwrap();
    let (id, _) = stack.create("web", "small").await.unwrap();
    let active = stack.service.instance_in(&id, "active").await.unwrap();
    assert_eq!(active["degraded"], Value::Null);
    let ledger = stack.sim.ledger().await.unwrap();
    let uuid = ledger["ironic"]["held"][0]["uuid"].as_str().unwrap().to_owned();
    let ironic = Http::to(&stack.sim.ironic).unwrap().always("x-openstack-ironic-api-version", "1.86");
    ironic.put(&format!("/v1/nodes/{uuid}/states/power"), &json!({"target": "power off"})).await.unwrap().ok().unwrap();
    let seen = stack.service.instance(&id, "degraded", |instance| instance["degraded"].is_string()).await.unwrap();
    assert!(seen["degraded"].as_str().unwrap().contains("powered off"), "{seen}");
    assert_eq!(running(&stack).await, 0, "nobody asked for a repair");
    stack.delete_and_wait(&id).await.unwrap();
}
