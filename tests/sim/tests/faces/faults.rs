//! Each switch, once: what the client sees, and what the ledger says is left.

use serde_json::{Value, json};

use crate::bench::{Bench, shape, until};

/// What a compose answered, and how many nodes and records there are afterwards.
async fn compose_under(fault: Value) -> (Bench, Option<u16>, Value) {
    let bench = Bench::new().await;
    bench.fault(fault);
    let got = bench.try_valence("POST", "/v1/nodes", shape("mg-1")).await;
    let (status, body) = got.map_or((None, Value::Null), |got| (Some(got.status), got.body));
    (bench, status, body)
}

fn held(bench: &Bench) -> (usize, usize) {
    let ledger = bench.sim.ledger();
    (ledger.pod.held.len(), ledger.valence.records.len())
}

fn on_compose(kind: &str) -> Value {
    json!({"side": "valence", "method": "POST", "path": "/v1/nodes", "kind": kind})
}

#[tokio::test]
async fn a_lost_answer_did_its_work() {
    let (bench, status, _) = compose_under(on_compose("lost-answer")).await;
    assert_eq!(status, None);
    assert_eq!(held(&bench), (1, 1));
}

#[tokio::test]
async fn a_drop_and_a_refusal_did_nothing() {
    let (bench, status, _) = compose_under(on_compose("drop")).await;
    assert_eq!((status, held(&bench)), (None, (0, 0)));
    let (bench, status, body) = compose_under(on_compose("refuse")).await;
    assert_eq!((status, held(&bench)), (Some(503), (0, 0)));
    assert_eq!(body["status"], 503);
}

#[tokio::test]
async fn an_outage_leaves_half_done_what_was_under_way_and_answers_nobody_until_it_is_over() {
    let bench = Bench::new().await;
    bench.fault(json!({"side": "podm", "method": "POST", "path": "/redfish/v1/Nodes/*/Actions/**", "kind": "delay", "ms": 60_000}));
    let compose = bench.try_valence("POST", "/v1/nodes", shape("mg-1"));
    let outage = async {
        until(|| async { bench.ledger() }, |ledger| ledger["pod"]["held"][0]["state"] == "Allocated").await;
        bench.control("PUT", "/outage", json!({"ms": 300})).await;
    };
    let (answer, ()) = tokio::join!(compose, outage);
    assert!(answer.is_none());
    assert!(bench.try_valence("GET", "/v1/nodes", Value::Null).await.is_none(), "still away");
    // Allocated, and never assembled nor written down: as a Valence that died in between leaves it.
    assert_eq!(held(&bench), (1, 0));
    let list =
        || async { bench.try_valence("GET", "/v1/nodes", Value::Null).await.map_or(Value::Null, |got| got.body) };
    until(list, Value::is_array).await;
}

#[tokio::test]
async fn an_error_body_comes_with_200_and_garbage_is_no_json() {
    let (bench, status, body) = compose_under(on_compose("error-body")).await;
    assert_eq!((status, held(&bench)), (Some(200), (0, 0)));
    assert_eq!(body["code"], "Base.1.0.GeneralError");
    let (bench, status, body) = compose_under(on_compose("garbage")).await;
    assert_eq!((status, body, held(&bench)), (Some(200), Value::Null, (1, 1)));
}

#[tokio::test]
async fn a_late_completion_appears_after_the_connection_closed() {
    let mut fault = on_compose("late-completion");
    fault["ms"] = json!(500);
    let bench = Bench::with(|options| options.hand_clock = true).await;
    bench.fault(fault);
    assert!(bench.try_valence("POST", "/v1/nodes", shape("mg-1")).await.is_none());
    assert_eq!(held(&bench), (0, 0));
    until(
        || async {
            bench.sim.advance(100);
            bench.ledger()
        },
        |ledger| ledger["valence"]["records"][0]["name"] == "mg-1",
    )
    .await;
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_stop_a_compose() {
    let bench = Bench::with(|options| options.hand_clock = true).await;
    let asked = bench.valence("POST", "/v1/nodes", shape("mg-1"));
    let gone = async { bench.until_ledger(|ledger| ledger["pod"]["made"] == 1).await };
    tokio::select! {
        _ = asked => panic!("time stands still"),
        _ = gone => {}
    }
    bench.sim.advance(1_000);
    bench.until_ledger(|ledger| ledger["valence"]["records"][0]["name"] == "mg-1").await;
}

#[tokio::test]
async fn a_delay_is_as_long_as_it_says() {
    let bench = Bench::with(|options| options.hand_clock = true).await;
    bench.fault(json!({"side": "ironic", "kind": "delay", "ms": 700}));
    let (got, ()) = tokio::join!(bench.ironic("GET", "/v1/nodes", Value::Null), async {
        until(|| async { json!(bench.sim.log_after(0).len()) }, |n| *n == 1).await;
        bench.sim.advance(700);
    });
    assert_eq!(got.status, 200);
    assert_eq!(bench.sim.log_after(0)[0].at_ms, 0);
}

#[tokio::test]
async fn half_the_memory_shows_everywhere_but_where_the_pod_manager_lies() {
    for (lies, told) in [(false, 4096), (true, 8192)] {
        let bench = Bench::new().await;
        bench.fault(json!({"side": "podm", "kind": "half-memory", "lies": lies}));
        let composed = bench.compose("mg-1").await;
        let memory = composed["metadata"]["memory"].as_array().unwrap();
        let sum: u64 = memory.iter().map(|module| module["total_memory_mb"].as_u64().unwrap()).sum();
        assert_eq!(sum, told);
        let node = bench.enroll("mg-1", &composed).await;
        bench.provision(&node, "manage").await;
        bench.provision(&node, "inspect").await;
        assert_eq!(bench.settled(&node).await["properties"]["memory_mb"], 4096);
        assert_eq!(bench.sim.ledger().pod.held[0].memory_mib, 4096);
    }
}

#[tokio::test]
async fn the_same_system_twice_is_two_nodes_on_one_machine() {
    let bench = Bench::new().await;
    let first = bench.compose("mg-1").await;
    bench.fault(json!({"side": "podm", "kind": "same-system-twice"}));
    let second = bench.compose("mg-2").await;
    assert_eq!(first["computer_system"], second["computer_system"]);
    assert_ne!(first["index"], second["index"]);

    assert_eq!(bench.release(&second).await.status, 200);
    assert_eq!(bench.ledger()["pod"]["held"][0]["name"], "mg-1");
    assert_eq!(bench.ledger()["alarms"], json!([]));
}

#[tokio::test]
async fn a_kept_node_is_visible_and_a_forgotten_one_only_in_the_ledger() {
    for (kind, seen) in [("keep-on-release", 1), ("forget-release-silent", 0)] {
        let bench = Bench::new().await;
        let composed = bench.compose("mg-1").await;
        bench.fault(json!({"side": "podm", "kind": kind}));
        assert_eq!(bench.release(&composed).await.body["code"], "DELETED");
        assert_eq!(bench.valence("GET", "/Nodes", Value::Null).await.body["Members@odata.count"], seen);
        assert_eq!(held(&bench), (1, 0));
    }
}

#[tokio::test]
async fn a_stuck_assembly_cannot_be_released_until_it_failed() {
    let bench = Bench::with(|options| options.hand_clock = true).await;
    bench.fault(json!({"side": "podm", "kind": "stuck-assembling", "ms": 5_000}));
    let (made, ()) = tokio::join!(bench.valence("POST", "/v1/nodes", shape("mg-1")), async {
        bench.until_ledger(|ledger| ledger["pod"]["made"] == 1).await;
        bench.sim.advance(50);
    });
    let path = format!("/v1/nodes/{}", made.body["uuid"].as_str().unwrap());
    assert_eq!(bench.valence("GET", &path, Value::Null).await.body["node_state"], "Assembling");
    assert_eq!(bench.release(&made.body).await.status, 409);
    bench.sim.advance(5_000);
    bench.until_ledger(|ledger| ledger["pod"]["held"][0]["state"] == "Failed").await;
    assert_eq!(bench.release(&made.body).await.status, 200);
}

#[tokio::test]
async fn a_reused_index_belongs_to_a_stranger() {
    let bench = Bench::new().await;
    let composed = bench.compose("mg-1").await;
    let index = composed["index"].as_str().unwrap();
    let proxied = format!("/Nodes/{index}");
    let before = bench.valence("GET", &proxied, Value::Null).await.body;
    bench.fault(json!({"side": "podm", "kind": "index-reused"}));
    let after = bench.valence("GET", &proxied, Value::Null).await.body;
    assert_eq!(before["Name"], "mg-1");
    assert_ne!(before["UUID"], after["UUID"]);
    assert_eq!(bench.ledger()["pod"]["held"], json!([]));

    bench.release(&composed).await;
    let alarm = bench.sim.ledger().alarms.join("; ");
    assert!(alarm.contains("released a foreign node"), "{alarm}");
}

#[tokio::test]
async fn a_stuck_record_stays_with_the_pod_managers_404() {
    let bench = Bench::new().await;
    let composed = bench.compose("mg-1").await;
    bench.fault(json!({"side": "valence", "kind": "record-stuck"}));
    for _ in 0..2 {
        let got = bench.release(&composed).await;
        assert_eq!(got.status, 404);
        assert_eq!(got.body["code"], "Base.1.0.GeneralError");
    }
    assert_eq!(held(&bench), (0, 1));
    assert_eq!(bench.valence("GET", "/v1/nodes", Value::Null).await.body[0]["name"], "mg-1");
}

#[tokio::test]
async fn control_sets_lists_and_clears_switches_and_refuses_unknown_ones() {
    let bench = Bench::new().await;
    let set = bench.control("PUT", "/faults", json!({"side": "ironic", "kind": "deploy-fails", "times": 2})).await;
    assert_eq!(set.status, 200);
    let listed = bench.control("GET", "/faults", Value::Null).await.body;
    assert_eq!((&listed["faults"][0]["kind"], &listed["faults"][0]["fired"]), (&json!("deploy-fails"), &json!(0)));
    assert_eq!(bench.control("PUT", "/faults", json!({"side": "ironic", "kind": "no-such-kind"})).await.status, 400);
    assert_eq!(bench.control("DELETE", "/faults", Value::Null).await.status, 204);
    assert_eq!(bench.control("GET", "/faults", Value::Null).await.body["faults"], json!([]));
    bench.compose("mg-1").await;
    assert_eq!(bench.control("GET", "/ledger", Value::Null).await.body, bench.ledger());
    let log = bench.control("GET", "/log?after=0", Value::Null).await.body;
    assert_eq!((&log["entries"][0]["method"], &log["entries"][0]["body"]["name"]), (&json!("POST"), &json!("mg-1")));
}
