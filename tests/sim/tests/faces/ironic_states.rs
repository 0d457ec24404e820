//! Ironic's provision states, locks and power against what was observed of release 39.0.0.

use serde_json::{Value, json};

use crate::bench::{Bench, available, created, fake};

/// The table of verbs: what a state does not allow is 400 with one sentence, also when the verb has been done already.
#[tokio::test]
async fn a_verb_that_the_state_does_not_allow_is_400() {
    let bench = Bench::new().await;
    let node = created(&bench, fake("n1")).await;
    let refuse = async |verbs: &[&str], state: &str| {
        for verb in verbs {
            let got = bench.ironic("PUT", &format!("/v1/nodes/{node}/states/provision"), json!({"target": verb})).await;
            let sentence = format!(
                "The requested action \"{verb}\" can not be performed on node \"{node}\" while it is in state \"{state}\"."
            );
            assert_eq!((got.status, got.sentence()), (400, sentence));
        }
    };
    refuse(&["provide", "active", "deleted", "adopt", "inspect", "abort", "nonsense"], "enroll").await;
    bench.provision(&node, "manage").await;
    refuse(&["manage", "active", "deleted", "abort"], "manageable").await;
    bench.provision(&node, "provide").await;
    refuse(&["provide", "deleted", "adopt", "abort"], "available").await;
    bench.provision(&node, "active").await;
    refuse(&["manage", "provide", "active", "adopt", "abort"], "active").await;
    let rebuild =
        bench.ironic("PUT", &format!("/v1/nodes/{node}/states/provision"), json!({"target": "rebuild"})).await;
    assert!(rebuild.status == 500 && rebuild.sentence().contains("cannot access local variable 'auto_lessee'"));
    assert_eq!(bench.provision(&node, "deleted").await, "available");
    assert_eq!(bench.provision(&node, "manage").await, "manageable");
    assert_eq!(bench.provision(&node, "adopt").await, "active");
}

#[tokio::test]
async fn a_deployment_without_an_image_is_refused_at_once() {
    let bench = Bench::new().await;
    let composed = bench.compose("n1").await;
    let node = bench.enroll("n1", &composed).await;
    bench.provision(&node, "manage").await;
    bench.provision(&node, "provide").await;
    let got = bench.ironic("PUT", &format!("/v1/nodes/{node}/states/provision"), json!({"target": "active"})).await;
    assert_eq!(got.status, 400);
    assert!(got.sentence().starts_with(&format!("Failed to validate deploy or power info for node {node}:")));
    assert!(got.sentence().ends_with("Missing are: ['kernel', 'ramdisk']"), "{}", got.sentence());
    let after = bench.settled(&node).await;
    assert_eq!((&after["provision_state"], &after["last_error"]), (&json!("available"), &Value::Null));
    let checked = bench.ironic("GET", &format!("/v1/nodes/{node}/validate"), Value::Null).await.body;
    assert_eq!((&checked["power"]["result"], &checked["deploy"]["result"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn while_a_node_is_deployed_everything_that_changes_it_is_409() {
    let bench = Bench::with(|options| options.deploy_ms = 1_000_000).await;
    let node = available(&bench, "n1").await;
    let path = format!("/v1/nodes/{node}");
    let verb = format!("{path}/states/provision");
    assert_eq!(bench.ironic("PUT", &verb, json!({"target": "active"})).await.status, 202);
    let during = bench.ironic("GET", &path, Value::Null).await.body;
    assert_eq!(
        (&during["provision_state"], &during["target_provision_state"]),
        (&json!("deploying"), &json!("active"))
    );
    assert_eq!(during["reservation"], "sim-conductor");

    let patch = json!([{"op": "add", "path": "/extra/a", "value": 1}]);
    let got = bench.ironic("PATCH", &path, patch).await;
    assert_eq!(
        (got.status, got.sentence()),
        (409, format!("Node {node} can not be updated while a state transition is in progress."))
    );
    for (method, path, body) in [
        ("PUT", verb.clone(), json!({"target": "deleted"})),
        ("PUT", verb.clone(), json!({"target": "abort"})),
        ("PUT", format!("{path}/states/power"), json!({"target": "power off"})),
        ("GET", format!("{path}/management/boot_device"), Value::Null),
        ("PUT", format!("{path}/traits/CUSTOM_A"), Value::Null),
        ("PUT", format!("{path}/maintenance"), json!({"reason": "x"})),
        ("DELETE", path.clone(), Value::Null),
    ] {
        let got = bench.ironic(method, &path, body).await;
        assert_eq!(got.status, 409, "{method} {path}");
        assert!(got.sentence().starts_with(&format!("Node {node} is locked by host ")), "{}", got.sentence());
    }
    let port = json!({"node_uuid": node, "address": "52:54:00:00:00:01"});
    assert_eq!(bench.ironic("POST", "/v1/ports", port).await.status, 201);
    assert_eq!(bench.ironic("GET", &format!("{path}/history"), Value::Null).await.status, 200);
    bench.sim.advance(1_000_000);
    assert_eq!(bench.settled(&node).await["provision_state"], "active");
}

#[tokio::test]
async fn undeploying_empties_the_instance_and_a_config_drive_is_masked() {
    let bench = Bench::new().await;
    let composed = bench.compose("n1").await;
    let node = bench.enroll("n1", &composed).await;
    bench.provision(&node, "manage").await;
    bench.provision(&node, "provide").await;
    bench.give_image(&node).await;
    let path = format!("/v1/nodes/{node}");
    let instance = "0f0e6f9d-6a5e-4b6f-9f42-0a2a5d8f8f01";
    let claim = json!([{"op": "add", "path": "/instance_uuid", "value": instance}]);
    assert_eq!(bench.ironic("PATCH", &path, claim).await.status, 200);

    let verb = format!("{path}/states/provision");
    let wrong = json!({"target": "active", "configdrive": {"nonsense": {}}});
    let got = bench.ironic("PUT", &verb, wrong).await;
    assert_eq!((got.status, got.sentence()), (400, "Invalid configdrive format".to_owned()));
    let right =
        json!({"target": "active", "configdrive": {"user_data": "#cloud-config", "meta_data": {"hostname": "h"}}});
    let accepted = bench.ironic("PUT", &verb, right).await;
    assert_eq!((accepted.status, accepted.header("location").ends_with(&format!("{path}/states"))), (202, true));
    let active = bench.settled(&node).await;
    assert_eq!((&active["provision_state"], &active["power_state"]), (&json!("active"), &json!("power on")));
    assert_eq!(active["instance_info"]["configdrive"], "******");
    let device = bench.ironic("GET", &format!("{path}/management/boot_device"), Value::Null).await.body;
    assert_eq!(device, json!({"boot_device": "cdrom", "persistent": true}));

    bench.provision(&node, "deleted").await;
    let after = bench.settled(&node).await;
    assert_eq!((&after["instance_info"], &after["instance_uuid"]), (&json!({}), &Value::Null));
    assert_eq!(after["power_state"], "power off");
}

#[tokio::test]
async fn power_is_switched_in_any_state_and_repeats_are_welcome() {
    let bench = Bench::new().await;
    let composed = bench.compose("n1").await;
    let node = bench.enroll("n1", &composed).await;
    let path = format!("/v1/nodes/{node}/states/power");
    for (target, running) in
        [("power on", true), ("power on", true), ("soft power off", false), ("rebooting", true), ("power off", false)]
    {
        assert_eq!(bench.ironic("PUT", &path, json!({"target": target})).await.status, 202);
        let settled = bench.settled(&node).await;
        assert_eq!((&settled["target_power_state"], &settled["last_error"]), (&Value::Null, &Value::Null));
        assert_eq!(bench.ledger()["machines"]["running"], if running { json!(["1"]) } else { json!([]) }, "{target}");
    }
    assert_eq!(bench.ironic("PUT", &path, json!({"target": "nonsense"})).await.status, 400);
}

#[tokio::test]
async fn inspection_fills_in_the_real_machine_or_fails_as_on_the_emulator() {
    let bench = Bench::new().await;
    let composed = bench.compose("n1").await;
    let uuid = uuid::Uuid::now_v7().to_string();
    bench.ironic("POST", "/v1/nodes", bench.node(&uuid, "n1", &composed)).await;
    bench.provision(&uuid, "manage").await;
    assert_eq!(bench.ironic("GET", &format!("/v1/nodes/{uuid}/inventory"), Value::Null).await.status, 404);
    assert_eq!(bench.provision(&uuid, "inspect").await, "manageable");
    let properties = &bench.settled(&uuid).await["properties"];
    assert_eq!(*properties, json!({"memory_mb": 16_384, "local_gb": 99, "cpu_arch": "x86_64"}));
    let seen = bench.ironic("GET", &format!("/v1/nodes/{uuid}/inventory"), Value::Null).await.body;
    let inventory = &seen["inventory"];
    assert_eq!((&inventory["cpu"]["count"], &inventory["memory"]["physical_mb"]), (&json!(8), &json!(16_384)));
    assert_eq!(
        (&inventory["disks"][0]["size"], inventory["interfaces"].as_array().unwrap().len()),
        (&json!(107_374_182_400_u64), 2)
    );
    let ports = bench.ironic("GET", &format!("/v1/nodes/{uuid}/ports"), Value::Null).await.body;
    assert_eq!(ports["ports"].as_array().unwrap().len(), 2);

    bench.control("PUT", "/settings", json!({"inspect_fails": true})).await;
    assert_eq!(bench.provision(&uuid, "inspect").await, "inspect failed");
    let got = bench.ironic("DELETE", &format!("/v1/nodes/{uuid}"), Value::Null).await;
    assert_eq!(got.status, 409);
    assert_eq!(bench.provision(&uuid, "manage").await, "manageable");
}

/// Source: `ironic/conductor/cleaning.py` and `manager.py` of 39.0.0.
#[tokio::test]
async fn a_retired_node_is_cleaned_by_itself_or_by_hand_and_lent_to_nobody_until_it_is_no_longer() {
    let bench = Bench::new().await;
    let (_, node) = bench.deployed("n1").await;
    let path = format!("/v1/nodes/{node}");
    let patch = async |field: &str, value: Value| {
        let patch = json!([{"op": "add", "path": format!("/{field}"), "value": value}]);
        bench.ironic("PATCH", &path, patch).await.status
    };
    assert_eq!(patch("retired", json!(true)).await, 200);
    assert_eq!(patch("retired_reason", json!("old")).await, 200);
    assert_eq!(bench.provision(&node, "deleted").await, "manageable");
    let provide = async || bench.ironic("PUT", &format!("{path}/states/provision"), json!({"target": "provide"})).await;
    let refused = provide().await;
    assert_eq!((refused.status, refused.sentence().contains("because it is retired")), (400, true));

    let clean = json!({"target": "clean", "clean_steps": [{"interface": "deploy", "step": "erase_devices"}]});
    assert_eq!(bench.ironic("PUT", &format!("{path}/states/provision"), clean).await.status, 202);
    assert_eq!(bench.settled(&node).await["provision_state"], "manageable");
    assert_eq!(patch("retired", json!(false)).await, 200);
    assert_eq!(bench.settled(&node).await["retired_reason"], Value::Null);
    assert_eq!(bench.provision(&node, "provide").await, "available");
    assert_eq!(patch("retired", json!(true)).await, 409);

    // Without automated cleaning nothing holds it back.
    bench.give_image(&node).await;
    assert_eq!(bench.provision(&node, "active").await, "active");
    assert_eq!((patch("automated_clean", json!(false)).await, patch("retired", json!(true)).await), (200, 200));
    assert_eq!(bench.provision(&node, "deleted").await, "available");
    assert_eq!(bench.ledger()["machines"]["data"].as_array().unwrap().len(), 1);
}
