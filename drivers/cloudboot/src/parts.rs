//! What a server of the pool has, as its agent reported it. Sizes are texts or numbers, with or without a unit; where there is none the
//! settings say which is meant, as the agent's script is not public.

use crate::discovered::{Discovered, document};
use crate::settings::{Settings, Unit};
use moganite_driver::{Identity, Node, Part, PartKind};
use serde_json::{Value, json};

/// What a shape is compared with.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Size {
    pub(crate) cores: u64,
    pub(crate) memory_mib: u64,
    /// GiB each.
    pub(crate) disks: Vec<u64>,
    pub(crate) nics: usize,
}

pub(crate) fn size(row: &Discovered, settings: &Settings) -> Size {
    Size {
        cores: row.cpu_sum,
        memory_mib: row.memory_sum * settings.memory_unit.mebibytes(),
        disks: disks(row, settings.disk_unit).into_iter().map(|(_, gib)| gib).collect(),
        nics: macs(row).len(),
    }
}

pub(crate) fn node(row: &Discovered, settings: &Settings, facts: Value) -> Node {
    let size = size(row, settings);
    let cpu = document(&row.cpu);
    let mut parts = vec![
        part("cpu-0".into(), PartKind::Cpu, size.cores, json!({ "model": cpu["Model"] })),
        part("memory-0".into(), PartKind::Memory, size.memory_mib, json!({})),
    ];
    parts.extend(
        disks(row, settings.disk_unit).into_iter().map(|(name, gib)| part(name, PartKind::Disk, gib, json!({}))),
    );
    let macs = macs(row);
    // CloudBoot knows no speeds.
    parts.extend(macs.iter().map(|mac| part(format!("nic-{mac}"), PartKind::Nic, 0, json!({ "mac": mac }))));
    // What was not reported is not zero but unseen.
    parts.retain(|part| part.size > 0 || part.kind == PartKind::Nic);
    Node {
        handle: row.sn.clone(),
        identity: Identity { system_uuid: None, serial: Some(row.sn.clone()), macs },
        parts,
        place: Some(row.class()).filter(|class| class != "-"),
        access: None,
        facts: facts.to_string(),
    }
}

/// Name and GiB of each disk.
fn disks(row: &Discovered, unit: Unit) -> Vec<(String, u64)> {
    let disks = document(&row.disk);
    let each = disks.as_array().into_iter().flatten().enumerate();
    each.map(|(at, disk)| {
        let name = disk["Name"].as_str().map_or_else(|| format!("disk-{at}"), str::to_owned);
        (name, mebibytes(&disk["Size"], unit) / 1_024)
    })
    .collect()
}

/// Lower case with colons, each once.
fn macs(row: &Discovered) -> Vec<String> {
    let nics = document(&row.nic);
    let told = nics.as_array().into_iter().flatten().filter_map(|nic| nic["Mac"].as_str());
    let mut macs: Vec<String> = told
        .chain([row.mac.as_str()])
        .map(|mac| mac.trim().to_lowercase().replace('-', ":"))
        .filter(|mac| mac.len() == 17 && mac.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'))
        .collect();
    macs.sort();
    macs.dedup();
    macs
}

fn part(id: String, kind: PartKind, size: u64, properties: Value) -> Part {
    Part { id, kind, size, serial: None, properties: properties.to_string() }
}

/// A size in MiB; 0 when it says nothing. Decimal units are taken for binary ones, as disks are sold so and flavors ask so.
fn mebibytes(size: &Value, unit: Unit) -> u64 {
    let text = match size {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return 0,
    };
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let Ok(number) = text[..digits].parse::<f64>() else { return 0 };
    let scale = match text[digits..].trim().chars().next().map(|c| c.to_ascii_uppercase()) {
        None => unit.mebibytes(),
        Some('M') => 1,
        Some('G') => 1_024,
        Some('T') => 1_024 * 1_024,
        Some(_) => return 0,
    };
    (number * scale as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_unit_or_with_the_settings() {
        for (size, unit, mib) in [
            (json!("100"), Unit::Gibibyte, 102_400),
            (json!(100), Unit::Mebibyte, 100),
            (json!("300 GB"), Unit::Mebibyte, 307_200),
            (json!("1.5T"), Unit::Gibibyte, 1_572_864),
            (json!("8192MB"), Unit::Gibibyte, 8_192),
            (json!("unknown"), Unit::Gibibyte, 0),
            (json!(null), Unit::Gibibyte, 0),
        ] {
            assert_eq!(mebibytes(&size, unit), mib, "{size}");
        }
    }

    #[test]
    fn a_node_tells_the_serial_number_and_what_was_reported_and_nothing_else() {
        let row = Discovered {
            sn: "S1".into(),
            cpu_sum: 8,
            memory_sum: 16,
            nic: r#"[{"Name":"eth0","Mac":"52-54-00-AA-00-01"},{"Name":"eth1","Mac":"52:54:00:aa:00:01"}]"#.into(),
            disk: "null".into(),
            ..Discovered::default()
        };
        let node = node(&row, &Settings::default(), json!({}));
        let kinds: Vec<_> = node.parts.iter().map(|part| (part.kind, part.size)).collect();
        assert_eq!(kinds, [(PartKind::Cpu, 8), (PartKind::Memory, 16_384), (PartKind::Nic, 0)]);
        assert_eq!(node.identity.macs, ["52:54:00:aa:00:01"]);
        assert_eq!((node.identity.serial.as_deref(), node.place), (Some("S1"), None));
    }
}
