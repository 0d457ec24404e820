//! The audit log: what persons decided, who and why.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::Operator;
use super::body::Asked;
use super::error::{Problem, Result};
use super::page::{Page, Paging};
use super::time;
use crate::model::Audit;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// One decision.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Audit)]
struct AuditView {
    n: i64,
    at: String,
    /// The token's name.
    who: String,
    /// Such as flow.skip.
    verb: String,
    /// What it was decided of.
    subject: String,
    reason: String,
}

/// Decisions, newest first; they are never deleted.
#[utoipa::path(get, path = "/v1/audit", tag = "service", params(Paging), responses((status = 200, body = Page<AuditView>)))]
async fn list(_: Operator, State(app): State<App>, Asked(paging): Asked<Paging>) -> Result<Json<Page<AuditView>>> {
    let limit = paging.limit()?;
    let before = paging.after("audit")?.map(|n| n.parse());
    let before =
        before.transpose().map_err(|_| Problem::new("invalid-cursor", "the cursor was not made by this list"))?;
    let lines = app.store().audit(before, limit + 1).await?;
    let page = Page::of("audit", limit, lines, |line| line.n.to_string());
    Ok(Json(page.map(AuditView::of)))
}

impl AuditView {
    fn of(Audit { n, at, who, verb, subject, reason }: Audit) -> Self {
        Self { n, at: time::show(at), who, verb, subject, reason }
    }
}
