//! Composing: a POST to the systems that names its blocks makes a system, a DELETE takes it apart. Strictly held, a block is in one system
//! at a time, all are of one zone, and what cannot be is refused; the emulator of the DMTF checks none of it. An id of a system is not
//! given again while somebody has it.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::pool::NodeState;
use super::{error, not_found, ok};
use crate::call::{Answer, Call};
use crate::faults::Kind;
use crate::options::RedfishDialect;
use crate::world::{State, World};

/// What is asked for, and the id that the client chose where it may.
struct Wish {
    id: Option<String>,
    name: String,
    blocks: Vec<String>,
    body: Value,
}

pub(super) async fn create(world: &Arc<World>, call: &Call) -> Answer {
    let body = call.json();
    in_time(world, |world| async move { compose(&world, body).await }).await
}

pub(super) async fn delete(world: &Arc<World>, call: &Call, id: &str) -> Answer {
    let (call, id) = (call.clone(), id.to_owned());
    in_time(world, |world| async move { decompose(&world, &call, &id) }).await
}

/// A monitor answers 202 while its task runs, and then what the request would have been answered.
pub(super) fn task(world: &World, call: &Call, id: &str) -> Answer {
    let state = world.state();
    let Some(task) = state.pod.pieces.tasks.iter().find(|task| task.id == id) else { return not_found(call) };
    match &task.outcome {
        _ if call.path.contains("/Tasks/") => {
            let state = match &task.outcome {
                None => "Running",
                Some(outcome) if outcome.status.is_success() => "Completed",
                Some(_) => "Exception",
            };
            ok(&json!({"@odata.id": call.path, "Id": id, "Name": "Task", "TaskState": state}))
        }
        None => accepted(id),
        Some(outcome) => outcome.clone(),
    }
}

pub(super) fn accepted(task: &str) -> Answer {
    let body = json!({
        "@odata.id": format!("/redfish/v1/TaskService/Tasks/{task}"), "@odata.type": "#Task.v1_4_0.Task", "Id": task, "Name": "Task",
        "TaskState": "Running", "TaskMonitor": format!("/redfish/v1/TaskService/Monitors/{task}"),
    });
    Answer::json(StatusCode::ACCEPTED, &body)
        .with_header("location", &format!("/redfish/v1/TaskService/Monitors/{task}"))
}

/// At once, or with the switch `as-task` later.
async fn in_time<F: Future<Output = Answer> + Send + 'static>(
    world: &Arc<World>,
    work: impl FnOnce(Arc<World>) -> F,
) -> Answer {
    let Some(fault) = world.faults.fires(Kind::AsTask) else { return work(world.clone()).await };
    let task = world.state().pod.pieces.begin_task();
    let (later, work, id) = (world.clone(), work(world.clone()), task.clone());
    tokio::spawn(async move {
        later.clock.sleep(fault.ms.unwrap_or(100)).await;
        let outcome = work.await;
        later.state().pod.pieces.end_task(&id, outcome);
    });
    accepted(&task)
}

async fn compose(world: &Arc<World>, body: Value) -> Answer {
    let dialect = world.options.redfish_dialect;
    let wish = match wish(dialect, body) {
        Ok(wish) => wish,
        Err(refused) => return refused,
    };
    world.clock.sleep(world.options.assemble_ms / 5).await;
    let mut state = world.state();
    if world.faults.fires(Kind::ReserveLost).is_some() {
        state.compose_of_strangers(&wish.blocks);
    }
    if let Some(refused) = refuse(world, &state, &wish) {
        return refused;
    }
    let failing = world.faults.fires(Kind::AssemblyFails);
    if failing.as_ref().is_some_and(|fault| !fault.later) {
        return error(StatusCode::INTERNAL_SERVER_ERROR, "assembly failed");
    }
    let id = wish.id.clone().unwrap_or_else(|| state.pod.pieces.fresh_id());
    // The emulator of the DMTF overwrites silently.
    state.take_apart(&id, false);
    state.put_together(&id, &wish.name, &wish.blocks, world.faults.fires(Kind::HalfMemory).is_some());
    if world.faults.fires(Kind::DoubleCompose).is_some() {
        state.compose_of_strangers(&wish.blocks);
    }
    let stuck = world.faults.fires(Kind::StuckAssembling);
    let end = if failing.is_some() || stuck.is_some() { NodeState::Failed } else { NodeState::Assembled };
    if let Some(after) = stuck.map_or(Some(world.options.assemble_ms * 4 / 5), |fault| fault.ms) {
        tokio::spawn(settle(world.clone(), id.clone(), after, end));
    }
    made(world, &id, wish)
}

async fn settle(world: Arc<World>, id: String, after_ms: u64, end: NodeState) {
    world.clock.sleep(after_ms).await;
    if let Some(system) = world.state().pod.pieces.systems.iter_mut().find(|system| system.id == id) {
        system.state = end;
    }
}

/// 201 with a Location; what the others answer otherwise.
fn made(world: &World, id: &str, wish: Wish) -> Answer {
    let path = format!("/redfish/v1/Systems/{id}");
    let mut body = wish.body;
    body["@odata.id"] = json!(path);
    if world.faults.fires(Kind::NoLocation).is_some() {
        return Answer::empty(StatusCode::CREATED);
    }
    if world.faults.fires(Kind::BodyOnly).is_some() {
        return ok(&body);
    }
    match world.options.redfish_dialect {
        RedfishDialect::Strict => Answer::json(StatusCode::CREATED, &body).with_header("location", &path),
        RedfishDialect::Sunfish => ok(&body),
        RedfishDialect::DmtfEmulator => Answer::json(StatusCode::CREATED, &body),
        RedfishDialect::DmtfRoutine => {
            body["SystemType"] = json!("Composed");
            Answer::json(StatusCode::CREATED, &body)
        }
    }
}

fn wish(dialect: RedfishDialect, body: Value) -> Result<Wish, Answer> {
    let bad = |sentence: &str| Err(error(StatusCode::BAD_REQUEST, sentence));
    let text = |key: &str| body[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let links = body["Links"]["ResourceBlocks"].as_array().cloned().unwrap_or_default();
    let last = |link: &Value| link["@odata.id"].as_str().and_then(|link| link.rsplit('/').next()).map(str::to_owned);
    let blocks: Vec<String> = links.iter().filter_map(last).collect();
    let id = match dialect {
        RedfishDialect::Strict => {
            if let Some(key) = ["Id", "@odata.id", "@odata.type"].iter().find(|key| !body[**key].is_null()) {
                return bad(&format!("The property {key} is a read only property and cannot be assigned a value."));
            }
            None
        }
        RedfishDialect::Sunfish => {
            let Some(path) = text("@odata.id").filter(|_| text("@odata.type").is_some()) else {
                return Err(Answer::text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "text/html",
                    "Internal Server Error".to_owned(),
                ));
            };
            path.rsplit('/').next().map(str::to_owned)
        }
        RedfishDialect::DmtfEmulator => match text("Id") {
            Some(id) => Some(id),
            None => return Err(Answer::json(StatusCode::BAD_REQUEST, &json!("Missing attribute: Id"))),
        },
        RedfishDialect::DmtfRoutine => text("Name"),
    };
    let Some(name) = text("Name") else {
        return bad("The create operation failed because the required property Name was missing from the request.");
    };
    if blocks.is_empty() && dialect != RedfishDialect::DmtfEmulator {
        return bad("The create operation failed because the required property Links was missing from the request.");
    }
    Ok(Wish { id, name, blocks, body })
}

fn refuse(world: &World, state: &State, wish: &Wish) -> Option<Answer> {
    let pieces = &state.pod.pieces;
    let dialect = world.options.redfish_dialect;
    if world.faults.fires(Kind::FullPool).is_some() {
        return Some(error(StatusCode::CONFLICT, "The resource blocks are not available for composition."));
    }
    if dialect == RedfishDialect::DmtfEmulator {
        return None;
    }
    if let Some(id) = &wish.id
        && pieces.system(id).is_some()
    {
        let status = if dialect == RedfishDialect::Sunfish { 409 } else { 500 };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::CONFLICT);
        return Some(error(status, "a system of this name exists already"));
    }
    let blocks: Option<Vec<_>> = wish.blocks.iter().map(|id| pieces.block(id)).collect();
    let Some(blocks) = blocks else {
        return Some(error(StatusCode::BAD_REQUEST, "The Resource Block was not found."));
    };
    if blocks.iter().any(|block| block.zone != blocks[0].zone) {
        return Some(error(StatusCode::BAD_REQUEST, "The Resource Blocks are not in one Resource Zone."));
    }
    if dialect == RedfishDialect::DmtfRoutine {
        return None;
    }
    let taken =
        blocks.iter().find(|block| pieces.state_of(block) != "Unused" || pieces.holders(&block.id).next().is_some());
    taken.map(|block| error(StatusCode::CONFLICT, &format!("The Resource Block {} is in use.", block.id)))
}

fn decompose(world: &Arc<World>, call: &Call, id: &str) -> Answer {
    let mut state = world.state();
    let dialect = world.options.redfish_dialect;
    let Some(system) = state.pod.pieces.system(id).filter(|system| !system.hidden).cloned() else {
        return if dialect.is_dmtf() {
            Answer::json(StatusCode::NOT_FOUND, &json!("404 Not Found"))
        } else {
            not_found(call)
        };
    };
    if system.state == NodeState::Assembling && dialect == RedfishDialect::Strict {
        return error(StatusCode::CONFLICT, "The system cannot be deleted in its present state.");
    }
    if world.faults.fires(Kind::ForgetReleaseSilent).is_some() {
        if let Some(system) = state.pod.pieces.systems.iter_mut().find(|system| system.id == id) {
            system.hidden = true;
        }
    } else if world.faults.fires(Kind::KeepOnRelease).is_none() {
        state.watch(&system);
        let unerased = world.faults.fires(Kind::EraseFails).is_some();
        state.take_apart(id, !unerased);
        if let Some(fault) = world.faults.fires(Kind::BlockFailed)
            && let Some(block) = system.blocks.first()
        {
            state.set_failed(block, true);
            if let Some(ms) = fault.ms {
                let (later, block) = (world.clone(), block.clone());
                tokio::spawn(async move {
                    later.clock.sleep(ms).await;
                    later.state().set_failed(&block, false);
                });
            }
        }
    }
    match dialect {
        RedfishDialect::Strict => Answer::empty(StatusCode::NO_CONTENT),
        RedfishDialect::Sunfish => ok(&json!({})),
        RedfishDialect::DmtfEmulator | RedfishDialect::DmtfRoutine => ok(&json!(200)),
    }
}
