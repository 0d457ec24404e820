//! What operators decide of a flow. Each is durable when it is answered, and stands in the audit log.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{FlowView, of_caller, whole};
use crate::api::App;
use crate::api::auth::{Caller, Operator};
use crate::api::body::{Body, Id, Key};
use crate::api::error::{Problem, Result};
use crate::api::plugin_ref;
use crate::api::reason::Reason;
use crate::model::FlowId;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(retry))
        .routes(routes!(skip))
        .routes(routes!(hand_over))
        .routes(routes!(abandon))
        .routes(routes!(pause))
        .routes(routes!(resume))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Retry {
    /// One line for the audit log.
    #[serde(default = "looked")]
    reason: String,
}

fn looked() -> String {
    "looked at it".into()
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct HandOver {
    /// A plugin's digest, the first digits of it, its name, or name@version. Its backend was bound to it at some time.
    plugin: String,
    /// One line for the audit log.
    reason: String,
}

/// The flow that ended, and the one that settles what it held.
#[derive(Debug, Serialize, ToSchema)]
struct Abandoned {
    flow: FlowView,
    /// The flow that goes on giving back, for as long as it takes.
    settled_by: String,
}

/// Lets a flow that needs an operator try again where it rested.
#[utoipa::path(post, path = "/v1/flows/{id}/retry", tag = "flows", params(("id" = String, Path)), request_body = Retry, responses((status = 202, body = FlowView)))]
async fn retry(
    Operator(caller): Operator,
    State(app): State<App>,
    Id(id): Id<FlowId>,
    _: Key,
    Body(Retry { reason }): Body<Retry>,
) -> Result<(StatusCode, Json<FlowView>)> {
    of_caller(&app, &caller, id).await?;
    app.lifecycle.retry(id, caller.says(reason)?).await?;
    now(&app, &caller, id).await
}

/// Takes the place of the task that a flow rests at: it counts as done, and what its undo would have given back as gone.
#[utoipa::path(post, path = "/v1/flows/{id}/skip", tag = "flows", params(("id" = String, Path)), request_body = Reason, responses((status = 202, body = FlowView)))]
async fn skip(
    Operator(caller): Operator,
    State(app): State<App>,
    Id(id): Id<FlowId>,
    _: Key,
    Body(Reason { reason }): Body<Reason>,
) -> Result<(StatusCode, Json<FlowView>)> {
    of_caller(&app, &caller, id).await?;
    app.lifecycle.skip(id, caller.says(reason)?).await?;
    now(&app, &caller, id).await
}

/// Lets another plugin of the same backend go on with the undo that a flow rests at; what the first one kept is dropped.
#[utoipa::path(post, path = "/v1/flows/{id}/hand-over", tag = "flows", params(("id" = String, Path)), request_body = HandOver, responses((status = 202, body = FlowView)))]
async fn hand_over(
    Operator(caller): Operator,
    State(app): State<App>,
    Id(id): Id<FlowId>,
    _: Key,
    Body(HandOver { plugin, reason }): Body<HandOver>,
) -> Result<(StatusCode, Json<FlowView>)> {
    of_caller(&app, &caller, id).await?;
    let found = plugin_ref::find(&app, &plugin)?
        .ok_or_else(|| Problem::new("plugin-unknown", format!("no plugin is named {plugin}")))?;
    app.lifecycle.hand_over(id, &found.digest, caller.says(reason)?).await?;
    now(&app, &caller, id).await
}

/// Ends a flow that rests: its instance is gone, and what it still holds are debts that another flow goes on settling.
#[utoipa::path(post, path = "/v1/flows/{id}/abandon", tag = "flows", params(("id" = String, Path)), request_body = Reason, responses((status = 202, body = Abandoned)))]
async fn abandon(
    Operator(caller): Operator,
    State(app): State<App>,
    Id(id): Id<FlowId>,
    _: Key,
    Body(Reason { reason }): Body<Reason>,
) -> Result<(StatusCode, Json<Abandoned>)> {
    of_caller(&app, &caller, id).await?;
    let settled_by = app.lifecycle.abandon(id, caller.says(reason)?).await?.to_string();
    let (status, Json(flow)) = now(&app, &caller, id).await?;
    Ok((status, Json(Abandoned { flow, settled_by })))
}

/// Stops a flow after the call that is under way; its clocks stand until it is resumed.
#[utoipa::path(post, path = "/v1/flows/{id}/pause", tag = "flows", params(("id" = String, Path)), request_body = Reason, responses((status = 202, body = FlowView)))]
async fn pause(
    Operator(caller): Operator,
    State(app): State<App>,
    Id(id): Id<FlowId>,
    _: Key,
    Body(Reason { reason }): Body<Reason>,
) -> Result<(StatusCode, Json<FlowView>)> {
    of_caller(&app, &caller, id).await?;
    app.lifecycle.pause_flow(id, caller.says(reason)?).await?;
    now(&app, &caller, id).await
}

/// Lets a paused flow go on, with the time that it had left.
#[utoipa::path(post, path = "/v1/flows/{id}/resume", tag = "flows", params(("id" = String, Path)), request_body = Reason, responses((status = 202, body = FlowView)))]
async fn resume(
    Operator(caller): Operator,
    State(app): State<App>,
    Id(id): Id<FlowId>,
    _: Key,
    Body(Reason { reason }): Body<Reason>,
) -> Result<(StatusCode, Json<FlowView>)> {
    of_caller(&app, &caller, id).await?;
    app.lifecycle.resume_flow(id, caller.says(reason)?).await?;
    now(&app, &caller, id).await
}

async fn now(app: &App, caller: &Caller, id: FlowId) -> Result<(StatusCode, Json<FlowView>)> {
    let flow = of_caller(app, caller, id).await?;
    let view = whole(app, flow, caller).await?;
    Ok((StatusCode::ACCEPTED, Json(view)))
}
