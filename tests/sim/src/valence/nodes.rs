//! Nodes as Valence tells them: composed, listed, read live from the pod manager, adopted, released. Releasing is DELETE; in the release
//! it answers 200 `null` without a word to the pod manager.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::records::Record;
use super::{Answered, actions, body, compose, errors, links, ok, pod_manager};
use crate::call::{Answer, Call};
use crate::faults::Kind;
use crate::options::Dialect;
use crate::podm::pool::MODEL;
use crate::podm::systems::half;
use crate::world::{State, World};

pub(super) async fn answer(world: &Arc<World>, dialect: Dialect, call: &Call, rest: &[&str]) -> Answered {
    match (&call.method, rest) {
        (&Method::POST, []) => compose::compose(world, dialect, call).await,
        (&Method::GET, []) => list(world, dialect, call),
        (&Method::POST, ["manage"]) => manage(world, dialect, call).await,
        (&Method::GET, [uuid]) => show(world, dialect, uuid).await,
        (&Method::DELETE, [uuid]) => release(world, dialect, uuid).await,
        (&Method::POST, [uuid, "action"]) => actions::act(world, dialect, call, uuid).await,
        (&Method::GET, [_, "storages"]) => {
            Err(errors::python("NotImplemented", "The method or operation is not implemented"))
        }
        _ => Err(errors::no_such_url()),
    }
}

impl Record {
    /// Writes the record of a node of the pod manager.
    pub(super) fn of(world: &World, node: &Value, name: &str) -> Self {
        let mut state = world.state();
        let text = |key: &str| node[key].as_str().unwrap_or_default().to_owned();
        let record = Self {
            uuid: state.fresh_uuid(),
            name: name.to_owned(),
            index: text("Id"),
            pod_uuid: text("UUID"),
            podm_id: None,
            created_at: world.clock.spaced(),
        };
        state.valence.nodes.insert(record.uuid.clone(), record.clone());
        record
    }

    /// The record of this uuid; 404 with Valence's own code without one.
    pub(super) fn find(state: &State, uuid: &str) -> Result<Self, Answer> {
        let record = state.valence.nodes.get(uuid).cloned();
        record.ok_or_else(|| errors::own(StatusCode::NOT_FOUND, &format!("Node {uuid} not found")))
    }

    /// In lists and after composing. The uuid in `links` is the pod manager's, not Valence's.
    pub(super) fn brief(&self, world: &World, dialect: Dialect) -> Value {
        match dialect {
            Dialect::Tree2017 => json!({
                "uuid": self.uuid, "name": self.name, "index": self.index, "links": links(world, &format!("v1/nodes/{}", self.pod_uuid)),
            }),
            Dialect::Release => json!({
                "uuid": self.uuid, "name": self.name, "podm_id": self.podm_id, "index": self.index,
                "resource_uri": format!("/redfish/v1/Nodes/{}", self.index),
            }),
        }
    }
}

/// A bare array. The release takes filters, and falls over one that is not a key of every record.
fn list(world: &World, dialect: Dialect, call: &Call) -> Answered {
    let state = world.state();
    let mut briefs: Vec<Value> = state.valence.nodes.values().map(|record| record.brief(world, dialect)).collect();
    if dialect == Dialect::Release {
        if let Some((key, _)) = call.query.iter().find(|(key, _)| briefs.iter().any(|brief| brief.get(key).is_none())) {
            return Err(errors::python("AttributeError", &format!("'Node' object has no attribute '{key}'")));
        }
        briefs.retain(|brief| call.query.iter().all(|(key, value)| brief[key] == *value));
    }
    Ok(ok(&Value::Array(briefs)))
}

async fn show(world: &Arc<World>, dialect: Dialect, uuid: &str) -> Answered {
    let record = Record::find(&world.state(), uuid)?;
    if dialect == Dialect::Release {
        return Err(errors::python("AttributeError", "'NoneType' object has no attribute 'update'"));
    }
    let read = pod_manager(world, Call::new(Method::GET, &format!("/redfish/v1/Nodes/{}", record.index))).await?;
    if read.status != StatusCode::OK {
        return Err(errors::passed_on(&read, read.status));
    }
    Ok(ok(&detail(world, &record, &read.value())))
}

fn detail(world: &World, record: &Record, node: &Value) -> Value {
    let state = world.state();
    let system = node["Links"]["ComputerSystem"]["@odata.id"].as_str().unwrap_or_default();
    let machine = system.rsplit('/').next().and_then(|id| state.machine(id));
    let told = node["Id"].as_str().and_then(|index| state.pod.shown(index)).and_then(|node| node.told_memory_mib);
    let metadata = machine.map(|machine| {
        let memory_mib = told.unwrap_or(machine.memory_mib);
        let processor = |at| json!({"instruction_set": "x86-64", "model": MODEL, "speed_mhz": 3700, "total_core": half(u64::from(machine.cores), at)});
        let memory = |at| json!({"data_width_bit": 64, "speed_mhz": 2400, "total_memory_mb": half(memory_mib, at)});
        let network = |mac| json!({"mac": mac, "speed_mbps": 10_000, "status": "Enabled", "ipv4": []});
        json!({
            "processor": [processor(0), processor(1)], "memory": [memory(0), memory(1)],
            "network": machine.macs.iter().map(network).collect::<Vec<_>>(),
        })
    });
    let boot = &node["Boot"]["BootSourceOverrideTarget"];
    json!({
        "uuid": record.uuid, "name": record.name, "index": record.index, "description": node["Description"],
        "node_state": node["ComposedNodeState"], "node_power_state": node["PowerState"],
        "boot_source": boot, "target_boot_source": boot, "health_status": node["Status"]["Health"], "pooled_group_id": null,
        "computer_system": {"@odata.id": system}, "metadata": metadata, "links": record.brief(world, Dialect::Tree2017)["links"],
        "created_at": record.created_at, "updated_at": record.created_at,
    })
}

/// Adopts a node that the pod manager has.
async fn manage(world: &Arc<World>, dialect: Dialect, call: &Call) -> Answered {
    let wanted = body(call)?;
    let index = wanted["node_index"].as_str().ok_or_else(|| errors::invalid(&wanted))?;
    if dialect == Dialect::Release {
        return Err(errors::python("AttributeError", "'NoneType' object has no attribute 'get'"));
    }
    if world.state().valence.nodes.values().any(|record| record.index == index) {
        return Err(errors::own(StatusCode::CONFLICT, &format!("Node {index} already managed by Valence.")));
    }
    let read = pod_manager(world, Call::new(Method::GET, &format!("/redfish/v1/Nodes/{index}"))).await?;
    if read.status != StatusCode::OK {
        return Err(errors::passed_on(&read, read.status));
    }
    let node = read.value();
    Ok(ok(&Record::of(world, &node, node["Name"].as_str().unwrap_or_default()).brief(world, dialect)))
}

async fn release(world: &Arc<World>, dialect: Dialect, uuid: &str) -> Answered {
    let record = Record::find(&world.state(), uuid)?;
    if dialect == Dialect::Release {
        world.state().valence.nodes.remove(uuid);
        return Ok(ok(&Value::Null));
    }
    if let (Ok(index), Some(_)) = (record.index.parse(), world.faults.fires(Kind::RecordStuck)) {
        world.state().release_out_of_band(index);
    }
    let released =
        pod_manager(world, Call::new(Method::DELETE, &format!("/redfish/v1/Nodes/{}", record.index))).await?;
    if released.status != StatusCode::NO_CONTENT {
        return Err(errors::passed_on(&released, released.status));
    }
    world.state().valence.nodes.remove(uuid);
    Ok(ok(&errors::deleted("This composed node has been deleted successfully")))
}
