//! What an operator does once: backends, images, flavors, and pre-set nodes.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use moganite::lifecycle::Granting;
use moganite::model::{Budgets, By, Digest, Flavor, Grant, Image, Name, Projects, Revision, RevisionId, SweepPolicy};
use moganite::store::{Lane, PutSecret};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{World, plugins};

pub(crate) fn name(text: &str) -> Name {
    Name::parse("name", text).unwrap()
}

pub(crate) const BMC_PASSWORD: &str = "bmc-secret-password";
pub(crate) const CLOUDBOOT_PASSWORD: &str = "cloudboot-secret-password";

/// A person, for what persons decide.
pub(crate) fn by() -> By {
    By::checked("ann", "the checks").unwrap()
}

/// `preset`: systems of the pool that are pre-set nodes; the pod manager gives the lowest first.
pub(crate) fn all(world: &mut World, preset: RangeInclusive<u32>) {
    secret(world, "bmc-password", BMC_PASSWORD);
    secret(world, "cloudboot-password", CLOUDBOOT_PASSWORD);
    let at = world.sim.addresses().clone();
    let access = json!({"address": at.podm, "username": "admin", "password_secret": "bmc-password"});
    let valence = json!({"settle_s": 2, "gone_within_s": 1});
    bind(world, "pod-a", "valence-redfish", &valence, &json!({"valence": {"url": at.valence}}), &access, &json!([]));
    let login = json!({"basic": {"username": "admin", "password_secret": "bmc-password"}});
    let redfish = json!({"dialect": "redfish", "settle_s": 2, "gone_within_s": 1});
    let endpoints = json!({"redfish": {"url": at.podm, "auth": login}});
    bind(world, "pod-r", "valence-redfish", &redfish, &endpoints, &access, &json!([]));
    let places = ["bmc-address", "bmc-username", "bmc-password"];
    let grants: Vec<_> =
        ["pod-a", "pod-r"].iter().flat_map(|of| places.map(|place| json!({"place": place, "of": of}))).collect();
    let ironic = json!({
        "deploy_interface": "ramdisk", "boot_interface": "redfish-virtual-media", "bios_interface": "no-bios",
        "firmware_interface": "no-firmware", "raid_interface": "no-raid", "vendor_interface": "no-vendor",
        "redfish_verify_ca": false, "automated_clean": true, "erases": "quick", "configdrive": false,
        "poll_ms": 50, "settle_ms": 500, "claim_resource_class": "gold",
    });
    let endpoints = json!({"ironic": {"url": at.ironic}});
    bind(world, "ironic-1", "ironic", &ironic, &endpoints, &Value::Null, &json!(grants));
    let cloudboot = json!({
        "network": "10.9.0.0/24", "poll_ms": 50, "settle_ms": 500, "claim_settle_ms": 50, "bmc": {"username": "admin"},
    });
    let grants = json!([
        {"place": "login-password", "secret": "cloudboot-password"}, {"place": "token"},
        {"place": "bmc-password", "secret": "bmc-password"},
    ]);
    bind(world, "cb-1", "cloudboot", &cloudboot, &json!({"cloudboot": {"url": at.cloudboot}}), &Value::Null, &grants);

    image(world, "cirros", "ironic-1", json!({"boot_iso": "http://images.example/cirros.iso"}));
    image(world, "linux", "cb-1", json!({"os": "centos6u7-x86_64", "system": "centos6u7-x86_64-kvm"}));

    let composed = |from: &str| json!({"compose": [from], "enroll": ["ironic-1"], "deploy": ["ironic-1"]});
    let small = json!({"cores": 4, "memory_mib": 8192});
    flavor(world, json!({"name": "small", "shape": small, "erase": "quick", "route": composed("pod-a")}));
    let pieces = json!({"cores": 2, "memory_mib": 4096, "disks_gib": [50]});
    flavor(world, json!({"name": "with-disk", "shape": pieces, "erase": "quick", "route": composed("pod-r")}));
    let claimed = json!({"claim": ["ironic-1"], "deploy": ["ironic-1"]});
    let gold = json!({"cores": 4, "memory_mib": 8192, "class": "gold"});
    flavor(world, json!({"name": "gold", "shape": gold, "erase": "quick", "route": claimed}));
    let mut either = composed("pod-a");
    either["claim"] = json!(["ironic-1"]);
    flavor(world, json!({"name": "either", "shape": small, "erase": "quick", "route": either}));
    let discovered = json!({"claim": ["cb-1"], "deploy": ["cb-1"]});
    flavor(world, json!({"name": "discovered", "shape": {"cores": 2}, "erase": "none", "route": discovered}));

    presets(world, preset);
}

fn bind(
    world: &World,
    backend: &str,
    plugin: &str,
    settings: &Value,
    endpoints: &Value,
    access: &Value,
    grants: &Value,
) {
    let digest = digest(world, plugin);
    let revision = Revision {
        id: RevisionId(0),
        backend: name(backend),
        digest,
        settings: settings.as_object().cloned().unwrap(),
        endpoints: serde_json::from_value::<BTreeMap<_, _>>(endpoints.clone()).unwrap(),
        access: serde_json::from_value(access.clone()).unwrap(),
        grants: serde_json::from_value::<Vec<Grant>>(grants.clone()).unwrap(),
        sweep: SweepPolicy::default(),
        budgets: Budgets::default(),
        projects: Projects::default(),
        granted: None,
        limits: moganite::model::Limits::default(),
    };
    world.run("binding", world.lifecycle().bind(revision, None, Granting::default(), by())).unwrap().unwrap();
}

fn digest(world: &World, plugin: &str) -> Digest {
    let file = plugins().join(format!("{plugin}.wasm"));
    let bytes = std::fs::read(&file).unwrap_or_else(|_| panic!("no {}: run `cargo xtask plugins`", file.display()));
    let add = async { world.lifecycle().drivers().add(bytes.into()).await };
    world.run("adding a plugin", add).unwrap().unwrap().digest
}

fn secret(world: &World, secret: &str, value: &str) {
    let sealed = world.lifecycle().drivers().vault().seal(&name(secret), value.as_bytes()).unwrap();
    let put = PutSecret { name: name(secret), sealed, at: world.clock.now() };
    world.run("a secret", world.store().write(Lane::Interactive, put)).unwrap().unwrap();
}

fn image(world: &World, image: &str, backend: &str, is: Value) {
    let backends = BTreeMap::from([(name(backend), is.as_object().cloned().unwrap())]);
    let image = Image { name: name(image), backends };
    world.run("an image", world.lifecycle().put_image(image)).unwrap().unwrap();
}

fn flavor(world: &World, flavor: Value) {
    let flavor: Flavor = serde_json::from_value(flavor).unwrap();
    world.run("a flavor", world.lifecycle().put_flavor(flavor)).unwrap().unwrap();
}

/// As an operator enrolled them himself: in Ironic, available, of class `gold`.
fn presets(world: &mut World, systems: RangeInclusive<u32>) {
    let at = world.sim.addresses().clone();
    let mut uuids = Vec::new();
    for system in systems {
        let node = json!({
            "name": format!("preset-{system}"), "driver": "redfish", "resource_class": "gold",
            "deploy_interface": "ramdisk", "boot_interface": "redfish-virtual-media", "automated_clean": true,
            "driver_info": {
                "redfish_address": at.podm, "redfish_system_id": format!("/redfish/v1/Systems/{system}"),
                "redfish_username": "admin", "redfish_password": BMC_PASSWORD, "redfish_verify_ca": false,
            },
            "properties": {"cpus": 8, "memory_mb": 16384, "local_gb": 100, "cpu_arch": "x86_64"},
        });
        uuids.push(world.beside(one_preset(&Ironic::at(&at.ironic), system, &node)));
    }
    world.presets.extend(uuids);
}

async fn one_preset(ironic: &Ironic, system: u32, node: &Value) -> String {
    let made = ironic.ask(Method::POST, "/v1/nodes", node).await;
    let uuid = made["uuid"].as_str().unwrap().to_owned();
    let mac = json!({"node_uuid": uuid, "address": format!("52:54:01:00:00:{system:02x}")});
    ironic.ask(Method::POST, "/v1/ports", &mac).await;
    ironic.verb(&uuid, "manage", "manageable").await;
    ironic.verb(&uuid, "provide", "available").await;
    uuid
}

/// Puts a system on a pre-set node that moganite knows nothing of.
pub(crate) fn deploy_by_hand(world: &World) {
    let ironic = Ironic::at(&world.sim.addresses().ironic);
    let uuid = world.presets.first().unwrap().clone();
    let image = json!([{"op": "add", "path": "/instance_info/boot_iso", "value": "http://images.example/old.iso"}]);
    world.beside(async {
        ironic.ask(Method::PATCH, &format!("/v1/nodes/{uuid}"), &image).await;
        ironic.verb(&uuid, "active", "active").await;
    });
    world.by_hand.borrow_mut().insert(uuid);
}

/// Takes away what was put there by hand, where it runs still.
pub(crate) fn undeploy_by_hand(world: &World) {
    let ironic = Ironic::at(&world.sim.addresses().ironic);
    for uuid in world.by_hand.take() {
        world.beside(async {
            if ironic.ask(Method::GET, &format!("/v1/nodes/{uuid}"), &Value::Null).await["provision_state"] == "active"
            {
                ironic.verb(&uuid, "deleted", "available").await;
            }
        });
    }
}

/// An operator's own hands in Ironic.
struct Ironic {
    at: String,
    client: reqwest::Client,
}

impl Ironic {
    fn at(ironic: &str) -> Self {
        Self { at: ironic.to_owned(), client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> Value {
        let request = self.client.request(method, format!("{}{path}", self.at));
        let request = request.header("x-openstack-ironic-api-version", "1.86");
        let request = if body.is_null() { request } else { request.json(body) };
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default()
    }

    /// Until the node is in this state and unlocked.
    async fn verb(&self, uuid: &str, verb: &str, state: &str) {
        self.ask(Method::PUT, &format!("/v1/nodes/{uuid}/states/provision"), &json!({"target": verb})).await;
        loop {
            let node = self.ask(Method::GET, &format!("/v1/nodes/{uuid}"), &Value::Null).await;
            if node["provision_state"] == state && node["reservation"].is_null() {
                return;
            }
        }
    }
}
