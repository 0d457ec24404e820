//! A node as Ironic shows it: whole or in chosen fields, without what the version does not know, passwords masked.

use serde_json::{Map, Value, json};

use super::create::SETTABLE;
use super::links;
use super::state::CONDUCTOR;
use super::store::Node;
use super::version::Version;
use crate::world::{State, World};

const MASK: &str = "******";

/// What a list shows of a node that is asked for neither fields nor detail.
pub(super) const BRIEF: [&str; 7] =
    ["uuid", "name", "instance_uuid", "maintenance", "power_state", "provision_state", "links"];

/// Every field, or those that are asked for, with the links in any case.
pub(super) fn node(world: &World, state: &State, node: &Node, version: Version, fields: Option<&[&str]>) -> Value {
    let mut whole = whole(world, state, node);
    whole.retain(|field, _| {
        version.knows(field) && fields.is_none_or(|fields| field == "links" || fields.contains(&field.as_str()))
    });
    Value::Object(whole)
}

/// `power on`, `power off`, or null when nobody has looked. A Redfish node's is read from the machine, as a periodic look would.
pub(super) fn power_state(state: &State, node: &Node) -> Value {
    let known = node.power_on.map(|known| {
        let machine = node.system().filter(|_| node.is_redfish()).and_then(|id| state.machine(id));
        machine.map_or(known, |machine| machine.running)
    });
    known.map_or(Value::Null, |on| json!(if on { "power on" } else { "power off" }))
}

fn whole(world: &World, state: &State, node: &Node) -> Map<String, Value> {
    let mut whole = node.document.clone();
    mask(&mut whole);
    let path = format!("nodes/{}", node.uuid);
    let allocation = state.ironic.allocations.iter().find(|allocation| allocation.node.as_deref() == Some(&node.uuid));
    let own = json!({
        "uuid": node.uuid,
        "provision_state": node.provision.as_str(),
        "target_provision_state": node.target.map(super::state::Provision::as_str),
        "provision_updated_at": node.provision_updated_at,
        "power_state": power_state(state, node),
        "target_power_state": node.target_power,
        "reservation": node.locked.then_some(CONDUCTOR),
        "last_error": node.last_error,
        "maintenance": node.maintenance,
        "maintenance_reason": node.maintenance_reason,
        "fault": node.fault,
        "traits": node.traits,
        "allocation_uuid": allocation.map(|allocation| &allocation.uuid),
        "conductor": CONDUCTOR,
        "driver_internal_info": {}, "clean_step": {}, "deploy_step": {}, "raid_config": {}, "target_raid_config": {},
        "console_enabled": false, "boot_mode": null, "secure_boot": null,
        "inspection_finished_at": null, "inspection_started_at": null,
        "created_at": node.created_at, "updated_at": node.updated_at,
        "links": links(world, &path),
        "ports": links(world, &format!("{path}/ports")),
        "portgroups": links(world, &format!("{path}/portgroups")),
        "states": links(world, &format!("{path}/states")),
        "volume": links(world, &format!("{path}/volume")),
    });
    if let Value::Object(own) = own {
        whole.extend(own);
    }
    whole
}

fn mask(document: &mut Map<String, Value>) {
    let hide = |map: &mut Value, secret: fn(&str) -> bool| {
        if let Some(map) = map.as_object_mut() {
            map.iter_mut().filter(|(key, _)| secret(key)).for_each(|(_, value)| *value = json!(MASK));
        }
    };
    hide(&mut document["driver_info"], |key| key.contains("password"));
    hide(&mut document["instance_info"], |key| key == "configdrive");
}

/// Whether a node has a field of this name, at any version, that a client may ask for: `updated_at` is none.
pub(super) fn is_field(name: &str) -> bool {
    SETTABLE.contains(&name) || OWN_FIELDS.contains(&name)
}

const OWN_FIELDS: &[&str] = &[
    "uuid",
    "provision_state",
    "target_provision_state",
    "provision_updated_at",
    "power_state",
    "target_power_state",
    "reservation",
    "last_error",
    "maintenance",
    "maintenance_reason",
    "fault",
    "traits",
    "allocation_uuid",
    "conductor",
    "driver_internal_info",
    "clean_step",
    "deploy_step",
    "raid_config",
    "target_raid_config",
    "console_enabled",
    "boot_mode",
    "secure_boot",
    "inspection_finished_at",
    "inspection_started_at",
    "created_at",
    "links",
    "ports",
    "portgroups",
    "states",
    "volume",
];
