//! Valence, v1, in front of the pod manager: the tree of 2017 that composes, or the release that does not. No authentication; every
//! success is 200, an action 204; the root of its paths is a proxy of the pod manager. Its facts and their source are in the README.

use std::sync::Arc;

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::basic;
use crate::call::{Answer, Call};
use crate::exchange::{Side, exchange};
use crate::options::Dialect;
use crate::world::World;

mod actions;
mod compose;
pub(crate) mod errors;
mod nodes;
pub(crate) mod records;
mod systems;

/// Answers one request.
pub(crate) async fn answer(world: &Arc<World>, call: &Call) -> Answer {
    let dialect = world.state().settings.dialect;
    let answer = route(world, dialect, call).await.unwrap_or_else(|error| error);
    answer.with_header("access-control-allow-origin", "*")
}

/// An error is an answer too; `?` ends the work with it.
type Answered = Result<Answer, Answer>;

async fn route(world: &Arc<World>, dialect: Dialect, call: &Call) -> Answered {
    let segments = call.segments();
    let method = &call.method;
    match segments.as_slice() {
        [] if method == Method::GET => Ok(ok(&versions(world))),
        ["v1"] if method == Method::GET => Ok(ok(&version_1(world))),
        ["v1", "nodes", rest @ ..] => nodes::answer(world, dialect, call, rest).await,
        ["v1", "flavors", rest @ ..] => records::flavors(world, call, rest),
        ["v1", "pod_managers", rest @ ..] => records::pod_managers(world, dialect, call, rest),
        ["v1", "systems", rest @ ..] if method == Method::GET => Ok(systems::systems(world, dialect, rest)),
        ["v1", "racks", ..] if method == Method::GET => Ok(systems::racks(dialect)),
        ["v1", "storages", ..] => Err(errors::python("NotImplemented", "The method or operation is not implemented")),
        ["Chassis" | "Services" | "Managers" | "Systems" | "EventService" | "Nodes" | "EthernetSwitches", ..] => {
            let inner = Call::new(method.clone(), &format!("/redfish/v1/{}", segments.join("/")));
            pod_manager(world, Call { body: call.body.clone(), ..inner }).await
        }
        _ => Err(errors::no_such_url()),
    }
}

/// Asks the pod manager, as `[podm]` of valence.conf says. There is no time-out.
async fn pod_manager(world: &Arc<World>, call: Call) -> Answered {
    let credentials = basic::header(&world.options.bmc_username, &world.state().settings.bmc_password);
    let call = call.with_header(header::AUTHORIZATION, &credentials).with_header(header::USER_AGENT, "valence");
    let answer = exchange(world.clone(), Side::Podm, call).await;
    answer.ok_or_else(|| errors::python("ConnectionError", "('Connection aborted.', BadStatusLine(\"''\",))"))
}

/// The request's body. Without the JSON content type it reads as null.
fn body(call: &Call) -> Result<Value, Answer> {
    if !call.is_json() || call.body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&call.body).map_err(|_| errors::python("BadRequest", "Failed to decode JSON object"))
}

fn ok(body: &Value) -> Answer {
    Answer::pretty(StatusCode::OK, body)
}

fn links(world: &World, what: &str) -> Value {
    let base = world.addresses.get().map(|addresses| addresses.valence.as_str()).unwrap_or_default();
    let rest = what.strip_prefix("v1/").unwrap_or(what);
    json!([{"href": format!("{base}/{what}"), "rel": "self"}, {"href": format!("{base}/{rest}"), "rel": "bookmark"}])
}

fn versions(world: &World) -> Value {
    json!({
        "name": "OpenStack Valence API", "description": "Valence is an OpenStack project",
        "versions": [{"id": "v1", "status": "CURRENT", "min_version": "", "links": links(world, "v1")}],
    })
}

fn version_1(world: &World) -> Value {
    let mut body = json!({"id": "v1", "links": links(world, "v1"), "media_types": [{"base": "application/json", "type": "application/vnd.openstack.valence.v1+json"}]});
    for what in ["nodes", "storages", "flavors", "systems", "pod_managers"] {
        body[what] = links(world, &format!("v1/{what}"));
    }
    body
}
