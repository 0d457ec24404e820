//! Many machines that are waited for are looked at together, and whoever is done goes on at once. Asked of Ironic's own log.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::time::Duration;

use scenarios::{Options, Patience, Stack};
use serde_json::json;

const NODES: usize = 12;

/// Deployments that take 16 to 20 seconds; nobody rests for less than five minutes whose wait is left to the looks.
async fn deploying() -> (Stack, Vec<(String, String)>) {
    let systems = NODES.to_string();
    let sim = ["--systems", &systems, "--assemble-ms", "0", "--deploy-ms", "16000", "--deploy-spread-ms", "4000"];
    let patience = Patience { longest_wait: Duration::from_secs(3600), ..Patience::default() };
    let options = Options {
        sim: &sim,
        patience,
        ironic: json!({"poll_ms": 300, "inspect": false}),
        serve: &["--notice-every-ms=400"],
        ..Options::default()
    };
    let stack = Stack::with(options).await.unwrap();
    let mut all = Vec::new();
    for n in 0..NODES {
        all.push(stack.create(&format!("web-{n}"), "small").await.unwrap());
    }
    (stack, all)
}

/// Whose wait is left to the looks says so.
async fn until_looked_at(stack: &Stack, flow: &str) {
    let looked_at = |flow: &serde_json::Value| {
        flow["waits_for"].as_str().is_some_and(|why| why.contains("looked at with the others there"))
    };
    stack.service.flow(flow, "to be looked at with the others", looked_at).await.unwrap();
}

/// Reads of one node alone while it deploys, by node, and lists of nodes meanwhile.
async fn reads(stack: &Stack) -> (HashMap<String, usize>, usize) {
    let (mut alone, mut lists) = (HashMap::new(), 0);
    for entry in stack.sim.log(0).await.unwrap().iter().filter(|entry| entry["side"] == "ironic") {
        let (method, path) = (entry["method"].as_str().unwrap(), entry["path"].as_str().unwrap());
        let node = path.trim_start_matches("/v1/nodes/").split(['/', '?']).next().unwrap().to_owned();
        match method {
            "PUT" if path.ends_with("states/provision") && entry["body"]["target"] == "active" => {
                alone.insert(node, 0);
            }
            "GET" if path == "/v1/nodes" => lists += 1,
            "GET" => {
                alone.entry(node).and_modify(|reads| *reads += 1);
            }
            _ => {}
        }
    }
    (alone, lists)
}

#[tokio::test]
async fn nodes_in_deployment_are_read_in_one_list_and_each_goes_on_when_it_is_done() {
    let (stack, all) = deploying().await;
    for (id, _) in &all {
        stack.service.instance_in(id, "active").await.unwrap();
    }
    let (alone, lists) = reads(&stack).await;
    assert_eq!(alone.len(), NODES);
    // Alone each would be read 22 times and more.
    assert!(alone.values().sum::<usize>() <= 12 * NODES, "{alone:?}");
    assert!(lists >= 5, "{lists} lists beside {alone:?}");
    for (id, _) in &all {
        stack.delete_and_wait(id).await.unwrap();
    }
    assert_eq!(stack.sim.left_behind().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_service_that_died_meanwhile_looks_at_them_again() {
    let (mut stack, all) = deploying().await;
    until_looked_at(&stack, &all[0].1).await;
    stack.again(Vec::new()).await.unwrap();
    for (id, _) in &all {
        stack.service.instance_in(id, "active").await.unwrap();
    }
}

#[tokio::test]
async fn what_ended_while_ironic_was_away_is_seen_when_it_is_back() {
    let (stack, all) = deploying().await;
    until_looked_at(&stack, &all[0].1).await;
    stack.sim.outage(Duration::from_secs(18)).await.unwrap();
    for (id, _) in &all {
        stack.service.instance_in(id, "active").await.unwrap();
    }
}
