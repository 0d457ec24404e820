//! Ports: a MAC of a node, each MAC once over all nodes. They may be made while the node is locked, and go with the node.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::store::Port;
use super::{Answered, base, errors, links, no_content, ok};
use crate::call::{Answer, Call};
use crate::world::{State, World};

pub(super) fn answer(world: &World, call: &Call, rest: &[&str]) -> Answered {
    match (&call.method, rest) {
        (&Method::POST, []) => create(world, call),
        (&Method::GET, []) | (&Method::GET, ["detail"]) => list(world, call),
        (&Method::GET, [uuid]) => {
            let state = world.state();
            let port = state.ironic.ports.iter().find(|port| port.uuid == *uuid);
            port.map(|port| ok(&body(world, port))).ok_or_else(|| missing(uuid))
        }
        (&Method::DELETE, [uuid]) => {
            let mut state = world.state();
            let before = state.ironic.ports.len();
            state.ironic.ports.retain(|port| port.uuid != *uuid);
            if state.ironic.ports.len() == before { Err(missing(uuid)) } else { Ok(no_content()) }
        }
        _ => Err(errors::no_method()),
    }
}

/// `GET /v1/nodes/{n}/ports`.
pub(super) fn of_node(world: &World, uuid: &str) -> Answer {
    let state = world.state();
    listed(world, state.ironic.ports.iter().filter(|port| port.node == uuid))
}

/// A port for each of these MACs that has none, as an inspection makes them.
pub(super) fn create_missing(world: &World, state: &mut State, node: &str, macs: &[String]) {
    for mac in macs {
        if !state.ironic.ports.iter().any(|port| port.address == *mac) {
            let uuid = state.fresh_uuid();
            let created_at = world.clock.iso();
            state.ironic.ports.push(Port {
                uuid,
                node: node.to_owned(),
                address: mac.clone(),
                extra: json!({}),
                created_at,
            });
        }
    }
}

/// An unknown node is 400, not 404.
fn create(world: &World, call: &Call) -> Answered {
    let wanted = call.json();
    let address = wanted["address"].as_str().map(str::to_lowercase).filter(|address| is_mac(address));
    let address = address
        .ok_or_else(|| errors::bad_request(&format!("Expected a MAC address but received {}.", wanted["address"])))?;
    let node =
        wanted["node_uuid"].as_str().ok_or_else(|| errors::bad_request("Missing mandatory parameter: node_uuid"))?;
    let mut state = world.state();
    if !state.ironic.nodes.iter().any(|known| known.uuid == node) {
        return Err(errors::bad_request(&format!("Node {node} could not be found.")));
    }
    if state.ironic.ports.iter().any(|port| port.address == address) {
        return Err(errors::conflict(&format!("A port with MAC address {address} already exists.")));
    }
    let uuid = wanted["uuid"].as_str().map_or_else(|| state.fresh_uuid(), str::to_owned);
    let extra = if wanted["extra"].is_object() { wanted["extra"].clone() } else { json!({}) };
    let port = Port { uuid, node: node.to_owned(), address, extra, created_at: world.clock.iso() };
    let answer = Answer::json(StatusCode::CREATED, &body(world, &port));
    let location = format!("{}/v1/ports/{}", base(world), port.uuid);
    state.ironic.ports.push(port);
    Ok(answer.with_header("location", &location))
}

fn list(world: &World, call: &Call) -> Answered {
    let state = world.state();
    if let Some((name, _)) = call
        .query
        .iter()
        .find(|(name, _)| !["node", "node_uuid", "address", "fields", "detail", "limit"].contains(&name.as_str()))
    {
        return Err(errors::bad_request(&format!("Unexpected arguments: {name}")));
    }
    let node = call.parameter("node").or_else(|| call.parameter("node_uuid"));
    let node = node.map(|key| super::nodes::find(&state, key)).transpose()?;
    let address = call.parameter("address").map(str::to_lowercase);
    let chosen = state.ironic.ports.iter().filter(|port| {
        node.as_ref().is_none_or(|node| port.node == *node)
            && address.as_ref().is_none_or(|address| port.address == *address)
    });
    Ok(listed(world, chosen))
}

fn listed<'a>(world: &World, ports: impl Iterator<Item = &'a Port>) -> Answer {
    ok(&json!({"ports": ports.map(|port| body(world, port)).collect::<Vec<_>>()}))
}

fn body(world: &World, port: &Port) -> Value {
    json!({
        "uuid": port.uuid, "address": port.address, "node_uuid": port.node, "extra": port.extra, "pxe_enabled": true,
        "local_link_connection": {}, "physical_network": null, "portgroup_uuid": null, "internal_info": {}, "is_smartnic": false,
        "name": null, "created_at": port.created_at, "updated_at": null, "links": links(world, &format!("ports/{}", port.uuid)),
    })
}

fn missing(uuid: &str) -> Answer {
    errors::not_found(&format!("Port {uuid} could not be found."))
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    parts.len() == 6 && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
