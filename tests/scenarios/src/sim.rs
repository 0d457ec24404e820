//! The simulators in a process of their own, with their ledger and their fault switches.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::http::Http;
use crate::process::{Process, binary};

pub struct Sim {
    _process: Process,
    pub valence: String,
    pub podm: String,
    pub ironic: String,
    pub cloudboot: String,
    pub control: Http,
}

impl Sim {
    pub async fn start(arguments: &[&str], folder: &Path) -> Result<Self> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let mut process = Process::spawn(&binary("moganite-sim")?, &arguments, &[], &folder.join("sim.log"))?;
        let ready: Value = serde_json::from_str(&process.line().await?)?;
        let address =
            |side: &str| ready[side].as_str().map(str::to_owned).with_context(|| format!("no address of {side}"));
        Ok(Self {
            valence: address("valence")?,
            podm: address("podm")?,
            ironic: address("ironic")?,
            cloudboot: address("cloudboot")?,
            control: Http::to(address("control")?)?,
            _process: process,
        })
    }

    /// What was made, given back and is held, from the simulated world's own truth.
    pub async fn ledger(&self) -> Result<Value> {
        self.control.get("/ledger").await?.ok()
    }

    /// Requests that the far sides saw, after number `after`.
    pub async fn log(&self, after: u64) -> Result<Vec<Value>> {
        let log = self.control.get(&format!("/log?after={after}")).await?.ok()?;
        Ok(log["entries"].as_array().cloned().unwrap_or_default())
    }

    pub async fn fault(&self, fault: Value) -> Result<()> {
        self.control.put("/faults", &fault).await?.ok().map(drop)
    }

    /// Every far side dies, and is back after so long.
    pub async fn outage(&self, time: Duration) -> Result<()> {
        self.control.put("/outage", &json!({"ms": time.as_millis()})).await?.ok().map(drop)
    }

    pub async fn no_faults(&self) -> Result<()> {
        self.control.delete("/faults").await?.ok().map(drop)
    }

    /// One line for each thing that is left on a far side: held nodes, records, running machines, data, alarms.
    pub async fn left_behind(&self) -> Result<Vec<String>> {
        let ledger = self.ledger().await?;
        let mut left = Vec::new();
        for (place, word) in [
            ("/pod/held", "the pod manager holds"),
            ("/valence/records", "Valence has a record of"),
            ("/ironic/held", "Ironic holds"),
            ("/cloudboot/held", "CloudBoot holds"),
            ("/cloudboot/lost", "CloudBoot lost"),
            ("/pod/reserved", "reserved for nobody: block"),
            ("/machines/running", "a machine runs:"),
            ("/cloudboot/running", "a server of CloudBoot runs:"),
            ("/machines/data", "data is left:"),
            ("/alarms", "alarm:"),
        ] {
            for item in ledger.pointer(place).and_then(Value::as_array).into_iter().flatten() {
                if !is_free_preset(item) {
                    left.push(format!("{word} {}", short(item)));
                }
            }
        }
        Ok(left)
    }

    /// `(made, given back)` of a side, `pod` or `ironic`.
    pub async fn made(&self, side: &str) -> Result<(u64, u64)> {
        let ledger = self.ledger().await?;
        let count = |word: &str| ledger[side][word].as_u64().unwrap_or_default();
        Ok((count("made"), count("given_back")))
    }
}

/// What the operator enrolled himself, and nobody claims.
fn is_free_preset(item: &Value) -> bool {
    let name = item["name"].as_str().unwrap_or_default();
    name.starts_with(crate::preset::PREFIX) && item["instance_uuid"] == Value::Null
}

fn short(item: &Value) -> String {
    match item {
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let picked = ["name", "system", "state", "provision_state", "disk", "owner"];
            let words: Vec<_> = picked.iter().filter_map(|key| fields.get(*key).and_then(Value::as_str)).collect();
            words.join(" ")
        }
        other => json!(other).to_string(),
    }
}
