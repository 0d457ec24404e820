//! Composed nodes: allocate, assemble, read, release. Assembling is asynchronous; a node can be assembled only when it is `Allocated`,
//! and released only when it is `Allocated`, `Assembled` or `Failed`.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::pool::{MODEL, Node, NodeState, Wish};
use super::{collection, error, not_found, ok};
use crate::call::{Answer, Call};
use crate::faults::Kind;
use crate::world::{State, World};

const RESETS: [&str; 4] = ["On", "ForceOn", "ForceOff", "GracefulRestart"];

pub(super) async fn answer(world: &Arc<World>, call: &Call, rest: &[&str]) -> Answer {
    match (&call.method, rest) {
        (&Method::GET, []) => list(world),
        (&Method::POST, ["Actions", "Allocate"]) => allocate(world, call).await,
        (&Method::GET, [index]) => show(world, call, index),
        (&Method::DELETE, [index]) => release(world, call, index),
        (&Method::PATCH, [index]) => on_system(world, call, index, ""),
        (&Method::POST, [index, "Actions", "ComposedNode.Assemble"]) => assemble(world, call, index),
        (&Method::POST, [index, "Actions", "ComposedNode.Reset"]) => {
            on_system(world, call, index, "/Actions/ComputerSystem.Reset")
        }
        _ => not_found(call),
    }
}

fn list(world: &World) -> Answer {
    let state = world.state();
    let mut body =
        collection("/redfish/v1/Nodes", state.pod.nodes.values().filter(|node| !node.hidden).map(Node::path));
    body["@odata.type"] = json!("#ComposedNodeCollection.ComposedNodeCollection");
    body["Name"] = json!("Composed Nodes Collection");
    body["Actions"] = json!({"#ComposedNodeCollection.Allocate": {"target": "/redfish/v1/Nodes/Actions/Allocate"}});
    ok(&body)
}

/// 201 with a Location once the node is `Allocated`; 409 when no system is free.
async fn allocate(world: &Arc<World>, call: &Call) -> Answer {
    let wish = match wish(&call.json()) {
        Ok(wish) => wish,
        Err(sentence) => return error(StatusCode::BAD_REQUEST, &sentence),
    };
    let full = world.faults.fires(Kind::FullPool);
    let allocated = if full.is_some() { None } else { world.state().allocate(wish, &world.faults) };
    let Some(index) = allocated else {
        return error(StatusCode::CONFLICT, "There are no computer systems available for this allocation request.");
    };
    world.clock.sleep(world.options.assemble_ms / 5).await;
    let mut state = world.state();
    let Some(node) = state.pod.nodes.get_mut(&index) else {
        return not_found(call);
    };
    node.state = NodeState::Allocated;
    Answer::empty(StatusCode::CREATED).with_header("location", &node.path())
}

/// 204 at once; the node is `Assembling`, and later `Assembled` or `Failed`.
fn assemble(world: &Arc<World>, call: &Call, index: &str) -> Answer {
    let mut state = world.state();
    let Some(node) = state.pod.shown(index).map(|node| node.index).and_then(|index| state.pod.nodes.get_mut(&index))
    else {
        return not_found(call);
    };
    if node.state != NodeState::Allocated {
        return error(StatusCode::CONFLICT, "The node cannot be assembled in its present state.");
    }
    let failing = world.faults.fires(Kind::AssemblyFails);
    if failing.as_ref().is_some_and(|fault| !fault.later) {
        node.state = NodeState::Failed;
        return error(StatusCode::INTERNAL_SERVER_ERROR, "assembly failed");
    }
    node.state = NodeState::Assembling;
    let stuck = world.faults.fires(Kind::StuckAssembling);
    let end = if failing.is_some() || stuck.is_some() { NodeState::Failed } else { NodeState::Assembled };
    let quick = world.options.assemble_ms * 4 / 5;
    if let Some(after) = stuck.map_or(Some(quick), |fault| fault.ms) {
        tokio::spawn(settle(world.clone(), node.index, node.uuid.clone(), after, end));
    }
    Answer::empty(StatusCode::NO_CONTENT)
}

async fn settle(world: Arc<World>, index: u32, uuid: String, after_ms: u64, end: NodeState) {
    world.clock.sleep(after_ms).await;
    if let Some(node) = world.state().pod.nodes.get_mut(&index).filter(|node| node.uuid == uuid) {
        node.state = end;
    }
}

fn show(world: &World, call: &Call, index: &str) -> Answer {
    let mut state = world.state();
    give_index_away(&mut state, world, index);
    let state = &*state;
    match state.pod.shown(index) {
        Some(node) => ok(&body(state, node)),
        None => not_found(call),
    }
}

fn release(world: &World, call: &Call, index: &str) -> Answer {
    let mut state = world.state();
    give_index_away(&mut state, world, index);
    let Some(node) = state.pod.shown(index).map(|node| node.index).and_then(|index| state.pod.nodes.get_mut(&index))
    else {
        return not_found(call);
    };
    if matches!(node.state, NodeState::Allocating | NodeState::Assembling) {
        return error(StatusCode::CONFLICT, "The node cannot be deleted in its present state.");
    }
    if world.faults.fires(Kind::KeepOnRelease).is_some() {
        return Answer::empty(StatusCode::NO_CONTENT);
    }
    if world.faults.fires(Kind::ForgetReleaseSilent).is_some() {
        node.hidden = true;
        return Answer::empty(StatusCode::NO_CONTENT);
    }
    let index = node.index;
    state.release(index);
    Answer::empty(StatusCode::NO_CONTENT)
}

/// The switch `index-reused`: waits until the node is out of Ironic and off, so that the one who releases it meets the stranger.
fn give_index_away(state: &mut State, world: &World, index: &str) {
    let Some(node) = state.pod.shown(index).filter(|node| node.state == NodeState::Assembled && !node.foreign) else {
        return;
    };
    let busy = state.ironic.node_of_system(&node.system).is_some()
        || state.machine(&node.system).is_some_and(|machine| machine.running);
    let index = node.index;
    if !busy && world.faults.fires(Kind::IndexReused).is_some() {
        state.release_out_of_band(index);
        state.compose_foreign(index);
    }
}

/// What is asked of a node's power or boot is done on its system.
fn on_system(world: &World, call: &Call, index: &str, action: &str) -> Answer {
    let system = world.state().pod.shown(index).map(|node| node.system.clone());
    match system {
        Some(system) => {
            let path = format!("/redfish/v1/Systems/{system}{action}");
            let call = Call { path, ..call.clone() };
            super::systems::answer(world, &call, &call.segments()[2..])
        }
        None => not_found(call),
    }
}

fn body(state: &State, node: &Node) -> Value {
    let machine = state.machine(&node.system);
    let memory_mib = node.told_memory_mib.or(machine.map(|machine| machine.memory_mib)).unwrap_or_default();
    let system = format!("/redfish/v1/Systems/{}", node.system);
    let links = |what: &str, count: usize| -> Vec<Value> {
        (1..=count).map(|at| json!({"@odata.id": format!("{system}/{what}/{at}")})).collect()
    };
    json!({
        "@odata.id": node.path(), "@odata.type": "#ComposedNode.1.1.0.ComposedNode", "Id": node.index.to_string(),
        "Name": node.name, "Description": node.description, "UUID": node.uuid, "SystemType": "Logical",
        "PowerState": if machine.is_some_and(|machine| machine.running) { "On" } else { "Off" },
        "ComposedNodeState": node.state, "Status": {"State": "Enabled", "Health": "OK", "HealthRollup": "OK"},
        "Boot": {
            "BootSourceOverrideEnabled": machine.map(|machine| &machine.boot.enabled),
            "BootSourceOverrideTarget": machine.map(|machine| &machine.boot.target),
            "BootSourceOverrideTarget@DMTF.AllowableValues": ["None", "Pxe", "Hdd"],
            "BootSourceOverrideEnabled@DMTF.AllowableValues": ["Disabled", "Once", "Continuous"],
        },
        "Processors": {"Count": 2, "Model": MODEL}, "Memory": {"TotalSystemMemoryGiB": memory_mib / 1024},
        "Links": {
            "ComputerSystem": {"@odata.id": system}, "Processors": links("Processors", 2), "Memory": links("Memory", 2),
            "EthernetInterfaces": links("EthernetInterfaces", machine.map_or(0, |machine| machine.macs.len())),
            "ManagedBy": [{"@odata.id": format!("/redfish/v1/Managers/{}", node.system)}],
        },
        "Actions": {
            "#ComposedNode.Reset": {"target": format!("{}/Actions/ComposedNode.Reset", node.path()), "ResetType@DMTF.AllowableValues": RESETS},
            "#ComposedNode.Assemble": {"target": format!("{}/Actions/ComposedNode.Assemble", node.path())},
        },
    })
}

/// Reads an Allocate body. Numbers may be strings, as Valence sends them; only the first item of each list counts.
fn wish(body: &Value) -> Result<Wish, String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let number = |value: &Value| match value {
        Value::Null => Ok(0),
        Value::String(text) => text.parse().map_err(|_| format!("{text} is not a number")),
        other => other.as_u64().ok_or_else(|| format!("{other} is not a number")),
    };
    Ok(Wish {
        name: text(&body["Name"]).unwrap_or_default(),
        description: text(&body["Description"]).unwrap_or_default(),
        cores: u32::try_from(number(&body["Processors"][0]["TotalCores"])?).unwrap_or(u32::MAX),
        memory_mib: number(&body["Memory"][0]["CapacityMiB"])?,
        model: text(&body["Processors"][0]["Model"]),
        memory_type: text(&body["Memory"][0]["DimmDeviceType"])
            .or_else(|| text(&body["Memory"][0]["MemoryDeviceType"])),
    })
}
