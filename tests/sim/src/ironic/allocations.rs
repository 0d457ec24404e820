//! Allocations: a free node of a class, taken at once and by one only. The node's instance_uuid becomes the allocation's uuid. A node whose
//! power state nobody has looked at is never taken.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::state::Provision;
use super::store::{Allocation, Node, Store};
use super::version::Version;
use super::{Answered, base, errors, links, no_content, nodes, ok};
use crate::call::{Answer, Call};
use crate::faults::Kind;
use crate::world::{State, World};

const LARGEST_PAGE: usize = 1_000;
/// The version that brought allocations.
const SINCE: Version = Version(52);

pub(super) fn answer(world: &Arc<World>, version: Version, call: &Call, rest: &[&str]) -> Answered {
    if version < SINCE {
        return Err(errors::no_route());
    }
    match (&call.method, rest) {
        (&Method::POST, []) => create(world, call),
        (&Method::GET, []) => list(world, call),
        (&Method::GET, [key]) => find(&world.state().ironic, key).map(|allocation| ok(&body(world, allocation))),
        (&Method::DELETE, [key]) => delete(&mut world.state(), key),
        _ => Err(errors::no_method()),
    }
}

/// `/v1/nodes/{n}/allocation`.
pub(super) fn of_node(world: &World, version: Version, call: &Call, uuid: &str) -> Answered {
    let mut state = world.state();
    let of = |allocation: &&Allocation| allocation.node.as_deref() == Some(uuid);
    let allocation = state.ironic.allocations.iter().find(of).filter(|_| version >= SINCE).cloned();
    let allocation =
        allocation.ok_or_else(|| errors::not_found(&format!("Allocation for node {uuid} was not found")))?;
    match call.method {
        Method::GET => Ok(ok(&body(world, &allocation))),
        Method::DELETE => delete(&mut state, &allocation.uuid),
        _ => Err(errors::no_method()),
    }
}

fn create(world: &Arc<World>, call: &Call) -> Answered {
    let wanted = call.json();
    let text = |key: &str| wanted[key].as_str().map(str::to_owned);
    let texts = |key: &str| -> Vec<String> {
        wanted[key].as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let mut state = world.state();
    let uuid = text("uuid").unwrap_or_else(|| state.fresh_uuid());
    if Uuid::try_parse(&uuid).is_err() {
        return Err(errors::bad_request(&format!("Expected a UUID but received {uuid}.")));
    }
    let name = text("name");
    if state.ironic.allocations.iter().any(|other| other.uuid == uuid) {
        return Err(errors::conflict(&format!("An allocation with UUID {uuid} already exists.")));
    }
    if let Some(name) = &name
        && state.ironic.allocations.iter().any(|other| other.name.as_ref() == Some(name))
    {
        return Err(errors::conflict(&format!("An allocation with name {name} already exists.")));
    }
    let mut allocation = Allocation {
        uuid: uuid.clone(),
        name,
        resource_class: text("resource_class").unwrap_or_default(),
        traits: texts("traits"),
        candidates: Vec::new(),
        extra: if wanted["extra"].is_object() { wanted["extra"].clone() } else { json!({}) },
        state: "allocating",
        node: None,
        last_error: None,
        created_at: world.clock.iso(),
    };
    if let Some(key) = text("node") {
        if let Err(refused) = backfill(&mut state, &mut allocation, &key)? {
            state.ironic.allocations.push(allocation);
            return Err(refused);
        }
    } else if allocation.resource_class.is_empty() {
        return Err(errors::bad_request("Missing mandatory parameter: resource_class"));
    }
    for key in texts("candidate_nodes") {
        let known = state.ironic.node(&key).map(|node| node.uuid.clone());
        allocation
            .candidates
            .push(known.ok_or_else(|| errors::bad_request(&format!("Node {key} could not be found.")))?);
    }
    let answer = Answer::json(StatusCode::CREATED, &body(world, &allocation));
    if allocation.node.is_none() {
        tokio::spawn(settle(world.clone(), uuid.clone()));
    }
    state.ironic.allocations.push(allocation);
    Ok(answer.with_header("location", &format!("{}/v1/allocations/{uuid}", base(world))))
}

/// For a node that is in use already. One that fails stays, in `error`, with the sentence that is answered: `ironic/conductor/allocations.py`
/// of 39.0.0.
fn backfill(state: &mut State, allocation: &mut Allocation, key: &str) -> Result<Result<(), Answer>, Answer> {
    let uuid = nodes::find(state, key).map_err(|_| errors::bad_request(&format!("Node {key} could not be found.")))?;
    let node = state.ironic.node_mut(&uuid);
    let node = node.ok_or_else(|| errors::bad_request(&format!("Node {key} could not be found.")))?;
    let class = node.text("resource_class").unwrap_or_default().to_owned();
    if allocation.resource_class.is_empty() {
        allocation.resource_class.clone_from(&class);
    }
    let mut fails = |said: String, answer: fn(&str) -> Answer| {
        allocation.state = "error";
        allocation.last_error = Some(said.clone());
        Ok(Err(answer(&said)))
    };
    let unfit = |why: String| format!("Cannot backfill an allocation for node {uuid}: {why}");
    let server_error = |said: &str| errors::client(StatusCode::INTERNAL_SERVER_ERROR, said);
    if node.locked {
        let sentence = "please retry after the current operation is completed.";
        let host = super::state::CONDUCTOR;
        return fails(format!("Node {uuid} is locked by host {host}, {sentence}"), errors::conflict);
    }
    if node.provision != Provision::Active {
        let state = node.provision.as_str();
        let why = unfit(format!("Node must be in the \"active\" state, but the current state is \"{state}\""));
        return fails(failed(&allocation.uuid.clone(), &why), server_error);
    }
    if allocation.resource_class != class {
        let wanted = allocation.resource_class.clone();
        let why = unfit(format!("Resource class {class} does not match the requested resource class {wanted}"));
        return fails(failed(&allocation.uuid.clone(), &why), server_error);
    }
    if let Some(other) = node.instance_uuid().filter(|instance| *instance != allocation.uuid) {
        return fails(format!("Node {uuid} is associated with instance {other}."), errors::conflict);
    }
    node.document.insert("instance_uuid".to_owned(), json!(allocation.uuid));
    if let Some(info) = node.document["instance_info"].as_object_mut() {
        info.insert("traits".to_owned(), json!(allocation.traits));
    }
    allocation.node = Some(uuid);
    allocation.state = "active";
    Ok(Ok(()))
}

async fn settle(world: Arc<World>, uuid: String) {
    if let Some(fault) = world.faults.fires(Kind::StuckAllocating) {
        let Some(ms) = fault.ms else { return };
        world.clock.sleep(ms).await;
    }
    world.clock.sleep(world.options.step_ms).await;
    let contended = world.faults.fires(Kind::AllocationContended).is_some();
    let mut state = world.state();
    let Ok(mut wanted) = find(&state.ironic, &uuid).cloned() else { return };
    match state.ironic.nodes.iter_mut().find(|node| node.suits(&wanted)) {
        Some(_) if contended => {
            wanted.state = "error";
            wanted.last_error = Some(failed(&uuid, "could not reserve any of 1 suitable nodes"));
        }
        Some(node) => {
            node.document.insert("instance_uuid".to_owned(), json!(uuid));
            if let Some(info) = node.document["instance_info"].as_object_mut() {
                info.insert("traits".to_owned(), json!(wanted.traits));
            }
            wanted.node = Some(node.uuid.clone());
            wanted.state = "active";
        }
        None => {
            wanted.state = "error";
            wanted.last_error = Some(failed(&uuid, &why_none(&state, &wanted)));
        }
    }
    if let Some(kept) = state.ironic.allocations.iter_mut().find(|allocation| allocation.uuid == uuid) {
        *kept = wanted;
    }
}

fn failed(uuid: &str, reason: &str) -> String {
    format!("Failed to process allocation {uuid}: {reason}.")
}

/// In the words of `ironic/conductor/allocations.py` of 39.0.0.
fn why_none(state: &State, wanted: &Allocation) -> String {
    let class = &wanted.resource_class;
    let anyhow = Allocation { traits: Vec::new(), ..wanted.clone() };
    if state.ironic.nodes.iter().any(|node| node.suits(&anyhow)) {
        format!("no suitable nodes have the requested traits {}", wanted.traits.join(", "))
    } else if wanted.candidates.is_empty() {
        format!("no available nodes match the resource class {class}")
    } else {
        format!("none of the requested nodes are available and match the resource class {class}")
    }
}

impl Node {
    fn suits(&self, wanted: &Allocation) -> bool {
        self.provision == Provision::Available
            && !self.locked
            && !self.maintenance
            && self.instance_uuid().is_none()
            && self.power_on.is_some()
            && self.text("resource_class") == Some(&wanted.resource_class)
            && wanted.traits.iter().all(|name| self.traits.contains(name))
            && (wanted.candidates.is_empty() || wanted.candidates.contains(&self.uuid))
    }
}

fn list(world: &World, call: &Call) -> Answered {
    const KNOWN: [&str; 5] = ["node", "resource_class", "state", "limit", "marker"];
    if let Some((name, _)) = call.query.iter().find(|(name, _)| !KNOWN.contains(&name.as_str())) {
        return Err(errors::bad_request(&format!("Unexpected arguments: {name}")));
    }
    let state = world.state();
    let fits = |name: &str, value: Option<&str>| call.parameter(name).is_none_or(|wanted| value == Some(wanted));
    let chosen = state.ironic.allocations.iter().filter(|allocation| {
        fits("node", allocation.node.as_deref())
            && fits("resource_class", Some(&allocation.resource_class))
            && fits("state", Some(allocation.state))
    });
    let mut rest: Vec<&Allocation> = chosen.collect();
    if let Some(marker) = call.parameter("marker") {
        let at = rest.iter().position(|allocation| allocation.uuid == marker);
        let at = at.ok_or_else(|| errors::not_found(&format!("Allocation {marker} could not be found.")))?;
        rest.drain(..=at);
    }
    let limit = call.parameter("limit").map_or(Ok(LARGEST_PAGE), str::parse);
    let limit = limit.map_err(|_| errors::bad_request("Limit must be positive"))?.clamp(1, LARGEST_PAGE);
    let more = rest.len() > limit;
    rest.truncate(limit);
    let page: Vec<Value> = rest.iter().map(|allocation| body(world, allocation)).collect();
    let mut list = json!({"allocations": page});
    if let Some(last) = rest.last().filter(|_| more) {
        list["next"] = json!(format!("{}/v1/allocations?limit={limit}&marker={}", base(world), last.uuid));
    }
    Ok(ok(&list))
}

/// Frees the node; 409 while it is active.
fn delete(state: &mut State, key: &str) -> Answered {
    let allocation = find(&state.ironic, key)?.clone();
    if let Some(node) = allocation.node.as_deref().and_then(|uuid| state.ironic.node_mut(uuid)) {
        if node.locked {
            return Err(errors::locked(&node.uuid));
        }
        if matches!(node.provision, Provision::Deploying | Provision::Deleting) && !node.maintenance {
            return Err(errors::conflict(&format!(
                "Cannot remove allocation {} for node {}, because the node is in state {} where updates are not allowed (and maintenance \
                 mode is off)",
                allocation.uuid,
                node.uuid,
                node.provision.as_str()
            )));
        }
        if node.provision == Provision::Active && !node.maintenance {
            return Err(errors::conflict(&format!(
                "Cannot remove allocation {} for node {}, because the node is active (and maintenance mode is off)",
                allocation.uuid, node.uuid
            )));
        }
        node.document.insert("instance_uuid".to_owned(), Value::Null);
    }
    state.ironic.allocations.retain(|other| other.uuid != allocation.uuid);
    Ok(no_content())
}

fn find<'a>(store: &'a Store, key: &str) -> Result<&'a Allocation, Answer> {
    let found =
        store.allocations.iter().find(|allocation| allocation.uuid == key || allocation.name.as_deref() == Some(key));
    found.ok_or_else(|| errors::not_found(&format!("Allocation {key} could not be found.")))
}

fn body(world: &World, allocation: &Allocation) -> Value {
    json!({
        "uuid": allocation.uuid, "name": allocation.name, "state": allocation.state, "node_uuid": allocation.node,
        "resource_class": allocation.resource_class, "traits": allocation.traits, "candidate_nodes": allocation.candidates,
        "extra": allocation.extra, "last_error": allocation.last_error, "owner": null,
        "created_at": allocation.created_at, "updated_at": null, "links": links(world, &format!("allocations/{}", allocation.uuid)),
    })
}
