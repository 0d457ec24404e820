//! The main job against the faces, without any driver: a node is composed, enrolled, deployed, undeployed, removed and released, and the
//! ledger says at each point what is true.

use crate::bench::Bench;
use serde_json::{Value, json};

#[tokio::test]
async fn a_node_lives_from_composing_to_release_and_leaves_nothing() {
    let bench = Bench::new().await;
    let (composed, node) = bench.deployed("mg-site-1").await;

    let ledger = bench.ledger();
    let system = &ledger["pod"]["held"][0]["system"];
    assert_eq!(ledger["ironic"]["held"][0]["provision_state"], "active");
    assert_eq!(ledger["ironic"]["held"][0]["system"], *system);
    assert_eq!(ledger["machines"]["running"], json!([system]));
    assert_eq!(ledger["machines"]["data"][0]["owner"], "mg-site-1");

    assert_eq!(bench.provision(&node, "deleted").await, "available");
    assert_eq!(bench.ironic("DELETE", &format!("/v1/nodes/{node}"), Value::Null).await.status, 204);
    assert_eq!(bench.release(&composed).await.body["code"], "DELETED");

    let ledger = bench.ledger();
    assert_eq!(ledger["pod"], json!({"made": 1, "given_back": 1, "held": [], "foreign": [], "reserved": []}));
    assert_eq!(ledger["valence"]["records"], json!([]));
    assert_eq!(ledger["ironic"], json!({"made": 1, "given_back": 1, "held": []}));
    assert_eq!(ledger["machines"], json!({"running": [], "data": []}));
    assert_eq!(ledger["alarms"], json!([]));
}

#[tokio::test]
async fn the_machine_sees_what_a_deployment_does() {
    let bench = Bench::new().await;
    bench.deployed("mg-site-1").await;
    let log = bench.sim.log_after(0);
    let asked: Vec<String> = log
        .iter()
        .filter(|entry| entry.user_agent.as_deref() == Some("ironic") && entry.method != "GET")
        .map(|entry| format!("{} {}", entry.method, entry.path.rsplit('/').next().unwrap()))
        .collect();
    assert_eq!(asked, ["POST VirtualMedia.InsertMedia", "PATCH 1", "POST ComputerSystem.Reset"]);
}

#[tokio::test]
async fn a_release_while_enrolled_or_running_raises_alarms() {
    let bench = Bench::new().await;
    let (composed, _) = bench.deployed("mg-site-1").await;
    assert_eq!(bench.release(&composed).await.status, 200);
    let alarms = bench.ledger()["alarms"].clone();
    assert!(alarms[0].as_str().unwrap().starts_with("released while enrolled: mg-site-1"), "{alarms}");
    assert!(alarms[1].as_str().unwrap().starts_with("released while running: mg-site-1"), "{alarms}");
}

#[tokio::test]
async fn data_stays_through_a_release_when_nobody_erased_it() {
    let bench = Bench::with(|options| options.systems = 1).await;
    let (composed, node) = bench.deployed("mg-site-1").await;
    let path = format!("/v1/nodes/{node}");
    let keep = json!([{"op": "replace", "path": "/automated_clean", "value": false}]);
    assert_eq!(bench.ironic("PATCH", &path, keep).await.status, 200);
    bench.provision(&node, "deleted").await;
    bench.ironic("DELETE", &path, Value::Null).await;
    bench.release(&composed).await;
    assert_eq!(bench.ledger()["machines"]["data"][0]["owner"], "mg-site-1");
    assert_eq!(bench.ledger()["alarms"], json!([]));

    bench.compose("mg-site-2").await;
    assert_eq!(bench.ledger()["machines"]["data"][0]["owner"], "mg-site-1");
}
