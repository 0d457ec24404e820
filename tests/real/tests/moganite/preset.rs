//! Pre-set servers on a real Ironic; tokens that live for seconds; a release two years older.

use std::collections::BTreeSet;

use crate::world::World;
use real::{Auth, Certificate, Options, RealIronic, Release, Tls};
use scenarios::BMC_PASSWORD;
use serde_json::{Value, json};

/// Enrolls the emulator's systems as an operator would, available, of class `gold`.
async fn preset(world: &World, systems: std::ops::RangeInclusive<u32>) -> Vec<String> {
    let ironic = &world.ironic;
    let call = async |method: &str, path: &str, body: Value| {
        let method = method.parse().unwrap();
        let (status, answer) = ironic.ironic(method, path, Some(&body)).await.unwrap();
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    };
    let mut nodes = Vec::new();
    for system in systems {
        let node = json!({
            "name": format!("preset-{system}"), "driver": "redfish", "resource_class": "gold",
            "deploy_interface": "ramdisk", "boot_interface": "redfish-virtual-media", "bios_interface": "no-bios",
            "firmware_interface": "no-firmware", "raid_interface": "no-raid", "vendor_interface": "no-vendor",
            "automated_clean": false, "properties": {"cpus": 8, "memory_mb": 16384, "local_gb": 100},
            "driver_info": {
                "redfish_address": ironic.redfish_url, "redfish_system_id": RealIronic::system_path(system),
                "redfish_username": ironic.redfish_user, "redfish_password": BMC_PASSWORD, "redfish_verify_ca": false,
            },
        });
        let uuid = call("POST", "/v1/nodes", node).await["uuid"].as_str().unwrap().to_owned();
        call("POST", "/v1/ports", json!({"node_uuid": uuid, "address": RealIronic::system_mac(system)})).await;
        for (verb, state) in [("manage", "manageable"), ("provide", "available")] {
            call("PUT", &format!("/v1/nodes/{uuid}/states/provision"), json!({"target": verb})).await;
            scenarios::until(state, std::time::Duration::from_secs(60), async || {
                let node = ironic.ironic_get(&format!("/v1/nodes/{uuid}")).await?;
                Ok((node["provision_state"] == state && node["reservation"] == Value::Null).then_some(()))
            })
            .await
            .unwrap();
        }
        nodes.push(uuid);
    }
    nodes
}

async fn gold(world: &World) {
    let route = json!({"claim": ["ironic-1"], "deploy": ["ironic-1"]});
    let shape = json!({"cores": 4, "memory_mib": 8192, "class": "gold"});
    let flavor = json!({"name": "gold", "shape": shape, "route": route, "erase": "none"});
    world.stack.service.api.put("/v1/flavors/gold", &flavor).await.unwrap().ok().unwrap();
}

#[tokio::test]
async fn eight_creates_for_four_servers_give_four_and_nothing_stays_claimed() {
    let world = World::start(Options::default()).await;
    preset(&world, 1..=4).await;
    gold(&world).await;
    let mut ids = Vec::new();
    for n in 0..8 {
        ids.push(world.create(&format!("web-{n}"), "gold").await);
    }
    let mut ended = Vec::new();
    for id in &ids {
        ended.push(world.ended(id).await);
    }
    let active = ended.iter().filter(|instance| instance["state"] == "active").count();
    let why: Vec<_> = ended.iter().filter_map(|instance| instance["reason"].as_str()).collect();
    assert_eq!((active, why.len()), (4, 4), "{why:?}");
    let owners: BTreeSet<_> = world.nodes().await.iter().map(|node| node["instance_uuid"].to_string()).collect();
    assert_eq!(owners.len(), 4, "none twice");
    for id in &ids {
        world.stack.delete(id).await.unwrap();
    }
    for id in &ids {
        world.gone(id).await;
    }
    world.nothing_left(4).await;
    let allocations = world.ironic.ironic_get("/v1/allocations").await.unwrap();
    assert_eq!(allocations["allocations"], json!([]));
}

#[tokio::test]
async fn a_server_whose_bmc_was_away_is_quarantined_and_another_one_is_taken() {
    let world = World::start(Options::default()).await;
    let bad = preset(&world, 1..=1).await.remove(0);
    let bmc_at = async |system: &str| {
        let patch = json!([{"op": "replace", "path": "/driver_info/redfish_system_id", "value": system}]);
        let path = format!("/v1/nodes/{bad}");
        let (status, answer) = world.ironic.ironic("PATCH".parse().unwrap(), &path, Some(&patch)).await.unwrap();
        assert!(status.is_success(), "{answer}");
    };
    bmc_at("/redfish/v1/Systems/gone").await;
    gold(&world).await;
    let (id, flow) = world.stack.create("web", "gold").await.unwrap();

    // Nobody can say whether the machine runs: a person looks, mends the BMC, and lets it go on.
    let rests = world.stack.service.flow(&flow, "rests", |flow| flow["phase"] == "needs-operator").await.unwrap();
    assert_eq!(rests["task"], "deploy");
    bmc_at(&RealIronic::system_path(1)).await;
    let good = preset(&world, 2..=2).await.remove(0);
    world.stack.service.api.post(&format!("/v1/flows/{flow}/retry"), &json!({})).await.unwrap().ok().unwrap();
    if let Err(error) = world.stack.service.instance_in(&id, "active").await {
        panic!("{error}: {:#?}", world.stack.timeline(&flow).await.unwrap());
    }
    let quarantine = world.stack.service.api.get("/v1/quarantine").await.unwrap().ok().unwrap();
    assert_eq!(quarantine["items"][0]["handle"], bad.as_str(), "{quarantine}");
    let running: Vec<_> = world.nodes().await.into_iter().filter(|node| node["provision_state"] == "active").collect();
    assert_eq!(running.len(), 1);
    assert_eq!(running[0]["uuid"], good.as_str());
    world.stack.delete(&id).await.unwrap();
    world.gone(&id).await;
    world.nothing_left(2).await;
}

#[tokio::test]
async fn with_tokens_that_live_for_seconds_creates_and_deletes_go_on() {
    // Long enough for one request on a busy machine, shorter than what follows.
    let options = Options { auth: Auth::Keystone, token_life_s: 15, ..Options::default() };
    let world = World::start(options).await;
    let sent = || -> BTreeSet<String> {
        let exchanges = world.tap.exchanges();
        let tokens = exchanges.iter().filter_map(|sent| sent.headers.get("x-auth-token"));
        tokens.map(|token| token.to_str().unwrap().to_owned()).collect()
    };
    let mut rounds = 0;
    while sent().len() < 2 {
        rounds += 1;
        let mut ids = Vec::new();
        for name in ["a", "b", "c", "d"] {
            ids.push(world.create(&format!("{name}-{rounds}"), "small").await);
        }
        for id in &ids {
            let ended = world.ended(id).await;
            assert_eq!(ended["state"], "active", "{}", ended["reason"]);
        }
        for id in &ids {
            world.stack.delete(id).await.unwrap();
        }
        for id in &ids {
            world.gone(id).await;
        }
    }
    let written = world.stack.written().unwrap();
    for token in sent() {
        let found = written.windows(token.len()).any(|window| window == token.as_bytes());
        assert!(!found, "in the state folder or the log");
    }
    world.nothing_left(0).await;
}

#[tokio::test]
async fn a_release_two_years_older_carries_the_main_job() {
    let world = World::start(Options { release: Release::Older, ..Options::default() }).await;
    let id = world.create("web", "small").await;
    let ended = world.ended(&id).await;
    assert_eq!(ended["state"], "active", "{}", ended["reason"]);
    world.stack.delete(&id).await.unwrap();
    world.gone(&id).await;
    world.nothing_left(0).await;
}

#[tokio::test]
async fn over_tls_our_own_authority_is_trusted_and_a_wrong_certificate_is_refused() {
    let mut good = None;
    let world = World::behind(Options::default(), |upstream| {
        let tls = good.insert(Tls::start(upstream, Certificate::Good).unwrap());
        Some((tls.url(), tls.authority.clone()))
    })
    .await;
    let id = world.create("web", "small").await;
    let ended = world.ended(&id).await;
    assert_eq!(ended["state"], "active", "{}", ended["reason"]);
    world.stack.delete(&id).await.unwrap();
    world.gone(&id).await;

    // The same Ironic behind a certificate of somebody else.
    let wrong = Tls::start(&world.tap.url(), Certificate::OfAnotherAuthority).unwrap();
    let api = &world.stack.service.api;
    let bound = api.get("/v1/backends/ironic-1").await.unwrap().ok().unwrap();
    let authority = good.as_ref().unwrap().authority.clone();
    let changed = json!({
        "plugin": bound["digest"], "settings": bound["settings"], "grants": bound["grants"],
        "endpoints": {"ironic": {"url": wrong.url(), "tls": {"ca": authority}}},
    });
    api.clone().always("if-match", "*").put("/v1/backends/ironic-1", &changed).await.unwrap().ok().unwrap();
    let before = world.tap.exchanges().len();
    let tested = api.post("/v1/backends/ironic-1/test", &json!({})).await.unwrap().ok().unwrap();
    assert_eq!(tested["ok"], false);
    assert!(tested.to_string().to_lowercase().contains("certificate"), "{tested}");
    assert_eq!(world.tap.exchanges().len(), before, "nothing was sent");
    world.nothing_left(0).await;
}
