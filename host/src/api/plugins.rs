//! Plugins: an operator sends a file, the service compiles it beside everything else and says what became of it.

mod stops;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::Operator;
use super::body::{self, Asked, Key};
use super::error::{Problem, Result};
use super::page::{Page, Paging};
use super::plugin_ref;
use crate::driver::{Plugin, PluginState};
use crate::model::{Digest, Name};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(show)).merge(stops::routes())
}

/// A driver as shipped.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Plugin)]
struct PluginView {
    /// `sha256:` and 64 hex digits, of the file.
    digest: String,
    name: String,
    version: String,
    vendor: String,
    description: String,
    /// Bytes of the file.
    size: u64,
    /// compiling, ready or refused.
    state: &'static str,
    /// Why it is refused.
    reason: Option<String>,
    /// compose, claim, enroll, deploy: found in the component itself. Empty until it is compiled.
    roles: Vec<&'static str>,
    /// Backends whose newest revision names it.
    backends: Vec<String>,
    /// All of the manifest.
    manifest: Map<String, Value>,
}

/// All plugins, by digest.
#[utoipa::path(get, path = "/v1/plugins", tag = "plugins", params(Paging), responses((status = 200, body = Page<PluginView>)))]
async fn list(_: Operator, State(app): State<App>, Asked(paging): Asked<Paging>) -> Result<Json<Page<PluginView>>> {
    let mut plugins = app.drivers().plugins();
    plugins.sort_by(|one, other| one.digest.cmp(&other.digest));
    let used = users(&app).await?;
    let page = Page::cut("plugins", &paging, plugins, |plugin| plugin.digest.to_string())?;
    Ok(Json(page.map(|plugin| PluginView::of(plugin, &used))))
}

/// Adds a plugin's file, of at most 64 MiB, and answers when it is compiled. The same file again changes nothing.
#[utoipa::path(post, path = "/v1/plugins", tag = "plugins", request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses((status = 201, body = PluginView)))]
async fn add(_: Operator, State(app): State<App>, _: Key, request: Request) -> Result<(StatusCode, Json<PluginView>)> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !matches!(kind, "application/wasm" | "application/octet-stream") {
        return Err(Problem::new(
            "not-acceptable-type",
            "this route takes application/wasm or application/octet-stream",
        ));
    }
    let file = body::whole(request, app.config.sandbox.plugin).await?;
    let lifecycle = app.lifecycle.clone();
    // On its own: a caller that goes away does not leave it half done.
    let added = tokio::spawn(async move { lifecycle.add_plugin(file).await }).await;
    let plugin = added.map_err(|error| Problem::new("internal", error.to_string()))??;
    let used = users(&app).await?;
    Ok((StatusCode::CREATED, Json(PluginView::of(plugin, &used))))
}

/// One plugin, by digest, by the first digits of it, by name, or by name@version.
#[utoipa::path(get, path = "/v1/plugins/{plugin}", tag = "plugins", params(("plugin" = String, Path)), responses((status = 200, body = PluginView)))]
async fn show(_: Operator, State(app): State<App>, Path(text): Path<String>) -> Result<Json<PluginView>> {
    let plugin = plugin_ref::find(&app, &text)?.ok_or_else(|| Problem::not_found("plugin", &text))?;
    let used = users(&app).await?;
    Ok(Json(PluginView::of(plugin, &used)))
}

async fn users(app: &App) -> Result<BTreeMap<Digest, Vec<Name>>> {
    let mut used: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for backend in app.store().backends().await? {
        used.entry(backend.revision.digest).or_default().push(backend.name);
    }
    Ok(used)
}

/// The state in one word, and why it is refused.
pub(super) fn word(state: &PluginState) -> (&'static str, Option<&str>) {
    match state {
        PluginState::Compiling => ("compiling", None),
        PluginState::Ready => ("ready", None),
        PluginState::Refused(reason) => ("refused", Some(&reason.message)),
    }
}

impl PluginView {
    fn of(plugin: Plugin, used: &BTreeMap<Digest, Vec<Name>>) -> Self {
        let (state, reason) = word(&plugin.state);
        let manifest = match serde_json::to_value(&plugin.manifest) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        Self {
            state,
            reason: reason.map(str::to_owned),
            size: plugin.size,
            roles: plugin.roles.iter().map(|role| role.as_str()).collect(),
            backends: used.get(&plugin.digest).into_iter().flatten().map(Name::to_string).collect(),
            digest: plugin.digest.to_string(),
            name: plugin.manifest.name.clone(),
            version: plugin.manifest.version.clone(),
            vendor: plugin.manifest.vendor.clone(),
            description: plugin.manifest.description.clone(),
            manifest,
        }
    }
}
