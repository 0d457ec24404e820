//! The smallest driver has every role and talks to nobody: a whole life without any far side.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use scenarios::{Patience, Service, for_tests};
use serde_json::json;

#[tokio::test]
async fn a_driver_made_in_an_afternoon_carries_an_instance_through_its_life() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let service = Service::start(&state, &scenarios::plugins(), Patience::default()).await.unwrap();
    let api = &service.api;
    let added = api.upload("/v1/plugins", for_tests("driver-from-zero").unwrap()).await.unwrap().ok().unwrap();
    let backend = json!({"plugin": added["digest"], "settings": {"deploy_ms": 100}});
    api.put("/v1/backends/zero", &backend).await.unwrap().ok().unwrap();
    api.put("/v1/images/none", &json!({"name": "none", "backends": {"zero": {}}})).await.unwrap().ok().unwrap();
    let route = json!({"compose": ["zero"], "enroll": ["zero"], "deploy": ["zero"]});
    let flavor = json!({"name": "any", "shape": {"cores": 2, "memory_mib": 1024}, "route": route, "erase": "none"});
    api.put("/v1/flavors/any", &flavor).await.unwrap().ok().unwrap();

    let order = json!({"name": "web", "flavor": "any", "image": "none"});
    let made = api.post("/v1/instances", &order).await.unwrap().ok().unwrap();
    let id = made["id"].as_str().unwrap();
    let ended = service.instance(id, "ended", |instance| instance["state"] != "creating").await.unwrap();
    assert_eq!(ended["state"], "active", "{}", ended["reason"]);
    let held = api.get("/v1/holdings").await.unwrap().ok().unwrap();
    let roles: Vec<_> = held["items"].as_array().unwrap().iter().map(|holding| holding["role"].clone()).collect();
    assert_eq!(roles, ["compose", "enroll", "deploy"]);

    api.delete(&format!("/v1/instances/{id}")).await.unwrap().ok().unwrap();
    service.instance_gone(id).await.unwrap();
    assert_eq!(api.get("/v1/holdings").await.unwrap().body["items"], json!([]));
}

#[tokio::test]
async fn a_second_service_on_the_same_state_folder_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let first = Service::start(&state, &scenarios::plugins(), Patience::default()).await.unwrap();
    let second = std::process::Command::new(scenarios::binary("moganite").unwrap())
        .args(["serve", "--listen", "127.0.0.1:0", "--state"])
        .arg(&state)
        .output()
        .unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains(&state.display().to_string()) && said.contains(&first.pid().unwrap().to_string()), "{said}");
}
