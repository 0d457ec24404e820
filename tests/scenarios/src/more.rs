//! More backends for a stack: CloudBoot, and a composition service that is spoken to directly.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::stack::Stack;

/// What the simulated CloudBoot lets in.
const CLOUDBOOT_PASSWORD: &str = "cloudboot-secret-password";

impl Stack {
    /// The backend `cb-1`, the image `linux` and the flavor `discovered`: a server that CloudBoot discovered.
    pub async fn cloudboot(&self, settings: &Value) -> Result<()> {
        let api = &self.service.api;
        api.put("/v1/secrets/cloudboot-password", &json!({"value": CLOUDBOOT_PASSWORD})).await?.ok()?;
        let mut all = json!({
            "network": "10.9.0.0/24", "poll_ms": 50, "settle_ms": 500, "claim_settle_ms": 50, "bmc": {"username": "admin"},
        });
        for (key, value) in settings.as_object().into_iter().flatten() {
            all[key] = value.clone();
        }
        let backend = json!({
            "plugin": self.service.digest("cloudboot").await?,
            "endpoints": {"cloudboot": {"url": self.sim.cloudboot}},
            "settings": all,
            "grants": [
                {"place": "login-password", "secret": "cloudboot-password"},
                {"place": "token"},
                {"place": "bmc-password", "secret": "bmc-password"},
            ],
        });
        api.put("/v1/backends/cb-1", &backend).await?.ok().context("binding cb-1")?;
        let image = json!({"name": "linux", "backends": {"cb-1": {"os": "centos6u7-x86_64", "system": "centos6u7-x86_64-kvm"}}});
        api.put("/v1/images/linux", &image).await?.ok()?;
        let route = json!({"claim": ["cb-1"], "deploy": ["cb-1"]});
        let flavor = json!({"name": "discovered", "shape": {"cores": 2}, "route": route, "erase": "none"});
        api.put("/v1/flavors/discovered", &flavor).await?.ok().map(drop)
    }

    /// The backend `pod-r` and the flavor `with-disk`: the pod manager's own composition service, disks included.
    pub async fn redfish(&self) -> Result<()> {
        let api = &self.service.api;
        let login = json!({"basic": {"username": "admin", "password_secret": "bmc-password"}});
        let backend = json!({
            "plugin": self.service.digest("valence-redfish").await?,
            "endpoints": {"redfish": {"url": self.sim.podm, "auth": login}},
            "settings": {"dialect": "redfish", "settle_s": 2, "gone_within_s": 1},
            "access": {"address": self.sim.podm, "username": "admin", "password_secret": "bmc-password"},
        });
        api.put("/v1/backends/pod-r", &backend).await?.ok().context("binding pod-r")?;
        let ironic = api.get("/v1/backends/ironic-1").await?.ok()?;
        let mut grants = ironic["grants"].as_array().cloned().unwrap_or_default();
        let more = ["bmc-address", "bmc-username", "bmc-password"].map(|place| json!({"place": place, "of": "pod-r"}));
        grants.extend(more);
        let changed = json!({
            "plugin": ironic["digest"], "endpoints": ironic["endpoints"], "settings": ironic["settings"], "grants": grants,
        });
        let any = api.clone().always("if-match", "*");
        any.put("/v1/backends/ironic-1", &changed).await?.ok().context("granting ironic-1 the access of pod-r")?;
        let shape = json!({"cores": 2, "memory_mib": 4096, "disks_gib": [50]});
        let route = json!({"compose": ["pod-r"], "enroll": ["ironic-1"], "deploy": ["ironic-1"]});
        let flavor = json!({"name": "with-disk", "shape": shape, "route": route, "erase": "quick"});
        api.put("/v1/flavors/with-disk", &flavor).await?.ok().map(drop)
    }

    /// POST with another image than `cirros`.
    pub async fn create_from(&self, name: &str, flavor: &str, image: &str) -> Result<String> {
        let order = json!({"name": name, "flavor": flavor, "image": image});
        let made = self.service.api.post("/v1/instances", &order).await?.ok()?;
        made["id"].as_str().map(str::to_owned).context("no id")
    }
}
