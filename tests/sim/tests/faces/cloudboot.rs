//! CloudBoot: the answers that its contract quotes, and the habits that a driver must cope with.

use moganite_sim::Options;
use serde_json::{Value, json};

use crate::bench::{Bench, Got};

const API: &str = "/api/osinstall/v1";

/// A simulator with a token.
struct Desk {
    bench: Bench,
    token: String,
}

impl Desk {
    async fn new(change: impl FnOnce(&mut Options)) -> Self {
        let mut desk = Self { bench: Bench::with(change).await, token: String::new() };
        let login = json!({"Username": "admin", "Password": "cloudboot-secret-password"});
        let login = desk.post("user/login", login).await;
        desk.token = login.body["Content"]["AccessToken"].as_str().unwrap().to_owned();
        assert!(desk.token.len() == 32 && desk.token.chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase()));
        desk
    }

    async fn post(&self, path: &str, body: Value) -> Got {
        let url = &self.bench.sim.addresses().cloudboot;
        self.bench.send("POST", url, &format!("{API}/{path}"), body, &[]).await.unwrap()
    }

    async fn get(&self, path: &str) -> Got {
        let url = &self.bench.sim.addresses().cloudboot;
        self.bench.send("GET", url, &format!("{API}/{path}"), Value::Null, &[]).await.unwrap()
    }

    /// One item of a batch call, with the token.
    async fn batch(&self, path: &str, mut item: Value) -> Got {
        item["AccessToken"] = self.token.clone().into();
        self.post(path, json!([item])).await
    }

    async fn enter(&self, asset: &str) -> Got {
        let device = json!({"Sn": "CB001", "Hostname": "h1", "Ip": "10.9.0.5", "NetworkID": 1, "OsID": 1, "SystemID": 1,
            "LocationID": 2, "HardwareID": 0, "AssetNumber": asset});
        self.batch("device/batchAdd", device).await
    }

    async fn device(&self) -> Value {
        self.get("device/getDeviceBySn?sn=CB001").await.body["Content"].clone()
    }

    async fn power(&self, action: &str) -> Got {
        let item = json!({"Sn": "CB001", "OobIp": "10.8.0.2", "Username": "admin", "Password": "bmc-secret-password"});
        self.batch(&format!("device/batch{action}"), item).await
    }

    async fn until(&self, status: &str) {
        for _ in 0..500 {
            if self.device().await["Status"] == status {
                return;
            }
            self.bench.sim.advance(10);
            tokio::task::yield_now().await;
        }
        panic!("never {status}: {}", self.device().await);
    }
}

fn is_refused(got: &Got) -> bool {
    got.status == 200 && got.body["Status"] != "success" && got.body["Message"].is_string()
}

#[tokio::test]
async fn nearly_every_refusal_is_a_200_and_the_rest_has_another_shape() {
    let desk = Desk::new(|_| {}).await;
    let absent = desk.get("device/getDeviceBySn?sn=nobody").await;
    assert!(is_refused(&absent) && absent.body["Message"] == "设备不存在!");
    assert!(is_refused(&desk.post("device/batchAdd", json!([{"Sn": "CB001"}])).await), "no token");
    assert!(is_refused(&desk.post("device/batchAdd", json!({})).await), "an object for an array");
    assert_eq!(desk.post("device/batchAdd", json!([])).await.body["Status"], "success");
    for (path, status, error) in [
        ("device/getDeviceBySn/", 404, "Resource not found"),
        ("device/add", 405, "Method not allowed"),
        ("nothing", 404, "Resource not found"),
    ] {
        let got = desk.get(path).await;
        assert_eq!((got.status, &got.body["Error"]), (status, &json!(error)), "{path}");
    }
}

#[tokio::test]
async fn keys_are_read_in_any_case_and_ids_are_numbers() {
    let desk = Desk::new(|_| {}).await;
    let listed = desk.post("device/scan/list", json!({"limit": 2, "OFFSET": 0})).await;
    assert_eq!(listed.body["Content"]["list"].as_array().unwrap().len(), 2);
    assert!(is_refused(&desk.post("device/view", json!({"ID": "1"})).await));
    let none = desk.post("device/scan/list", json!({})).await;
    assert_eq!(none.body["Content"], json!({"list": [], "recordCount": 4, "NoDataKeyword": null}));
    let devices = desk.post("device/list", json!({"Limit": 10})).await;
    assert_eq!(devices.body["Content"]["list"], Value::Null);
}

#[tokio::test]
async fn batch_add_is_an_upsert_that_checks_little_and_import_refuses_an_installed_device() {
    let desk = Desk::new(|options| options.hand_clock = true).await;
    assert_eq!(desk.enter("mg-a-1").await.body["Status"], "success");
    let odd = json!({"Sn": "cb001", "Hostname": "h1", "Ip": "10.9.0.5", "NetworkID": 1, "OsID": 55, "SystemID": 77,
        "AssetNumber": "theirs"});
    assert_eq!(desk.batch("device/batchAdd", odd).await.body["Status"], "success");
    let device = desk.device().await;
    assert_eq!(
        (&device["OsID"], &device["AssetNumber"], &device["Sn"]),
        (&json!(55), &json!("theirs"), &json!("CB001"))
    );

    let import = |sn: &str, hostname: &str, ip: &str| {
        json!({"Sn": sn, "Hostname": hostname, "Ip": ip, "OsName": "rhel7u2-x86_64", "SystemName": "rhel7u2-x86_64",
            "Location": "dc1-rack1", "AccessToken": desk.token})
    };
    for (why, body) in [
        ("an address outside of every network", import("CB002", "h2", "10.77.0.1")),
        ("a host name that is taken", import("CB002", "h1", "10.9.0.6")),
        ("an address that is taken", import("CB002", "h2", "10.9.0.5")),
        ("a server that was never discovered", import("CB999", "h2", "10.9.0.6")),
    ] {
        assert!(is_refused(&desk.post("device/importDeviceForOpenApi", body).await), "{why}");
    }
    desk.until("success").await;
    assert!(is_refused(&desk.post("device/importDeviceForOpenApi", import("CB001", "h1", "10.9.0.5")).await));
}

#[tokio::test]
async fn a_server_in_bootos_installs_by_itself_and_its_disks_are_then_somebody_s() {
    let desk = Desk::new(|options| options.hand_clock = true).await;
    desk.enter("mg-a-1").await;
    desk.until("installing").await;
    assert!(desk.device().await["InstallProgress"].as_f64().unwrap() < 1.0);
    desk.until("success").await;
    let ledger = desk.bench.sim.ledger();
    assert_eq!(ledger.cloudboot.data[0].owner, "mg-a-1");
    assert!(ledger.alarms.is_empty());
    let report = json!({"Sn": "CB001", "Title": "late", "InstallProgress": 0.5, "InstallLog": ""});
    assert!(is_refused(&desk.post("report/deviceInstallInfo", report).await));
}

#[tokio::test]
async fn a_cancel_stops_the_record_and_not_the_installer() {
    let desk = Desk::new(|options| options.hand_clock = true).await;
    desk.enter("mg-a-1").await;
    for _ in 0..500 {
        if desk.bench.sim.ledger().cloudboot.running == ["CB001"] {
            break;
        }
        desk.bench.sim.advance(10);
        tokio::task::yield_now().await;
    }
    let id = desk.device().await["ID"].clone();
    assert_eq!(desk.batch("device/batchCancelInstall", json!({"ID": id})).await.body["Status"], "success");
    assert_eq!(desk.device().await["Status"], "failure");
    assert!(is_refused(&desk.batch("device/batchCancelInstall", json!({"ID": 999})).await));
    assert_eq!(desk.batch("device/batchReInstall", json!({"ID": 999})).await.body["Status"], "success");
    assert_eq!(desk.bench.sim.ledger().cloudboot.running, ["CB001"]);
}

#[tokio::test]
async fn a_delete_takes_the_pools_row_too_and_the_agents_report_brings_it_back() {
    let desk = Desk::new(|_| {}).await;
    let found = desk.post("device/scan/list", json!({"Keyword": "CB001", "Limit": 1})).await;
    let row = found.body["Content"]["list"][0].clone();
    assert!(row["Nic"].as_str().unwrap().starts_with("[{"), "a document in a string: {row}");
    desk.enter("mg-a-1").await;
    desk.power("PowerOff").await;
    let id = json!({"ID": desk.device().await["ID"]});
    assert_eq!(desk.batch("device/batchDelete", id.clone()).await.body["Status"], "success");
    assert!(is_refused(&desk.batch("device/batchDelete", id).await));
    assert_eq!(desk.bench.sim.ledger().cloudboot.lost, ["CB001"]);
    assert_eq!(desk.power("PowerOn").await.body["Message"], "record not found");

    let report = json!({"Sn": "CB001", "Company": "Dell", "Nic": [], "CpuSum": 8});
    assert_eq!(desk.post("report/deviceProductInfo", report).await.body["Status"], "success");
    assert!(desk.bench.sim.ledger().cloudboot.lost.is_empty());
    assert_eq!(desk.power("PowerOn").await.body["Status"], "success");
    assert!(desk.bench.sim.ledger().alarms.is_empty());
}

#[tokio::test]
async fn power_is_refused_in_words_when_it_is_so_already_or_the_server_is_another() {
    let desk = Desk::new(|_| {}).await;
    assert!(desk.power("PowerOn").await.body["Message"].as_str().unwrap().contains("已开机"));
    assert_eq!(desk.power("PowerOff").await.body["Status"], "success");
    assert!(desk.power("PowerOff").await.body["Message"].as_str().unwrap().contains("已关机"));
    assert!(desk.power("ReStart").await.body["Message"].as_str().unwrap().contains("已关机"));
    let item =
        |oob: &str, password: &str| json!({"Sn": "CB001", "OobIp": oob, "Username": "admin", "Password": password});
    let other = desk.batch("device/batchPowerOn", item("10.8.0.3", "bmc-secret-password")).await;
    assert!(other.body["Message"].as_str().unwrap().contains("CB002"), "it names both: {}", other.body);
    let wrong = desk.batch("device/batchPowerOn", item("10.8.0.2", "guess")).await;
    assert!(wrong.body["Message"].as_str().unwrap().starts_with("校验设备实际SN失败"));
}

#[tokio::test]
async fn what_must_never_be_done_to_a_running_server_raises_an_alarm() {
    let desk = Desk::new(|options| options.hand_clock = true).await;
    desk.enter("mg-a-1").await;
    desk.until("success").await;
    desk.enter("mg-a-2").await;
    let id = json!({"ID": desk.device().await["ID"]});
    desk.batch("device/batchDelete", id).await;
    let alarms = desk.bench.sim.ledger().alarms;
    assert_eq!(
        alarms,
        ["reinstalled while success: CB001, asset mg-a-1", "deleted while running: CB001, asset mg-a-2"]
    );
}

#[tokio::test]
async fn a_switch_refuses_as_cloudboot_does() {
    let desk = Desk::new(|_| {}).await;
    let login = format!("{API}/user/login");
    desk.bench.fault(json!({"side": "cloudboot", "path": login, "kind": "refuse", "message": "no"}));
    desk.bench.fault(json!({"side": "cloudboot", "path": login, "kind": "refuse", "status": 500}));
    let refused = desk.post("user/login", json!({})).await;
    assert!(is_refused(&refused) && refused.body["Message"] == "no");
    let crashed = desk.post("user/login", json!({})).await;
    assert!(crashed.status == 500 && crashed.body["Error"].is_string());
}
