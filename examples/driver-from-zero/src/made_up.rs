//! A node out of nothing: what was asked for is what there is, and the identity comes from the mark, so that a repeat
//! answers the same node.

use moganite_driver::{Identity, Node, Part, PartKind, Shape, mark};

pub(crate) fn made_up(name: &str, want: &Shape) -> Node {
    let uuid = mark::uuid(name);
    let [.., a, b, c, d] = uuid.into_bytes();
    let mac = |nic: usize| format!("02:{:02x}:{a:02x}:{b:02x}:{c:02x}:{d:02x}", nic % 256);
    let macs: Vec<String> = (0..want.nics_mbps.len().max(1)).map(mac).collect();

    let mut parts =
        vec![part("cpu", PartKind::Cpu, want.cores.into()), part("memory", PartKind::Memory, want.memory_mib)];
    parts.extend(want.disks_gib.iter().enumerate().map(|(n, gib)| part(&format!("disk-{n}"), PartKind::Disk, *gib)));
    parts.extend(
        macs.iter()
            .enumerate()
            .map(|(n, mac)| part(mac, PartKind::Nic, want.nics_mbps.get(n).copied().unwrap_or(0).into())),
    );
    let devices = want.devices.iter().enumerate();
    parts.extend(devices.map(|(n, device)| part(&format!("device-{n}"), device.kind, device.count.into())));

    Node {
        handle: name.to_owned(),
        identity: Identity { system_uuid: Some(uuid.to_string()), serial: Some(name.to_owned()), macs },
        parts,
        place: Some("nowhere".into()),
        access: None,
        facts: "{}".into(),
    }
}

fn part(id: &str, kind: PartKind, size: u64) -> Part {
    Part { id: id.to_owned(), kind, size, serial: None, properties: "{}".into() }
}
