//! The node as the contract tells it, from Valence's detail (which the pod manager wrote) and the pod manager's
//! computer system.

use crate::Far;
use crate::step::Place;
use crate::valence::Detail;
use moganite_driver::{Access, Fault, Identity, Node, Part, PartKind, fault};
use serde_json::{Value, json};

pub(crate) fn node(far: &Far, mark: &str, place: Place, detail: &Detail) -> Result<Node, Fault> {
    if detail.name != mark {
        return Err(fault::conflict(format!("Valence's node has the name {} and not {mark}", detail.name)));
    }
    let path = detail.computer_system["@odata.id"].as_str().or(detail.computer_system.as_str());
    let system = match (&far.podm, path) {
        (Some(podm), Some(path)) => podm.system(path)?.unwrap_or_default(),
        _ => Default::default(),
    };
    let devices = match (&far.podm, &place.index) {
        (None, Some(index)) => far.valence.devices_of(index)?,
        _ => Vec::new(),
    };
    let facts = serde_json::to_string(&place)
        .map_err(|error| fault::broken(format!("the facts cannot be written: {error}")))?;
    Ok(Node {
        handle: place.uuid.unwrap_or_default(),
        identity: Identity {
            system_uuid: system.uuid,
            serial: system.serial.or_else(|| detail.serial_number.clone()).filter(|serial| !serial.is_empty()),
            macs: macs(detail),
        },
        parts: parts(&detail.metadata, &devices),
        place: place.index.map(|index| format!("node {index} of the pod manager")),
        access: path.map(|path| Access { protocol: "redfish".into(), path: path.to_owned(), properties: "{}".into() }),
        facts,
    })
}

fn macs(detail: &Detail) -> Vec<String> {
    let network = each(&detail.metadata["network"]).filter_map(|nic| nic["mac"].as_str());
    let macs = network.chain(detail.mac_address.as_deref()).filter(|mac| !mac.is_empty());
    let mut macs: Vec<String> = macs.map(|mac| mac.to_lowercase().replace('-', ":")).collect();
    macs.sort();
    macs.dedup();
    macs
}

fn parts(metadata: &Value, devices: &[Value]) -> Vec<Part> {
    let cpus = each(&metadata["processor"]).enumerate().map(|(n, cpu)| {
        part(format!("cpu-{n}"), PartKind::Cpu, number(&cpu["total_core"]), json!({ "model": cpu["model"] }))
    });
    let memory = each(&metadata["memory"]).enumerate().map(|(n, memory)| {
        part(format!("memory-{n}"), PartKind::Memory, number(&memory["total_memory_mb"]), json!({}))
    });
    let nics = each(&metadata["network"]).enumerate().map(|(n, nic)| {
        part(format!("nic-{n}"), PartKind::Nic, number(&nic["speed_mbps"]), json!({ "mac": nic["mac"] }))
    });
    let devices = devices.iter().enumerate().map(|(n, device)| {
        let kind = if device["type"] == "GPU" { PartKind::Gpu } else { PartKind::Other };
        let id = device["uuid"].as_str().map_or_else(|| format!("device-{n}"), str::to_owned);
        part(id, kind, 1, json!({ "pci_type": device["type"] }))
    });
    cpus.chain(memory).chain(nics).chain(devices).collect()
}

fn part(id: String, kind: PartKind, size: u64, properties: Value) -> Part {
    Part { id, kind, size, serial: None, properties: properties.to_string() }
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Numbers come as numbers from RSD and as strings from some pod managers; what is neither is unknown, which is 0.
fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_macs_come_from_the_pod_managers_answer() {
        let detail = Detail {
            metadata: json!({
                "processor": [{ "total_core": 8, "model": "Xeon" }, { "total_core": "8" }],
                "memory": [{ "total_memory_mb": 8192 }, { "total_memory_mb": 8192 }],
                "network": [{ "mac": "52-54-00-AA-00-01", "speed_mbps": null }]
            }),
            ..Detail::default()
        };
        let parts = parts(&detail.metadata, &[]);
        let total = |kind| parts.iter().filter(|part| part.kind == kind).map(|part| part.size).sum::<u64>();
        assert_eq!((total(PartKind::Cpu), total(PartKind::Memory)), (16, 16_384));
        assert_eq!(macs(&detail), ["52:54:00:aa:00:01"]);
    }
}
