//! What a driver is asked, from the host's own types to `moganite:driver@0.9`. The way back is in `claims.rs`; no other
//! file but `call.rs` and `roles.rs` knows that version's types.

use serde_json::{Map, Value};

use super::answer::{DeployOrder, PowerWish};
use super::bindings::deploy::exports::moganite::driver::deploy as wit_deploy;
use super::bindings::types;
use crate::model::{Erase, Holding, Node, PartKind, Shape};

pub(super) fn shape(shape: &Shape) -> types::Shape {
    types::Shape {
        cores: shape.cores,
        memory_mib: shape.memory_mib,
        disks_gib: shape.disks_gib.clone(),
        nics_mbps: shape.nics_mbps.clone(),
        devices: shape
            .devices
            .iter()
            .map(|device| types::Device {
                kind: to_kind(device.kind),
                count: device.count,
                properties: json(&device.properties),
            })
            .collect(),
        class: shape.class.clone(),
        traits: shape.traits.clone(),
        properties: json(&shape.properties),
    }
}

pub(super) fn holding(holding: &Holding) -> types::Holding {
    types::Holding {
        mark: holding.mark.0.clone(),
        handle: holding.handle.clone(),
        facts: json(&holding.facts),
        trail: holding.trail.clone(),
    }
}

pub(super) fn node(node: &Node) -> types::Node {
    types::Node {
        handle: node.handle.clone(),
        identity: types::Identity {
            system_uuid: node.identity.system_uuid.clone(),
            serial: node.identity.serial.clone(),
            macs: node.identity.macs.clone(),
        },
        parts: node
            .parts
            .iter()
            .map(|part| types::Part {
                id: part.id.clone(),
                kind: to_kind(part.kind),
                size: part.size,
                serial: part.serial.clone(),
                properties: json(&part.properties),
            })
            .collect(),
        place: node.place.clone(),
        access: node.access.as_ref().map(|machine| types::Access {
            protocol: machine.protocol.clone(),
            path: machine.path.clone(),
            properties: json(&machine.properties),
        }),
        facts: json(&node.facts),
    }
}

pub(super) fn order(order: &DeployOrder) -> wit_deploy::Order {
    wit_deploy::Order {
        node: order.node.clone(),
        image: json(&order.image),
        hostname: order.hostname.clone(),
        user_data: order.user_data.clone(),
        ssh_keys: order.ssh_keys.clone(),
        networks: json(&order.networks),
    }
}

pub(super) fn erase(level: Erase) -> types::Erase {
    match level {
        Erase::None => types::Erase::None,
        Erase::Quick => types::Erase::Quick,
        Erase::Full => types::Erase::Full,
    }
}

pub(super) fn wish(wish: PowerWish) -> types::PowerWish {
    match wish {
        PowerWish::On => types::PowerWish::On,
        PowerWish::Off => types::PowerWish::Off,
        PowerWish::Reboot => types::PowerWish::Reboot,
        PowerWish::SoftOff => types::PowerWish::SoftOff,
        PowerWish::SoftReboot => types::PowerWish::SoftReboot,
    }
}

fn json(object: &Map<String, Value>) -> String {
    Value::Object(object.clone()).to_string()
}

fn to_kind(kind: PartKind) -> types::PartKind {
    match kind {
        PartKind::Cpu => types::PartKind::Cpu,
        PartKind::Memory => types::PartKind::Memory,
        PartKind::Disk => types::PartKind::Disk,
        PartKind::Nic => types::PartKind::Nic,
        PartKind::Gpu => types::PartKind::Gpu,
        PartKind::Other => types::PartKind::Other,
    }
}
