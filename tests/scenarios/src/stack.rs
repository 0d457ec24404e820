//! A service bound to the simulators: the backends `pod-a` and `ironic-1`, the flavor `small`, the image `cirros`.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::service::{Patience, Program, Service};
use crate::sim::Sim;

pub struct Stack {
    pub sim: Sim,
    pub service: Service,
    pub folder: TempDir,
    pub(crate) patience: Patience,
    pub(crate) program: Program,
}

/// What a scenario wants otherwise than usual.
pub struct Options<'a> {
    pub sim: &'a [&'a str],
    pub patience: Patience,
    /// What is started as the service.
    pub program: Program,
    /// Merged into the settings of `pod-a`.
    pub valence: Value,
    /// Merged into the settings of `ironic-1`.
    pub ironic: Value,
    /// What may be done about orphans without a person's word: `report` or `release`.
    pub sweep: &'a str,
    /// More words for `serve`, until a restart.
    pub serve: &'a [&'a str],
    /// The level of the flavor `small`.
    pub erase: &'a str,
    /// In place of the simulated Ironic.
    pub elsewhere: Option<Elsewhere>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            sim: &[],
            patience: Patience::default(),
            program: Program::default(),
            valence: Value::Null,
            ironic: Value::Null,
            sweep: "report",
            serve: &[],
            erase: "quick",
            elsewhere: None,
        }
    }
}

/// An Ironic that is not the simulator's, and how its machines are reached.
pub struct Elsewhere {
    pub ironic: String,
    pub bmc_address: String,
    pub boot_iso: String,
    /// http_basic: the password of Ironic's user `admin`.
    pub ironic_password: Option<String>,
    /// Tokens: where they are asked for, and the password of [`Options::ironic`]'s `keystone.user`.
    pub keystone: Option<(String, String)>,
    /// The certificates that are trusted for `ironic`, PEM.
    pub ca: Option<String>,
}

/// What the simulated BMCs let in: a canary that must be found in no row and no log.
pub const BMC_PASSWORD: &str = "bmc-canary-4711-secret";

impl Stack {
    pub async fn start() -> Result<Self> {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options<'_>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let state = folder.path().join("state");
        std::fs::create_dir(&state)?;
        let mut words = vec!["--bmc-password", BMC_PASSWORD];
        words.extend(options.sim);
        let sim = Sim::start(&words, folder.path()).await?;
        let program = options.program.clone();
        let service = Service::start_as(&program, &state, &crate::plugins(), options.patience, options.serve).await?;
        bind(&service, &sim, &options).await?;
        Ok(Self { sim, service, folder, patience: options.patience, program })
    }

    /// A second service on the same far sides, bound as this one was by these options: another site.
    pub async fn beside(&self, options: &Options<'_>) -> Result<Service> {
        let state = self.folder.path().join("beside");
        std::fs::create_dir(&state)?;
        let service = Service::start_with(&state, &crate::plugins(), options.patience, options.serve).await?;
        bind(&service, &self.sim, options).await?;
        Ok(service)
    }

    /// Ends the service as a power cut would and starts it again on the same state folder.
    pub async fn restart(mut self) -> Result<Self> {
        self.again(Vec::new()).await?;
        Ok(self)
    }

    /// The same in place, with these variables more in its environment. After an error no service runs.
    pub async fn again(&mut self, environment: Vec<(&'static str, String)>) -> Result<()> {
        self.service.end().await?;
        let mut program = self.program.clone();
        program.environment.extend(environment);
        let (state, plugins) = (self.service.state.clone(), crate::plugins());
        self.service = Service::start_as(&program, &state, &plugins, self.patience, &[]).await?;
        Ok(())
    }

    /// POST; answers the instance's id and its flow's.
    pub async fn create(&self, name: &str, flavor: &str) -> Result<(String, String)> {
        let order = json!({"name": name, "flavor": flavor, "image": "cirros"});
        let made = self.service.api.post("/v1/instances", &order).await?.ok()?;
        Ok((id(&made)?, text(&made, "flow")?))
    }

    /// DELETE; answers the delete flow's id.
    pub async fn delete(&self, instance: &str) -> Result<String> {
        let answer = self.service.api.delete(&format!("/v1/instances/{instance}")).await?.ok()?;
        text(&answer, "flow")
    }

    /// DELETE, and waits until it is gone.
    pub async fn delete_and_wait(&self, instance: &str) -> Result<()> {
        self.delete(instance).await?;
        self.service.instance_gone(instance).await
    }

    pub async fn put_flavor(&self, name: &str, shape: Value, erase: &str) -> Result<()> {
        put_flavor(&self.service, name, shape, erase).await
    }

    /// One line for each event of a flow.
    pub async fn timeline(&self, flow: &str) -> Result<Vec<String>> {
        let flow = self.service.api.get(&format!("/v1/flows/{flow}")).await?.ok()?;
        let words = ["direction", "task", "kind", "note"];
        let line = |event: &Value| words.map(|word| event[word].as_str().unwrap_or_default().to_owned()).join(" ");
        Ok(flow["events"].as_array().into_iter().flatten().map(line).collect())
    }

    /// What a test that waited in vain wants to read: the flows of an instance, their timelines, the end of the log.
    pub async fn story(&self, instance: &str) -> Result<String> {
        let flows = self.service.api.get("/v1/flows?limit=1000").await?.ok()?;
        let mut story = String::new();
        for flow in flows["items"].as_array().into_iter().flatten().filter(|flow| flow["instance"] == instance) {
            let flow = self.service.api.get(&format!("/v1/flows/{}", text(flow, "id")?)).await?.ok()?;
            writeln!(story, "{flow:#}")?;
        }
        let log = std::fs::read_to_string(self.folder.path().join("service.log"))?;
        let skipped = log.lines().count().saturating_sub(80);
        story.extend(log.lines().skip(skipped).flat_map(|line| [line, "\n"]));
        Ok(story)
    }

    /// Everything that the service and its database wrote, as bytes.
    pub fn written(&self) -> Result<Vec<u8>> {
        let mut all = std::fs::read(self.folder.path().join("service.log"))?;
        for file in std::fs::read_dir(&self.service.state)? {
            let path = file?.path();
            if path.is_file() {
                all.extend(std::fs::read(path)?);
            }
        }
        Ok(all)
    }
}

async fn bind(service: &Service, sim: &Sim, options: &Options<'_>) -> Result<()> {
    let api = &service.api;
    api.put("/v1/secrets/bmc-password", &json!({"value": BMC_PASSWORD})).await?.ok()?;
    let simulated = Elsewhere {
        ironic: sim.ironic.clone(),
        bmc_address: sim.podm.clone(),
        boot_iso: "http://images.example/cirros.iso".into(),
        ironic_password: None,
        keystone: None,
        ca: None,
    };
    let Elsewhere { ironic: ironic_url, bmc_address, boot_iso, ironic_password, keystone, ca } =
        options.elsewhere.as_ref().unwrap_or(&simulated);
    let valence = json!({
        "plugin": service.digest("valence-redfish").await?,
        "endpoints": {"valence": {"url": sim.valence}},
        "settings": merged(json!({"settle_s": 2, "gone_within_s": 1}), &options.valence),
        "access": {"address": bmc_address, "username": "admin", "password_secret": "bmc-password"},
        "sweep": options.sweep,
    });
    api.put("/v1/backends/pod-a", &valence).await?.ok().context("binding pod-a")?;
    let mut auth = json!("none");
    if let Some(password) = ironic_password {
        api.put("/v1/secrets/ironic-password", &json!({"value": password})).await?.ok()?;
        auth = json!({"basic": {"username": "admin", "password_secret": "ironic-password"}});
    }
    let places = ["bmc-address", "bmc-username", "bmc-password"];
    let mut endpoints = json!({"ironic": {"url": ironic_url, "auth": auth, "tls": {"ca": ca}}});
    let mut grants = places.map(|place| json!({"place": place, "of": "pod-a"})).to_vec();
    if let Some((url, password)) = keystone {
        api.put("/v1/secrets/keystone-password", &json!({"value": password})).await?.ok()?;
        endpoints["keystone"] = json!({"url": url});
        grants.push(json!({"place": "keystone-password", "secret": "keystone-password"}));
        grants.push(json!({"place": "token"}));
    }
    let ironic = json!({
        "plugin": service.digest("ironic").await?,
        "endpoints": endpoints,
        "settings": merged(ironic_settings(), &options.ironic),
        "grants": grants,
        "sweep": options.sweep,
    });
    api.put("/v1/backends/ironic-1", &ironic).await?.ok().context("binding ironic-1")?;
    let image = json!({"name": "cirros", "backends": {"ironic-1": {"boot_iso": boot_iso}}});
    api.put("/v1/images/cirros", &image).await?.ok()?;
    put_flavor(service, "small", json!({"cores": 4, "memory_mib": 8192}), options.erase).await
}
async fn put_flavor(service: &Service, name: &str, shape: Value, erase: &str) -> Result<()> {
    let flavor = json!({
        "name": name, "shape": shape, "erase": erase,
        "route": {"compose": ["pod-a"], "enroll": ["ironic-1"], "deploy": ["ironic-1"]},
    });
    service.api.put(&format!("/v1/flavors/{name}"), &flavor).await?.ok().map(drop)
}

/// As the Redfish emulator needs them.
fn ironic_settings() -> Value {
    json!({
        "deploy_interface": "ramdisk", "boot_interface": "redfish-virtual-media", "bios_interface": "no-bios",
        "firmware_interface": "no-firmware", "raid_interface": "no-raid", "vendor_interface": "no-vendor",
        "redfish_verify_ca": false, "automated_clean": true, "erases": "quick", "configdrive": false, "poll_ms": 50, "settle_ms": 500,
    })
}

fn merged(mut settings: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().into_iter().flatten() {
        settings[key] = value.clone();
    }
    settings
}

fn id(made: &Value) -> Result<String> {
    text(made, "id")
}

fn text(body: &Value, field: &str) -> Result<String> {
    body[field].as_str().map(str::to_owned).with_context(|| format!("no {field} in {body}"))
}
