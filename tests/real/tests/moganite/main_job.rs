//! The main job against a real Ironic and a real Redfish emulator: what is composed by the simulated pod manager is one of the
//! emulator's systems. Asserted from the emulator's log, from Ironic's own lists, and from what passed on the wire in front of Ironic.

use crate::world::World;
use real::{Auth, Options};
use scenarios::BMC_PASSWORD;
use serde_json::{Value, json};

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[tokio::test]
async fn a_composed_instance_lives_and_ends_on_a_real_ironic() {
    let world = World::start(Options { auth: Auth::Basic, ..Options::default() }).await;
    assert_eq!(world.nodes().await, Vec::<Value>::new());

    let id = world.create("web", "small").await;
    let active = world.ended(&id).await;
    assert_eq!(active["state"], "active", "{active}");
    let nodes = world.nodes().await;
    assert_eq!(nodes.len(), 1);
    assert_eq!((&nodes[0]["provision_state"], &nodes[0]["power_state"]), (&json!("active"), &json!("power on")));
    let log = world.ironic.emulator_log().unwrap();
    for call in ["VirtualMedia.InsertMedia", "ComputerSystem.Reset"] {
        assert!(
            log.lines().any(|line| line.contains("POST") && line.contains(call)),
            "no {call} in the emulator's log"
        );
    }

    // The gate's value was on the wire, and is nowhere else.
    let sent = world.tap.exchanges();
    let create = sent.iter().find(|sent| sent.method == "POST" && sent.path == "/v1/nodes").unwrap();
    let body: Value = serde_json::from_slice(&create.body).unwrap();
    assert_eq!(body["driver_info"]["redfish_password"], BMC_PASSWORD);
    assert!(create.headers.contains_key("authorization"));
    assert!(!contains(&world.stack.written().unwrap(), BMC_PASSWORD), "in the state folder or the log");

    let flow = world.stack.delete(&id).await.unwrap();
    world.gone(&id).await;
    world.nothing_left(0).await;

    // Off and gone from Ironic first, then released.
    let flow = world.stack.service.api.get(&format!("/v1/flows/{flow}")).await.unwrap().body;
    let done: Vec<_> = flow["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["kind"] == "done" || event["kind"] == "ended")
        .collect();
    let order: Vec<_> = done.iter().map(|event| event["task"].as_str().unwrap()).collect();
    assert_eq!(order, ["undeploy", "unenroll", "unclaim", "release"]);
    assert_eq!(world.stack.sim.ledger().await.unwrap()["alarms"], json!([]));
}

#[tokio::test]
async fn without_a_boot_image_the_deploy_is_reverted_and_nothing_is_left() {
    let world = World::start(Options::default()).await;
    // None at all, and one that the BMC cannot reach.
    for image in [json!({}), json!({"boot_iso": "http://127.0.0.1:9/none.iso"})] {
        let image = json!({"name": "cirros", "backends": {"ironic-1": image}});
        world.stack.service.api.put("/v1/images/cirros", &image).await.unwrap().ok().unwrap();
        let id = world.create("web", "small").await;
        let failed = world.ended(&id).await;
        assert_eq!(failed["state"], "failed");
        assert!(failed["reason"].as_str().unwrap().len() > 20, "{failed}");
        world.nothing_left(0).await;
        world.stack.delete(&id).await.unwrap();
        world.gone(&id).await;
    }
}

#[tokio::test]
async fn two_creates_at_once_get_two_machines() {
    let world = World::start(Options::default()).await;
    let ids = [world.create("a", "small").await, world.create("b", "small").await];
    for id in &ids {
        assert_eq!(world.ended(id).await["state"], "active");
    }
    let nodes = world.nodes().await;
    let systems: std::collections::BTreeSet<_> =
        nodes.iter().map(|node| node["driver_info"]["redfish_system_id"].to_string()).collect();
    assert_eq!(systems.len(), 2);
    for id in &ids {
        world.stack.delete(id).await.unwrap();
    }
    for id in &ids {
        world.gone(id).await;
    }
    world.nothing_left(0).await;
}
