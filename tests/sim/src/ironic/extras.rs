//! What else a node has: maintenance, traits, the boot device, and a check of its interfaces. All but the check want the lock.

use axum::http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::bmc::Bmc;
use super::provision::image_reason;
use super::{Answered, errors, no_content, nodes, ok};
use crate::call::{Answer, Call};
use crate::world::World;

/// Synchronous, though it answers 202.
pub(super) fn maintenance(world: &World, call: &Call, uuid: &str) -> Answered {
    let on = match call.method {
        Method::PUT => true,
        Method::DELETE => false,
        _ => return Err(errors::no_method()),
    };
    let mut state = world.state();
    let node = nodes::unlocked(world, &mut state, call, uuid)?;
    node.maintenance = on;
    node.fault = node.fault.filter(|_| on);
    node.maintenance_reason = call.json()["reason"].as_str().filter(|_| on).map(str::to_owned);
    Ok(Answer::empty(StatusCode::ACCEPTED))
}

pub(super) fn traits(world: &World, call: &Call, uuid: &str, rest: &[&str]) -> Answered {
    let mut state = world.state();
    if (&call.method, rest) == (&Method::GET, &[]) {
        return Ok(ok(&json!({"traits": state.ironic.node(uuid).map(|node| &node.traits)})));
    }
    let node = nodes::unlocked(world, &mut state, call, uuid)?;
    match (&call.method, rest) {
        (&Method::PUT, []) => {
            let body = call.json();
            let names =
                body["traits"].as_array().ok_or_else(|| errors::bad_request("Missing mandatory parameter: traits"))?;
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            names.iter().try_for_each(|name| check_trait(name))?;
            node.traits = names.into_iter().map(str::to_owned).collect();
            Ok(no_content())
        }
        (&Method::PUT, [name]) => {
            check_trait(name)?;
            node.traits.insert(name.to_string());
            Ok(no_content())
        }
        (&Method::DELETE, []) => {
            node.traits.clear();
            Ok(no_content())
        }
        (&Method::DELETE, [name]) => match node.traits.remove(*name) {
            true => Ok(no_content()),
            false => Err(errors::not_found(&format!("Node {uuid} doesn't have a trait '{name}'"))),
        },
        _ => Err(errors::no_method()),
    }
}

pub(super) fn boot_device(world: &World, call: &Call, uuid: &str, rest: &[&str]) -> Answered {
    const KNOWN: [&str; 4] = ["pxe", "disk", "cdrom", "bios"];
    let mut state = world.state();
    let node = nodes::unlocked(world, &mut state, call, uuid)?;
    match (&call.method, rest) {
        (&Method::GET, ["supported"]) => Ok(ok(&json!({"supported_boot_devices": KNOWN}))),
        (&Method::GET, []) => {
            let (device, persistent) =
                node.boot_device.clone().map_or((None, None), |(device, persistent)| (Some(device), Some(persistent)));
            Ok(ok(&json!({"boot_device": device, "persistent": persistent})))
        }
        (&Method::PUT, []) => {
            let body = call.json();
            let device = body["boot_device"].as_str().filter(|device| KNOWN.contains(device));
            let device = device.ok_or_else(|| {
                errors::bad_request(&format!("Invalid boot device {} specified.", body["boot_device"]))
            })?;
            node.boot_device = Some((device.to_owned(), body["persistent"].as_bool().unwrap_or(false)));
            Ok(no_content())
        }
        _ => Err(errors::no_method()),
    }
}

/// Interfaces that are `no-...` show a false result, as they do in truth.
pub(super) fn validate(world: &World, uuid: &str) -> Answered {
    let state = world.state();
    let node = state.ironic.node(uuid).ok_or_else(|| errors::not_found(&format!("Node {uuid} could not be found.")))?;
    let bmc = Bmc::of(node).err();
    let mut body = Map::new();
    for kind in [
        "bios",
        "boot",
        "console",
        "deploy",
        "firmware",
        "inspect",
        "management",
        "network",
        "power",
        "raid",
        "rescue",
        "storage",
    ] {
        let chosen = node.text(&format!("{kind}_interface")).unwrap_or_default();
        let reason = match kind {
            _ if chosen.starts_with("no-") => {
                Some(format!("Driver redfish does not support {kind} (disabled or not implemented)."))
            }
            "deploy" | "boot" => bmc.clone().or_else(|| image_reason(node)),
            "power" | "management" | "inspect" => bmc.clone(),
            _ => None,
        };
        let mut result = json!({"result": reason.is_none()});
        if let Some(reason) = reason {
            result["reason"] = json!(reason);
        }
        body.insert(kind.to_owned(), result);
    }
    Ok(ok(&Value::Object(body)))
}

fn check_trait(name: &str) -> Result<(), Answer> {
    let shaped = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let standard = ["HW_", "STORAGE_", "COMPUTE_", "MISC_"].iter().any(|prefix| name.starts_with(prefix));
    match shaped(name) && (standard || name.strip_prefix("CUSTOM_").is_some_and(|rest| !rest.is_empty())) {
        true => Ok(()),
        false => Err(errors::bad_request(&format!(
            "Invalid traits \"{name}\". A valid trait must be no longer than 255 characters. Standard traits are defined in the os_traits \
             library. A custom trait must start with the prefix CUSTOM_ and use the following characters: A-Z, 0-9 and _"
        ))),
    }
}
