//! Orphans: things on far sides that bear a mark of this site and are in no holding. And holdings that no far side knows.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::Operator;
use super::body::{Asked, Body, Id, Key};
use super::error::Result;
use super::page::{Page, Paging};
use super::reason::Reason;
use super::time;
use crate::model::{Erase, InstanceId, Millis, Missing, Name, Orphan, OrphanId, OrphanState, stacks};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(release)).routes(routes!(keep))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Of {
    /// Of this backend alone.
    #[param(value_type = Option<String>)]
    backend: Option<Name>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Release {
    /// One line of 1 to 500 characters.
    reason: String,
    /// none, quick or full. Left out: as its order said; where that is not known, quick if something was deployed.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    erase: Option<Erase>,
}

/// One thing on a far side that is ours and is in no holding.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Orphan)]
pub(super) struct OrphanView {
    pub(super) id: i64,
    /// What bears the same number belongs together, and is released together.
    pub(super) stack: i64,
    pub(super) backend: String,
    /// compose, claim, enroll or deploy.
    role: &'static str,
    mark: String,
    handle: String,
    /// The far side's own words for its state.
    said: String,
    /// seen (in one look, perhaps an operation in flight), orphan, kept or releasing.
    pub(super) state: &'static str,
    /// The flow that made it, by its mark, also one that this database does not know.
    flow: Option<String>,
    /// Whose it was; null where the flow is not known here.
    instance: Option<String>,
    instance_name: Option<String>,
    project: Option<String>,
    /// When the driver promised that nothing of it was left: it came late. Only such ones are released by a policy.
    promised_at: Option<String>,
    /// The instance that has the machine or the rest of the stack: it is not released.
    blocked_by: Option<String>,
    /// Why a person keeps it.
    why: Option<String>,
    first_seen: String,
    last_seen: String,
    /// Seconds since it was first seen.
    age_s: i64,
}

/// A holding of which its backend knows nothing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Missing)]
pub(super) struct MissingView {
    holding: i64,
    pub(super) instance: String,
    pub(super) instance_name: Option<String>,
    pub(super) backend: String,
    role: &'static str,
    mark: String,
    handle: Option<String>,
    /// Since when it was held.
    since: String,
    /// missing, or kept by a person's word.
    pub(super) state: &'static str,
    /// A flow works on the instance, and will find it out by itself.
    pub(super) flow_runs: bool,
    why: Option<String>,
    first_seen: String,
    last_seen: String,
    /// Seconds since it was first missed.
    age_s: i64,
}

/// The flow that gives them back.
#[derive(Debug, Serialize, ToSchema)]
struct Releasing {
    flow: String,
    orphans: Vec<i64>,
}

/// What is reported, the oldest first.
#[utoipa::path(get, path = "/v1/orphans", tag = "sweep", params(Paging, Of), responses((status = 200, body = Page<OrphanView>)))]
async fn list(
    _: Operator,
    State(app): State<App>,
    Asked(paging): Asked<Paging>,
    Asked(of): Asked<Of>,
) -> Result<Json<Page<OrphanView>>> {
    let mut all = orphans(&app).await?;
    let is_asked = |orphan: &OrphanView| of.backend.as_ref().is_none_or(|name| name.as_str() == orphan.backend);
    all.retain(|orphan| orphan.state != OrphanState::Seen.as_str() && is_asked(orphan));
    Ok(Json(Page::cut("orphans", &paging, all, |orphan| format!("{:020}", orphan.id))?))
}

/// Gives back an orphan and all that belongs to it, last taken first, by a flow that tries for as long as it takes.
#[utoipa::path(post, path = "/v1/orphans/{id}/release", tag = "sweep", params(("id" = i64, Path)), request_body = Release, responses((status = 202, body = Releasing)))]
async fn release(
    Operator(caller): Operator,
    State(app): State<App>,
    Id(id): Id<OrphanId>,
    _: Key,
    Body(Release { reason, erase }): Body<Release>,
) -> Result<(StatusCode, Json<Releasing>)> {
    let (flow, stack) = app.lifecycle.release_orphan(id, erase, caller.says(reason)?).await?;
    let orphans = stack.into_iter().map(|orphan| orphan.0).collect();
    Ok((StatusCode::ACCEPTED, Json(Releasing { flow: flow.to_string(), orphans })))
}

/// Leaves an orphan and all that belongs to it alone, whatever the policy says. A release takes that back.
#[utoipa::path(post, path = "/v1/orphans/{id}/keep", tag = "sweep", params(("id" = i64, Path)), request_body = Reason, responses((status = 204)))]
async fn keep(
    Operator(caller): Operator,
    State(app): State<App>,
    Id(id): Id<OrphanId>,
    _: Key,
    Body(Reason { reason }): Body<Reason>,
) -> Result<StatusCode> {
    app.lifecycle.keep_orphan(id, caller.says(reason)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// All of them, also those that are not reported yet, the oldest first.
pub(super) async fn orphans(app: &App) -> Result<Vec<OrphanView>> {
    let all = app.store().orphans().await?;
    let mut owners: BTreeMap<InstanceId, (Name, Name)> = BTreeMap::new();
    for id in all.iter().filter_map(|orphan| orphan.instance) {
        if owners.contains_key(&id) {
            continue;
        }
        if let Some((instance, _)) = app.store().instance(None, id).await? {
            owners.insert(id, (instance.name, instance.project));
        }
    }
    let (mut views, now) = (Vec::new(), app.now());
    for stack in stacks(all) {
        let number = stack.first().map_or(0, |orphan| orphan.id.0);
        views.extend(stack.into_iter().map(|orphan| {
            let owner = orphan.instance.and_then(|id| owners.get(&id).cloned());
            OrphanView::of(orphan, number, owner, now)
        }));
    }
    views.sort_by_key(|view| view.id);
    Ok(views)
}

pub(super) async fn missing(app: &App) -> Result<Vec<MissingView>> {
    let now = app.now();
    Ok(app.store().missing().await?.into_iter().map(|missing| MissingView::of(missing, now)).collect())
}

impl OrphanView {
    fn of(orphan: Orphan, stack: i64, owner: Option<(Name, Name)>, now: Millis) -> Self {
        let (instance_name, project) = owner.unzip();
        Self {
            id: orphan.id.0,
            stack,
            backend: orphan.backend.to_string(),
            role: orphan.role.as_str(),
            mark: orphan.mark.to_string(),
            handle: orphan.handle,
            said: orphan.said,
            state: orphan.state.as_str(),
            flow: orphan.flow.map(|id| id.to_string()),
            instance: orphan.instance.map(|id| id.to_string()),
            instance_name: instance_name.map(|name| name.to_string()),
            project: project.map(|name| name.to_string()),
            promised_at: orphan.promised_at.map(time::show),
            blocked_by: orphan.blocked_by.map(|id| id.to_string()),
            why: orphan.why,
            first_seen: time::show(orphan.first_seen),
            last_seen: time::show(orphan.last_seen),
            age_s: (now - orphan.first_seen) / 1000,
        }
    }
}

impl MissingView {
    fn of(missing: Missing, now: Millis) -> Self {
        Self {
            holding: missing.holding.0,
            instance: missing.instance.to_string(),
            instance_name: missing.name.map(|name| name.to_string()),
            backend: missing.backend.to_string(),
            role: missing.role.as_str(),
            mark: missing.mark.to_string(),
            handle: missing.handle,
            since: time::show(missing.since),
            state: if missing.is_kept { "kept" } else { "missing" },
            flow_runs: missing.flow_runs,
            why: missing.why,
            first_seen: time::show(missing.first_seen),
            last_seen: time::show(missing.last_seen),
            age_s: (now - missing.first_seen) / 1000,
        }
    }
}
