//! CloudBoot, as osinstall-server v1.5: an API on which nearly every answer is HTTP 200, a pool of discovered servers of its own with their
//! BMCs, and the agent that installs them. This file is the table of paths; `store.rs` has the records, `machine.rs` the servers
//! themselves. Its facts and their source are in the README.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::call::{Answer, Call};
use crate::world::World;

mod agent;
mod body;
mod change;
mod enter;
pub(crate) mod ledger;
mod machine;
mod network;
mod power;
mod scan;
pub(crate) mod store;
mod templates;
mod users;
mod view;

pub(crate) use machine::spawn_idle;

const BASE: [&str; 3] = ["api", "osinstall", "v1"];

/// An error is an answer too; `?` ends the work with it.
type Answered = Result<Answer, Answer>;

/// Answers one request.
pub(crate) async fn answer(world: &Arc<World>, call: &Call) -> Answer {
    route(world, call).await.unwrap_or_else(|refused| refused)
}

async fn route(world: &Arc<World>, call: &Call) -> Answered {
    let segments = call.segments();
    // A trailing slash is an unknown resource here.
    let Some(path) = segments.strip_prefix(&BASE).filter(|_| !call.path.ends_with('/')) else {
        return Err(not_found());
    };
    match (&call.method, path) {
        (&Method::GET, ["device", "getDeviceBySn"]) => view::by_sn(world, call),
        (&Method::POST, ["device", "view"]) => view::by_id(world, call),
        (&Method::POST, ["device", "list"]) => view::list(world, call),
        (&Method::POST, ["deviceLog", "list"]) => view::logs(world, call),
        (&Method::POST, ["device", "importDeviceForOpenApi"]) => enter::import(world, call),
        (&Method::POST, ["device", "batchAdd"]) => enter::add(world, call),
        (&Method::POST, ["device", "batchUpdate"]) => change::update(world, call),
        (&Method::POST, ["device", "batchReInstall"]) => change::reinstall(world, call),
        (&Method::POST, ["device", "batchCancelInstall"]) => change::cancel(world, call),
        (&Method::POST, ["device", "batchDelete"]) => change::delete(world, call),
        (&Method::POST, ["device", "scan", "list"]) => scan::list(world, call),
        (&Method::POST, ["device", "scan", "view"]) => scan::view(world, call),
        (&Method::POST, ["device", "scan", "batchAssignOwner"]) => scan::assign_owner(world, call),
        (&Method::POST, ["report", "deviceProductInfo"]) => agent::product_info(world, call),
        (&Method::POST, ["report", "deviceInstallInfo"]) => agent::install_info(world, call),
        (&Method::POST, ["report", "deviceMacInfo"]) => agent::mac_info(world, call),
        (&Method::POST, ["device", "isInInstallList"]) => agent::is_in_install_list(world, call),
        (&Method::POST, ["device", "batchPowerOn"]) => power::act(world, call, power::Action::On).await,
        (&Method::POST, ["device", "batchPowerOff"]) => power::act(world, call, power::Action::Off).await,
        (&Method::POST, ["device", "batchReStart"]) => power::act(world, call, power::Action::Restart).await,
        (&Method::POST, ["device", "batchStartFromPxe"]) => power::act(world, call, power::Action::Pxe).await,
        (&Method::POST, ["user", "login"]) => users::login(world, call),
        (&Method::POST, ["user", "logout"]) => users::logout(world, call),
        (&Method::POST, ["user", "list"]) => users::list(world, call),
        (&Method::POST, ["osConfig", "list"]) => templates::list(call, &templates::OS),
        (&Method::POST, ["systemConfig", "list"]) => templates::list(call, &templates::SYSTEMS),
        (&Method::POST, ["hardware", "list"]) => templates::hardware(call),
        (&Method::POST, ["network", "list"]) => network::list(call),
        (&Method::POST, ["network", "validateIp"]) => network::validate_ip(call),
        (&Method::POST, ["network", "getNotUsedIPListByNetworkId"]) => network::free(world, call),
        (&Method::POST, ["platformConfig", "viewByName"]) => templates::platform(call),
        (
            _,
            ["device" | "report" | "user" | "network" | "osConfig" | "systemConfig" | "hardware" | "deviceLog", ..],
        ) => Err(Answer::pretty(StatusCode::METHOD_NOT_ALLOWED, &json!({"Error": "Method not allowed"}))),
        _ => Err(not_found()),
    }
}

/// A refusal: HTTP 200 all the same.
pub(crate) fn refused(message: &str) -> Answer {
    Answer::pretty(StatusCode::OK, &json!({"Status": "error", "Message": message}))
}

/// A refusal of the other word. Which one a call uses follows no rule.
fn failure(message: &str) -> Answer {
    Answer::pretty(StatusCode::OK, &json!({"Status": "failure", "Message": message}))
}

/// What a crash of the server looks like.
pub(crate) fn panicked(status: StatusCode) -> Answer {
    Answer::pretty(status, &json!({"Error": "runtime error: invalid memory address\ngoroutine 1 [running]: ..."}))
}

fn done() -> Answer {
    Answer::pretty(StatusCode::OK, &json!({"Status": "success", "Message": "操作成功"}))
}

fn content(content: &Value) -> Answer {
    Answer::pretty(StatusCode::OK, &json!({"Status": "success", "Message": "操作成功", "Content": content}))
}

fn not_found() -> Answer {
    Answer::pretty(StatusCode::NOT_FOUND, &json!({"Error": "Resource not found"}))
}
