//! What is true is asked of the simulators' own ledger, and never of a driver.

use anyhow::Result;
use serde_json::Value;

use crate::lane::Lane;
use crate::scenario::How;

/// Why the machine of an instance that reads `active` is not what the word says.
pub(crate) fn not_running(ledger: &Value, how: How) -> Vec<String> {
    let list = |place: &str| ledger.pointer(place).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut wrong = Vec::new();
    let mut expect = |what: &str, found: usize, wanted: usize| {
        if found != wanted {
            wrong.push(format!("active, and yet {what}: {found}, not {wanted}: {ledger}"));
        }
    };
    let composed = usize::from(!how.is_claimed());
    expect("nodes that the pool lent", list("/pod/held").len(), composed);
    if how == How::Discovered {
        let there = list("/cloudboot/held");
        expect("servers that CloudBoot lent", there.len(), 1);
        let installed = there.iter().filter(|device| device["status"] == "success").count();
        expect("servers that CloudBoot installed", installed, 1);
        expect("servers that run", list("/cloudboot/running").len(), 1);
        return wrong;
    }
    let nodes = list("/ironic/held");
    let deployed: Vec<_> = nodes.iter().filter(|node| node["provision_state"] == "active").collect();
    expect("nodes that Ironic deployed", deployed.len(), 1);
    let running = list("/machines/running");
    expect("machines that run", running.len(), 1);
    let same = deployed.first().is_some_and(|node| running.first() == Some(&node["system"]));
    expect("machines that run and are deployed", usize::from(same), 1);
    wrong
}

/// What runs although its instance is gone.
pub(crate) fn running(ledger: &Value) -> Vec<String> {
    let places = ["/machines/running", "/cloudboot/running"];
    let lists = places.iter().filter_map(|place| ledger.pointer(place).and_then(Value::as_array));
    lists.flatten().map(|machine| format!("gone, and yet {machine} runs")).collect()
}

/// What is held for nobody: by the far sides, and in moganite's own ledger.
pub(crate) async fn held(lane: &Lane) -> Result<Vec<String>> {
    let left = lane.stack.sim.left_behind().await?;
    // Alarms stay for ever and are counted by themselves.
    let mut left: Vec<_> = left.into_iter().filter(|line| !line.starts_with("alarm:")).collect();
    for (path, what) in [("/v1/holdings", "moganite's ledger has"), ("/v1/instances", "there is an instance")] {
        let list = lane.api().get(path).await?.ok()?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let failed = |item: &Value| item["state"] == "failed" && path == "/v1/instances";
        left.extend(items.iter().filter(|item| !failed(item)).map(|item| format!("{what} {item}")));
    }
    Ok(left)
}
