//! Inspection over Redfish, as release 39.0.0 does it: memory_mb and local_gb (one less than the disk has) go to the properties as numbers,
//! cpu_arch too, but no cpus; all that was seen is in the inventory; each MAC without a port gets one.

use std::sync::Arc;

use serde_json::{Value, json};

use super::bmc::Bmc;
use super::ports::create_missing;
use super::version::Version;
use super::{Answered, errors, ok};
use crate::machine::Machine;
use crate::podm::pool::MODEL;
use crate::world::World;

/// The version that brought the inventory.
const SINCE: Version = Version(81);
/// Ironic overlooks disks below this, GiB.
const SMALLEST_DISK: u64 = 4;

pub(super) async fn inspect(world: &Arc<World>, uuid: &str, bmc: &Bmc) -> Result<(), String> {
    bmc.power(world).await?;
    if world.state().settings.inspect_fails {
        let reason = "HTTP GET .../Processors returned code 501. Base.1.0.GeneralError: Not Implemented";
        return Err(format!("Failed to inspect hardware of node {uuid}. Reason: {reason}"));
    }
    let mut state = world.state();
    let Some(machine) = bmc.system().and_then(|id| state.machine(id)) else { return Ok(()) };
    let (inventory, macs) = (inventory(machine), machine.macs.clone());
    let disk = machine.disks.iter().map(|disk| disk.gib).find(|gib| *gib >= SMALLEST_DISK).unwrap_or(1);
    let seen = [
        ("memory_mb", inventory["memory"]["physical_mb"].clone()),
        ("local_gb", json!(disk - 1)),
        ("cpu_arch", json!("x86_64")),
    ];
    if let Some(node) = state.ironic.node_mut(uuid) {
        if let Some(properties) = node.document["properties"].as_object_mut() {
            properties.extend(seen.map(|(key, value)| (key.to_owned(), value)));
        }
        node.inventory = Some(inventory);
    }
    create_missing(world, &mut state, uuid, &macs);
    Ok(())
}

/// `GET /v1/nodes/{n}/inventory`: 404 until an inspection succeeded.
pub(super) fn answer(world: &World, version: Version, uuid: &str) -> Answered {
    let state = world.state();
    let inventory = state.ironic.node(uuid).and_then(|node| node.inventory.as_ref()).filter(|_| version >= SINCE);
    match inventory {
        Some(inventory) => Ok(ok(&json!({"inventory": inventory, "plugin_data": {}}))),
        None => Err(errors::not_found(&format!("Node inventory record for node {uuid} could not be found."))),
    }
}

fn inventory(machine: &Machine) -> Value {
    let disk =
        |disk: &crate::machine::Disk| json!({"name": disk.serial, "size": disk.gib << 30, "serial": disk.serial});
    let interface =
        |(at, mac): (usize, &String)| json!({"mac_address": mac, "name": (at + 1).to_string(), "speed_mbps": 10_000});
    json!({
        "cpu": {"count": machine.cores, "architecture": "x86_64", "model_name": MODEL, "frequency": 3_700},
        // Redfish tells whole GiB.
        "memory": {"physical_mb": machine.memory_mib / 1024 * 1024},
        "disks": machine.disks.iter().map(disk).collect::<Vec<_>>(),
        "interfaces": machine.macs.iter().enumerate().map(interface).collect::<Vec<_>>(),
        "system_vendor": {"product_name": "System", "serial_number": machine.serial, "manufacturer": "moganite-sim", "system_uuid": machine.uuid},
        "boot": {"current_boot_mode": "uefi"},
    })
}
