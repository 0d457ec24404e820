//! The sweep: every backend's list against the holdings, asked for now or as the last one saw it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::Operator;
use super::body::{Body, Key, Named};
use super::error::Result;
use super::orphans::{MissingView, OrphanView, missing, orphans};
use super::reason::Reason;
use super::time;
use crate::model::{Backend, Name, OrphanState, SweepPolicy, Swept, brake};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(report, sweep)).routes(routes!(go_on))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// This backend alone.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    backend: Option<Name>,
}

/// What the last look at each backend found.
#[derive(Debug, Serialize, ToSchema)]
struct SweepReport {
    backends: Vec<SweptView>,
    /// Theirs and not ours: it bears a mark of this site, and no holding has it.
    theirs: Vec<OrphanView>,
    /// Ours and not theirs: no list has it, and the driver's `find` calls it absent.
    ours: Vec<MissingView>,
}

/// How far sweeps of one backend are.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Swept)]
pub(super) struct SweptView {
    pub(super) backend: String,
    /// report or release.
    policy: &'static str,
    /// When the last look began that saw all of it; null: never.
    pub(super) at: Option<String>,
    /// Why a later look did not end; null when the last one did.
    pub(super) fault: Option<String>,
    /// Machines under marks of this site in that look.
    nodes: u64,
    /// What appeared after its driver had promised that nothing could.
    late_arrivals: u64,
    brake: BrakeView,
    /// Why a reconcile may end without it.
    pub(super) excused: Option<String>,
}

/// What bounds releases that nobody asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Brake)]
struct BrakeView {
    /// Objects an hour: 5 or 2 % of the nodes, whichever is more.
    limit: u64,
    /// Within the last hour, or since a person let it go on.
    released: u64,
    /// Since when nothing is released there by itself; null while it is.
    stopped_at: Option<String>,
    why: Option<String>,
}

/// What the last sweep found, with how far each backend is. Asks no far side.
#[utoipa::path(get, path = "/v1/sweep", tag = "sweep", responses((status = 200, body = SweepReport)))]
async fn report(_: Operator, State(app): State<App>) -> Result<Json<SweepReport>> {
    whole(&app, None).await
}

/// Sweeps now, one backend or all of them, and answers what it found. Where a backend's policy is `release`, late arrivals are given back.
#[utoipa::path(post, path = "/v1/sweep", tag = "sweep", request_body = Which, responses((status = 200, body = SweepReport)))]
async fn sweep(_: Operator, State(app): State<App>, _: Key, Body(which): Body<Which>) -> Result<Json<SweepReport>> {
    app.lifecycle.sweep(which.backend.as_ref()).await?;
    whole(&app, which.backend.as_ref()).await
}

/// An operator's word that releases without a person's word may go on there. The brake counts anew.
#[utoipa::path(post, path = "/v1/sweep/{backend}/go-on", tag = "sweep", params(("backend" = String, Path)), request_body = Reason, responses((status = 204)))]
async fn go_on(
    Operator(caller): Operator,
    State(app): State<App>,
    Named(backend): Named,
    _: Key,
    Body(Reason { reason }): Body<Reason>,
) -> Result<StatusCode> {
    app.lifecycle.go_on(&backend, caller.says(reason)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn whole(app: &App, only: Option<&Name>) -> Result<Json<SweepReport>> {
    let is_asked = |name: &str| only.is_none_or(|only| only.as_str() == name);
    let mut backends = swept(app).await?;
    backends.retain(|backend| is_asked(&backend.backend));
    let mut theirs = orphans(app).await?;
    theirs.retain(|orphan| orphan.state != OrphanState::Seen.as_str() && is_asked(&orphan.backend));
    let mut ours = missing(app).await?;
    ours.retain(|missing| is_asked(&missing.backend));
    Ok(Json(SweepReport { backends, theirs, ours }))
}

/// By backend.
pub(super) async fn swept(app: &App) -> Result<Vec<SweptView>> {
    let backends = app.store().backends().await?;
    let swept = app.store().swept(app.now()).await?;
    Ok(swept.into_iter().map(|swept| SweptView::of(swept, &backends)).collect())
}

impl SweptView {
    fn of(swept: Swept, backends: &[Backend]) -> Self {
        let of = backends.iter().find(|backend| backend.name == swept.backend);
        let policy = of.map_or_else(SweepPolicy::default, |backend| backend.revision.sweep);
        let (stopped_at, why) = swept.stopped.unzip();
        Self {
            backend: swept.backend.to_string(),
            policy: policy.as_str(),
            at: swept.at.map(time::show),
            fault: swept.fault,
            nodes: swept.nodes,
            late_arrivals: swept.late,
            brake: BrakeView {
                limit: brake(swept.nodes),
                released: swept.released,
                stopped_at: stopped_at.map(time::show),
                why,
            },
            excused: swept.excused,
        }
    }
}
