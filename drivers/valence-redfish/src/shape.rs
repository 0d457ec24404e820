//! What Valence can express of a shape. Its `properties` know memory (capacity, type), processor (total cores, model)
//! and, in the release, PCI devices; no disk, no network interface, no count, and one unknown field is refused there
//! with a sentence that names none. So what does not fit is rejected here, by name, before anything is touched. Source:
//! Valence `api/v1/nodes` schema `compose_node_with_properties`, both trees; numbers are strings there.

use moganite_driver::{Device, Fault, PartKind, Shape, fault};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The types that the release's schema takes.
const PCI_TYPES: [&str; 7] = ["NIC", "SSD", "GPU", "USB", "Multi", "ACS", "SWITCH"];

/// The keys of a shape's properties that this driver reads.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wishes {
    /// `DDR4`.
    memory_type: Option<String>,
    /// Part of the model's text, as the pod manager matches it.
    processor_model: Option<String>,
}

/// The `properties` of a compose request.
pub(crate) fn properties(want: &Shape, release: bool) -> Result<Value, Fault> {
    refuse_what_no_valence_knows(want)?;
    let wishes: Wishes = serde_json::from_str(&want.properties).map_err(|error| {
        fault::rejected(format!(
            "Valence reads the properties memory_type and processor_model of a shape and no other: {error}"
        ))
    })?;

    let mut memory = Map::new();
    if want.memory_mib > 0 {
        memory.insert("capacity_mib".into(), want.memory_mib.to_string().into());
    }
    if let Some(kind) = wishes.memory_type {
        memory.insert("type".into(), kind.into());
    }
    let mut processor = Map::new();
    if want.cores > 0 {
        processor.insert("total_cores".into(), want.cores.to_string().into());
    }
    if let Some(model) = wishes.processor_model {
        processor.insert("model".into(), model.into());
    }
    let pci = pci_types(&want.devices, release)?;

    let mut properties = Map::new();
    for (name, value) in [("memory", memory), ("processor", processor)] {
        if !value.is_empty() {
            properties.insert(name.into(), value.into());
        }
    }
    if !pci.is_empty() {
        properties.insert("pci_device".into(), json!({ "type": pci }));
    }
    Ok(properties.into())
}

fn refuse_what_no_valence_knows(want: &Shape) -> Result<(), Fault> {
    let unknown = [
        ("disks", want.disks_gib.is_empty()),
        ("network interfaces", want.nics_mbps.is_empty()),
        ("a class", want.class.is_none()),
        ("traits", want.traits.is_empty()),
    ];
    let unknown: Vec<&str> = unknown.into_iter().filter(|(_, absent)| !absent).map(|(name, _)| name).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(fault::rejected(format!(
        "Valence cannot express {}: its compose request knows memory, processor and PCI devices; take a flavor without, or another composer",
        unknown.join(", ")
    )))
}

fn pci_types(devices: &[Device], release: bool) -> Result<Vec<String>, Fault> {
    if !release && !devices.is_empty() {
        return Err(fault::rejected(
            "this Valence cannot express devices: only the release knows PCI devices, and its backend sets podm_id",
        ));
    }
    let mut types = Vec::new();
    for device in devices {
        let kind = pci_type(device)?;
        types.extend(std::iter::repeat_n(kind, device.count as usize));
    }
    Ok(types)
}

/// From the property `pci_type`, else from the kind.
fn pci_type(device: &Device) -> Result<String, Fault> {
    let properties: Map<String, Value> = serde_json::from_str(&device.properties)
        .map_err(|error| fault::rejected(format!("a device's properties are no JSON object: {error}")))?;
    if let Some(unknown) = properties.keys().find(|key| *key != "pci_type") {
        return Err(fault::rejected(format!(
            "Valence cannot express the device property {unknown}; it reads pci_type"
        )));
    }
    let kind = match (properties.get("pci_type").and_then(Value::as_str), device.kind) {
        (Some(named), _) => named,
        (None, PartKind::Gpu) => "GPU",
        (None, PartKind::Nic) => "NIC",
        (None, PartKind::Disk) => "SSD",
        (None, PartKind::Cpu | PartKind::Memory | PartKind::Other) => {
            return Err(fault::rejected(
                "Valence needs the device property pci_type for a device that is no gpu, nic or disk",
            ));
        }
    };
    if !PCI_TYPES.contains(&kind) {
        return Err(fault::rejected(format!("Valence knows the PCI types {} and not {kind}", PCI_TYPES.join(", "))));
    }
    Ok(kind.to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    pub(crate) fn want(cores: u32, memory_mib: u64) -> Shape {
        Shape {
            cores,
            memory_mib,
            disks_gib: Vec::new(),
            nics_mbps: Vec::new(),
            devices: Vec::new(),
            class: None,
            traits: Vec::new(),
            properties: "{}".into(),
        }
    }

    fn rejection(want: &Shape, release: bool) -> String {
        match properties(want, release) {
            Err(Fault::Rejected(sentence)) => sentence,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn cores_and_memory_are_sent_as_strings() {
        let body =
            properties(&Shape { properties: r#"{"memory_type": "DDR4"}"#.into(), ..want(2, 4_096) }, false).unwrap();
        assert_eq!(
            body,
            json!({ "memory": { "capacity_mib": "4096", "type": "DDR4" }, "processor": { "total_cores": "2" } })
        );
        assert_eq!(properties(&want(0, 0), false).unwrap(), json!({}));
    }

    #[test]
    fn what_valence_cannot_express_is_named() {
        let refused = rejection(&Shape { disks_gib: vec![100], nics_mbps: vec![1_000], ..want(2, 4_096) }, false);
        assert!(refused.contains("disks, network interfaces"), "{refused}");
        let refused = rejection(&Shape { properties: r#"{"numa": 2}"#.into(), ..want(2, 4_096) }, false);
        assert!(refused.contains("numa"), "{refused}");
    }

    #[test]
    fn pci_devices_need_the_release() {
        let gpu = |kind, properties: &str| Shape {
            devices: vec![Device { kind, count: 2, properties: properties.into() }],
            ..want(0, 0)
        };
        assert!(rejection(&gpu(PartKind::Gpu, "{}"), false).contains("podm_id"));
        assert_eq!(
            properties(&gpu(PartKind::Gpu, "{}"), true).unwrap(),
            json!({ "pci_device": { "type": ["GPU", "GPU"] } })
        );
        assert!(rejection(&gpu(PartKind::Other, "{}"), true).contains("pci_type"));
        assert!(rejection(&gpu(PartKind::Other, r#"{"pci_type": "FPGA"}"#), true).contains("FPGA"));
    }
}
