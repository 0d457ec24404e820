//! Pre-set servers, as an operator enrolled them himself: in Ironic, available, of one resource class.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::clock::until;
use crate::http::Http;
use crate::stack::{BMC_PASSWORD, Stack};

/// What their names begin with, so that they are not taken for what was left behind.
pub(crate) const PREFIX: &str = "preset-";

impl Stack {
    /// Enrolls these systems of the simulated pool as pre-set servers of class `gold`; answers their uuids.
    pub async fn preset(&self, systems: std::ops::Range<u32>) -> Result<Vec<String>> {
        let ironic = Http::to(&self.sim.ironic)?.always("x-openstack-ironic-api-version", "1.86");
        let mut nodes = Vec::new();
        for system in systems {
            let node = json!({
                "name": format!("{PREFIX}{system}"), "driver": "redfish", "resource_class": "gold",
                "deploy_interface": "ramdisk", "boot_interface": "redfish-virtual-media", "automated_clean": true,
                "driver_info": {
                    "redfish_address": self.sim.podm, "redfish_system_id": format!("/redfish/v1/Systems/{system}"),
                    "redfish_username": "admin", "redfish_password": BMC_PASSWORD, "redfish_verify_ca": false,
                },
                "properties": {"cpus": 8, "memory_mb": 16384, "local_gb": 100, "cpu_arch": "x86_64"},
            });
            let made = ironic.post("/v1/nodes", &node).await?.ok()?;
            let uuid = made["uuid"].as_str().context("a node without uuid")?.to_owned();
            let mac = json!({"node_uuid": uuid, "address": format!("52:54:01:00:00:{system:02x}")});
            ironic.post("/v1/ports", &mac).await?.ok()?;
            for (verb, state) in [("manage", "manageable"), ("provide", "available")] {
                ironic.put(&format!("/v1/nodes/{uuid}/states/provision"), &json!({"target": verb})).await?.ok()?;
                until(state, Duration::from_secs(10), async || {
                    let node = ironic.get(&format!("/v1/nodes/{uuid}")).await?.ok()?;
                    let there = node["provision_state"] == state && node["reservation"] == Value::Null;
                    Ok(there.then_some(()))
                })
                .await?;
            }
            nodes.push(uuid);
        }
        Ok(nodes)
    }

    /// A flavor of class `gold`, with or without a composer behind it.
    pub async fn put_preset_flavor(&self, name: &str, falls_back: bool) -> Result<()> {
        let mut route = json!({"claim": ["ironic-1"], "deploy": ["ironic-1"]});
        if falls_back {
            route["compose"] = json!(["pod-a"]);
            route["enroll"] = json!(["ironic-1"]);
        }
        let shape = json!({"cores": 4, "memory_mib": 8192, "class": (!falls_back).then_some("gold")});
        let flavor = json!({"name": name, "shape": shape, "route": route, "erase": "quick"});
        self.service.api.put(&format!("/v1/flavors/{name}"), &flavor).await?.ok().map(drop)
    }
}
