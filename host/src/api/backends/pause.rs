//! Pause and resume: no flow calls a backend while somebody works on it.

use axum::extract::State;
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{BackendView, whole};
use crate::api::App;
use crate::api::auth::Operator;
use crate::api::body::{Body, Key, Named};
use crate::api::error::Result;
use crate::api::reason::Reason;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(pause)).routes(routes!(resume))
}

/// No flow calls this backend until it is resumed; calls under way end. The clocks of those flows stand.
#[utoipa::path(post, path = "/v1/backends/{name}/pause", tag = "backends", params(("name" = String, Path)), request_body = Reason, responses((status = 200, body = BackendView)))]
async fn pause(
    Operator(caller): Operator,
    State(app): State<App>,
    Named(name): Named,
    _: Key,
    Body(Reason { reason }): Body<Reason>,
) -> Result<impl IntoResponse> {
    app.lifecycle.pause_backend(&name, caller.says(reason)?).await?;
    whole(&app, &name).await
}

/// Lets flows call it again, with the time that they had left.
#[utoipa::path(post, path = "/v1/backends/{name}/resume", tag = "backends", params(("name" = String, Path)), request_body = Reason, responses((status = 200, body = BackendView)))]
async fn resume(
    Operator(caller): Operator,
    State(app): State<App>,
    Named(name): Named,
    _: Key,
    Body(Reason { reason }): Body<Reason>,
) -> Result<impl IntoResponse> {
    app.lifecycle.resume_backend(&name, caller.says(reason)?).await?;
    whole(&app, &name).await
}
