//! What Ironic saw of a machine by its own inspection, as parts. What it was merely told is not among them: while `inspect` is set the
//! create tells it nothing that an inspection answers.

use crate::api::{Ironic, Said, read};
use crate::node::Record;
use moganite_driver::{Answer, Part, PartKind};
use serde::Deserialize;
use serde_json::{Value, json};

/// `GET /v1/nodes/{n}/inventory`, since 1.81. The Redfish inspection of 39.0.0 writes memory and one disk to `properties` and no
/// cpus at all, so the inventory says more. Source: `ironic/drivers/modules/redfish/inspect.py`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Inventory {
    cpu: Cpu,
    memory: Memory,
    disks: Vec<Disk>,
    interfaces: Vec<Interface>,
    system_vendor: Vendor,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Vendor {
    serial_number: Option<String>,
    system_uuid: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cpu {
    /// Threads where the BMC counts threads, cores elsewhere; 0: not seen.
    count: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Memory {
    physical_mb: u64,
}

#[derive(Deserialize)]
struct Disk {
    #[serde(default)]
    name: Option<String>,
    /// Bytes.
    size: Option<u64>,
    #[serde(default)]
    serial: Option<String>,
}

#[derive(Deserialize)]
struct Interface {
    mac_address: String,
    #[serde(default)]
    speed_mbps: Option<u64>,
}

/// A machine as Ironic's inspection saw it. None: it was not seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) parts: Vec<Part>,
    pub(crate) serial: Option<String>,
    /// Lower case.
    pub(crate) system_uuid: Option<String>,
    /// Whether there is an inventory; else the parts are from the properties.
    inventory: bool,
}

/// The parts that Ironic's inspection saw: from its inventory, or where it keeps none from the node's properties. `disks` is how many
/// the machine should have.
pub(crate) fn look(ironic: &Ironic, record: &Record, disks: usize) -> Answer<Seen> {
    if let Said::Done(mut body) = ironic.get(&format!("/v1/nodes/{}/inventory", record.uuid))?
        && let Value::Object(_) = &body["inventory"]
    {
        return Ok(from_inventory(read(body["inventory"].take())?));
    }
    Ok(Seen { parts: from_properties(record, disks), ..Seen::default() })
}

/// The disks in the inventory, by serial, or by name where it has none.
pub(crate) fn disks(ironic: &Ironic, record: &Record) -> Answer<Vec<String>> {
    let seen = look(ironic, record, 0)?;
    let disks = seen.parts.into_iter().filter(|part| seen.inventory && part.kind == PartKind::Disk);
    Ok(disks.map(|disk| disk.serial.unwrap_or(disk.id)).collect())
}

fn from_inventory(mut seen: Inventory) -> Seen {
    let Vendor { serial_number, system_uuid } = std::mem::take(&mut seen.system_vendor);
    let source = "inventory";
    let mut parts = vec![
        part("cpu", PartKind::Cpu, seen.cpu.count, source),
        part("memory", PartKind::Memory, seen.memory.physical_mb, source),
    ];
    parts.retain(|part| part.size > 0);
    // A disk without a size would count as an empty one: then no disk was seen.
    let sizes: Option<Vec<u64>> = seen.disks.iter().map(|disk| disk.size).collect();
    for (at, (disk, bytes)) in seen.disks.into_iter().zip(sizes.unwrap_or_default()).enumerate() {
        let id = disk.name.unwrap_or_else(|| format!("disk-{at}"));
        parts.push(Part { serial: disk.serial, ..part(&id, PartKind::Disk, bytes >> 30, source) });
    }
    for nic in seen.interfaces {
        let mac = nic.mac_address.to_lowercase();
        parts.push(part(&mac, PartKind::Nic, nic.speed_mbps.unwrap_or(0), source));
    }
    Seen { parts, serial: serial_number, system_uuid: system_uuid.map(|uuid| uuid.to_lowercase()), inventory: true }
}

/// `local_gb` tells of one disk, the root disk, and is 1 GiB less than it has: with several disks nothing is said about any.
fn from_properties(record: &Record, disks: usize) -> Vec<Part> {
    let source = "properties";
    let size = |name| record.property(name).unwrap_or(0);
    let disk = match size("local_gb") {
        gib if gib > 0 && disks <= 1 => gib + 1,
        _ => 0,
    };
    let mut parts = vec![
        part("cpu", PartKind::Cpu, size("cpus"), source),
        part("memory", PartKind::Memory, size("memory_mb"), source),
        part("root-disk", PartKind::Disk, disk, source),
    ];
    parts.retain(|part| part.size > 0);
    parts
}

fn part(id: &str, kind: PartKind, size: u64, source: &str) -> Part {
    Part { id: id.to_owned(), kind, size, serial: None, properties: json!({ "seen-in": source }).to_string() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::testing;

    fn sizes(parts: &[Part]) -> Vec<(PartKind, u64)> {
        parts.iter().map(|part| (part.kind, part.size)).collect()
    }

    fn record() -> Record {
        let properties = json!({ "cpus": 8, "memory_mb": "16384", "local_gb": 99, "cpu_arch": "x86_64" });
        serde_json::from_value(json!({ "uuid": "n", "properties": properties })).unwrap()
    }

    #[test]
    fn the_inventory_is_believed_before_the_properties() {
        let seen = |second: Value| {
            let inventory = json!({
                "cpu": { "count": 16, "architecture": "x86_64" },
                "memory": { "physical_mb": 32_768 },
                "disks": [{ "name": "sda", "size": 107_374_182_400_u64 }, { "name": "sdb", "size": second }],
                "interfaces": [{ "mac_address": "52:54:00:AA:00:01", "name": "eth0" }],
            });
            testing::far_side(move |_| testing::reply(200, json!({ "inventory": inventory, "plugin_data": {} })));
            look(&Ironic::new(), &record(), 2).unwrap().parts
        };
        let (cpu, memory) = ((PartKind::Cpu, 16), (PartKind::Memory, 32_768));
        let (disk, nic) = ((PartKind::Disk, 100), (PartKind::Nic, 0));
        assert_eq!(sizes(&seen(json!(107_374_182_400_u64))), [cpu, memory, disk, disk, nic]);
        let one_unknown = seen(Value::Null);
        assert_eq!(sizes(&one_unknown), [cpu, memory, nic]);
        assert_eq!(one_unknown[2].id, "52:54:00:aa:00:01");
    }

    #[test]
    fn without_an_inventory_the_properties_speak_and_one_disk_is_not_two() {
        testing::far_side(|_| testing::reply(404, json!({})));
        let parts = |disks| sizes(&look(&Ironic::new(), &record(), disks).unwrap().parts);
        let all = [(PartKind::Cpu, 8), (PartKind::Memory, 16_384), (PartKind::Disk, 100)];
        assert_eq!(parts(1), all);
        assert_eq!(parts(2), all[..2]);
    }
}
