//! Power and boot of a node through Valence: exactly one action a request, 204. Attach and detach pass the schema and are then
//! refused; in the release's Redfish driver no action does anything.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::records::Record;
use super::{Answered, body, errors, pod_manager};
use crate::call::{Answer, Call};
use crate::options::Dialect;
use crate::world::World;

pub(super) async fn act(world: &Arc<World>, dialect: Dialect, call: &Call, uuid: &str) -> Answered {
    let wanted = body(call)?;
    let action = action(&wanted).ok_or_else(|| errors::invalid(&wanted))?;
    let record = Record::find(&world.state(), uuid)?;
    if dialect == Dialect::Release {
        return Ok(Answer::empty(StatusCode::NO_CONTENT));
    }
    let node = format!("/redfish/v1/Nodes/{}", record.index);
    let asked = match action {
        Action::Reset(kind) => {
            let call = Call::new(Method::POST, &format!("{node}/Actions/ComposedNode.Reset"));
            pod_manager(world, call.with_json(&json!({"ResetType": kind}))).await?
        }
        Action::Boot { enabled, target } => {
            let boot = json!({"Boot": {"BootSourceOverrideEnabled": enabled, "BootSourceOverrideTarget": target}});
            pod_manager(world, Call::new(Method::PATCH, &node).with_json(&boot)).await?
        }
        Action::Device => return Err(errors::own(StatusCode::BAD_REQUEST, "Unsupported node action")),
    };
    match asked.status {
        StatusCode::NO_CONTENT => Ok(Answer::empty(StatusCode::NO_CONTENT)),
        status => Err(errors::passed_on(&asked, status)),
    }
}

enum Action<'a> {
    Reset(&'a str),
    Boot { enabled: &'a str, target: &'a str },
    Device,
}

fn action(wanted: &Value) -> Option<Action<'_>> {
    let map = wanted.as_object().filter(|map| map.len() == 1)?;
    let (name, value) = map.iter().next()?;
    let one_of = |key: &str, words: &[&str]| value[key].as_str().filter(|word| words.contains(word));
    match name.as_str() {
        "Reset" => one_of("Type", &["On", "ForceOn", "ForceOff", "GracefulRestart"]).map(Action::Reset),
        "Boot" => Some(Action::Boot {
            enabled: one_of("Enabled", &["Once", "Continuous"])?,
            target: one_of("Target", &["Pxe", "Hdd", "None"])?,
        }),
        "attach" | "detach" => value["resource_id"].as_str().map(|_| Action::Device),
        _ => None,
    }
}
