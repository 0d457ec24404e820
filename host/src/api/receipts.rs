//! Receipts: proof of what was given back, from what the gate saw. What rests on a driver's word alone says so.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::Reader;
use super::body::Id;
use super::error::{Problem, Result};
use super::events::ExchangeView;
use super::flows::of_caller;
use super::time;
use crate::lifecycle::{Line, Receipt};
use crate::model::{Erased, Exchange, FlowId, Holding, InstanceId};

/// What stands behind a line: something that the gate saw, or the driver's word alone.
const GATE: &str = "gate";
const DRIVER: &str = "driver";

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(of_flow)).routes(routes!(of_instance))
}

/// What was given back, and what is still held.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Receipt)]
struct ReceiptView {
    instance: String,
    /// Nothing of the instance is held any more.
    complete: bool,
    /// What must not be overlooked: disks that may hold data, and what a person decided in place of an undo.
    warnings: Vec<String>,
    /// In the order in which it was given back.
    given_back: Vec<LineView>,
    left: Vec<Left>,
}

/// One thing that was given back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GivenBack)]
struct LineView {
    flow: String,
    /// The task that undid it.
    task: String,
    at: String,
    /// compose, claim, enroll or deploy.
    role: &'static str,
    backend: String,
    plugin: Option<String>,
    /// What the driver had stamped on it.
    mark: String,
    /// What the far side called it; null when that was never known.
    handle: Option<String>,
    /// What the undo sent beside mere reads, in all its calls: the last of each method and path. For operators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<Vec<ExchangeView>>,
    undone: Evidence,
    gone: Evidence,
    /// A read saw the machine off; null where no side tells of its power.
    off: Option<Evidence>,
    /// What became of the data; null for a role that touches no disk.
    erased: Option<ErasedView>,
    /// The driver's own words about it.
    said: Map<String, Value>,
}

/// What something rests on.
#[derive(Debug, Serialize, ToSchema)]
struct Evidence {
    /// gate: the exchange that the plugin's manifest names, or an answered read; driver: its word alone.
    evidence: &'static str,
    /// For operators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    exchanges: Option<Vec<ExchangeView>>,
}

/// How far data was erased.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Erased)]
struct ErasedView {
    /// none, quick or full.
    asked: &'static str,
    reached: &'static str,
    /// reached; below: the disks may hold data; nothing-written: no deployment had begun; or not-asked.
    verdict: &'static str,
    method: String,
    /// Serials, where the driver names them.
    disks: Vec<String>,
    /// Always driver: no exchange tells what is on a disk.
    evidence: &'static str,
}

/// What is still held, or owed.
#[derive(Debug, Serialize, ToSchema)]
struct Left {
    role: &'static str,
    backend: String,
    mark: String,
    handle: Option<String>,
    /// Why its undo did not end.
    fault: Option<String>,
}

/// What this flow gave back, with its proof.
#[utoipa::path(get, path = "/v1/flows/{id}/receipt", tag = "flows", params(("id" = String, Path)), responses((status = 200, body = ReceiptView)))]
async fn of_flow(Reader(caller): Reader, State(app): State<App>, Id(id): Id<FlowId>) -> Result<Json<ReceiptView>> {
    let flow = of_caller(&app, &caller, id).await?;
    let receipt = app.lifecycle.receipt(flow.id, flow.instance).await?;
    Ok(Json(ReceiptView::of(receipt, caller.is_operator())))
}

/// What all flows of the instance gave back, with its proof; also of an instance that is gone.
#[utoipa::path(get, path = "/v1/instances/{id}/receipt", tag = "instances", params(("id" = String, Path)), responses((status = 200, body = ReceiptView)))]
async fn of_instance(
    Reader(caller): Reader,
    State(app): State<App>,
    Id(id): Id<InstanceId>,
) -> Result<Json<ReceiptView>> {
    app.store().instance(caller.scope.clone(), id).await?.ok_or_else(|| Problem::not_found("instance", id))?;
    let receipt = app.lifecycle.receipt_of(id).await?;
    Ok(Json(ReceiptView::of(receipt, caller.is_operator())))
}

impl ReceiptView {
    fn of(receipt: Receipt, operator: bool) -> Self {
        Self {
            instance: receipt.instance.to_string(),
            complete: receipt.left.is_empty(),
            warnings: receipt.warnings,
            given_back: receipt.lines.into_iter().map(|line| LineView::of(line, operator)).collect(),
            left: receipt.left.into_iter().map(Left::of).collect(),
        }
    }
}

impl LineView {
    fn of(line: Line, operator: bool) -> Self {
        let given_back = line.given_back;
        let proof = given_back.proof.into_iter().collect();
        Self {
            flow: line.flow.to_string(),
            task: line.task,
            at: time::show(line.at),
            role: given_back.role.as_str(),
            backend: given_back.backend.to_string(),
            plugin: line.plugin,
            mark: given_back.mark.to_string(),
            handle: given_back.handle,
            sent: shown(line.sent, operator),
            undone: Evidence::of(proof, operator),
            gone: Evidence::of(given_back.looked, operator),
            off: given_back.off.map(|looked| Evidence::of(looked, operator)),
            erased: line.erased.map(ErasedView::of),
            said: given_back.said,
        }
    }
}

impl Evidence {
    /// An answer of 500 and above tells nothing of what is there.
    fn of(exchanges: Vec<Exchange>, operator: bool) -> Self {
        let answered = exchanges.iter().any(|exchange| exchange.status.is_some_and(|status| status < 500));
        Self { evidence: if answered { GATE } else { DRIVER }, exchanges: shown(exchanges, operator) }
    }
}

fn shown(exchanges: Vec<Exchange>, operator: bool) -> Option<Vec<ExchangeView>> {
    operator.then(|| exchanges.into_iter().map(ExchangeView::of).collect())
}

impl ErasedView {
    fn of(erased: Erased) -> Self {
        Self {
            asked: erased.asked.as_str(),
            reached: erased.reached.as_str(),
            verdict: erased.verdict.as_str(),
            method: erased.method,
            disks: erased.disks,
            evidence: DRIVER,
        }
    }
}

impl Left {
    fn of(holding: Holding) -> Self {
        Self {
            role: holding.role.as_str(),
            backend: holding.backend.to_string(),
            mark: holding.mark.to_string(),
            handle: holding.handle,
            fault: holding.fault.map(|fault| fault.message),
        }
    }
}
