//! Flows: what is done, what is waited for, and the whole timeline.

mod verbs;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Caller, Reader};
use super::body::{Asked, Id};
use super::error::{Problem, Result};
use super::events::EventView;
use super::page::{Page, Paging};
use super::time;
use super::waits::WaitsView;
use crate::lifecycle::Waits;
use crate::model::{Cause, Direction, Event, Fault, FaultKind, Flow, FlowId, Phase};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).merge(verbs::routes())
}

/// A durable list of tasks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Flow)]
struct FlowView {
    id: String,
    /// Such as instance.create-composed.
    kind: String,
    version: u32,
    project: String,
    instance: String,
    /// forward, backward, needs-operator, done or reverted.
    phase: &'static str,
    /// The current task; null once it ended.
    task: Option<String>,
    /// From 1.
    round: u32,
    attempt: u32,
    /// When the current task of this round and direction began.
    since: String,
    /// Why it is not moving, in one sentence; empty once it ended.
    waits_for: String,
    /// The same, taken apart; null once it ended.
    waits: Option<WaitsView>,
    /// The current task takes longer than its budget.
    overdue: bool,
    /// 0 to 100, where the driver knows it.
    percent: Option<u8>,
    /// Null while it waits for another flow or for a person.
    next_try: Option<String>,
    /// Which backend the current task calls, and with which plugin.
    backend: Option<String>,
    plugin: Option<String>,
    /// A user asked to stop.
    cancel: bool,
    /// An operator stopped it and its clocks stand: why; null while it runs.
    paused: Option<String>,
    /// Why it turned round: the first cause.
    fault: Option<FaultView>,
    /// The flow that has to end before.
    follows: Option<String>,
    created_at: String,
    updated_at: String,
    /// Left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks: Option<Vec<TaskView>>,
    /// Left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<EventView>>,
}

/// One task of the flow, in this round.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Task)]
struct TaskView {
    name: String,
    /// waiting, running, done, reverting, reverted, stopped, or skipped: it never began and will not.
    state: &'static str,
    /// When it began; null when it has not.
    since: Option<String>,
    /// The highest attempt so far.
    attempts: u32,
    backend: Option<String>,
    plugin: Option<String>,
    /// The last word of it.
    note: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Fault)]
pub(super) struct FaultView {
    /// retry, rejected, capacity, conflict, broken, overdue, mismatch or cancelled.
    #[schema(value_type = String)]
    kind: FaultKind,
    message: String,
    /// What ended the driver's call where the host did, such as limit-cpu, limit-wall, trap, denied, bad-claim, no-proof.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<Cause>,
}

/// The project's flows, newest first; for an operator those of all projects.
#[utoipa::path(get, path = "/v1/flows", tag = "flows", params(Paging), responses((status = 200, body = Page<FlowView>)))]
async fn list(
    Reader(caller): Reader,
    State(app): State<App>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<FlowView>>> {
    let limit = paging.limit()?;
    let before = paging.after("flows")?.map(|id| id.parse::<FlowId>());
    let before =
        before.transpose().map_err(|_| Problem::new("invalid-cursor", "the cursor was not made by this list"))?;
    let flows = app.store().flows(caller.scope, before, limit + 1).await?;
    let page = Page::of("flows", limit, flows, |flow| flow.id.to_string());
    let mut waits = app.lifecycle.waits(&page.items).await?.into_iter();
    Ok(Json(page.map(|flow| FlowView::of(&app, flow, waits.next().flatten()))))
}

/// One flow with its tasks and its timeline.
#[utoipa::path(get, path = "/v1/flows/{id}", tag = "flows", params(("id" = String, Path)), responses((status = 200, body = FlowView)))]
async fn show(Reader(caller): Reader, State(app): State<App>, Id(id): Id<FlowId>) -> Result<Json<FlowView>> {
    let flow = of_caller(&app, &caller, id).await?;
    let view = whole(&app, flow, &caller).await?;
    Ok(Json(view))
}

/// A flow of another project is as unknown as one that never was.
pub(super) async fn of_caller(app: &App, caller: &Caller, id: FlowId) -> Result<Flow> {
    let flow = app.store().flow(id).await?;
    let seen = flow.filter(|flow| caller.scope.as_ref().is_none_or(|project| *project == flow.project));
    seen.ok_or_else(|| Problem::not_found("flow", id))
}

async fn whole(app: &App, flow: Flow, caller: &Caller) -> Result<FlowView> {
    let events = app.store().events(flow.id, 0).await?;
    let names = app.lifecycle.tasks(&flow);
    let tasks = names.iter().enumerate().map(|(index, name)| TaskView::of(&flow, index, name, &events)).collect();
    let shown = events.into_iter().map(|event| EventView::of(event, caller.is_operator())).collect();
    let waits = app.lifecycle.waits(std::slice::from_ref(&flow)).await?.into_iter().next().flatten();
    Ok(FlowView { tasks: Some(tasks), events: Some(shown), ..FlowView::of(app, flow, waits) })
}

impl FlowView {
    fn of(app: &App, flow: Flow, waits: Option<Waits>) -> Self {
        let names = app.lifecycle.tasks(&flow);
        let current = names.get(flow.position.task).filter(|_| !flow.position.phase.is_ended());
        Self {
            id: flow.id.to_string(),
            task: current.map(|name| (*name).to_owned()),
            waits_for: waits.as_ref().map(Waits::sentence).unwrap_or_default(),
            overdue: waits.as_ref().is_some_and(Waits::is_overdue),
            waits: waits.as_ref().map(WaitsView::of),
            version: flow.version,
            project: flow.project.to_string(),
            instance: flow.instance.to_string(),
            phase: flow.position.phase.as_str(),
            round: flow.position.round,
            attempt: flow.position.attempt,
            since: time::show(flow.task_since),
            percent: flow.progress.percent,
            next_try: flow.wake.map(time::show),
            backend: flow.progress.backend,
            plugin: flow.progress.plugin,
            cancel: flow.cancel,
            paused: flow.paused.map(|paused| paused.why),
            fault: flow.fault.map(FaultView::from),
            follows: flow.follows.map(|id| id.to_string()),
            created_at: time::show(flow.created_at),
            updated_at: time::show(flow.updated_at),
            kind: flow.kind,
            tasks: None,
            events: None,
        }
    }
}

impl TaskView {
    fn of(flow: &Flow, index: usize, name: &str, events: &[Event]) -> Self {
        let round = flow.position.round;
        let own = || events.iter().filter(|event| event.task == name && event.round == round);
        let began = own().next().is_some();
        let undone = own().any(|event| event.direction == Direction::Revert);
        let current = index == flow.position.task && !flow.position.phase.is_ended();
        let state = match flow.position.phase {
            Phase::Forward if current => "running",
            Phase::Backward if current => "reverting",
            Phase::NeedsOperator if current => "stopped",
            Phase::Done => "done",
            Phase::Forward | Phase::Backward | Phase::NeedsOperator if index < flow.position.task => "done",
            Phase::Reverted if began => "reverted",
            Phase::Backward | Phase::NeedsOperator if undone => "reverted",
            Phase::Forward => "waiting",
            _ => "skipped",
        };
        let last = own().next_back();
        Self {
            name: name.to_owned(),
            state,
            since: if current { Some(flow.task_since) } else { own().next().map(|event| event.at) }.map(time::show),
            attempts: own().map(|event| event.attempt).max().unwrap_or(0).max(if current {
                flow.position.attempt
            } else {
                0
            }),
            backend: own().rev().find_map(|event| event.backend.clone()),
            plugin: own().rev().find_map(|event| event.plugin.clone()),
            note: last.map(|event| event.note.clone()).unwrap_or_default(),
        }
    }
}

impl From<Fault> for FaultView {
    fn from(Fault { kind, message, cause, .. }: Fault) -> Self {
        Self { kind, message, cause }
    }
}
