//! A table: fault x driver, each with the line of its contract. The instance ends as the line says; after its delete the far sides' own
//! ledger holds nothing of ours.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use scenarios::{Options, Stack};
use serde_json::{Value, json};

/// One row: the contract's line, the switches, and how the create ends.
struct Row {
    line: &'static str,
    faults: Vec<Value>,
    ends: &'static str,
}

fn row(line: &'static str, ends: &'static str, faults: impl Into<Vec<Value>>) -> Row {
    Row { line, faults: faults.into(), ends }
}

/// Creates under the faults, then deletes (under those that are left), then asks the ledger.
async fn run(stack: &Stack, table: Vec<Row>) {
    let mut wrong = Vec::new();
    for Row { line, faults, ends } in table {
        stack.sim.no_faults().await.unwrap();
        for fault in faults {
            stack.sim.fault(fault).await.unwrap();
        }
        let (id, flow) = stack.create("web", "small").await.unwrap();
        let ended = stack.service.instance(&id, line, |instance| instance["state"] != "creating").await;
        let ended = match ended {
            Ok(ended) => ended,
            Err(error) => {
                wrong.push(format!("{line}: {error}"));
                json!({"state": "creating"})
            }
        };
        if ended["state"] != ends {
            let switches = stack.sim.control.get("/faults").await.unwrap().body;
            let timeline = stack.timeline(&flow).await.unwrap().join("\n    ");
            wrong.push(format!(
                "{line}: ended {} because {}\n    {timeline}\n    {switches}",
                ended["state"], ended["reason"]
            ));
        }
        if let Err(error) = stack.delete_and_wait(&id).await {
            let flows = stack.service.api.get("/v1/flows?limit=1").await.unwrap().body;
            wrong.push(format!("{line}: {error}; the delete waits for {}", flows["items"][0]["waits_for"]));
        }
        let left = stack.sim.left_behind().await.unwrap();
        if !left.is_empty() {
            wrong.push(format!("{line}: {left:?}"));
        }
        eprintln!("{:>8}  {line}", ended["state"].as_str().unwrap_or_default());
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn valence_and_its_pod_manager() {
    let post = |kind: &str| json!({"side": "valence", "method": "POST", "path": "/v1/nodes", "kind": kind});
    let delete = |kind: &str| json!({"side": "valence", "method": "DELETE", "path": "/v1/nodes/*", "kind": kind});
    let stack = Stack::start().await.unwrap();
    let table = vec![
        row("the client goes during Assemble: the compose runs to completion", "active", [post("lost-answer")]),
        row(
            "the client goes, and the node appears later",
            "active",
            [{
                let mut late = post("late-completion");
                late["ms"] = json!(700);
                late
            }],
        ),
        row("the connection breaks before anything was done", "active", [post("drop")]),
        row(
            "a failed assembly is reported as HTTP 200 with an error body",
            "failed",
            [{
                let mut body = post("error-body");
                body["times"] = json!(0);
                body
            }],
        ),
        row("the pool is full: 409 with the pod manager's code", "failed", [json!({"kind": "full-pool"})]),
        row(
            "Allocate is refused with 503: the pool is full",
            "failed",
            [{
                let mut busy = post("refuse");
                busy["status"] = json!(503);
                busy
            }],
        ),
        row(
            "assembling fails within the POST: 200 with an error body, cleaned up",
            "failed",
            [json!({"kind": "assembly-fails"})],
        ),
        row(
            "assembling fails after the POST: the record is there, the node is Failed",
            "failed",
            [json!({"kind": "assembly-fails", "later": true})],
        ),
        row("assembling takes its time, then fails", "failed", [json!({"kind": "stuck-assembling", "ms": 500})]),
        row("half the memory is composed", "failed", [json!({"kind": "half-memory"})]),
        row("an answer that is no JSON", "active", [post("garbage")]),
        row(
            "the poll of a node is slow",
            "active",
            [json!({"side": "valence", "method": "GET", "path": "/v1/nodes/*", "kind": "delay", "ms": 300})],
        ),
        row(
            "the poll of a node is refused with 500",
            "active",
            [
                json!({"side": "valence", "method": "GET", "path": "/v1/nodes/*", "kind": "refuse", "status": 500, "times": 2}),
            ],
        ),
        row("the answer to a release is lost", "active", [delete("lost-answer")]),
        row(
            "a release is refused by the pod manager: safe to retry",
            "active",
            [{
                let mut refused = delete("refuse");
                refused["status"] = json!(503);
                refused["times"] = json!(2);
                refused
            }],
        ),
        row("a release breaks before anything was done", "active", [delete("drop")]),
        row("a release answers with what is no JSON", "active", [delete("garbage")]),
    ];
    run(&stack, table).await;
}

#[tokio::test]
async fn ironic() {
    let on =
        |method: &str, path: &str, kind: &str| json!({"side": "ironic", "method": method, "path": path, "kind": kind});
    let verb = "/v1/nodes/*/states/provision";
    let refuse = |method: &str, path: &str, status: u16, times: u64| json!({"side": "ironic", "method": method, "path": path, "kind": "refuse", "status": status, "times": times});
    let stack = Stack::start().await.unwrap();
    let table = vec![
        row("the answer to the create of a node is lost", "active", [on("POST", "/v1/nodes", "lost-answer")]),
        row("the create of a node breaks before anything was done", "active", [on("POST", "/v1/nodes", "drop")]),
        row("a create answers with what is no JSON", "active", [on("POST", "/v1/nodes", "garbage")]),
        row("503 under load, database locked: retry", "active", [refuse("POST", "/v1/nodes", 503, 3)]),
        row("the answer to a port is lost; the MAC is there then", "active", [on("POST", "/v1/ports", "lost-answer")]),
        row("the answer to manage is lost", "active", [on("PUT", verb, "lost-answer")]),
        row(
            "a verb meets a locked node: 409",
            "active",
            [{
                let mut locked = on("PUT", verb, "locked");
                locked["times"] = json!(3);
                locked
            }],
        ),
        row(
            "the lock is kept longer than the state changes",
            "active",
            [json!({"kind": "slow-lock-release", "ms": 400})],
        ),
        row("verifying fails: back to enroll with last_error", "failed", [json!({"kind": "manage-fails", "times": 0})]),
        row("deploying fails, last_error is lost, history has it", "failed", [json!({"kind": "deploy-fails"})]),
        row("Ironic is killed while it works on a node", "active", [json!({"kind": "restart-during"})]),
        row("polls are refused with 503", "active", [refuse("GET", "/v1/nodes/*", 503, 3)]),
        row(
            "deleting fails and ends in error; the same verb again succeeds",
            "active",
            [json!({"kind": "undeploy-error"})],
        ),
        row(
            "the answer to the removal of a node is lost: 404 then",
            "active",
            [on("DELETE", "/v1/nodes/*", "lost-answer")],
        ),
        row("the removal of a node is refused with 503", "active", [refuse("DELETE", "/v1/nodes/*", 503, 2)]),
        row("the removal of a node breaks before anything was done", "active", [on("DELETE", "/v1/nodes/*", "drop")]),
    ];
    run(&stack, table).await;
}

#[tokio::test]
async fn a_pod_manager_that_keeps_a_node_is_found_out_and_a_person_is_asked() {
    let patience = scenarios::Patience { revert_attempts: 4, ..scenarios::Patience::default() };
    let stack = Stack::with(Options { patience, ..Options::default() }).await.unwrap();
    let (id, _) = stack.create("web", "small").await.unwrap();
    stack.service.instance_in(&id, "active").await.unwrap();
    stack.sim.fault(json!({"kind": "keep-on-release", "times": 0})).await.unwrap();
    let flow = stack.delete(&id).await.unwrap();
    let rests = stack.service.flow(&flow, "rests", |flow| flow["phase"] == "needs-operator").await.unwrap();
    assert_eq!(rests["task"], "release");
    // Its machine is off and out of management: gone for its user, and a debt here.
    assert_eq!(stack.service.api.get(&format!("/v1/instances/{id}")).await.unwrap().status, 404);
    let debts = stack.service.api.get("/v1/debts").await.unwrap().ok().unwrap();
    assert_eq!((&debts["items"][0]["kind"], &debts["items"][0]["outlived"]), (&json!("holds-hardware"), &json!(true)));
    stack.sim.no_faults().await.unwrap();
    stack.service.api.post(&format!("/v1/flows/{flow}/retry"), &json!({})).await.unwrap().ok().unwrap();
    stack.service.instance_gone(&id).await.unwrap();
    assert_eq!(stack.sim.left_behind().await.unwrap(), Vec::<String>::new());
}
