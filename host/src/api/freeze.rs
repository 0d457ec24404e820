//! Freeze: stops everything that the service would change on far sides, in one call.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Operator, Reader};
use super::body::{Body, Key};
use super::error::Result;
use super::reason::Reason;
use super::time;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show, freeze)).routes(routes!(unfreeze))
}

/// Whether flows run.
#[derive(Debug, Serialize, ToSchema)]
struct Standing {
    /// No flow runs, and no request that changes something is sent: why; null while it is not frozen.
    frozen: Option<String>,
    frozen_since: Option<String>,
    /// Restored from a backup then, and the differences from the far sides are not decided: nothing is changed there until they are.
    restored_at: Option<String>,
}

/// Whether the service is frozen.
#[utoipa::path(get, path = "/v1/freeze", tag = "service", responses((status = 200, body = Standing)))]
async fn show(_: Reader, State(app): State<App>) -> Result<Json<Standing>> {
    now(&app).await
}

/// From the answer on no flow runs and the gate sends no request that changes something, logins apart. Orders are still taken: they wait.
#[utoipa::path(post, path = "/v1/freeze", tag = "service", request_body = Reason, responses((status = 200, body = Standing)))]
async fn freeze(
    Operator(caller): Operator,
    State(app): State<App>,
    _: Key,
    Body(Reason { reason }): Body<Reason>,
) -> Result<Json<Standing>> {
    app.lifecycle.freeze(caller.says(reason)?).await?;
    now(&app).await
}

/// Lets everything go on, with the time that it had left.
#[utoipa::path(post, path = "/v1/unfreeze", tag = "service", request_body = Reason, responses((status = 200, body = Standing)))]
async fn unfreeze(
    Operator(caller): Operator,
    State(app): State<App>,
    _: Key,
    Body(Reason { reason }): Body<Reason>,
) -> Result<Json<Standing>> {
    app.lifecycle.unfreeze(caller.says(reason)?).await?;
    now(&app).await
}

async fn now(app: &App) -> Result<Json<Standing>> {
    let standing = app.store().standing().await?;
    Ok(Json(Standing {
        frozen_since: standing.frozen.as_ref().map(|frozen| time::show(frozen.at)),
        frozen: standing.frozen.map(|frozen| frozen.why),
        restored_at: standing.restored_at.map(time::show),
    }))
}
