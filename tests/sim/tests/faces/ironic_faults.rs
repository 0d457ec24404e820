//! Ironic's own troubles: each ends in the state that was observed, with its sentence where it was found.

use serde_json::{Value, json};

use crate::bench::Bench;

async fn available(bench: &Bench) -> String {
    let composed = bench.compose("mg-1").await;
    let node = bench.enroll("mg-1", &composed).await;
    bench.provision(&node, "manage").await;
    bench.provision(&node, "provide").await;
    bench.give_image(&node).await;
    node
}

#[tokio::test]
async fn a_failed_deployment_tells_its_reason_in_the_history_only() {
    let bench = Bench::new().await;
    let node = available(&bench).await;
    bench.fault(json!({"side": "ironic", "kind": "deploy-fails", "message": "Virtual media mount failed: 404"}));
    assert_eq!(bench.provision(&node, "active").await, "deploy failed");
    let failed = bench.settled(&node).await;
    assert_eq!((&failed["target_provision_state"], &failed["last_error"]), (&json!("active"), &Value::Null));

    let history = bench.ironic("GET", &format!("/v1/nodes/{node}/history"), Value::Null).await.body;
    let last = history["history"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["severity"], "ERROR");
    let path = format!("/v1/nodes/{node}/history/{}", last["uuid"].as_str().unwrap());
    let event = bench.ironic("GET", &path, Value::Null).await.body;
    assert_eq!(event["event"], "Deploy step deploy.deploy failed: Virtual media mount failed: 404");
    assert_eq!(event["event_type"], "deploying");

    assert_eq!(bench.ledger()["machines"]["running"], json!([]));
    assert_eq!(bench.ledger()["machines"]["data"][0]["owner"], "mg-1");
    assert_eq!(bench.provision(&node, "deleted").await, "available");
    assert_eq!(bench.ledger()["machines"]["data"], json!([]));
}

#[tokio::test]
async fn the_reason_of_a_failed_deployment_shows_for_a_moment_while_it_still_deploys() {
    let bench = Bench::with(|options| options.lock_ms = 300).await;
    let node = available(&bench).await;
    bench.fault(json!({"side": "ironic", "kind": "deploy-fails"}));
    let path = format!("/v1/nodes/{node}");
    let verb = json!({"target": "active"});
    assert_eq!(bench.ironic("PUT", &format!("{path}/states/provision"), verb).await.status, 202);
    let told = async || bench.ironic("GET", &path, Value::Null).await.body;
    let moment = crate::bench::until(&told, |node| !node["last_error"].is_null()).await;
    assert_eq!(moment["provision_state"], "deploying");
    let after = crate::bench::until(&told, |node| node["provision_state"] == "deploy failed").await;
    assert_eq!(after["last_error"], Value::Null);
    assert!(!after["reservation"].is_null());
}

#[tokio::test]
async fn a_wrong_way_to_the_bmc_ends_in_enroll_with_a_sentence() {
    let bench = Bench::new().await;
    let composed = bench.compose("mg-1").await;
    for (key, value, sentence) in [
        ("redfish_address", json!("http://127.0.0.1:1"), "[Errno 111] Connection refused"),
        ("redfish_address", json!("nonsense"), "Invalid Redfish address"),
        (
            "redfish_address",
            Value::Null,
            "Missing the following Redfish properties in node's driver_info: ['redfish_address']",
        ),
        (
            "redfish_password",
            json!("wrong"),
            "returned code 401. Base.1.0.GeneralError: Incorrect username or password",
        ),
        ("redfish_system_id", json!("/redfish/v1/Systems/none"), "/redfish/v1/Systems/none not found"),
    ] {
        let uuid = uuid::Uuid::now_v7().to_string();
        let mut body = bench.node(&uuid, "mg-1", &composed);
        body["driver_info"][key] = value;
        assert_eq!(bench.ironic("POST", "/v1/nodes", body).await.status, 201);
        assert_eq!(bench.provision(&uuid, "manage").await, "enroll");
        let error = bench.settled(&uuid).await["last_error"].as_str().unwrap().to_owned();
        assert!(error.contains(sentence), "{error}");
        assert_eq!(bench.ironic("DELETE", &format!("/v1/nodes/{uuid}"), Value::Null).await.status, 204);
    }
}

#[tokio::test]
async fn switches_of_ironic_end_where_the_real_one_ends() {
    let bench = Bench::new().await;
    let composed = bench.compose("mg-1").await;
    let node = bench.enroll("mg-1", &composed).await;
    let restarted =
        |state: &str| format!("The {state} state can't be resumed by conductor sim-conductor. Moving to fail state.");

    bench.fault(json!({"side": "ironic", "kind": "manage-fails"}));
    assert_eq!(bench.provision(&node, "manage").await, "enroll");
    bench.fault(json!({"side": "ironic", "kind": "restart-during"}));
    assert_eq!(bench.provision(&node, "manage").await, "enroll");
    assert_eq!(bench.settled(&node).await["last_error"], restarted("verifying"));
    assert_eq!(bench.provision(&node, "manage").await, "manageable");
    assert_eq!(bench.provision(&node, "provide").await, "available");
    bench.give_image(&node).await;
    bench.fault(json!({"side": "ironic", "kind": "restart-during"}));
    assert_eq!(bench.provision(&node, "active").await, "deploy failed");
    assert_eq!(bench.settled(&node).await["last_error"], restarted("deploying"));
    assert_eq!(bench.provision(&node, "active").await, "active");
    bench.fault(json!({"side": "ironic", "kind": "undeploy-error"}));
    assert_eq!(bench.provision(&node, "deleted").await, "error");
    assert!(bench.settled(&node).await["last_error"].as_str().unwrap().starts_with("Failed to tear down: "));
    assert_eq!(bench.ironic("DELETE", &format!("/v1/nodes/{node}"), Value::Null).await.status, 409);
    assert_eq!(bench.provision(&node, "deleted").await, "available");
}

#[tokio::test]
async fn the_lock_outlives_the_state_and_refuses_the_next_verb() {
    let bench = Bench::new().await;
    let composed = bench.compose("mg-1").await;
    let node = bench.enroll("mg-1", &composed).await;
    bench.fault(json!({"side": "ironic", "kind": "slow-lock-release", "ms": 1_000_000}));
    let path = format!("/v1/nodes/{node}");
    let verb = format!("{path}/states/provision");
    assert_eq!(bench.ironic("PUT", &verb, json!({"target": "manage"})).await.status, 202);
    crate::bench::until(
        || async { bench.ironic("GET", &path, Value::Null).await.body },
        |node| node["provision_state"] == "manageable",
    )
    .await;
    let got = bench.ironic("PUT", &verb, json!({"target": "provide"})).await;
    assert_eq!(got.status, 409);
    assert_eq!(
        got.sentence(),
        format!("Node {node} is locked by host sim-conductor, please retry after the current operation is completed.")
    );
    bench.sim.advance(1_000_000);
    bench.settled(&node).await;

    bench.fault(json!({"side": "ironic", "kind": "locked", "times": 2}));
    let tries = [
        bench.ironic("PUT", &verb, json!({"target": "provide"})).await,
        bench.ironic("DELETE", &path, Value::Null).await,
    ];
    assert_eq!(tries.map(|got| got.status), [409, 409]);
    assert_eq!(bench.provision(&node, "provide").await, "available");
}

/// In source, not on the wire: a failed cleaning puts the node into maintenance, out of which `manage` leads all the same.
#[tokio::test]
async fn a_failed_cleaning_leaves_the_data_and_a_node_in_maintenance() {
    let bench = Bench::new().await;
    let (_, node) = bench.deployed("mg-1").await;
    bench.fault(json!({"side": "ironic", "kind": "clean-fails"}));
    assert_eq!(bench.provision(&node, "deleted").await, "clean failed");
    let failed = bench.settled(&node).await;
    assert_eq!(
        (&failed["maintenance"], &failed["fault"], &failed["target_provision_state"]),
        (&json!(true), &json!("clean failure"), &Value::Null)
    );
    assert_eq!(bench.ledger()["machines"]["data"][0]["owner"], "mg-1");
    assert_eq!(bench.ledger()["machines"]["running"], json!([]));

    assert_eq!(bench.provision(&node, "manage").await, "manageable");
    let path = format!("/v1/nodes/{node}");
    let got = bench.ironic("PUT", &format!("{path}/states/provision"), json!({"target": "provide"})).await;
    assert_eq!(
        got.sentence(),
        format!("The providing operation can't be performed on node {node} because it's in maintenance mode.")
    );
    assert_eq!(bench.ironic("DELETE", &format!("{path}/maintenance"), Value::Null).await.status, 202);
    assert_eq!(bench.provision(&node, "provide").await, "available");
    assert_eq!(bench.ledger()["machines"]["data"], json!([]));
}

#[tokio::test]
async fn a_bmc_that_goes_away_ends_each_transition_where_it_was_observed() {
    let bench = Bench::new().await;
    let node = available(&bench).await;
    let away = json!({"side": "podm", "path": "/redfish/v1/Systems/**", "kind": "drop", "times": 0});
    for (verb, state, sentence) in [
        ("active", "deploy failed", "Deploy step deploy.deploy failed: Redfish connection failed"),
        ("deleted", "error", "Failed to tear down: Redfish connection failed"),
    ] {
        bench.fault(away.clone());
        assert_eq!(bench.provision(&node, verb).await, state);
        let error = bench.settled(&node).await["last_error"].as_str().unwrap().to_owned();
        assert!(error.starts_with(sentence), "{error}");
        bench.sim.clear_faults();
    }
    assert_eq!(bench.provision(&node, "deleted").await, "available");
    bench.fault(away);
    let power = format!("/v1/nodes/{node}/states/power");
    assert_eq!(bench.ironic("PUT", &power, json!({"target": "power on"})).await.status, 202);
    let error = bench.settled(&node).await["last_error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("Failed to change power state to 'power on': "), "{error}");
    assert_eq!(bench.ironic("DELETE", &format!("/v1/nodes/{node}"), Value::Null).await.status, 204);
}
