//! moganite, its plugins and the simulated pod manager, on a real Ironic and a real Redfish emulator.

use std::time::Duration;

use real::{Auth, RealIronic, Tap};
use scenarios::{BMC_PASSWORD, Elsewhere, Options, Stack};
use serde_json::{Value, json};

/// A real Ironic takes its time on two busy cores.
const A_LIFE: Duration = Duration::from_secs(300);

pub(crate) struct World {
    pub(crate) ironic: RealIronic,
    pub(crate) tap: Tap,
    pub(crate) stack: Stack,
}

impl World {
    /// What is composed is one of the emulator's four systems.
    pub(crate) async fn start(options: real::Options) -> Self {
        Self::behind(options, |_| None).await
    }

    /// With something in front of Ironic: `front` gets the address and answers another one, and whom to trust there.
    pub(crate) async fn behind(options: real::Options, front: impl FnOnce(&str) -> Option<(String, String)>) -> Self {
        let options = real::Options { systems: 4, bmc_password: BMC_PASSWORD.into(), ..options };
        let ironic_password = (options.auth == Auth::Basic).then(|| options.ironic_password.clone());
        let ironic = RealIronic::start(options).await.unwrap();
        let tap = Tap::start(&ironic.ironic_url).unwrap();
        let (url, ca) = front(&tap.url()).map_or((tap.url(), None), |(url, ca)| (url, Some(ca)));
        let elsewhere = Elsewhere {
            ironic: url,
            ca,
            bmc_address: ironic.redfish_url.clone(),
            boot_iso: ironic.boot_iso_url.clone(),
            ironic_password,
            keystone: ironic.keystone.as_ref().map(|keystone| (keystone.url.clone(), keystone.password.clone())),
        };
        // The emulator's systems have no processors to inspect, and its host no tool to make a config drive.
        let mut settings = json!({"inspect": false, "automated_clean": false, "erases": "none", "poll_ms": 300});
        if let Some(keystone) = &ironic.keystone {
            settings["auth"] = json!("keystone");
            settings["keystone"] = json!({"user": keystone.user, "project": keystone.project});
        }
        let sim = ["--systems", "4", "--emulated-systems"];
        let options =
            Options { erase: "none", sim: &sim, ironic: settings, elsewhere: Some(elsewhere), ..Options::default() };
        Self { stack: Stack::with(options).await.unwrap(), ironic, tap }
    }

    /// Ironic's own list.
    pub(crate) async fn nodes(&self) -> Vec<Value> {
        let fields = "uuid,name,provision_state,power_state,instance_uuid,driver_info";
        let list = self.ironic.ironic_get(&format!("/v1/nodes?fields={fields}")).await.unwrap();
        list["nodes"].as_array().unwrap().clone()
    }

    pub(crate) async fn create(&self, name: &str, flavor: &str) -> String {
        self.stack.create(name, flavor).await.unwrap().0
    }

    /// The instance when it is not `creating` any more.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        let path = format!("/v1/instances/{id}");
        let ended = scenarios::until("the end of a create", A_LIFE, async || {
            let instance = self.stack.service.api.get(&path).await?.ok()?;
            Ok(Some(instance).filter(|instance| instance["state"] != "creating"))
        });
        match ended.await {
            Ok(instance) => instance,
            Err(error) => panic!("{error:#}: {}", self.stack.story(id).await.unwrap()),
        }
    }

    /// Returns when a deleted instance is gone and nothing of it is owed any more.
    pub(crate) async fn gone(&self, id: &str) {
        let path = format!("/v1/instances/{id}");
        let gone = scenarios::until("the end of a delete", A_LIFE, async || {
            let gone = self.stack.service.api.get(&path).await?.status == 404;
            Ok((gone && self.stack.service.running_flows(id).await?.is_empty()).then_some(()))
        });
        if let Err(error) = gone.await {
            panic!("{error:#}: {}", self.stack.story(id).await.unwrap());
        }
    }

    /// Every machine is off, nothing is composed, and Ironic has no node but `preset` ones, unclaimed.
    pub(crate) async fn nothing_left(&self, preset: usize) {
        let nodes = self.nodes().await;
        assert_eq!(nodes.len(), preset, "{nodes:?}");
        assert!(nodes.iter().all(|node| node["instance_uuid"] == Value::Null), "{nodes:?}");
        assert_eq!(self.stack.sim.left_behind().await.unwrap(), Vec::<String>::new());
        for system in 1..=4 {
            assert_eq!(self.ironic.redfish_system(system).await.unwrap()["PowerState"], "Off");
        }
    }
}
