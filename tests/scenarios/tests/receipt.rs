//! The receipt of a delete: each line from what the gate saw, and what rests on a driver's word alone says so.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use scenarios::{Patience, Service, Stack, for_tests};
use serde_json::{Value, json};

fn items(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// `METHOD path -> status`, with what differs from run to run left out.
fn requests(value: &Value) -> Vec<String> {
    let varies = |part: &str| part.len() == 36 || part.starts_with("mg-");
    let line = |seen: &Value| {
        let path = seen["path"].as_str().unwrap_or_default().split('?').next().unwrap_or_default();
        let path: Vec<_> = path.split('/').map(|part| if varies(part) { "*" } else { part }).collect();
        format!("{} {} -> {}", seen["method"].as_str().unwrap_or_default(), path.join("/"), seen["status"])
    };
    items(value).iter().map(line).collect()
}

#[tokio::test]
async fn a_composed_instances_receipt_names_what_released_it_and_what_found_nothing() {
    let stack = Stack::start().await.unwrap();
    let api = &stack.service.api;
    let (id, created) = stack.create("web", "small").await.unwrap();
    stack.service.instance_in(&id, "active").await.unwrap();
    let created = api.get(&format!("/v1/flows/{created}")).await.unwrap().ok().unwrap();
    let rests = items(&created["events"])
        .into_iter()
        .filter_map(|event| Some(format!("{} {}", event["task"].as_str()?, event["evidence"].as_str()?)));
    assert_eq!(rests.collect::<Vec<_>>(), ["compose gate", "enroll gate", "verify witness", "deploy gate"]);
    let flow = stack.delete(&id).await.unwrap();
    stack.service.instance_gone(&id).await.unwrap();

    let receipt = api.get(&format!("/v1/flows/{flow}/receipt")).await.unwrap().ok().unwrap();
    assert_eq!((&receipt["complete"], &receipt["warnings"]), (&json!(true), &json!([])), "{receipt}");
    let lines = items(&receipt["given_back"]);
    let tasks: Vec<_> = lines.iter().map(|line| line["task"].as_str().unwrap()).collect();
    assert_eq!(tasks, ["undeploy", "unenroll", "release"]);
    for line in &lines {
        assert_eq!(line["undone"]["evidence"], "gate", "{line}");
        assert_eq!(line["gone"]["evidence"], "gate", "{line}");
        let seen = [&line["undone"]["exchanges"], &line["gone"]["exchanges"]].map(items).concat();
        assert!(seen.iter().all(|seen| seen["body_sha256"].is_string() && seen["at"].is_string()), "{line}");
    }

    let [undeploy, unenroll, release] = &lines[..] else { panic!("{receipt}") };
    assert!(requests(&undeploy["sent"]).contains(&"PUT /v1/nodes/*/states/provision -> 202".into()), "{undeploy}");
    assert_eq!(undeploy["off"]["evidence"], "gate", "a read saw the machine off: {undeploy}");
    let erased = &undeploy["erased"];
    assert_eq!(
        (&erased["asked"], &erased["reached"], &erased["verdict"]),
        (&json!("quick"), &json!("quick"), &json!("reached"))
    );
    assert_eq!(erased["evidence"], "driver", "no exchange tells what is on a disk");
    assert!(!items(&erased["disks"]).is_empty(), "{erased}");

    assert!(requests(&unenroll["sent"]).contains(&"DELETE /v1/nodes/* -> 204".into()), "{unenroll}");
    assert_eq!(requests(&unenroll["undone"]["exchanges"]), ["GET /v1/nodes/* -> 404"]);
    assert_eq!(unenroll["erased"], Value::Null);

    assert_eq!(requests(&release["sent"]), ["DELETE /v1/nodes/* -> 200"]);
    assert_eq!(requests(&release["undone"]["exchanges"]), ["GET /v1/nodes -> 200"]);
    assert!(requests(&release["gone"]["exchanges"]).contains(&"GET /v1/nodes -> 200".into()), "{release}");

    let whole = api.get(&format!("/v1/instances/{id}/receipt")).await.unwrap().ok().unwrap();
    assert_eq!(whole, receipt, "nothing else gave anything back");
    let said = std::process::Command::new(scenarios::binary("moganite").unwrap())
        .args(["--api", api.base(), "receipt", &flow])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        said.contains("quick asked, quick reached (reached)") && said.ends_with("nothing is held any more\n"),
        "{said}"
    );
}

#[tokio::test]
async fn a_revert_has_a_receipt_too() {
    let stack = Stack::start().await.unwrap();
    stack.sim.fault(json!({"kind": "manage-fails", "times": 0})).await.unwrap();
    let (id, flow) = stack.create("web", "small").await.unwrap();
    stack.service.instance_in(&id, "failed").await.unwrap();
    stack.service.flow(&flow, "reverted", |flow| flow["phase"] == "reverted").await.unwrap();
    let receipt = stack.service.api.get(&format!("/v1/flows/{flow}/receipt")).await.unwrap().ok().unwrap();
    let tasks: Vec<_> = items(&receipt["given_back"]).iter().map(|line| line["task"].clone()).collect();
    assert_eq!(tasks, ["enroll", "compose"], "{receipt}");
    assert_eq!(receipt["complete"], true);
}

/// It answers that it erased what was asked for, and spoke to nobody.
#[tokio::test]
async fn a_driver_that_only_says_that_it_erased_is_marked_as_its_word() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let service = Service::start(&state, &scenarios::plugins(), Patience::default()).await.unwrap();
    let api = &service.api;
    let added = api.upload("/v1/plugins", for_tests("driver-from-zero").unwrap()).await.unwrap().ok().unwrap();
    api.put("/v1/backends/zero", &json!({"plugin": added["digest"]})).await.unwrap().ok().unwrap();
    api.put("/v1/images/none", &json!({"name": "none", "backends": {"zero": {}}})).await.unwrap().ok().unwrap();
    let route = json!({"compose": ["zero"], "enroll": ["zero"], "deploy": ["zero"]});
    let flavor = json!({"name": "any", "route": route, "erase": "full"});
    api.put("/v1/flavors/any", &flavor).await.unwrap().ok().unwrap();
    let order = json!({"name": "web", "flavor": "any", "image": "none"});
    let made = api.post("/v1/instances", &order).await.unwrap().ok().unwrap();
    let id = made["id"].as_str().unwrap();
    service.instance_in(id, "active").await.unwrap();
    let deleting = api.delete(&format!("/v1/instances/{id}")).await.unwrap().ok().unwrap();
    service.instance_gone(id).await.unwrap();

    let path = format!("/v1/flows/{}/receipt", deleting["flow"].as_str().unwrap());
    let receipt = api.get(&path).await.unwrap().ok().unwrap();
    for line in items(&receipt["given_back"]) {
        assert_eq!(
            (&line["undone"]["evidence"], &line["gone"]["evidence"]),
            (&json!("driver"), &json!("driver")),
            "{line}"
        );
        assert_eq!(line["sent"], json!([]));
    }
    let erased = &receipt["given_back"][0]["erased"];
    assert_eq!((&erased["reached"], &erased["evidence"]), (&json!("full"), &json!("driver")), "{receipt}");
}
