//! Quotas: how many instances a project may have. Everybody reads their own, an operator writes them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Operator, Reader};
use super::body::{Asked, Body, Named};
use super::error::{Problem, Result};
use super::page::{Page, Paging};
use crate::model::{Name, Quota};
use crate::store::{Lane, PutQuota, RemoveQuota};

/// Of one project, at most.
const MOST: u32 = 1_000_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, put, remove))
}

/// What an operator writes.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewQuota)]
#[serde(deny_unknown_fields)]
struct QuotaBody {
    /// Instances that are not gone, 0 to 1000000. Those that are there stay, also above it.
    instances: u32,
}

/// How many instances a project may have, and has.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Quota)]
struct QuotaView {
    project: String,
    instances: u32,
    /// Instances that are not gone; what is owed for those that are gone does not count.
    used: u32,
}

/// The quotas of all projects that have one, by project.
#[utoipa::path(get, path = "/v1/quotas", tag = "quotas", params(Paging), responses((status = 200, body = Page<QuotaView>)))]
async fn list(
    Operator(caller): Operator,
    State(app): State<App>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<QuotaView>>> {
    let mut quotas = app.store().quotas().await?;
    quotas.retain(|quota| caller.scope.as_ref().is_none_or(|project| *project == quota.project));
    let page = Page::cut("quotas", &paging, quotas, |quota| quota.project.to_string())?;
    Ok(Json(page.map(QuotaView::from)))
}

/// A project's quota, and how much of it is used.
#[utoipa::path(get, path = "/v1/quotas/{project}", tag = "quotas", params(("project" = String, Path)), responses((status = 200, body = QuotaView)))]
async fn show(Reader(caller): Reader, State(app): State<App>, Named(project): Named) -> Result<Json<QuotaView>> {
    let seen = caller.scope.as_ref().is_none_or(|scope| *scope == project);
    let quota = if seen { app.store().quota(&project).await? } else { None };
    Ok(Json(quota.ok_or_else(|| no_quota(&project))?.into()))
}

/// Writes a project's quota. It counts from the next order on.
#[utoipa::path(put, path = "/v1/quotas/{project}", tag = "quotas", params(("project" = String, Path)), request_body = QuotaBody, responses((status = 200, body = QuotaView)))]
async fn put(
    _: Operator,
    State(app): State<App>,
    Named(project): Named,
    Body(QuotaBody { instances }): Body<QuotaBody>,
) -> Result<Json<QuotaView>> {
    if instances > MOST {
        return Err(Problem::new("invalid-field", format!("instances: at most {MOST}")));
    }
    let put = PutQuota { project: project.clone(), instances, at: app.now() };
    app.store().write(Lane::Interactive, put).await?;
    Ok(Json(app.store().quota(&project).await?.ok_or_else(|| no_quota(&project))?.into()))
}

/// Lets the project have as many as it likes.
#[utoipa::path(delete, path = "/v1/quotas/{project}", tag = "quotas", params(("project" = String, Path)), responses((status = 204)))]
async fn remove(_: Operator, State(app): State<App>, Named(project): Named) -> Result<StatusCode> {
    if !app.store().write(Lane::Interactive, RemoveQuota(project.clone())).await? {
        return Err(no_quota(&project));
    }
    Ok(StatusCode::NO_CONTENT)
}

fn no_quota(project: &Name) -> Problem {
    Problem::new("not-found", format!("project {project} has no quota: it may have as many instances as it likes"))
}

impl From<Quota> for QuotaView {
    fn from(Quota { project, instances, used }: Quota) -> Self {
        Self { project: project.to_string(), instances, used }
    }
}
