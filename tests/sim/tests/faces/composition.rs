//! The pool in pieces: composing by resource blocks as the standard has it, erasing, and what the DMTF's emulator and Sunfish do otherwise.

use moganite_sim::{DriveErase, RedfishDialect};
use serde_json::{Value, json};

use crate::bench::{Bench, Got, until};

const RIGHT: &str = "Basic YWRtaW46Ym1jLXNlY3JldC1wYXNzd29yZA==";
const BLOCKS: &str = "/redfish/v1/CompositionService/ResourceBlocks";

async fn ask(bench: &Bench, method: &str, path: &str, body: Value) -> Got {
    tagged(bench, method, path, body, "").await
}

async fn tagged(bench: &Bench, method: &str, path: &str, body: Value, tag: &str) -> Got {
    let mut headers = vec![("Authorization", RIGHT)];
    headers.extend((!tag.is_empty()).then_some(("If-Match", tag)));
    bench.send(method, &bench.sim.addresses().podm, path, body, &headers).await.unwrap()
}

async fn bench(dialect: RedfishDialect) -> Bench {
    Bench::with(|options| options.redfish_dialect = dialect).await
}

fn links(blocks: &[&str]) -> Value {
    let blocks: Vec<Value> = blocks.iter().map(|block| json!({"@odata.id": format!("{BLOCKS}/{block}")})).collect();
    json!({"ResourceBlocks": blocks})
}

async fn post(bench: &Bench, name: &str, blocks: &[&str]) -> Got {
    ask(bench, "POST", "/redfish/v1/Systems", json!({"Name": name, "Links": links(blocks)})).await
}

async fn composed(bench: &Bench, block: &str) -> Value {
    let path = format!("{BLOCKS}/{block}");
    let state = |block: &Value| block["CompositionStatus"]["CompositionState"].clone();
    until(|| async { ask(bench, "GET", &path, Value::Null).await.body }, |block| state(block) != "Composing").await
}

#[tokio::test]
async fn a_system_is_composed_of_blocks_that_name_it_and_decomposing_frees_them() {
    let bench = bench(RedfishDialect::Strict).await;
    let made = post(&bench, "n1", &["C1", "S1"]).await;
    assert_eq!((made.status, made.body["Name"].clone()), (201, json!("n1")));
    let path = made.header("location").to_owned();
    let block = composed(&bench, "C1").await;
    assert_eq!(block["CompositionStatus"]["CompositionState"], "Composed");
    assert_eq!(block["Links"]["ComputerSystems"], json!([{"@odata.id": path}]));
    let system = ask(&bench, "GET", &path, Value::Null).await.body;
    assert_eq!(
        (&system["SystemType"], &system["Links"]["ResourceBlocks"]),
        (&json!("Composed"), &links(&["C1", "S1"])["ResourceBlocks"])
    );
    let held = bench.ledger()["pod"]["held"][0].clone();
    assert_eq!(
        (&held["blocks"], &held["cores"], held["disks"].as_array().map(Vec::len)),
        (&json!(["C1", "S1"]), &json!(8), Some(1))
    );

    assert_eq!(post(&bench, "n2", &["C1"]).await.status, 409);
    assert_eq!(ask(&bench, "DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(ask(&bench, "DELETE", &path, Value::Null).await.status, 404);
    assert_eq!(composed(&bench, "C1").await["CompositionStatus"]["CompositionState"], "Unused");
    assert_eq!(bench.ledger()["pod"]["held"], json!([]));
}

#[tokio::test]
async fn a_reservation_needs_the_etag_stops_nobody_and_outlives_the_system() {
    let bench = bench(RedfishDialect::Strict).await;
    let path = format!("{BLOCKS}/C1");
    let wish = |reserved: bool| json!({"CompositionStatus": {"Reserved": reserved}});
    let tag = ask(&bench, "GET", &path, Value::Null).await.header("etag").to_owned();
    assert_eq!(tagged(&bench, "PATCH", &path, wish(true), "").await.status, 428);
    assert_eq!(tagged(&bench, "PATCH", &path, wish(true), &tag).await.status, 204);
    assert_eq!(tagged(&bench, "PATCH", &path, wish(false), &tag).await.status, 412);
    assert_eq!(bench.ledger()["pod"]["reserved"], json!(["C1"]));
    let made = post(&bench, "n1", &["C1"]).await;
    composed(&bench, "C1").await;
    assert_eq!(ask(&bench, "DELETE", made.header("location"), Value::Null).await.status, 204);
    assert_eq!(bench.ledger()["pod"]["reserved"], json!(["C1"]));
}

#[tokio::test]
async fn what_the_standard_cannot_compose_is_refused() {
    let bench = bench(RedfishDialect::Strict).await;
    for (name, blocks, status) in
        [("", &["C1"][..], 400), ("n", &[], 400), ("n", &["C9"], 400), ("n", &["C1", "C3"], 400)]
    {
        assert_eq!(post(&bench, name, blocks).await.status, status, "{name} {blocks:?}");
    }
    let chosen = json!({"Id": "x", "Name": "n", "Links": links(&["C1"])});
    assert_eq!(ask(&bench, "POST", "/redfish/v1/Systems", chosen).await.status, 400);
    assert_eq!(bench.ledger()["pod"]["made"], 0);
}

#[tokio::test]
async fn what_is_answered_202_ends_behind_its_monitor() {
    let bench = bench(RedfishDialect::Strict).await;
    bench.fault(json!({"kind": "as-task", "ms": 50}));
    let accepted = post(&bench, "n1", &["C1"]).await;
    assert_eq!(accepted.status, 202);
    let monitor = accepted.header("location").to_owned();
    until(|| async { json!(ask(&bench, "GET", &monitor, Value::Null).await.status) }, |status| *status == 201).await;
    assert!(ask(&bench, "GET", &monitor, Value::Null).await.header("location").starts_with("/redfish/v1/Systems/"));
}

#[tokio::test]
async fn a_drive_keeps_its_data_through_decomposing_until_it_is_erased() {
    let bench = bench(RedfishDialect::Strict).await;
    let made = post(&bench, "n1", &["C1", "S1"]).await;
    composed(&bench, "C1").await;
    let detail = json!({"computer_system": {"@odata.id": made.header("location")}, "metadata": {"network": []}});
    let node = bench.enroll("n1", &detail).await;
    assert_eq!(bench.provision(&node, "manage").await, "manageable");
    assert_eq!(bench.provision(&node, "provide").await, "available");
    bench.give_image(&node).await;
    assert_eq!(bench.provision(&node, "active").await, "active");
    assert_eq!(bench.ledger()["machines"]["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(ask(&bench, "DELETE", made.header("location"), Value::Null).await.status, 204);
    let ledger = bench.ledger();
    assert_eq!(ledger["machines"]["data"][0]["system"], "S1");
    assert_eq!(ledger["alarms"].as_array().map(Vec::len), Some(2), "enrolled and running: {ledger}");

    let drive = ask(&bench, "GET", &format!("{BLOCKS}/S1/Storage/1/Drives/1"), Value::Null).await.body;
    let target = drive["Actions"]["#Drive.SecureErase"]["target"].as_str().unwrap().to_owned();
    bench.fault(json!({"kind": "erase-fails"}));
    for status in [500, 204] {
        let monitor = ask(&bench, "POST", &target, json!({})).await.header("location").to_owned();
        until(|| async { json!(ask(&bench, "GET", &monitor, Value::Null).await.status) }, |got| *got == status).await;
    }
    assert_eq!(bench.ledger()["machines"]["data"], json!([]));
}

#[tokio::test]
async fn the_emulator_of_the_dmtf_answers_in_its_own_way() {
    let bench = bench(RedfishDialect::DmtfEmulator).await;
    let blocks = ask(&bench, "GET", BLOCKS, Value::Null).await.body;
    assert!(blocks["Members"].is_null() && blocks["Links"]["Members"].is_array(), "{blocks}");
    assert_eq!(composed(&bench, "C1").await["CompositionStatus"]["Reserved"], "false");
    let unknown = ask(&bench, "GET", &format!("{BLOCKS}/none"), Value::Null).await;
    assert_eq!((unknown.status, unknown.body), (200, json!(404)));
    assert_eq!(ask(&bench, "PATCH", &format!("{BLOCKS}/C1"), json!({})).await.status, 405);
    let refused = post(&bench, "n1", &["C1"]).await;
    assert_eq!((refused.status, refused.body), (400, json!("Missing attribute: Id")));
    let body = json!({"Id": "n1", "Name": "n1", "Links": links(&["C1", "none"])});
    for _ in 0..2 {
        let made = ask(&bench, "POST", "/redfish/v1/Systems", body.clone()).await;
        assert_eq!(
            (made.status, made.header("location"), &made.body["@odata.id"]),
            (201, "", &json!("/redfish/v1/Systems/n1"))
        );
    }
    let block = composed(&bench, "C1").await;
    assert_eq!(
        (&block["CompositionStatus"]["CompositionState"], &block["Links"]["ComputerSystems"]),
        (&json!("Unused"), &json!([]))
    );
    assert_eq!(ask(&bench, "GET", "/redfish/v1/Systems/n1", Value::Null).await.body["ProcessorSummary"], json!({}));
    let gone = ask(&bench, "DELETE", "/redfish/v1/Systems/n1", Value::Null).await;
    assert_eq!((gone.status, gone.body), (200, json!(200)));
}

#[tokio::test]
async fn the_routine_in_its_tree_composes_a_composed_block_again() {
    let bench = bench(RedfishDialect::DmtfRoutine).await;
    for name in ["n1", "n2"] {
        assert_eq!(post(&bench, name, &["C1", "S1"]).await.status, 201);
    }
    assert_eq!(composed(&bench, "C1").await["Links"]["ComputerSystems"].as_array().map(Vec::len), Some(2));
    assert_eq!(post(&bench, "n1", &["C2", "S2"]).await.status, 500);
}

#[tokio::test]
async fn sunfish_wants_a_path_and_answers_200() {
    let bench = bench(RedfishDialect::Sunfish).await;
    assert_eq!(ask(&bench, "GET", "/redfish/v1", Value::Null).await.status, 404);
    assert_eq!(post(&bench, "n1", &["C1"]).await.status, 500);
    let path = "/redfish/v1/Systems/n1";
    let kind = "#ComputerSystem.v1_20_0.ComputerSystem";
    let body = json!({"@odata.id": path, "@odata.type": kind, "Name": "n1", "Links": links(&["C1"])});
    for status in [200, 409] {
        assert_eq!(ask(&bench, "POST", "/redfish/v1/Systems", body.clone()).await.status, status);
    }
    composed(&bench, "C1").await;
    for status in [200, 404] {
        assert_eq!(ask(&bench, "DELETE", path, Value::Null).await.status, status);
    }
}

#[tokio::test]
async fn a_drive_is_erased_on_detach_where_that_was_set() {
    let bench = Bench::with(|options| options.drive_erase = DriveErase::OnDetach).await;
    let path = format!("{BLOCKS}/S1/Storage/1/Drives/1");
    let made = post(&bench, "n1", &["C1", "S1"]).await;
    composed(&bench, "C1").await;
    let drive = ask(&bench, "GET", &path, Value::Null).await;
    assert_eq!(drive.body["Oem"]["Intel_RackScale"], json!({"EraseOnDetach": false, "DriveErased": false}));
    let wish = json!({"Oem": {"Intel_RackScale": {"EraseOnDetach": true}}});
    assert_eq!(tagged(&bench, "PATCH", &path, wish, drive.header("etag")).await.status, 204);
    ask(&bench, "DELETE", made.header("location"), Value::Null).await;
    let drive = ask(&bench, "GET", &path, Value::Null).await.body;
    assert_eq!(drive["Oem"]["Intel_RackScale"]["DriveErased"], true);
}
