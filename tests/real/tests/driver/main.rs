//! The Ironic driver itself, called natively, against real Ironics and a real Keystone: servers that an operator has registered are
//! claimed, deployed, erased and given back. `gate.rs` plays the host.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod gate;

use driver_ironic::Ironic;
use gate::Gate;
use moganite_driver::{
    Claim, Deploy, Deployed, Driver, Erase, Fault, Holding, Node, Order, Presence, Shape, Undoing, testing,
};
use moganite_far::{Did, Host};
use real::{Auth, Options, RealIronic, Release, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

struct World {
    real: RealIronic,
    gate: Gate,
    settings: Value,
}

impl World {
    /// An Ironic with so many servers of class `gold`, available and off.
    async fn start(options: Options, servers: u32) -> Self {
        let auth = options.auth;
        let real = RealIronic::start(options).await.unwrap();
        let mut gate = Gate { ironic: real.ironic_url.clone(), ..Gate::default() };
        let mut settings = json!({ "poll_ms": 200, "configdrive": false });
        if let (Auth::Keystone, Some(keystone)) = (auth, &real.keystone) {
            gate.keystone.clone_from(&keystone.url);
            gate.secret.clone_from(&keystone.password);
            settings["auth"] = "keystone".into();
            settings["keystone"] = json!({ "user": keystone.user, "scope": "system" });
        }
        for number in 1..=servers {
            register(&real, number).await;
        }
        Self { real, gate, settings }
    }

    /// Runs `work` in a thread of its own, as the host runs a flow.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Value) -> T + Send + 'static) -> T {
        let (gate, settings) = (self.gate.clone(), self.settings.clone());
        tokio::task::spawn_blocking(move || {
            gate.open();
            work(&settings)
        })
        .await
        .unwrap()
    }

    async fn node(&self, uuid: &str) -> Value {
        self.real.ironic_get(&format!("/v1/nodes/{uuid}")).await.unwrap()
    }

    async fn assert_all_free(&self) {
        let allocations = self.real.ironic_get("/v1/allocations").await.unwrap();
        assert_eq!(allocations["allocations"], json!([]));
        let nodes = self.real.ironic_get("/v1/nodes?fields=uuid,instance_uuid,provision_state").await.unwrap();
        for node in nodes["nodes"].as_array().unwrap() {
            assert_eq!(
                (&node["instance_uuid"], &node["provision_state"]),
                (&Value::Null, &json!("available")),
                "{node}"
            );
        }
    }
}

fn node_of(number: u32) -> String {
    format!("11111111-0000-4000-8000-{number:012}")
}

async fn register(real: &RealIronic, number: u32) {
    let body = json!({
        "uuid": node_of(number), "name": format!("rack-{number}"), "driver": "redfish", "deploy_interface": "ramdisk",
        "boot_interface": "redfish-virtual-media", "bios_interface": "no-bios", "firmware_interface": "no-firmware",
        "raid_interface": "no-raid", "vendor_interface": "no-vendor", "resource_class": "gold",
        "properties": { "cpus": 8, "memory_mb": 16_384, "local_gb": 99, "cpu_arch": "x86_64" },
        "driver_info": {
            "redfish_address": real.redfish_url, "redfish_system_id": RealIronic::system_path(number),
            "redfish_username": real.redfish_user, "redfish_password": real.redfish_password, "redfish_verify_ca": false,
        },
    });
    let (status, made) = real.ironic(Method::POST, "/v1/nodes", Some(&body)).await.unwrap();
    assert_eq!(status, StatusCode::CREATED, "{made}");
    for (verb, state) in [("manage", "manageable"), ("provide", "available")] {
        let path = format!("/v1/nodes/{}/states/provision", node_of(number));
        let (status, answer) = real.ironic(Method::PUT, &path, Some(&json!({ "target": verb }))).await.unwrap();
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        let path = format!("/v1/nodes/{}", node_of(number));
        until(verb, Duration::from_secs(120), Duration::from_millis(100), || async {
            let node = real.ironic_get(&path).await?;
            Ok((node["reservation"].is_null() && node["provision_state"] == state).then_some(()))
        })
        .await
        .unwrap();
    }
}

fn claim(settings: &Value, mark: &str, want: &Shape, exclude: &[String]) -> Did<Node> {
    Host::of_real(settings).run(|cx| Ironic::claim(cx, mark.into(), want.clone(), exclude.to_vec()))
}

fn unclaim(settings: &Value, mark: &str, did: &Did<Node>) -> Result<String, Fault> {
    let handle = did.answer.as_ref().ok().map(|node| node.handle.clone());
    let what = Holding { mark: mark.into(), handle, facts: "{}".into(), trail: did.trail.clone() };
    Host::of_real(settings).run(|cx| Ironic::unclaim(cx, what.clone())).answer
}

fn deploy(settings: &Value, mark: &str, node: &str, image: &Value) -> Did<Deployed> {
    let order = Order {
        node: node.into(),
        image: image.to_string(),
        hostname: "web-1".into(),
        user_data: None,
        ssh_keys: Vec::new(),
        networks: "{}".into(),
    };
    Host::of_real(settings).run(|cx| Ironic::deploy(cx, mark.into(), order.clone()))
}

fn undeploy(settings: &Value, mark: &str, did: &Did<Deployed>, level: Erase) -> Result<String, Fault> {
    let (handle, facts) = match &did.answer {
        Ok(deployed) => (Some(deployed.handle.clone()), deployed.facts.clone()),
        Err(_) => (None, "{}".into()),
    };
    let what = Holding { mark: mark.into(), handle, facts, trail: did.trail.clone() };
    Host::of_real(settings).run(|cx| Ironic::undeploy(cx, what.clone(), level)).answer
}

fn gold() -> Shape {
    Shape {
        cores: 0,
        memory_mib: 0,
        disks_gib: Vec::new(),
        nics_mbps: Vec::new(),
        devices: Vec::new(),
        class: Some("gold".into()),
        traits: Vec::new(),
        properties: "{}".into(),
    }
}

/// A claimed server from free to free: deployed, undeployed, unclaimed.
async fn a_life(world: &World) {
    let image = json!({ "boot_iso": world.real.boot_iso_url });
    let (claimed, deployed) = world
        .run(move |settings| {
            let claimed = claim(settings, "mg-site-1", &Shape { cores: 8, ..gold() }, &[]);
            let node = claimed.answer.as_ref().unwrap().handle.clone();
            let deployed = deploy(settings, "mg-site-2", &node, &image);
            (claimed, deployed)
        })
        .await;
    let node = claimed.answer.as_ref().unwrap().handle.clone();
    assert!(deployed.answer.is_ok(), "{:?}", deployed.answer);
    let seen = world.node(&node).await;
    let allocation = world.real.ironic_get(&format!("/v1/nodes/{node}/allocation")).await.unwrap();
    assert_eq!((&seen["provision_state"], &seen["power_state"]), (&json!("active"), &json!("power on")));
    assert_eq!((&seen["instance_uuid"], &allocation["name"]), (&allocation["uuid"], &json!("mg-site-1")));
    world
        .run(move |settings| {
            assert!(matches!(unclaim_once(settings, &claimed), Err(Fault::Retry(_))), "unclaimed while deployed");
            undeploy(settings, "mg-site-2", &deployed, Erase::None).unwrap();
            unclaim(settings, "mg-site-1", &claimed).unwrap();
        })
        .await;
    assert_eq!(world.node(&node).await["power_state"], "power off");
    world.assert_all_free().await;
}

fn unclaim_once(settings: &Value, did: &Did<Node>) -> Result<Undoing, Fault> {
    let handle = did.answer.as_ref().ok().map(|node| node.handle.clone());
    let what = Holding { mark: "mg-site-1".into(), handle, facts: "{}".into(), trail: did.trail.clone() };
    Ironic::unclaim(testing::context(settings.to_string()), what)
}

#[tokio::test]
async fn a_server_is_claimed_deployed_and_given_back_on_both_releases() {
    for (release, newest) in [(Release::R39, "1.115"), (Release::Older, "1.93")] {
        let world = World::start(Options { release, systems: 1, ..Options::default() }, 1).await;
        let probed = world.run(|settings| Ironic::probe(testing::context(settings.to_string())).unwrap()).await;
        let probed: Value = serde_json::from_str(&probed).unwrap();
        assert_eq!((&probed["version"], &probed["problems"]), (&json!(newest), &json!([])));
        assert_eq!(probed["abilities"]["microversion"], "1.86");
        a_life(&world).await;
    }
}

#[tokio::test]
async fn behind_keystone_a_token_of_three_seconds_is_renewed_for_as_long_as_it_takes() {
    for release in [Release::R39, Release::Older] {
        let options = Options { auth: Auth::Keystone, release, token_life_s: 3, systems: 1, ..Options::default() };
        let world = World::start(options, 1).await;
        a_life(&world).await;
        assert!(world.gate.logins() > 1, "{} logins", world.gate.logins());

        let mut wrong = world.gate.clone();
        wrong.secret = "wrong".into();
        let settings = world.settings.clone();
        let refused = tokio::task::spawn_blocking(move || {
            let gate = Gate { ironic: wrong.ironic, keystone: wrong.keystone, secret: wrong.secret, ..Gate::default() };
            gate.open();
            claim(&settings, "mg-site-3", &gold(), &["rack-9".into()]).answer
        })
        .await
        .unwrap();
        assert!(matches!(&refused, Err(Fault::Broken(why)) if why.contains("keystone refused")), "{refused:?}");
        world.assert_all_free().await;
    }
}

#[tokio::test]
async fn an_application_credential_is_as_good_as_a_password() {
    let mut world = World::start(Options { auth: Auth::Keystone, systems: 1, ..Options::default() }, 1).await;
    let credential = world.real.keystone.as_ref().unwrap().application_credential("moganite").await.unwrap();
    world.settings["keystone"] = json!({ "application_credential": credential.id });
    world.gate.secret = credential.secret;
    let probed = world.run(|settings| Ironic::probe(testing::context(settings.to_string())).unwrap()).await;
    assert!(probed.contains("\"problems\":[]"), "{probed}");
    assert_eq!(world.gate.logins(), 1);
}

#[tokio::test]
async fn eight_claims_for_four_servers_get_four_and_no_server_twice() {
    let world = Arc::new(World::start(Options { systems: 4, ..Options::default() }, 4).await);
    let mut claims = Vec::new();
    for number in 1..=8 {
        let world = Arc::clone(&world);
        claims.push(tokio::spawn(async move {
            let mark = format!("mg-site-{number}");
            let own = mark.clone();
            (mark, world.run(move |settings| claim(settings, &own, &gold(), &[])).await)
        }));
    }
    let mut done = Vec::new();
    for claim in claims {
        done.push(claim.await.unwrap());
    }
    let nodes: Vec<_> = done.iter().filter_map(|(_, did)| did.answer.as_ref().ok().map(|node| &node.handle)).collect();
    assert_eq!(nodes.len(), 4, "{done:?}");
    assert_eq!(nodes.iter().collect::<BTreeSet<_>>().len(), 4);
    for (_, did) in &done {
        assert!(matches!(did.answer, Ok(_) | Err(Fault::Capacity(_))), "{did:?}");
    }
    // Who got none has left nothing.
    let left = world.real.ironic_get("/v1/allocations").await.unwrap();
    assert_eq!(left["allocations"].as_array().unwrap().len(), 4);
    world.run(move |settings| done.iter().for_each(|(mark, did)| drop(unclaim(settings, mark, did).unwrap()))).await;
    world.assert_all_free().await;
}

#[tokio::test]
async fn clean_steps_run_before_the_server_is_lent_again_and_nothing_is_called_erased_that_failed() {
    let mut world = World::start(Options { systems: 1, ..Options::default() }, 1).await;
    // No agent runs in an emulated machine: a step of the BMC's stands for one that erases.
    let step = |name: &str| json!({ "quick": [{ "interface": "power", "step": name }] });
    world.settings["clean_with_agent"] = false.into();
    let node = node_of(1);
    let image = json!({ "boot_iso": world.real.boot_iso_url });
    let path = format!("/v1/nodes/{node}");
    let automated = json!([{ "op": "add", "path": "/automated_clean", "value": false }]);
    world.real.ironic(Method::PATCH, &path, Some(&automated)).await.unwrap();
    for (name, erases) in [("power_off", true), ("no_such_step", false)] {
        world.settings["clean_steps"] = step(name);
        let image = image.clone();
        let receipt = world
            .run(move |settings| {
                let claimed = claim(settings, "mg-site-1", &gold(), &[]);
                let handle = claimed.answer.as_ref().unwrap().handle.clone();
                let deployed = deploy(settings, "mg-site-2", &handle, &image);
                assert!(deployed.answer.is_ok(), "{:?}", deployed.answer);
                let receipt = undeploy(settings, "mg-site-2", &deployed, Erase::Quick);
                if receipt.is_ok() {
                    unclaim(settings, "mg-site-1", &claimed).unwrap();
                }
                receipt
            })
            .await;
        let seen = world.node(&node).await;
        assert_eq!((&seen["power_state"], &seen["instance_uuid"]), (&json!("power off"), &Value::Null));
        if erases {
            let receipt: Value = serde_json::from_str(&receipt.unwrap()).unwrap();
            assert_eq!(receipt["erased"], "quick");
            assert_eq!(receipt["method"], "ironic's manual cleaning: power.power_off");
            assert_eq!((&seen["maintenance"], &seen["provision_state"]), (&json!(false), &json!("available")));
            world.assert_all_free().await;
        } else {
            assert!(matches!(receipt, Err(Fault::Broken(_))), "{receipt:?}");
            assert_ne!(seen["provision_state"], "available");
        }
    }
}

/// What Ironic shows of a node, but when it was written.
async fn shown(world: &World, node: &str) -> Value {
    let mut seen = world.node(node).await;
    seen["updated_at"] = Value::Null;
    seen
}

/// As the host undoes what was never ours, last taken first.
fn let_go(settings: &Value, claimed: &Did<Node>, deployed: Option<&Did<Deployed>>) {
    let facts = json!({ "let-go": true }).to_string();
    if let Some(did) = deployed {
        let handle = did.answer.as_ref().ok().map(|deployed| deployed.handle.clone());
        let what = Holding { mark: "mg-site-2".into(), handle, facts: facts.clone(), trail: did.trail.clone() };
        Host::of_real(settings).run(|cx| Ironic::undeploy(cx, what.clone(), Erase::Full)).answer.unwrap();
    }
    let handle = claimed.answer.as_ref().ok().map(|node| node.handle.clone());
    let what = Holding { mark: "mg-site-1".into(), handle, facts, trail: claimed.trail.clone() };
    Host::of_real(settings).run(|cx| Ironic::unclaim(cx, what.clone())).answer.unwrap();
    let found = <Ironic as Claim>::find(testing::context(settings.to_string()), what).unwrap();
    assert_eq!(found, Presence::Absent);
}

#[tokio::test]
async fn a_server_that_runs_is_adopted_as_it_runs_let_go_as_it_was_and_erased_at_last_on_both_releases() {
    for release in [Release::R39, Release::Older] {
        let world = World::start(Options { release, systems: 1, ..Options::default() }, 1).await;
        let (node, path) = (node_of(1), format!("/v1/nodes/{}", node_of(1)));
        // Somebody deploys it by hand.
        let image = json!([{ "op": "add", "path": "/instance_info/boot_iso", "value": world.real.boot_iso_url }]);
        world.real.ironic(Method::PATCH, &path, Some(&image)).await.unwrap();
        let verb = format!("{path}/states/provision");
        world.real.ironic(Method::PUT, &verb, Some(&json!({ "target": "active" }))).await.unwrap();
        until("active", Duration::from_secs(120), Duration::from_millis(100), || async {
            let node = world.real.ironic_get(&path).await?;
            Ok((node["reservation"].is_null() && node["provision_state"] == "active").then_some(()))
        })
        .await
        .unwrap();
        let before = shown(&world, &node).await;
        let asked = world.real.emulator_log().unwrap().lines().filter(|line| !line.contains("\"GET ")).count();

        let want = Shape { properties: json!({ "node": "rack-1", "adopt": true }).to_string(), ..gold() };
        let other = Shape { class: Some("silver".into()), ..want.clone() };
        world
            .run(move |settings| {
                let refused = claim(settings, "mg-site-1", &other, &[]);
                assert!(matches!(&refused.answer, Err(Fault::Conflict(why)) if why.contains("silver")), "{refused:?}");
                for steps in [1, 2] {
                    let claimed = claim(settings, "mg-site-1", &want, &[]);
                    let handle = claimed.answer.as_ref().unwrap().handle.clone();
                    assert!(claimed.answer.as_ref().unwrap().facts.contains("\"adopted\":true"));
                    let taken = (steps == 2).then(|| deploy(settings, "mg-site-2", &handle, &json!({ "adopt": true })));
                    assert!(taken.as_ref().is_none_or(|taken| taken.answer.is_ok()), "{taken:?}");
                    let theirs = claim(settings, "mg-other-1", &want, &[]);
                    assert!(matches!(&theirs.answer, Err(Fault::Conflict(why)) if why.contains("taken")), "{theirs:?}");
                    let_go(settings, &claimed, taken.as_ref());
                }
            })
            .await;
        assert_eq!(shown(&world, &node).await, before);
        assert_eq!(world.real.ironic_get("/v1/allocations").await.unwrap()["allocations"], json!([]));
        let changed = world.real.emulator_log().unwrap().lines().filter(|line| !line.contains("\"GET ")).count();
        assert_eq!(changed, asked, "the machine's BMC heard of nothing");

        let want = Shape { properties: json!({ "node": node, "adopt": true }).to_string(), ..gold() };
        world
            .run(move |settings| {
                let claimed = claim(settings, "mg-site-1", &want, &[]);
                let deployed = deploy(settings, "mg-site-2", &node_of(1), &json!({ "adopt": true }));
                assert!(deployed.answer.is_ok(), "{:?}", deployed.answer);
                undeploy(settings, "mg-site-2", &deployed, Erase::None).unwrap();
                unclaim(settings, "mg-site-1", &claimed).unwrap();
            })
            .await;
        assert_eq!(world.node(&node).await["power_state"], "power off");
        world.assert_all_free().await;
    }
}
