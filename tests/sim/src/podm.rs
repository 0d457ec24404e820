//! The pod manager: a Redfish service that composes nodes from its pool (`podm/nodes.rs`) and is the BMC of every system in it
//! (`podm/systems.rs`), and that composes systems of resource blocks (`podm/composition.rs`, `podm/compose.rs`). Basic credentials are wanted for all but the service root. What it may do with the pool is in `podm/pool.rs`.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::basic;
use crate::call::{Answer, Call};
use crate::options::RedfishDialect;
use crate::world::World;

mod compose;
mod composition;
mod drives;
mod hardware;
pub(crate) mod nodes;
pub(crate) mod pieces;
pub(crate) mod pool;
pub(crate) mod systems;

/// Answers one request.
pub(crate) async fn answer(world: &Arc<World>, call: &Call) -> Answer {
    let segments = call.segments();
    let ["redfish", rest @ ..] = segments.as_slice() else {
        return not_found(call);
    };
    let ["v1", rest @ ..] = rest else {
        return ok(&json!({"v1": "/redfish/v1/"}));
    };
    if rest.is_empty() {
        if world.options.redfish_dialect == RedfishDialect::Sunfish {
            return not_found(call);
        }
        return ok(&root());
    }
    if !is_allowed(world, call) {
        return error(StatusCode::UNAUTHORIZED, "Incorrect username or password")
            .with_header("www-authenticate", "Basic realm=\"Redfish\"");
    }
    match (&call.method, rest) {
        (_, ["Nodes", rest @ ..]) => nodes::answer(world, call, rest).await,
        (&Method::POST, ["Systems"]) => compose::create(world, call).await,
        (&Method::DELETE, ["Systems", id]) => compose::delete(world, call, id).await,
        (_, ["CompositionService", rest @ ..]) => composition::answer(world, call, rest),
        (_, ["TaskService", "Monitors" | "Tasks", id]) => compose::task(world, call, id),
        (_, ["Systems" | "Managers" | "Chassis", ..]) => systems::answer(world, call, rest),
        (&Method::GET, ["Services" | "EthernetSwitches" | "EventService"]) => {
            ok(&collection(&call.path, std::iter::empty()))
        }
        _ => not_found(call),
    }
}

/// An error in Redfish's shape.
pub(crate) fn error(status: StatusCode, message: &str) -> Answer {
    let code = "Base.1.0.GeneralError";
    let info =
        json!([{"@odata.type": "/redfish/v1/$metadata#Message.1.0.0.Message", "MessageId": code, "Message": message}]);
    Answer::json(status, &json!({"error": {"code": code, "message": message, "@Message.ExtendedInfo": info}}))
}

pub(crate) fn not_found(call: &Call) -> Answer {
    error(StatusCode::NOT_FOUND, &format!("Resource {} not found", call.path))
}

pub(crate) fn ok(body: &Value) -> Answer {
    Answer::json(StatusCode::OK, body)
}

pub(crate) fn collection(path: &str, members: impl Iterator<Item = String>) -> Value {
    let members: Vec<Value> = members.map(|path| json!({"@odata.id": path})).collect();
    json!({"@odata.id": path.trim_end_matches('/'), "Members@odata.count": members.len(), "Members": members})
}

fn is_allowed(world: &World, call: &Call) -> bool {
    let expected = basic::header(&world.options.bmc_username, &world.state().settings.bmc_password);
    call.header("authorization") == Some(expected.as_str())
}

fn root() -> Value {
    let link = |name: &str| json!({"@odata.id": format!("/redfish/v1/{name}")});
    json!({
        "@odata.id": "/redfish/v1/", "@odata.type": "#ServiceRoot.v1_1_1.ServiceRoot", "Id": "RootService",
        "Name": "Pod manager", "RedfishVersion": "1.0.2", "Systems": link("Systems"), "Chassis": link("Chassis"),
        "Managers": link("Managers"), "Nodes": link("Nodes"), "EventService": link("EventService"),
        "CompositionService": link("CompositionService"), "Tasks": link("TaskService"), "Services": link("Services"), "EthernetSwitches": link("EthernetSwitches"),
    })
}
