//! What happened to a node, oldest first; it goes with the node. A list cuts each event to 255 characters.

use serde_json::{Value, json};

use super::state::CONDUCTOR;
use super::store::{Event, Node};
use super::{Answered, errors, links, ok};
use crate::world::World;

/// Adds an error. Called under the world's lock: the uuid is made from what is there.
pub(super) fn note(world: &World, node: &mut Node, event_type: &'static str, sentence: &str) {
    let label = format!("{} event {}", node.uuid, node.history.len());
    node.history.push(Event {
        uuid: uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, label.as_bytes()).to_string(),
        created_at: world.clock.iso(),
        severity: "ERROR",
        event_type,
        event: sentence.to_owned(),
    });
}

pub(super) fn answer(world: &World, uuid: &str, rest: &[&str]) -> Answered {
    let state = world.state();
    let node = state.ironic.node(uuid).ok_or_else(|| errors::not_found(&format!("Node {uuid} could not be found.")))?;
    match rest {
        [] => {
            Ok(ok(&json!({"history": node.history.iter().map(|event| brief(world, uuid, event)).collect::<Vec<_>>()})))
        }
        [id] => match node.history.iter().find(|event| event.uuid == *id) {
            Some(event) => Ok(ok(&whole(world, uuid, event))),
            None => Err(errors::not_found(&format!("Node history record {id} could not be found."))),
        },
        _ => Err(errors::no_route()),
    }
}

fn brief(world: &World, node: &str, event: &Event) -> Value {
    let cut: String = event.event.chars().take(255).collect();
    json!({
        "uuid": event.uuid, "created_at": event.created_at, "severity": event.severity, "event": cut,
        "links": links(world, &format!("nodes/{node}/history/{}", event.uuid)),
    })
}

fn whole(world: &World, node: &str, event: &Event) -> Value {
    let mut body = brief(world, node, event);
    body["event"] = json!(event.event);
    body["event_type"] = json!(event.event_type);
    body["conductor"] = json!(CONDUCTOR);
    body["user"] = Value::Null;
    body
}
