//! The part of Ironic that a driver uses, at the versions 1.1 to 1.115: the version header, nodes with their provision states and locks,
//! ports, power, traits, maintenance, history and allocations. The conductor's work is asynchronous and goes to the machines over the pod
//! manager's Redfish face. Its facts and their source are in the README.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::basic;
use crate::call::{Answer, Call};
use crate::world::World;

mod allocations;
mod bmc;
mod conductor;
mod create;
pub(crate) mod errors;
mod extras;
mod history;
mod inspect;
mod lists;
mod nodes;
mod patch;
mod ports;
mod power;
mod provision;
pub(crate) mod state;
pub(crate) mod store;
mod version;
mod view;

use version::Version;

/// Answers one request.
pub(crate) async fn answer(world: &Arc<World>, call: &Call) -> Answer {
    let version = Version::of(call);
    let used = version.as_ref().map_or(Version::MIN, |version| *version);
    let answer = authorize(world, call).and(version).and_then(|version| match call.method {
        Method::HEAD => Err(Answer::empty(StatusCode::METHOD_NOT_ALLOWED)),
        _ => route(world, version, call),
    });
    let request_id = format!("req-{}", world.state().fresh_uuid());
    answer
        .unwrap_or_else(|error| error)
        .with_header("x-openstack-ironic-api-minimum-version", &Version::MIN.to_string())
        .with_header("x-openstack-ironic-api-maximum-version", &Version::MAX.to_string())
        .with_header("x-openstack-ironic-api-version", &used.to_string())
        .with_header("x-openstack-request-id", &request_id)
}

/// An error is an answer too; `?` ends the work with it.
type Answered = Result<Answer, Answer>;

fn route(world: &Arc<World>, version: Version, call: &Call) -> Answered {
    let segments = call.segments();
    match segments.as_slice() {
        [] => Ok(ok(&root(world))),
        ["v1"] => {
            Ok(ok(&json!({"id": "v1", "version": version_document(world), "links": version_document(world)["links"]})))
        }
        ["v1", "nodes", rest @ ..] => nodes::answer(world, version, call, rest),
        ["v1", "ports", rest @ ..] => ports::answer(world, call, rest),
        ["v1", "allocations", rest @ ..] => allocations::answer(world, version, call, rest),
        ["v1", "drivers"] if call.method == Method::GET => Ok(ok(&drivers())),
        _ => Err(errors::no_route()),
    }
}

/// http_basic, when it is switched on. The two version documents need no credentials.
fn authorize(world: &World, call: &Call) -> Result<(), Answer> {
    let expected = world.state().settings.http_basic.clone();
    let Some(expected) = expected.filter(|_| !matches!(call.segments().as_slice(), [] | ["v1"])) else {
        return Ok(());
    };
    let (user, password) = expected.split_once(':').unwrap_or((&expected, ""));
    match call.header("authorization") {
        None => Err(errors::unauthorized("Authorization required")),
        Some(given) if given == basic::header(user, password) => Ok(()),
        Some(given) if given.starts_with("Basic ") => Err(errors::unauthorized("Incorrect username or password")),
        Some(_) => Err(errors::wrong_scheme()),
    }
}

fn ok(body: &Value) -> Answer {
    Answer::json(StatusCode::OK, body)
}

fn accepted(location: &str) -> Answer {
    Answer::empty(StatusCode::ACCEPTED).with_header("location", location)
}

fn no_content() -> Answer {
    Answer::empty(StatusCode::NO_CONTENT)
}

fn base(world: &World) -> &str {
    world.addresses.get().map(|addresses| addresses.ironic.as_str()).unwrap_or_default()
}

/// The two links that every resource carries.
fn links(world: &World, path: &str) -> Value {
    let base = base(world);
    json!([{"href": format!("{base}/v1/{path}"), "rel": "self"}, {"href": format!("{base}/{path}"), "rel": "bookmark"}])
}

fn version_document(world: &World) -> Value {
    json!({
        "id": "v1", "status": "CURRENT", "min_version": Version::MIN.to_string(), "version": Version::MAX.to_string(),
        "links": [{"href": format!("{}/v1/", base(world)), "rel": "self"}],
    })
}

fn root(world: &World) -> Value {
    json!({
        "name": "OpenStack Ironic API", "description": "Ironic is an OpenStack project which enables the provision and management of baremetal machines.",
        "default_version": version_document(world), "versions": [version_document(world)],
    })
}

fn drivers() -> Value {
    let driver = |name: &str| json!({"name": name, "hosts": [state::CONDUCTOR], "type": "dynamic"});
    json!({"drivers": [driver("redfish"), driver("fake-hardware")]})
}
