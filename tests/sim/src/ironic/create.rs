//! `POST /v1/nodes`: what a new node may say, and what it is given when it says nothing. driver_info is not looked at here; `manage`
//! finds out.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::state::Provision;
use super::store::Node;
use super::version::Version;
use super::{Answered, base, errors, view};
use crate::call::{Answer, Call};
use crate::world::{State, World};

/// What clients may set of a node, at creation or by PATCH.
pub(super) const SETTABLE: &[&str] = &[
    "name",
    "driver",
    "driver_info",
    "properties",
    "extra",
    "instance_info",
    "instance_uuid",
    "resource_class",
    "automated_clean",
    "description",
    "conductor_group",
    "owner",
    "lessee",
    "chassis_uuid",
    "network_data",
    "protected",
    "protected_reason",
    "retired",
    "retired_reason",
    "shard",
    "parent_node",
    "bios_interface",
    "boot_interface",
    "console_interface",
    "deploy_interface",
    "firmware_interface",
    "inspect_interface",
    "management_interface",
    "network_interface",
    "power_interface",
    "raid_interface",
    "rescue_interface",
    "storage_interface",
    "vendor_interface",
];

/// The interfaces that the two hardware types know here; the first is the default.
const REDFISH: &[(&str, &[&str])] = &[
    ("bios_interface", &["no-bios", "redfish"]),
    ("boot_interface", &["redfish-virtual-media", "ipxe", "pxe", "http", "http-ipxe"]),
    ("console_interface", &["no-console"]),
    ("deploy_interface", &["direct", "ramdisk", "custom-agent", "anaconda"]),
    ("firmware_interface", &["no-firmware", "redfish"]),
    ("inspect_interface", &["redfish", "agent", "no-inspect"]),
    ("management_interface", &["redfish"]),
    ("network_interface", &["noop", "flat", "neutron"]),
    ("power_interface", &["redfish"]),
    ("raid_interface", &["no-raid", "redfish", "agent"]),
    ("rescue_interface", &["no-rescue", "agent"]),
    ("storage_interface", &["noop", "cinder", "external"]),
    ("vendor_interface", &["no-vendor", "redfish"]),
];

pub(super) fn create(world: &World, version: Version, call: &Call) -> Answered {
    let wanted = call.json();
    let wanted =
        wanted.as_object().ok_or_else(|| errors::bad_request("Schema error for node: None is not of type 'object'"))?;
    if wanted.keys().any(|field| !version.knows(field)) {
        return Err(errors::unknown_to_version());
    }
    let refused = |field: &str| {
        field != "uuid" && (!SETTABLE.contains(&field) || matches!(field, "protected" | "protected_reason"))
    };
    if let Some(field) = wanted.keys().find(|field| refused(field)) {
        return Err(errors::bad_request(&format!(
            "Schema error for node: Additional properties are not allowed ('{field}' was unexpected)"
        )));
    }
    if wanted.contains_key("owner") {
        return Err(errors::bad_request(
            "Cannot create a node as a project scoped admin with an owner other than your own project",
        ));
    }
    let uuid = uuid_of(world, wanted)?;
    let document = document(wanted)?;

    let mut state = world.state();
    refuse_duplicates(&state, &uuid, &document)?;
    let node = Node {
        uuid: uuid.clone(),
        document,
        provision: if version >= Version::ENROLL { Provision::Enroll } else { Provision::Available },
        target: None,
        locked: false,
        last_error: None,
        power_on: None,
        target_power: None,
        maintenance: false,
        maintenance_reason: None,
        fault: None,
        erases_by_hand: false,
        inventory: None,
        traits: Default::default(),
        history: Vec::new(),
        boot_device: None,
        created_at: world.clock.iso(),
        updated_at: None,
        provision_updated_at: None,
    };
    let body = view::node(world, &state, &node, version, None);
    state.ironic.nodes.push(node);
    state.ironic.made += 1;
    Ok(Answer::json(StatusCode::CREATED, &body).with_header("location", &format!("{}/v1/nodes/{uuid}", base(world))))
}

/// A whole document from what was asked for; 400 for what does not fit the hardware type.
pub(super) fn document(wanted: &Map<String, Value>) -> Result<Map<String, Value>, Answer> {
    let driver = wanted.get("driver").and_then(Value::as_str);
    let driver = driver.ok_or_else(|| errors::bad_request("Schema error for node: 'driver' is a required property"))?;
    if let Some(name) = wanted.get("name").and_then(Value::as_str)
        && !is_name(name)
    {
        return Err(errors::bad_request(&format!("Cannot create node with invalid name '{name}'")));
    }
    let mut document = Map::new();
    for field in SETTABLE {
        let default = match *field {
            "driver_info" | "properties" | "extra" | "instance_info" | "network_data" => json!({}),
            "protected" | "retired" => json!(false),
            "conductor_group" => json!(""),
            _ => Value::Null,
        };
        let given = wanted.get(*field).filter(|value| !value.is_null());
        if default.is_object() && given.is_some_and(|value| !value.is_object()) {
            return Err(errors::bad_request(&format!("Schema error for node: '{field}' is not of type 'object'")));
        }
        document.insert(field.to_string(), given.cloned().unwrap_or(default));
    }
    settle_interfaces(&mut document, driver)?;
    Ok(document)
}

/// 409 when another node has this uuid, name or instance. When both uuid and name are taken, the name is what it says.
pub(super) fn refuse_duplicates(state: &State, uuid: &str, document: &Map<String, Value>) -> Result<(), Answer> {
    let others = || state.ironic.nodes.iter().filter(|node| node.uuid != uuid);
    if let Some(name) = document["name"].as_str()
        && others().any(|node| node.name() == Some(name))
    {
        return Err(errors::conflict(&format!("A node with name {name} already exists.")));
    }
    if let Some(instance) = document["instance_uuid"].as_str()
        && others().any(|node| node.instance_uuid() == Some(instance))
    {
        return Err(errors::conflict(&format!(
            "Instance {instance} is already associated with a node, it cannot be associated with this other node {uuid}"
        )));
    }
    Ok(())
}

pub(super) fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

fn uuid_of(world: &World, wanted: &Map<String, Value>) -> Result<String, Answer> {
    let Some(uuid) = wanted.get("uuid") else {
        return Ok(world.state().fresh_uuid());
    };
    let text = uuid.as_str().filter(|text| Uuid::try_parse(text).is_ok());
    let text = text.ok_or_else(|| errors::bad_request(&format!("Expected a UUID but received {uuid}.")))?;
    let state = world.state();
    let taken = state.ironic.nodes.iter().any(|node| node.uuid == text);
    let name = wanted.get("name").and_then(Value::as_str);
    let name_taken = name.is_some_and(|name| state.ironic.nodes.iter().any(|node| node.name() == Some(name)));
    match (taken, name, name_taken) {
        (true, Some(name), true) => Err(errors::conflict(&format!("A node with name {name} already exists."))),
        (true, ..) => Err(errors::conflict(&format!("A node with UUID {text} already exists."))),
        _ => Ok(text.to_owned()),
    }
}

fn settle_interfaces(document: &mut Map<String, Value>, driver: &str) -> Result<(), Answer> {
    let class = match driver {
        "redfish" => "RedfishHardware",
        "fake-hardware" => "FakeHardware",
        other => {
            return Err(errors::bad_request(&format!(
                "No valid host was found. Reason: No conductor service registered which supports driver {other} for conductor group \"\"."
            )));
        }
    };
    for (field, known) in REDFISH {
        let fake = matches!(*field, "network_interface" | "storage_interface").then_some("noop").unwrap_or("fake");
        let default = if driver == "redfish" { known[0] } else { fake };
        let chosen = document[*field].as_str().unwrap_or(default).to_owned();
        let fits = match driver {
            "redfish" => known.contains(&chosen.as_str()),
            _ => chosen == fake || chosen.starts_with("no"),
        };
        if !fits {
            let kind = field.trim_end_matches("_interface");
            return Err(errors::bad_request(&format!(
                "{kind} interface '{chosen}' is not supported by hardware type {class}."
            )));
        }
        document.insert(field.to_string(), json!(chosen));
    }
    Ok(())
}
