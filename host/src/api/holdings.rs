//! Holdings: what was taken from backends, or may have been. For an operator this is the list of what is owed.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::Operator;
use super::body::Asked;
use super::error::Result;
use super::flows::FaultView;
use super::page::{Page, Paging};
use super::time;
use crate::model::{Holding, InstanceId};
use crate::store::HoldingFilter;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Of {
    /// Of this instance alone.
    #[param(value_type = Option<String>)]
    instance: Option<InstanceId>,
}

/// One thing taken, or perhaps taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Holding)]
struct HoldingView {
    id: i64,
    instance: String,
    /// compose, claim, enroll or deploy.
    role: &'static str,
    backend: String,
    /// The backend's revision that the operation began with.
    revision: i64,
    operation: String,
    /// What the driver stamped on it.
    mark: String,
    /// What the far side calls it; null while it is only intended, or when the answer was lost.
    handle: Option<String>,
    facts: Map<String, Value>,
    /// intended, held or disputed.
    state: &'static str,
    /// Why its undo did not end.
    fault: Option<FaultView>,
    since: String,
}

/// What is held or owed now, oldest first.
#[utoipa::path(get, path = "/v1/holdings", tag = "holdings", params(Paging, Of), responses((status = 200, body = Page<HoldingView>)))]
async fn list(
    Operator(caller): Operator,
    State(app): State<App>,
    Asked(paging): Asked<Paging>,
    Asked(of): Asked<Of>,
) -> Result<Json<Page<HoldingView>>> {
    let holdings = app.store().holdings(HoldingFilter { project: caller.scope, instance: of.instance }).await?;
    let page = Page::cut("holdings", &paging, holdings, |holding| format!("{:020}", holding.id.0))?;
    Ok(Json(page.map(HoldingView::of)))
}

impl HoldingView {
    fn of(holding: Holding) -> Self {
        Self {
            id: holding.id.0,
            instance: holding.instance.to_string(),
            role: holding.role.as_str(),
            backend: holding.backend.to_string(),
            revision: holding.revision.0,
            operation: holding.operation.to_string(),
            mark: holding.mark.to_string(),
            handle: holding.handle,
            facts: holding.facts,
            state: holding.state.as_str(),
            fault: holding.fault.map(FaultView::from),
            since: time::show(holding.since),
        }
    }
}
