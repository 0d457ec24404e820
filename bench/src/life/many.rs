//! Many lives at once on the simulators, whose log says what was asked of them and when a machine was turned on. All times are the
//! log's, in milliseconds since the simulators began.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use scenarios::{Options, Patience, Sim, Stack};
use serde_json::{Value, json};

use super::figures;
use super::lives::{self, Order};
use crate::clock::{Moment, pause};
use crate::figures::{Figures, quantile};

const ORDER: Order = Order { flavor: "small", image: "cirros" };

/// How long the simulated Ironic keeps a node's lock after its state changed; given to it.
const LOCK_MS: u32 = 100;

/// How much longer the simulated Ironic deploys one node than another: more than twice the longest pause between two looks, so that the
/// ends fall anywhere between them.
const SPREAD_MS: u32 = 40_000;

/// How often so many nodes in deployment are looked at, and how late the end of each is seen. Nothing of the service or its drivers is
/// quicker than an operator has it.
pub(super) async fn measure(nodes: u32, deploy_s: u32) -> Result<Figures> {
    let [deploy_ms, spread_ms, lock_ms] = [deploy_s * 1_000, SPREAD_MS, LOCK_MS].map(|ms| ms.to_string());
    let slow = ["--deploy-ms", &deploy_ms, "--deploy-spread-ms", &spread_ms, "--lock-ms", &lock_ms];
    let systems = nodes.to_string();
    let sim: Vec<&str> = ["--systems", &systems, "--assemble-ms", "0"].into_iter().chain(slow).collect();
    let ironic = json!({"poll_ms": 1_000, "inspect": false});
    let valence = json!({"settle_s": 1_000, "gone_within_s": 60});
    let options = Options { sim: &sim, ironic, valence, patience: Patience::usual(), ..Options::default() };
    let stack = Stack::with(options).await?;
    let begun = Moment::now();
    for n in 0..nodes {
        lives::create(&stack.service.api, ORDER, &format!("life-{n}")).await?;
    }
    let mut log = Log::default();
    while log.noticed()?.len() < nodes as usize {
        ensure!(begun.seconds() < f64::from(deploy_s + SPREAD_MS / 1_000) + 600.0, "not all of {nodes} are active yet");
        pause(2.0).await;
        log.read(&stack.sim).await?;
    }
    let asked: Vec<f64> = log.deployments().map(at_ms).collect();
    let from = asked.iter().copied().fold(f64::MIN, f64::max);
    let to = asked.iter().copied().fold(f64::MAX, f64::min) + f64::from(deploy_s) * 1e3;
    ensure!(to > from + 5e3, "the first deployment ended before all had begun, {:.0} s late", (from - to) / 1e3);
    let requests = log.0.iter().filter(|entry| entry["side"] == "ironic" && (from..to).contains(&at_ms(entry)));
    let late: Vec<f64> = log.noticed()?.into_values().map(|ms| ms / 1e3).collect();
    Ok(figures([
        ("nodes", f64::from(nodes)),
        ("deploy_s", f64::from(deploy_s)),
        ("window_s", (to - from) / 1e3),
        ("requests_per_s", requests.count() as f64 / (to - from) * 1e3),
        ("noticed_p50_s", quantile(late.clone(), 0.5)),
        ("noticed_p99_s", quantile(late, 0.99)),
    ]))
}

/// Whole lives on simulators that answer at once: what the requests to far sides add to the service's own work.
pub(super) async fn headroom(clients: u32, seconds: f64) -> Result<Figures> {
    let systems = (clients + 8).to_string();
    let at_once = ["--assemble-ms", "0", "--step-ms", "0", "--deploy-ms", "0", "--lock-ms", "0"];
    let sim: Vec<&str> = ["--systems", &systems].into_iter().chain(at_once).collect();
    let patience = Patience { longest_wait: std::time::Duration::from_millis(1), ..Patience::usual() };
    let options = Options { sim: &sim, ironic: json!({"inspect": false}), patience, ..Options::default() };
    let stack = Stack::with(options).await?;
    let before = last(&stack.sim).await?;
    let mut figures = lives::by(&stack.service, ORDER, clients, seconds).await?;
    let lives = figures.get("lives").copied().context("no lives")? + f64::from(lives::BESIDE);
    figures.insert("requests".into(), (last(&stack.sim).await? - before) / lives);
    Ok(figures)
}

/// The number of the last request that a far side got.
async fn last(sim: &Sim) -> Result<f64> {
    let log = sim.log(0).await?;
    Ok(log.last().and_then(|entry| entry["n"].as_f64()).unwrap_or_default())
}

/// What the far sides were asked, in the order of arrival.
#[derive(Default)]
struct Log(Vec<Value>);

impl Log {
    /// The simulators forget what is old, so it is read as it grows.
    async fn read(&mut self, sim: &Sim) -> Result<()> {
        let after = self.0.last().and_then(|entry| entry["n"].as_u64()).unwrap_or_default();
        self.0.extend(sim.log(after).await?);
        Ok(())
    }

    /// The requests that began a deployment.
    fn deployments(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(|entry| entry["method"] == "PUT" && entry["body"]["target"] == "active")
    }

    /// Milliseconds from the end of each deployment, when Ironic gave the node's lock back, to the look that showed it; by node. A look
    /// is a read of this node or a list of nodes.
    fn noticed(&self) -> Result<HashMap<String, f64>> {
        let mut done = HashMap::new();
        let mut nodes = HashMap::new();
        let mut noticed = HashMap::new();
        for entry in &self.0 {
            let path = entry["path"].as_str().unwrap_or_default();
            let is = |side: &str, method: &str| entry["side"] == side && entry["method"] == method;
            if is("ironic", "POST") && path == "/v1/nodes" {
                let system = lives::text(&entry["body"]["driver_info"], "redfish_system_id")?;
                nodes.insert(system, lives::text(&entry["body"], "uuid")?);
            } else if is("podm", "POST") && entry["body"]["ResetType"] == "On" {
                let system = path.split("/Actions/").next().unwrap_or_default();
                if let Some(node) = nodes.get(system) {
                    done.insert(node.clone(), at_ms(entry) + f64::from(LOCK_MS));
                }
            } else if is("ironic", "GET") && path.starts_with("/v1/nodes") {
                let lists = path == "/v1/nodes";
                let shown: Vec<String> =
                    done.keys().filter(|node| lists || path.contains(node.as_str())).cloned().collect();
                for node in shown {
                    let late = done.get(&node).map(|done| at_ms(entry) - done).filter(|late| *late >= 0.0);
                    if let Some(late) = late {
                        done.remove(&node);
                        noticed.insert(node, late);
                    }
                }
            }
        }
        Ok(noticed)
    }
}

fn at_ms(entry: &Value) -> f64 {
    entry["at_ms"].as_f64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_noticed_by_the_first_look_after_it_at_the_node_or_at_a_list() {
        let entry = |at: u32, side: &str, method: &str, path: &str, body: Value| json!({"at_ms": at, "side": side, "method": method, "path": path, "body": body});
        let node = |uuid: &str, system: &str| {
            let body = json!({"uuid": uuid, "driver_info": {"redfish_system_id": system}});
            entry(1, "ironic", "POST", "/v1/nodes", body)
        };
        let on = |at, system: &str| {
            let path = format!("{system}/Actions/ComputerSystem.Reset");
            entry(at, "podm", "POST", &path, json!({"ResetType": "On"}))
        };
        let log = Log(vec![
            node("a", "/Systems/1"),
            node("b", "/Systems/2"),
            on(1_000, "/Systems/1"),
            on(2_000, "/Systems/2"),
            // Still locked.
            entry(1_050, "ironic", "GET", "/v1/nodes/a", Value::Null),
            entry(3_100, "ironic", "GET", "/v1/nodes/a", Value::Null),
            entry(4_100, "ironic", "GET", "/v1/nodes", Value::Null),
        ]);
        assert_eq!(log.noticed().unwrap(), HashMap::from([("a".into(), 2_000.0), ("b".into(), 2_000.0)]));
    }
}
