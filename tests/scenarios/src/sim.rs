//! The simulators in a process of their own, with their ledger and their fault switches.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use canary::Canaries;
use serde_json::{Value, json};

use crate::http::Http;
use crate::process::{Process, binary};
use crate::stack::BMC_PASSWORD;

pub struct Sim {
    _process: Process,
    pub valence: String,
    pub podm: String,
    pub ironic: String,
    pub cloudboot: String,
    pub control: Http,
    strays: Strays,
}

/// Secrets that a far side got out of their place, and up to which request of its log that was looked for.
pub(crate) struct Strays {
    canaries: Canaries,
    read: AtomicU64,
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
            strays: Strays::of("the BMC's password", BMC_PASSWORD),
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
        self.strays.look(&self.log(self.strays.read.load(Ordering::Relaxed)).await?);
        left.extend(self.strays.canaries.seen());
        Ok(left)
    }

    /// `(made, given back)` of a side, `pod` or `ironic`.
    pub async fn made(&self, side: &str) -> Result<(u64, u64)> {
        let ledger = self.ledger().await?;
        let count = |word: &str| ledger[side][word].as_u64().unwrap_or_default();
        Ok((count("made"), count("given_back")))
    }
}

impl Strays {
    pub(crate) fn of(name: &str, secret: &str) -> Self {
        Self { canaries: Canaries::of(&[(name, secret)]), read: AtomicU64::new(0) }
    }

    /// Its places are what Ironic is told of a node, when it is created and when it is changed, and what CloudBoot needs to reach one.
    fn look(&self, log: &[Value]) {
        for entry in log {
            let mut rest = entry.clone();
            if let Some(password) = rest.pointer_mut("/body/driver_info/redfish_password") {
                password.take();
            }
            let of_device = entry["path"].as_str().is_some_and(|path| path.starts_with("/api/osinstall/v1/device/"));
            if let Some(password) = rest.pointer_mut("/body/0/Password").filter(|_| of_device) {
                password.take();
            }
            for change in rest["body"].as_array_mut().into_iter().flatten() {
                if change["path"] == "/driver_info/redfish_password" {
                    change["value"].take();
                }
            }
            let word = |key: &str| entry[key].as_str().unwrap_or_default();
            let place = format!("what {} got: {} {}", word("side"), word("method"), word("path"));
            self.canaries.scan(&place, rest.to_string().as_bytes());
            self.read.fetch_max(entry["n"].as_u64().unwrap_or_default(), Ordering::Relaxed);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_at_a_far_side_is_in_its_place_or_told() {
        let strays = Strays::of("the password", "canary-0815");
        let info = json!({"redfish_password": "canary-0815", "redfish_username": "admin"});
        let entry = |n: u64, method: &str, path: &str, body: Value| json!({"n": n, "side": "ironic", "method": method, "path": path, "body": body});
        let change = json!([{"op": "add", "path": "/driver_info/redfish_password", "value": "canary-0815"}]);
        strays.look(&[
            entry(1, "POST", "/v1/nodes", json!({"driver_info": info})),
            entry(2, "PATCH", "/v1/nodes/7", change),
        ]);
        assert_eq!((strays.canaries.seen(), strays.read.load(Ordering::Relaxed)), (Vec::new(), 2));
        strays.look(&[
            entry(3, "POST", "/v1/nodes", json!({"name": "canary-0815", "driver_info": info})),
            entry(4, "GET", "/v1/nodes?name=canary-0815", Value::Null),
        ]);
        assert_eq!(strays.canaries.seen().len(), 2, "{:?}", strays.canaries.seen());
    }
}
