//! Debts: what is owed to backends. An undo that did not end, or what outlived its instance; each is retried until it is settled.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::Operator;
use super::body::{Asked, Body, Id, Key};
use super::error::Result;
use super::flows::FaultView;
use super::page::{Page, Paging};
use super::reason::Reason;
use super::time;
use crate::model::{Debt, DebtKind, HoldingId};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(write_off))
}

/// One thing that is owed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Debt)]
struct DebtView {
    /// Of the holding.
    id: i64,
    /// may-be-running, holds-data, holds-hardware or holds-record: the worst first.
    #[schema(value_type = String)]
    kind: DebtKind,
    backend: String,
    /// compose, claim, enroll or deploy.
    role: &'static str,
    instance: String,
    /// Null for what the sweeper found.
    project: Option<String>,
    /// Its instance is gone.
    outlived: bool,
    mark: String,
    handle: Option<String>,
    since: String,
    /// Seconds since then.
    age_s: i64,
    /// When a read saw its machine off.
    off_at: Option<String>,
    /// The far side's last word.
    last_answer: Option<FaultView>,
}

/// What is owed now: the worst kind first, of each the oldest first.
#[utoipa::path(get, path = "/v1/debts", tag = "debts", params(Paging), responses((status = 200, body = Page<DebtView>)))]
async fn list(
    Operator(caller): Operator,
    State(app): State<App>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<DebtView>>> {
    let now = app.now();
    let mut debts = app.store().debts().await?;
    debts.retain(|debt| caller.scope.is_none() || debt.project == caller.scope);
    let key = |debt: &Debt| format!("{} {:020} {:020}", debt.kind as u8, debt.owed_at, debt.holding.id.0);
    let page = Page::cut("debts", &paging, debts, key)?;
    Ok(Json(page.map(|debt| DebtView::of(debt, now))))
}

/// Takes a debt off the ledger that nobody will settle. What the far side still has is found by the next sweep.
#[utoipa::path(post, path = "/v1/debts/{id}/write-off", tag = "debts", params(("id" = i64, Path)), request_body = Reason, responses((status = 204)))]
async fn write_off(
    Operator(caller): Operator,
    State(app): State<App>,
    Id(id): Id<HoldingId>,
    _: Key,
    Body(Reason { reason }): Body<Reason>,
) -> Result<StatusCode> {
    app.lifecycle.write_off(id, caller.says(reason)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl DebtView {
    fn of(debt: Debt, now: i64) -> Self {
        let Debt { holding, kind, owed_at, project, outlived } = debt;
        Self {
            id: holding.id.0,
            kind,
            backend: holding.backend.to_string(),
            role: holding.role.as_str(),
            instance: holding.instance.to_string(),
            project: project.map(|project| project.to_string()),
            outlived,
            mark: holding.mark.to_string(),
            handle: holding.handle,
            since: time::show(owed_at),
            age_s: now.saturating_sub(owed_at) / 1000,
            off_at: holding.off_at.map(time::show),
            last_answer: holding.fault.map(FaultView::from),
        }
    }
}
