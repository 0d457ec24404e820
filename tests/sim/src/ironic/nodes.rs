//! Nodes: which request goes where, reading one, changing one, deleting one. Whatever changes a node wants its lock, and is answered 409
//! while the conductor has it.

use std::sync::Arc;

use super::state::Provision;
use super::store::Node;
use super::version::Version;
use super::{
    Answered, allocations, create, errors, extras, history, inspect, lists, no_content, ok, patch, ports, power,
    provision, view,
};
use crate::call::{Answer, Call};
use crate::exchange::Side;
use crate::faults::Kind;
use crate::world::{State, World};
use axum::http::Method;

pub(super) fn answer(world: &Arc<World>, version: Version, call: &Call, rest: &[&str]) -> Answered {
    let (method, rest) = (&call.method, rest);
    match rest {
        [] | ["detail"] if method == Method::GET => lists::nodes(world, version, call, rest == ["detail"]),
        [] if method == Method::POST => create::create(world, version, call),
        [] => Err(errors::no_method()),
        [key, rest @ ..] => {
            let uuid = find(&world.state(), key)?;
            of_one(world, version, call, &uuid, rest)
        }
    }
}

fn of_one(world: &Arc<World>, version: Version, call: &Call, uuid: &str, rest: &[&str]) -> Answered {
    match (&call.method, rest) {
        (&Method::GET, []) => show(world, version, call, uuid),
        (&Method::PATCH, []) => change(world, version, call, uuid),
        (&Method::DELETE, []) => delete(world, call, uuid),
        (&Method::GET, ["states"]) => states(world, uuid),
        (&Method::PUT, ["states", "provision"]) => provision::put(world, call, uuid),
        (&Method::PUT, ["states", "power"]) => power::put(world, call, uuid),
        (&Method::GET, ["validate"]) => extras::validate(world, uuid),
        (_, ["maintenance"]) => extras::maintenance(world, call, uuid),
        (_, ["traits", rest @ ..]) => extras::traits(world, call, uuid, rest),
        (_, ["management", "boot_device", rest @ ..]) => extras::boot_device(world, call, uuid, rest),
        (&Method::GET, ["history", rest @ ..]) => history::answer(world, uuid, rest),
        (&Method::GET, ["inventory"]) => inspect::answer(world, version, uuid),
        (&Method::GET, ["ports"]) => Ok(ports::of_node(world, uuid)),
        (_, ["allocation"]) => allocations::of_node(world, version, call, uuid),
        (_, []) => Err(errors::no_method()),
        _ => Err(errors::no_route()),
    }
}

/// The uuid of the node that a path names by uuid (in its exact case) or name.
pub(super) fn find(state: &State, key: &str) -> Result<String, Answer> {
    if !create::is_name(key) {
        return Err(errors::bad_request(&format!("Expected a logical name or UUID but received {key}.")));
    }
    let node = state.ironic.node(key).map(|node| node.uuid.clone());
    node.ok_or_else(|| errors::not_found(&format!("Node {key} could not be found.")))
}

/// The node, if the caller may change it now: 409 while it is locked.
pub(super) fn unlocked<'a>(
    world: &World,
    state: &'a mut State,
    call: &Call,
    uuid: &str,
) -> Result<&'a mut Node, Answer> {
    let node =
        state.ironic.node_mut(uuid).ok_or_else(|| errors::not_found(&format!("Node {uuid} could not be found.")))?;
    if node.locked || world.faults.fires_on(Kind::Locked, Side::Ironic, call).is_some() {
        return Err(errors::locked(uuid));
    }
    Ok(node)
}

fn show(world: &World, version: Version, call: &Call, uuid: &str) -> Answered {
    let fields: Option<Vec<&str>> = call.parameter("fields").map(|text| text.split(',').collect());
    if let Some(field) = fields.iter().flatten().find(|field| !view::is_field(field)) {
        return Err(errors::bad_request(&format!("Field(s) \"{field}\" are not valid.")));
    }
    if fields.iter().flatten().any(|field| !version.knows(field)) {
        return Err(errors::unknown_to_version());
    }
    let state = world.state();
    let node = state.ironic.node(uuid).ok_or_else(|| errors::not_found(&format!("Node {uuid} could not be found.")))?;
    Ok(ok(&view::node(world, &state, node, version, fields.as_deref())))
}

fn states(world: &World, uuid: &str) -> Answered {
    let state = world.state();
    let node = state.ironic.node(uuid).ok_or_else(|| errors::not_found(&format!("Node {uuid} could not be found.")))?;
    let mut body = view::node(world, &state, node, Version::MAX, Some(&STATES));
    if let Some(map) = body.as_object_mut() {
        map.remove("links");
    }
    Ok(ok(&body))
}

const STATES: [&str; 11] = [
    "provision_state",
    "target_provision_state",
    "provision_updated_at",
    "power_state",
    "target_power_state",
    "last_error",
    "console_enabled",
    "raid_config",
    "target_raid_config",
    "boot_mode",
    "secure_boot",
];

fn change(world: &World, version: Version, call: &Call, uuid: &str) -> Answered {
    let operations = patch::operations(&call.json())?;
    let mut state = world.state();
    let node = state.ironic.node(uuid).ok_or_else(|| errors::not_found(&format!("Node {uuid} could not be found.")))?;
    if node.target_is_open() {
        return Err(errors::conflict(&format!(
            "Node {uuid} can not be updated while a state transition is in progress."
        )));
    }
    let node = unlocked(world, &mut state, call, uuid)?;
    let mut document = node.document.clone();
    let mut maintenance = node.maintenance;
    patch::apply(&mut document, &mut maintenance, &operations)?;
    let mut document = create::document(&document)?;
    retire(node, &mut document)?;
    if node.provision.as_str() == "active" && document["resource_class"] != node.document["resource_class"] {
        return Err(errors::conflict(&format!(
            "Cannot update resource_class of node {uuid} while it is in state active."
        )));
    }
    if let (Some(held), Some(wanted)) = (node.instance_uuid(), document["instance_uuid"].as_str())
        && held != wanted
    {
        return Err(errors::conflict(&format!("Node {uuid} is associated with instance {held}.")));
    }
    create::refuse_duplicates(&state, uuid, &document)?;
    if let Some(node) = state.ironic.node_mut(uuid) {
        let freed = node.instance_uuid().is_some() && document["instance_uuid"].is_null();
        node.document = document;
        node.maintenance = maintenance;
        node.updated_at = Some(world.clock.iso());
        if freed {
            state.ironic.allocations.retain(|allocation| allocation.node.as_deref() != Some(uuid));
        }
    }
    show_whole(world, &state, version, uuid)
}

/// An available node is not retired; the reason goes with the flag.
fn retire(node: &Node, document: &mut serde_json::Map<String, serde_json::Value>) -> Result<(), Answer> {
    let retired = document["retired"] == true;
    if retired && !node.flag("retired") && node.provision == Provision::Available {
        return Err(errors::conflict(&format!(
            "Node {} can not have 'retired' set in provision state 'available', the current state is 'available'",
            node.uuid
        )));
    }
    if !retired {
        document.insert("retired_reason".to_owned(), serde_json::Value::Null);
    }
    Ok(())
}

fn show_whole(world: &World, state: &State, version: Version, uuid: &str) -> Answered {
    let node = state.ironic.node(uuid).ok_or_else(|| errors::not_found(&format!("Node {uuid} could not be found.")))?;
    Ok(ok(&view::node(world, state, node, version, None)))
}

/// 204, at once, without a word to the BMC. In maintenance a node goes from any state, with its machine left as it is.
fn delete(world: &World, call: &Call, uuid: &str) -> Answered {
    if !call.query.is_empty() {
        let names: Vec<&str> = call.query.iter().map(|(name, _)| name.as_str()).collect();
        return Err(errors::bad_request(&format!("Unexpected arguments: {}", names.join(", "))));
    }
    let mut state = world.state();
    let node = unlocked(world, &mut state, call, uuid)?;
    if node.flag("protected") {
        return Err(provision::protected(uuid));
    }
    if !node.maintenance {
        if let Some(instance) = node.instance_uuid() {
            return Err(errors::conflict(&format!("Node {uuid} is associated with instance {instance}.")));
        }
        if !node.provision.may_be_deleted() {
            return Err(errors::conflict(&format!(
                "Can not delete node \"{uuid}\" while it is in provision state \"{}\". Valid provision states to perform deletion are: \
                 [\"adopt failed\", \"available\", \"enroll\", \"manageable\"]",
                node.provision.as_str()
            )));
        }
    }
    state.ironic.remove_node(uuid);
    Ok(no_content())
}
