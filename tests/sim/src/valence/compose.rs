//! Composing in the tree of 2017: allocate, assemble, read, and only then write a record. It does not wait for `Assembled`, and undoes
//! only one of the things that can go wrong, so that a failure in between leaves a node in the pod manager and no record here.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::records::Record;
use super::{Answered, body, errors, ok, pod_manager};
use crate::call::{Answer, Call};
use crate::faults::Kind;
use crate::options::Dialect;
use crate::world::World;

pub(super) async fn compose(world: &Arc<World>, dialect: Dialect, call: &Call) -> Answered {
    let wanted = body(call)?;
    if !is_valid(&wanted, dialect) {
        return Err(errors::invalid(&wanted));
    }
    if dialect == Dialect::Release {
        return Err(release_answer(world, &wanted));
    }
    let properties = match wanted["flavor_id"].as_str() {
        Some(flavor) => {
            let state = world.state();
            let flavor =
                state.valence.flavor(flavor).ok_or_else(|| errors::own(StatusCode::NOT_FOUND, "Flavor not found"))?;
            flavor["properties"].clone()
        }
        None => wanted["properties"].clone(),
    };
    let node = assembled(world, &wanted, &properties).await?;
    if world.faults.fires(Kind::EtcdDown).is_some() {
        return Err(errors::python("EtcdConnectionFailed", "Connection to etcd failed due to MaxRetryError"));
    }
    let record = Record::of(world, &node, wanted["name"].as_str().unwrap_or_default());
    Ok(ok(&record.brief(world, dialect)))
}

/// Allocates and assembles; the pod manager's node as it reads right after.
async fn assembled(world: &Arc<World>, wanted: &Value, properties: &Value) -> Result<Value, Answer> {
    let collection = pod_manager(world, Call::new(Method::GET, "/redfish/v1/Nodes")).await?;
    let target =
        collection.value()["Actions"]["#ComposedNodeCollection.Allocate"]["target"].as_str().map(str::to_owned);
    let target = target.ok_or_else(|| errors::python("KeyError", "'Actions'"))?;

    let allocated =
        pod_manager(world, Call::new(Method::POST, &target).with_json(&allocation(wanted, properties))).await?;
    if allocated.status != StatusCode::CREATED {
        return Err(errors::passed_on(&allocated, allocated.status));
    }
    let location = allocated.header("location").unwrap_or_default().to_owned();

    let read = pod_manager(world, Call::new(Method::GET, &location)).await?;
    let target = read.value()["Actions"]["#ComposedNode.Assemble"]["target"].as_str().map(str::to_owned);
    let target = target.ok_or_else(|| errors::python("KeyError", "'Actions'"))?;

    let assembling = pod_manager(world, Call::new(Method::POST, &target)).await?;
    if assembling.status != StatusCode::NO_CONTENT {
        let cleaned = pod_manager(world, Call::new(Method::DELETE, &location)).await?;
        return Err(match cleaned.status {
            // The exception gets the status of the last answer but one: the GET above.
            StatusCode::NO_CONTENT => errors::passed_on(&assembling, read.status),
            status => errors::passed_on(&cleaned, status),
        });
    }
    let node = pod_manager(world, Call::new(Method::GET, &location)).await?;
    if node.status != StatusCode::OK {
        return Err(errors::python("KeyError", "'Id'"));
    }
    Ok(node.value())
}

/// The body of Allocate: strings stay strings, a missing part becomes `[{}]`.
fn allocation(wanted: &Value, properties: &Value) -> Value {
    let part = |kind: &str, names: [(&str, &str); 2]| -> Value {
        let given =
            names.iter().filter_map(|(ours, theirs)| Some((theirs.to_string(), properties[kind].get(ours)?.clone())));
        Value::Object(given.collect::<Map<_, _>>())
    };
    json!({
        "Name": wanted["name"], "Description": wanted["description"].as_str().unwrap_or_default(),
        "Memory": [part("memory", [("capacity_mib", "CapacityMiB"), ("type", "DimmDeviceType")])],
        "Processors": [part("processor", [("total_cores", "TotalCores"), ("model", "Model")])],
    })
}

/// The release: `podm_id` is optional in the schema only, and the Redfish driver's compose has no body.
fn release_answer(world: &World, wanted: &Value) -> Answer {
    match wanted["podm_id"].as_str() {
        None => errors::python("KeyError", "'podm_id'"),
        Some(id) if !world.state().valence.has_pod_manager(id) => {
            errors::own(StatusCode::NOT_FOUND, "Pod manager not found")
        }
        Some(_) => errors::python("TypeError", "'NoneType' object is not iterable"),
    }
}

/// The JSON schema: nothing but these keys at each level, and every number a string.
fn is_valid(wanted: &Value, dialect: Dialect) -> bool {
    let Some(wanted) = wanted.as_object() else { return false };
    let known = wanted.iter().all(|(key, value)| match key.as_str() {
        "name" | "description" | "podm_id" | "flavor_id" => value.is_string(),
        "properties" => are_properties(value, dialect),
        _ => false,
    });
    known && wanted.contains_key("name") && !(wanted.contains_key("flavor_id") && wanted.contains_key("properties"))
}

fn are_properties(value: &Value, dialect: Dialect) -> bool {
    let strings = |value: &Value, keys: [&str; 2]| {
        value
            .as_object()
            .is_some_and(|map| map.iter().all(|(key, value)| keys.contains(&key.as_str()) && value.is_string()))
    };
    let kinds = |value: &Value| value.as_array().is_some_and(|kinds| kinds.iter().all(Value::is_string));
    value.as_object().is_some_and(|map| {
        map.iter().all(|(key, value)| match key.as_str() {
            "memory" => strings(value, ["capacity_mib", "type"]),
            "processor" => strings(value, ["total_cores", "model"]),
            "pci_device" => dialect == Dialect::Release && kinds(&value["type"]),
            _ => false,
        })
    })
}
