//! Backends: what an operator bound to a driver. Every change is a new revision; operations end on the one that they began with.

mod pause;
mod test;
mod trial;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::Operator;
use super::binding::{AccessBody, BindingBody, EndpointBody, GrantBody};
use super::body::{Asked, Body, Key, Named, text};
use super::error::{Problem, Result};
use super::page::{Page, Paging};
use super::plugin_ref;
use super::time;
use crate::model::{Ask, Asks, Budgets, Limits, Name, Projects, Revision, RevisionId};
use crate::store::Written;
use trial::TrialView;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, put))
        .routes(routes!(asks))
        .routes(routes!(probe))
        .merge(pause::routes())
        .merge(test::routes())
        .merge(trial::routes())
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Of {
    /// A plugin's digest, the first digits of it, its name, or name@version.
    plugin: String,
}

/// What a plugin asks for beyond what is granted at a backend.
#[derive(Debug, Serialize, ToSchema)]
struct AsksMore {
    backend: String,
    /// The plugin's digest.
    digest: String,
    /// A line each; none: it would be activated as it is.
    asks_more: Vec<String>,
}

/// What the gate denied since the start.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Denied)]
struct DeniedView {
    /// As name@version and the digest's first digits.
    plugin: String,
    count: u64,
    /// The last of them, newest last: request and reason.
    last: Vec<String>,
}

/// A backend as its newest revision has it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Backend)]
struct BackendView {
    name: String,
    revision: i64,
    /// The plugin's digest.
    digest: String,
    /// The plugin as name@version; null when its file is gone.
    plugin: Option<String>,
    settings: Map<String, Value>,
    endpoints: BTreeMap<String, EndpointBody>,
    access: Option<AccessBody>,
    grants: Vec<GrantBody>,
    /// No flow calls it: why; null while it is not paused.
    paused: Option<String>,
    /// `report` or `release`: what is done about orphans there without a person's word.
    sweep: &'static str,
    /// Seconds that verbs may take here, where the flavor says nothing.
    #[schema(value_type = BTreeMap<String, u64>)]
    budgets: Budgets,
    /// What its plugin's calls may use otherwise than usual.
    #[schema(value_type = Object)]
    limits: Limits,
    /// Whose instances may be made here; null: everybody's.
    #[schema(value_type = Option<Vec<String>>)]
    projects: Projects,
    /// Requests that the plugin may send; null: all that it asks for.
    #[schema(value_type = Option<Vec<Object>>)]
    requests: Option<Vec<Ask>>,
    /// What the plugin asked for when it was bound: endpoints, requests, places, sessions, reads, wall times, verbs that need a proof.
    /// Null: bound before plugins asked, so all that its endpoints take. Left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    asks: Option<Option<Asks>>,
    /// By plugin, since the service started. Left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    denied: Option<Vec<DeniedView>>,
    /// Things held there now, by role. Left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<BTreeMap<&'static str, u64>>,
    /// A plugin that is on trial there. Left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    trial: Option<TrialView>,
    /// Newest first. Left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    revisions: Option<Vec<RevisionView>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Revision)]
struct RevisionView {
    revision: i64,
    digest: String,
    plugin: Option<String>,
    /// A roll-back left it.
    rolled_back: bool,
    created_at: String,
}

/// All backends, by name.
#[utoipa::path(get, path = "/v1/backends", tag = "backends", params(Paging), responses((status = 200, body = Page<BackendView>)))]
async fn list(_: Operator, State(app): State<App>, Asked(paging): Asked<Paging>) -> Result<Json<Page<BackendView>>> {
    let page = Page::cut("backends", &paging, app.store().backends().await?, |backend| backend.name.to_string())?;
    Ok(Json(page.map(|backend| BackendView {
        paused: backend.paused.map(|paused| paused.why),
        ..BackendView::of(&app, backend.revision)
    })))
}

/// One backend with its revisions; the ETag is for the next PUT.
#[utoipa::path(get, path = "/v1/backends/{name}", tag = "backends", params(("name" = String, Path)), responses((status = 200, body = BackendView)))]
async fn show(_: Operator, State(app): State<App>, Named(name): Named) -> Result<impl IntoResponse> {
    whole(&app, &name).await
}

/// Writes a backend's next revision. One that exists needs If-Match with the ETag that was read.
#[utoipa::path(put, path = "/v1/backends/{name}", tag = "backends",
    params(("name" = String, Path), ("If-Match" = Option<String>, Header)), request_body = BindingBody, responses((status = 200, body = BackendView)))]
async fn put(
    Operator(caller): Operator,
    State(app): State<App>,
    Named(name): Named,
    headers: HeaderMap,
    Body(body): Body<BindingBody>,
) -> Result<impl IntoResponse> {
    let newest = app.store().newest_revision(&name).await?.map(|revision| revision.id);
    let after = match (text(&headers, "if-match")?, newest) {
        (None, None) => None,
        (None, Some(_)) => return Err(Problem::new("if-match-required", format!("backend {name} exists"))),
        (Some("*"), Some(newest)) => Some(newest),
        (Some(tag), Some(newest)) if tag == etag(newest) => Some(newest),
        (Some(_), _) => return Err(Problem::new("stale-revision", format!("backend {name} is not as the ETag says"))),
    };
    let (digest, by) = (digest(&app, &body.plugin)?, caller.says(body.reason.as_str())?);
    let (draft, said) = body.into_revision(name.clone(), digest);
    check_names(&app, &draft).await?;
    app.lifecycle.bind(draft, after, said, by).await.map_err(Problem::in_body)?;
    whole(&app, &name).await
}

/// What a plugin asks for beyond what is granted here. Changes nothing.
#[utoipa::path(get, path = "/v1/backends/{name}/asks", tag = "backends", params(("name" = String, Path), Of), responses((status = 200, body = AsksMore)))]
async fn asks(_: Operator, State(app): State<App>, Named(name): Named, Asked(of): Asked<Of>) -> Result<Json<AsksMore>> {
    let digest = digest(&app, &of.plugin)?;
    let more = app.lifecycle.asks_more(&name, &digest).await?;
    let asks_more = more.iter().map(ToString::to_string).collect();
    Ok(Json(AsksMore { backend: name.to_string(), digest: digest.to_string(), asks_more }))
}

/// Asks the far side through the driver: its version, what is wrong with the settings, what it can do. Changes nothing.
#[utoipa::path(post, path = "/v1/backends/{name}/probe", tag = "backends", params(("name" = String, Path)), responses((status = 200, body = Object)))]
async fn probe(_: Operator, State(app): State<App>, Named(name): Named, _: Key) -> Result<Json<Map<String, Value>>> {
    Ok(Json(app.lifecycle.probe(&name).await?))
}

async fn whole(app: &App, name: &Name) -> Result<impl IntoResponse + use<>> {
    let newest = app.store().newest_revision(name).await?.ok_or_else(|| Problem::not_found("backend", name))?;
    let tag = etag(newest.id);
    let revisions = app.store().revisions(name).await?;
    let held = app.store().roles_held(name).await?;
    let view = BackendView {
        asks: Some(newest.granted.as_ref().map(|granted| granted.asks.clone())),
        denied: Some(DeniedView::of(app, name)),
        paused: app.store().paused(name).await?.map(|paused| paused.why),
        held: Some(held.into_iter().map(|(role, n)| (role.as_str(), n)).collect()),
        trial: app.store().trial(name).await?.map(|trial| TrialView::of(app, trial)),
        revisions: Some(revisions.into_iter().map(|written| RevisionView::of(app, written)).collect()),
        ..BackendView::of(app, newest)
    };
    Ok((StatusCode::OK, AppendHeaders([(header::ETAG, tag)]), Json(view)))
}

/// Secrets and backends that it names exist: who binds hears of a slip, and no flow does.
async fn check_names(app: &App, draft: &Revision) -> Result<()> {
    for secret in super::secrets::named(draft) {
        if app.store().secret(secret).await?.is_none() {
            return Err(Problem::new("unknown-secret", format!("no secret is named {secret}")));
        }
    }
    for of in draft.grants.iter().filter_map(|grant| grant.of.as_ref()).filter(|of| **of != draft.backend) {
        if app.store().newest_revision(of).await?.is_none() {
            return Err(Problem::new("unknown-backend", format!("a grant names backend {of}, which does not exist")));
        }
    }
    Ok(())
}

fn digest(app: &App, text: &str) -> Result<crate::model::Digest> {
    let plugin = plugin_ref::find(app, text)?;
    plugin
        .map(|plugin| plugin.digest)
        .ok_or_else(|| Problem::new("plugin-unknown", format!("no plugin is named {text}")))
}

fn etag(revision: RevisionId) -> String {
    format!("\"{}\"", revision.0)
}

fn title(app: &App, digest: &crate::model::Digest) -> Option<String> {
    app.drivers().plugin(digest).map(|plugin| plugin.manifest.title())
}

impl BackendView {
    fn of(app: &App, revision: Revision) -> Self {
        Self {
            name: revision.backend.to_string(),
            revision: revision.id.0,
            plugin: title(app, &revision.digest),
            digest: revision.digest.to_string(),
            settings: revision.settings,
            endpoints: revision.endpoints.into_iter().map(|(name, endpoint)| (name, endpoint.into())).collect(),
            access: revision.access.map(AccessBody::from),
            grants: revision.grants.into_iter().map(GrantBody::from).collect(),
            paused: None,
            sweep: revision.sweep.as_str(),
            budgets: revision.budgets,
            limits: revision.limits,
            projects: revision.projects,
            requests: revision.granted.and_then(|granted| granted.requests),
            asks: None,
            denied: None,
            held: None,
            trial: None,
            revisions: None,
        }
    }
}

impl DeniedView {
    fn of(app: &App, name: &Name) -> Vec<Self> {
        let all = app.drivers().denied().into_iter().filter(|((backend, _), _)| backend == name);
        all.map(|((_, plugin), denied)| Self { plugin, count: denied.count, last: denied.last.into() }).collect()
    }
}

impl RevisionView {
    fn of(app: &App, Written { revision, at, withdrawn }: Written) -> Self {
        Self {
            rolled_back: withdrawn,
            revision: revision.id.0,
            digest: revision.digest.to_string(),
            plugin: title(app, &revision.digest),
            created_at: time::show(at),
        }
    }
}
