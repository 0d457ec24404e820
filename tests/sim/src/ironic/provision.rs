//! `PUT states/provision`: checks at once what can be checked at once, takes the lock, answers 202, and leaves the work to the conductor.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::state::{Provision, Work};
use super::store::Node;
use super::{Answered, accepted, base, conductor, errors, nodes};
use crate::call::{Answer, Call};
use crate::world::World;

pub(super) fn put(world: &Arc<World>, call: &Call, uuid: &str) -> Answered {
    let body = call.json();
    let verb = body["target"].as_str().ok_or_else(|| errors::bad_request("Missing mandatory parameter: target"))?;
    let mut state = world.state();
    let deploys = matches!(verb, "active" | "deploy" | "rebuild");
    if deploys && state.ironic.node(uuid).is_some_and(|node| node.maintenance) {
        return Err(in_maintenance("provisioning", uuid));
    }
    let node = nodes::unlocked(world, &mut state, call, uuid)?;
    if matches!(verb, "deleted" | "undeploy" | "rebuild") && node.flag("protected") {
        return Err(protected(uuid));
    }
    if verb == "rebuild" && node.provision == Provision::Active {
        let bug = "cannot access local variable 'auto_lessee' where it is not associated with a value";
        return Err(errors::client(StatusCode::INTERNAL_SERVER_ERROR, bug));
    }
    let work = node.provision.allows(verb).ok_or_else(|| {
        errors::bad_request(&format!(
            "The requested action \"{verb}\" can not be performed on node \"{uuid}\" while it is in state \"{}\".",
            node.provision.as_str()
        ))
    })?;
    match work {
        Work::Provide if node.maintenance => return Err(in_maintenance("providing", uuid)),
        Work::Provide if node.flag("retired") => {
            return Err(errors::bad_request(&format!(
                "The providing operation can't be performed on node {uuid} because it is retired."
            )));
        }
        Work::Clean if node.maintenance => return Err(in_maintenance("cleaning", uuid)),
        _ => {}
    }
    check(node, verb, work, &body)?;
    begin(world, node, work, &body);
    if work != Work::Manage {
        tokio::spawn(conductor::run(world.clone(), uuid.to_owned(), work));
    }
    Ok(accepted(&format!("{}/v1/nodes/{uuid}/states", base(world))))
}

fn in_maintenance(operation: &str, uuid: &str) -> Answer {
    errors::bad_request(&format!(
        "The {operation} operation can't be performed on node {uuid} because it's in maintenance mode."
    ))
}

pub(super) fn protected(uuid: &str) -> Answer {
    errors::client(
        StatusCode::FORBIDDEN,
        &format!("Node {uuid} is protected and cannot be undeployed, rebuilt or deleted"),
    )
}

fn begin(world: &World, node: &mut Node, work: Work, body: &Value) {
    node.provision = work.passing();
    node.provision_updated_at = Some(world.clock.iso());
    node.last_error = None;
    if work == Work::Manage {
        node.target = None;
        return;
    }
    node.target = Some(work.end());
    let steps = body["clean_steps"].as_array().into_iter().flatten();
    node.erases_by_hand = steps.filter_map(|step| step["step"].as_str()).any(|step| step.contains("erase"));
    node.locked = true;
    if let Some(info) = node.document["instance_info"].as_object_mut()
        && work == Work::Deploy
        && !body["configdrive"].is_null()
    {
        info.insert("configdrive".to_owned(), body["configdrive"].clone());
    }
}

/// What is answered 400 before anything begins.
fn check(node: &Node, verb: &str, work: Work, body: &Value) -> Result<(), Answer> {
    let drive = &body["configdrive"];
    if !drive.is_null() && work != Work::Deploy {
        return Err(errors::bad_request(&format!(
            "Adding a config drive is only supported when setting provision state to active or rebuild, not {verb}"
        )));
    }
    if let Some(drive) = drive.as_object()
        && drive.keys().any(|key| !["meta_data", "network_data", "user_data", "vendor_data"].contains(&key.as_str()))
    {
        return Err(errors::bad_request("Invalid configdrive format"));
    }
    if !(drive.is_null() || drive.is_string() || drive.is_object()) {
        return Err(errors::bad_request("Invalid configdrive format"));
    }
    if work == Work::Clean && body["clean_steps"].as_array().is_none() {
        return Err(errors::bad_request("\"clean_steps\" is required when setting target provision state to clean"));
    }
    match work {
        Work::Deploy => image_reason(node).map_or(Ok(()), |reason| {
            let uuid = &node.uuid;
            Err(errors::bad_request(&format!("Failed to validate deploy or power info for node {uuid}: {reason}")))
        }),
        _ => Ok(()),
    }
}

/// Why this node has nothing to boot; none: it has.
pub(super) fn image_reason(node: &Node) -> Option<String> {
    let info = &node.document["instance_info"];
    let has = |key: &str| info.get(key) != Some(&json!("")) && !info[key].is_null();
    let enough = !node.is_redfish() || has("boot_iso") || has("image_source") || (has("kernel") && has("ramdisk"));
    (!enough).then(|| {
        "Cannot validate image information for node because one or more parameters are missing from its instance_info. \
         Missing are: ['kernel', 'ramdisk']"
            .to_owned()
    })
}
