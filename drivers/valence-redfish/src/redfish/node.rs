//! The node as the contract tells it: its parts are what its blocks brought, since the service told of each piece with size and serial; its
//! identity is the system's.

use super::Far;
use super::block::{Block, Nic};
use super::known::Facts;
use super::service::{Seen, link, number, text};
use moganite_driver::{Access, Fault, Identity, Node, Part, PartKind, fault};
use serde_json::json;

/// Interfaces that are asked for at the system, where the blocks tell of none.
const INTERFACES: usize = 4;

pub(super) fn node(
    far: &Far,
    system: &str,
    uuid: Option<String>,
    seen: &Seen,
    blocks: Vec<Block>,
) -> Result<Node, Fault> {
    let mut parts: Vec<Part> = blocks.iter().flat_map(parts_of).collect();
    if !parts.iter().any(|part| part.kind == PartKind::Nic) {
        parts.extend(interfaces(far, seen)?.iter().enumerate().map(|(at, nic)| interface("system", at, nic)));
    }
    let mut macs: Vec<String> = parts
        .iter()
        .filter(|part| part.kind == PartKind::Nic)
        .filter_map(|part| text(&serde_json::from_str::<serde_json::Value>(&part.properties).ok()?["mac"]))
        .collect();
    macs.sort();
    macs.dedup();
    let place = format!("blocks {}", blocks.iter().map(Block::name).collect::<Vec<_>>().join(", "));
    let facts = Facts { system: Some(system.to_owned()), uuid: uuid.clone(), blocks };
    let facts = serde_json::to_string(&facts)
        .map_err(|error| fault::broken(format!("the facts cannot be written: {error}")))?;
    Ok(Node {
        handle: system.to_owned(),
        identity: Identity { system_uuid: uuid, serial: text(&seen.body["SerialNumber"]), macs },
        parts,
        place: Some(place),
        access: Some(Access { protocol: "redfish".into(), path: system.to_owned(), properties: "{}".into() }),
        facts,
    })
}

fn parts_of(block: &Block) -> Vec<Part> {
    let name = block.name();
    let mut parts = Vec::new();
    if block.cores > 0 {
        parts.push(part(format!("{name}-cpu"), PartKind::Cpu, u64::from(block.cores), None));
    }
    if block.memory_mib > 0 {
        parts.push(part(format!("{name}-memory"), PartKind::Memory, block.memory_mib, None));
    }
    for (at, disk) in block.disks.iter().enumerate() {
        parts.push(part(format!("{name}-disk-{at}"), PartKind::Disk, disk.gib, disk.serial.clone()));
    }
    parts.extend(block.nics.iter().enumerate().map(|(at, nic)| interface(name, at, nic)));
    parts
}

fn part(id: String, kind: PartKind, size: u64, serial: Option<String>) -> Part {
    Part { id, kind, size, serial, properties: "{}".into() }
}

fn interface(of: &str, at: usize, nic: &Nic) -> Part {
    let properties = json!({ "mac": nic.mac }).to_string();
    Part { properties, ..part(format!("{of}-nic-{at}"), PartKind::Nic, u64::from(nic.mbps), None) }
}

fn interfaces(far: &Far, seen: &Seen) -> Result<Vec<Nic>, Fault> {
    let Some(collection) = link(&seen.body["EthernetInterfaces"]) else { return Ok(Vec::new()) };
    let mut nics = Vec::new();
    for path in far.service.members(&collection)?.iter().take(INTERFACES) {
        let body = far.service.read(path)?.map(|seen| seen.body).unwrap_or_default();
        let mac = text(&body["PermanentMACAddress"]).or_else(|| text(&body["MACAddress"]));
        let mbps = u32::try_from(number(&body["SpeedMbps"])).unwrap_or(u32::MAX);
        nics.push(Nic { mac: mac.map(|mac| mac.to_lowercase().replace('-', ":")), mbps });
    }
    Ok(nics)
}
