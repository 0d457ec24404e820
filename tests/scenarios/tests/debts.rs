//! What an operator may decide: about what is owed, about a flow that rests, and to stop everything.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use scenarios::{Options, Patience, Stack};
use serde_json::{Value, json};

const NOTHING: [String; 0] = [];

/// An instance whose delete rests, as the pod manager keeps its node.
async fn resting() -> (Stack, String, String) {
    let patience = Patience { revert_attempts: 2, ..Patience::default() };
    let stack = Stack::with(Options { patience, ..Options::default() }).await.unwrap();
    let (id, _) = stack.create("web", "small").await.unwrap();
    stack.service.instance_in(&id, "active").await.unwrap();
    stack.sim.fault(json!({"kind": "keep-on-release", "times": 0})).await.unwrap();
    let flow = stack.delete(&id).await.unwrap();
    let rests = stack.service.flow(&flow, "rests", |flow| flow["phase"] == "needs-operator").await.unwrap();
    assert_eq!(rests["task"], "release");
    (stack, id, flow)
}

async fn debts(stack: &Stack) -> Vec<Value> {
    let list = stack.service.api.get("/v1/debts").await.unwrap().ok().unwrap();
    list["items"].as_array().cloned().unwrap()
}

async fn decide(stack: &Stack, path: &str, reason: &str) -> Value {
    stack.service.api.post(path, &json!({ "reason": reason })).await.unwrap().ok().unwrap()
}

/// What was decided since the backends were bound, which grants something each.
async fn audit(stack: &Stack) -> Vec<String> {
    let list = stack.service.api.get("/v1/audit").await.unwrap().ok().unwrap();
    let line = |line: &Value| format!("{} {}", line["verb"].as_str().unwrap(), line["reason"].as_str().unwrap());
    let all = list["items"].as_array().unwrap().iter().map(line);
    all.filter(|line| !line.starts_with("backend.grant ")).collect()
}

#[tokio::test]
async fn what_is_abandoned_is_a_debt_and_is_settled_as_soon_as_the_far_side_lets_go() {
    let (stack, _, flow) = resting().await;
    let abandoned = decide(&stack, &format!("/v1/flows/{flow}/abandon"), "the pod is at the vendor's").await;
    assert_eq!(abandoned["flow"]["phase"], "done");
    let settles = abandoned["settled_by"].as_str().unwrap().to_owned();
    let owed = debts(&stack).await;
    assert_eq!((owed.len(), &owed[0]["kind"], &owed[0]["backend"]), (1, &json!("holds-hardware"), &json!("pod-a")));
    // More tries than a revert has, and it never rests.
    stack.service.flow(&settles, "goes on", |flow| flow["attempt"].as_u64() > Some(4)).await.unwrap();
    stack.sim.no_faults().await.unwrap();
    stack.service.flow(&settles, "ends", |flow| flow["phase"] == "done").await.unwrap();
    assert_eq!(debts(&stack).await, Vec::<Value>::new());
    assert_eq!(stack.sim.left_behind().await.unwrap(), NOTHING);
    assert_eq!(audit(&stack).await, ["flow.abandon the pod is at the vendor's"]);
}

#[tokio::test]
async fn what_is_skipped_is_written_off_and_the_flow_goes_on() {
    let (stack, id, flow) = resting().await;
    let refused = stack.service.api.post(&format!("/v1/flows/{flow}/skip"), &json!({"reason": " "})).await.unwrap();
    assert_eq!(refused.status, 422, "a reason is asked for");
    decide(&stack, &format!("/v1/flows/{flow}/skip"), "I released it by hand").await;
    let ended = stack.service.flow(&flow, "ends", |flow| flow["phase"] == "done").await.unwrap();
    let last = ended["events"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["kind"], &last["note"]),
        (&json!("skipped"), &json!("this machine skipped it: I released it by hand"))
    );
    stack.service.instance_gone(&id).await.unwrap();
    assert_eq!(debts(&stack).await, Vec::<Value>::new());
    assert_eq!(audit(&stack).await, ["flow.skip I released it by hand"]);
    let again = stack.service.api.post(&format!("/v1/flows/{flow}/skip"), &json!({"reason": "twice"})).await.unwrap();
    assert_eq!((again.status, again.body["code"].as_str()), (409, Some("flow-does-not-rest")));
}

#[tokio::test]
async fn an_undo_that_rests_is_handed_over_to_a_plugin_that_its_backend_was_bound_to() {
    let (stack, id, flow) = resting().await;
    let other = stack.service.digest("ironic").await.unwrap();
    let to = |plugin: &str| json!({ "plugin": plugin, "reason": "the new one is mended" });
    let path = format!("/v1/flows/{flow}/hand-over");
    let refused = stack.service.api.post(&path, &to(&other)).await.unwrap();
    assert_eq!((refused.status, refused.body["code"].as_str()), (409, Some("plugin-not-bound")));
    stack.sim.no_faults().await.unwrap();
    let own = stack.service.digest("valence-redfish").await.unwrap();
    stack.service.api.post(&path, &to(&own)).await.unwrap().ok().unwrap();
    stack.service.instance_gone(&id).await.unwrap();
    assert_eq!(stack.sim.left_behind().await.unwrap(), NOTHING);
}

#[tokio::test]
async fn a_delete_is_accepted_while_the_far_side_is_away_and_the_ledger_says_what_may_be_running() {
    let stack = Stack::start().await.unwrap();
    let (id, _) = stack.create("web", "small").await.unwrap();
    stack.service.instance_in(&id, "active").await.unwrap();
    stack.sim.fault(json!({"kind": "refuse", "side": "ironic", "status": 503, "times": 0})).await.unwrap();
    let flow = stack.delete(&id).await.unwrap();
    stack.service.flow(&flow, "tries again", |flow| flow["attempt"].as_u64() > Some(2)).await.unwrap();
    let shown = stack.service.api.get(&format!("/v1/instances/{id}")).await.unwrap().ok().unwrap();
    assert_eq!(shown["state"], "deleting", "nobody saw its machine off");
    let owed = debts(&stack).await;
    assert_eq!((&owed[0]["kind"], &owed[0]["role"]), (&json!("may-be-running"), &json!("deploy")));
    assert!(owed[0]["last_answer"]["message"].as_str().unwrap().contains("503"), "{owed:?}");
    stack.sim.no_faults().await.unwrap();
    stack.service.instance_gone(&id).await.unwrap();
    assert_eq!(debts(&stack).await, Vec::<Value>::new());
    assert_eq!(stack.sim.left_behind().await.unwrap(), NOTHING);
}

#[tokio::test]
async fn while_it_is_frozen_nothing_that_changes_something_is_sent_and_orders_wait() {
    let stack = Stack::start().await.unwrap();
    decide(&stack, "/v1/freeze", "a fire in the hall").await;
    let before = stack.sim.log(0).await.unwrap().len();
    let (id, flow) = stack.create("web", "small").await.unwrap();
    let waits = stack.service.api.get(&format!("/v1/flows/{flow}")).await.unwrap().ok().unwrap();
    assert!(waits["waits_for"].as_str().unwrap().contains("a fire in the hall"), "{}", waits["waits_for"]);
    // The service's own look at the far side may go on; what changes something may not.
    let sent = stack.sim.log(0).await.unwrap();
    let changing = sent[before..].iter().filter(|sent| sent["method"] != "GET").count();
    assert_eq!(changing, 0);
    decide(&stack, "/v1/unfreeze", "it is out").await;
    stack.service.instance_in(&id, "active").await.unwrap();
    stack.delete_and_wait(&id).await.unwrap();
    assert_eq!(stack.sim.left_behind().await.unwrap(), NOTHING);
    assert_eq!(audit(&stack).await, ["unfreeze it is out", "freeze a fire in the hall"]);
}

#[tokio::test]
async fn a_paused_backend_is_not_called_until_it_is_resumed() {
    let stack = Stack::start().await.unwrap();
    decide(&stack, "/v1/backends/pod-a/pause", "firmware").await;
    let before = stack.sim.log(0).await.unwrap().len();
    let (id, flow) = stack.create("web", "small").await.unwrap();
    let waits = stack.service.api.get(&format!("/v1/flows/{flow}")).await.unwrap().ok().unwrap();
    assert!(waits["waits_for"].as_str().unwrap().contains("pod-a is paused: firmware"), "{}", waits["waits_for"]);
    assert_eq!(stack.sim.log(0).await.unwrap().len(), before);
    decide(&stack, "/v1/backends/pod-a/resume", "done").await;
    stack.service.instance_in(&id, "active").await.unwrap();
    stack.delete_and_wait(&id).await.unwrap();
    assert_eq!(stack.sim.left_behind().await.unwrap(), NOTHING);
}
