//! Systems and racks as Valence tells them. The release's Redfish driver answers `null` to both.

use serde_json::{Value, json};

use super::ok;
use crate::call::Answer;
use crate::machine::Machine;
use crate::options::Dialect;
use crate::podm::pool::MODEL;
use crate::world::World;

/// An array, also for one id; empty when the id is unknown.
pub(super) fn systems(world: &World, dialect: Dialect, rest: &[&str]) -> Answer {
    if dialect == Dialect::Release {
        return ok(&Value::Null);
    }
    let state = world.state();
    let wanted = state.pooled().filter(|machine| rest.first().is_none_or(|id| machine.id == *id));
    ok(&wanted.map(system).collect())
}

pub(super) fn racks(dialect: Dialect) -> Answer {
    match dialect {
        Dialect::Tree2017 => ok(&json!([])),
        Dialect::Release => ok(&Value::Null),
    }
}

/// All numbers are strings; `ram` and `storage` are GiB, `network` counts interfaces.
fn system(machine: &Machine) -> Value {
    let storage: u64 = machine.disks.iter().map(|disk| disk.gib).sum();
    json!({
        "id": machine.id, "uuid": machine.uuid, "Name": format!("System {}", machine.id), "Description": "", "health": "OK",
        "location": format!("Systems:{}_Rack:Rack1_", machine.id),
        "cpu": {"cores": machine.cores.to_string(), "arch": "x86-64", "model": MODEL},
        "ram": (machine.memory_mib / 1024).to_string(), "storage": storage.to_string(), "network": machine.macs.len().to_string(),
    })
}
