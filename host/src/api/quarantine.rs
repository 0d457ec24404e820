//! Quarantine: nodes that failed. They are not claimed again until an operator clears them.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::Operator;
use super::body::Asked;
use super::error::{Problem, Result};
use super::flows::FaultView;
use super::page::{Page, Paging};
use super::time;
use crate::model::{Name, Quarantined};
use crate::store::{ClearQuarantine, Lane};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(clear))
}

/// A node that is left alone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Quarantined)]
struct QuarantinedView {
    backend: String,
    /// What the backend calls the node.
    handle: String,
    /// Why, the last time.
    cause: FaultView,
    /// How often it failed.
    strikes: u32,
    since: String,
}

/// Nodes that failed and are left out of claims, by backend, the oldest first.
#[utoipa::path(get, path = "/v1/quarantine", tag = "quarantine", params(Paging), responses((status = 200, body = Page<QuarantinedView>)))]
async fn list(
    _: Operator,
    State(app): State<App>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<QuarantinedView>>> {
    let key = |node: &Quarantined| format!("{} {:020} {}", node.backend, node.since, node.handle);
    let mut nodes = app.store().quarantine().await?;
    nodes.sort_by_key(key);
    let page = Page::cut("quarantine", &paging, nodes, key)?;
    Ok(Json(page.map(QuarantinedView::of)))
}

/// An operator's word that the node may be taken again.
#[utoipa::path(delete, path = "/v1/quarantine/{backend}/{handle}", tag = "quarantine",
    params(("backend" = String, Path), ("handle" = String, Path, description = "percent-encoded where it holds a slash")), responses((status = 204)))]
async fn clear(
    _: Operator,
    State(app): State<App>,
    Path((backend, handle)): Path<(String, String)>,
) -> Result<StatusCode> {
    let backend =
        Name::parse("backend", &backend).map_err(|invalid| Problem::new("invalid-parameter", invalid.to_string()))?;
    let clear = ClearQuarantine { backend: backend.clone(), handle: handle.clone() };
    if !app.store().write(Lane::Interactive, clear).await? {
        return Err(Problem::new("not-found", format!("no node {handle} of backend {backend} is in quarantine")));
    }
    Ok(StatusCode::NO_CONTENT)
}

impl QuarantinedView {
    fn of(node: Quarantined) -> Self {
        Self {
            backend: node.backend.to_string(),
            handle: node.handle,
            cause: node.cause.into(),
            strikes: node.strikes,
            since: time::show(node.since),
        }
    }
}
