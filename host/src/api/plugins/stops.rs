//! What operators decide about plugin files: not called any more, never again, and no older than this.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::App;
use crate::api::auth::{Caller, Operator};
use crate::api::body::{Asked, Body, Key, Named};
use crate::api::error::{Problem, Result};
use crate::api::page::{Page, Paging};
use crate::api::plugin_ref;
use crate::api::reason::Reason;
use crate::api::time;
use crate::model::{Digest, Floor, Name, Paused, PluginStop, Stopped, Version};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(disable))
        .routes(routes!(enable))
        .routes(routes!(deny))
        .routes(routes!(allow))
        .routes(routes!(stopped))
        .routes(routes!(floors))
        .routes(routes!(put_floor, remove_floor))
}

/// A plugin that is not called; its file need not be here.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StoppedPlugin)]
struct StoppedView {
    digest: String,
    /// The plugin as name@version; null when its file is not here.
    plugin: Option<String>,
    disabled: Option<StopView>,
    denied: Option<StopView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PluginStop)]
struct StopView {
    since: String,
    why: String,
}

/// No version before this one is bound any more, but by a roll-back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PluginFloor)]
struct FloorView {
    /// The plugin's.
    name: String,
    version: String,
    why: String,
    since: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = PutPluginFloor)]
#[serde(deny_unknown_fields)]
struct FloorBody {
    /// Three numbers with dots.
    #[schema(value_type = String)]
    version: Version,
    /// One line of 1 to 500 characters.
    reason: String,
}

/// From the answer on the plugin is not called: calls under way are cut and made again, its flows wait with their clocks standing, or are
/// handed over.
#[utoipa::path(post, path = "/v1/plugins/{plugin}/disable", tag = "plugins", params(("plugin" = String, Path)), request_body = Reason, responses((status = 200, body = StoppedView)))]
async fn disable(
    Operator(caller): Operator,
    State(app): State<App>,
    Path(text): Path<String>,
    _: Key,
    Body(Reason { reason }): Body<Reason>,
) -> Result<Json<StoppedView>> {
    stop(&app, &caller, &text, PluginStop::Disabled, reason).await
}

/// Lets a disabled plugin be called again.
#[utoipa::path(post, path = "/v1/plugins/{plugin}/enable", tag = "plugins", params(("plugin" = String, Path)), request_body = Reason, responses((status = 200, body = StoppedView)))]
async fn enable(
    Operator(caller): Operator,
    State(app): State<App>,
    Path(text): Path<String>,
    _: Key,
    Body(Reason { reason }): Body<Reason>,
) -> Result<Json<StoppedView>> {
    go_on(&app, &caller, &text, PluginStop::Disabled, reason).await
}

/// Keeps a file out: it is not called, not added and not bound, whether it is here or not. One that is not here is named by its whole
/// digest.
#[utoipa::path(post, path = "/v1/plugins/{plugin}/deny", tag = "plugins", params(("plugin" = String, Path)), request_body = Reason, responses((status = 200, body = StoppedView)))]
async fn deny(
    Operator(caller): Operator,
    State(app): State<App>,
    Path(text): Path<String>,
    _: Key,
    Body(Reason { reason }): Body<Reason>,
) -> Result<Json<StoppedView>> {
    stop(&app, &caller, &text, PluginStop::Denied, reason).await
}

/// Takes a file from the deny list.
#[utoipa::path(post, path = "/v1/plugins/{plugin}/allow", tag = "plugins", params(("plugin" = String, Path)), request_body = Reason, responses((status = 200, body = StoppedView)))]
async fn allow(
    Operator(caller): Operator,
    State(app): State<App>,
    Path(text): Path<String>,
    _: Key,
    Body(Reason { reason }): Body<Reason>,
) -> Result<Json<StoppedView>> {
    go_on(&app, &caller, &text, PluginStop::Denied, reason).await
}

/// Every plugin that is disabled or denied, by digest.
#[utoipa::path(get, path = "/v1/stopped-plugins", tag = "plugins", params(Paging), responses((status = 200, body = Page<StoppedView>)))]
async fn stopped(_: Operator, State(app): State<App>, Asked(paging): Asked<Paging>) -> Result<Json<Page<StoppedView>>> {
    let stopped = app.store().stopped_plugins().await?;
    let page = Page::cut("stopped-plugins", &paging, stopped, |stopped| stopped.digest.to_string())?;
    Ok(Json(page.map(|stopped| StoppedView::of(&app, stopped))))
}

/// The oldest version of each plugin that may still be bound, by name. A plugin without one has no floor.
#[utoipa::path(get, path = "/v1/plugin-floors", tag = "plugins", params(Paging), responses((status = 200, body = Page<FloorView>)))]
async fn floors(_: Operator, State(app): State<App>, Asked(paging): Asked<Paging>) -> Result<Json<Page<FloorView>>> {
    let page = Page::cut("plugin-floors", &paging, app.store().floors().await?, |floor| floor.name.to_string())?;
    Ok(Json(page.map(FloorView::from)))
}

/// No version of this plugin before this one is bound any more, but by a roll-back to one that ran at that backend. What is bound stays.
#[utoipa::path(put, path = "/v1/plugin-floors/{name}", tag = "plugins", params(("name" = String, Path)), request_body = FloorBody, responses((status = 200, body = FloorView)))]
async fn put_floor(
    Operator(caller): Operator,
    State(app): State<App>,
    Named(name): Named,
    Body(FloorBody { version, reason }): Body<FloorBody>,
) -> Result<Json<FloorView>> {
    app.lifecycle.put_floor(name.clone(), version, caller.says(reason)?).await?;
    let floor = app.store().floors().await?.into_iter().find(|floor| floor.name == name);
    Ok(Json(floor.ok_or_else(|| Problem::not_found("floor", &name))?.into()))
}

/// Any version of this plugin may be bound again.
#[utoipa::path(delete, path = "/v1/plugin-floors/{name}", tag = "plugins", params(("name" = String, Path)), responses((status = 204)))]
async fn remove_floor(Operator(caller): Operator, State(app): State<App>, Named(name): Named) -> Result<StatusCode> {
    app.lifecycle.remove_floor(&name, caller.says("the floor was taken away")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn stop(app: &App, caller: &Caller, text: &str, how: PluginStop, why: String) -> Result<Json<StoppedView>> {
    let digest = meant(app, text)?;
    app.lifecycle.stop_plugin(&digest, how, caller.says(why)?).await?;
    now(app, digest).await
}

async fn go_on(app: &App, caller: &Caller, text: &str, how: PluginStop, why: String) -> Result<Json<StoppedView>> {
    let digest = meant(app, text)?;
    app.lifecycle.let_plugin_go_on(&digest, how, caller.says(why)?).await?;
    now(app, digest).await
}

/// A whole digest needs no file.
fn meant(app: &App, text: &str) -> Result<Digest> {
    if let Some(digest) = Digest::parse(text) {
        return Ok(digest);
    }
    let plugin = plugin_ref::find(app, text)?.ok_or_else(|| Problem::not_found("plugin", text))?;
    Ok(plugin.digest)
}

async fn now(app: &App, digest: Digest) -> Result<Json<StoppedView>> {
    let stopped = app.store().stopped_plugins().await?.into_iter().find(|stopped| stopped.digest == digest);
    let stopped = stopped.unwrap_or(Stopped { digest, disabled: None, denied: None });
    Ok(Json(StoppedView::of(app, stopped)))
}

impl StoppedView {
    fn of(app: &App, Stopped { digest, disabled, denied }: Stopped) -> Self {
        let stop = |Paused { at, why }| StopView { since: time::show(at), why };
        Self {
            plugin: app.drivers().plugin(&digest).map(|plugin| plugin.manifest.title()),
            digest: digest.to_string(),
            disabled: disabled.map(stop),
            denied: denied.map(stop),
        }
    }
}

impl From<Floor> for FloorView {
    fn from(Floor { name, version, why, at }: Floor) -> Self {
        Self { name: Name::to_string(&name), version: version.to_string(), why, since: time::show(at) }
    }
}
