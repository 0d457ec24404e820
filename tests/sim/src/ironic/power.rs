//! `PUT states/power`: 202 in any provision state, repeatable; the machine is asked afterwards, under the node's lock.

use std::sync::Arc;

use super::bmc::Bmc;
use super::history::note;
use super::{Answered, accepted, base, errors, nodes};
use crate::call::Call;
use crate::world::World;

/// Target, Redfish's word, and the state it ends in.
const TARGETS: [(&str, &str, &str); 5] = [
    ("power on", "On", "power on"),
    ("power off", "ForceOff", "power off"),
    ("rebooting", "ForceRestart", "power on"),
    ("soft power off", "GracefulShutdown", "power off"),
    ("soft rebooting", "GracefulRestart", "power on"),
];

pub(super) fn put(world: &Arc<World>, call: &Call, uuid: &str) -> Answered {
    let body = call.json();
    let wanted = body["target"].as_str().unwrap_or_default();
    let target = TARGETS.into_iter().find(|(target, ..)| *target == wanted);
    let (target, reset, end) =
        target.ok_or_else(|| errors::bad_request(&format!("Invalid power state \"{wanted}\"")))?;
    let mut state = world.state();
    let node = nodes::unlocked(world, &mut state, call, uuid)?;
    node.locked = true;
    node.target_power = Some(end);
    node.last_error = None;
    tokio::spawn(switch(world.clone(), uuid.to_owned(), target, reset, end));
    Ok(accepted(&format!("{}/v1/nodes/{uuid}/states", base(world))))
}

async fn switch(world: Arc<World>, uuid: String, target: &'static str, reset: &'static str, end: &'static str) {
    world.clock.sleep(world.options.step_ms).await;
    let bmc = world.state().ironic.node(&uuid).map(Bmc::of);
    let done = match bmc {
        Some(Ok(bmc)) => bmc.set_power(&world, reset).await,
        Some(Err(reason)) => Err(reason),
        None => return,
    };
    if let Some(node) = world.state().ironic.node_mut(&uuid) {
        node.target_power = None;
        match done {
            Ok(()) => node.power_on = Some(end == "power on"),
            Err(reason) => {
                let sentence = format!("Failed to change power state to '{target}': {reason}");
                note(&world, node, "UNKNOWN", &sentence);
                node.last_error = Some(sentence);
            }
        }
    }
    world.clock.sleep(world.options.lock_ms).await;
    if let Some(node) = world.state().ironic.node_mut(&uuid) {
        node.locked = false;
    }
}
