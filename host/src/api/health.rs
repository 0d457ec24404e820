//! Alive, and ready: for whatever starts and stops the service. No token is asked for.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::Result;
use super::{App, time};
use crate::driver::PluginState;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(alive)).routes(routes!(ready))
}

#[derive(Debug, Serialize, ToSchema)]
struct Readiness {
    ready: bool,
    /// Plugins that a backend names.
    named: usize,
    /// Of those: still compiling, or not read yet.
    compiling: Vec<String>,
    /// Of those: will not run. The service is ready without them; operations there say why.
    refused: Vec<Refused>,
    /// Not null: since when it is a restored one, which changes nothing on a far side until `reconcile` is decided.
    restored_at: Option<String>,
    /// Files in the plugins' folders that are no plugins.
    refused_files: Vec<RefusedFile>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Refused {
    digest: String,
    /// Stable; the reason is for people.
    code: &'static str,
    reason: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct RefusedFile {
    file: String,
    code: &'static str,
    reason: String,
}

/// The process runs and answers.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = 200, body = String)))]
async fn alive() -> &'static str {
    "alive\n"
}

/// Ready when every plugin that a backend names is compiled or refused.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()), responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
async fn ready(State(app): State<App>) -> Result<(StatusCode, Json<Readiness>)> {
    let named: BTreeSet<_> = app.store().backends().await?.into_iter().map(|backend| backend.revision.digest).collect();
    // Asked first: what was read meanwhile is known.
    let is_listing = app.drivers().is_listing();
    let (mut compiling, mut refused) = (Vec::new(), Vec::new());
    for digest in &named {
        match app.drivers().plugin(digest).map(|plugin| plugin.state) {
            Some(PluginState::Ready) => {}
            Some(PluginState::Compiling) => compiling.push(digest.to_string()),
            Some(PluginState::Refused(why)) => {
                refused.push(Refused { digest: digest.to_string(), code: why.code, reason: why.message });
            }
            None if is_listing => compiling.push(digest.to_string()),
            None => {
                let reason = "its file is not in the state folder".into();
                refused.push(Refused { digest: digest.to_string(), code: "plugin-unknown", reason });
            }
        }
    }
    let refused_files = app.drivers().refused_files().into_iter();
    let refused_files =
        refused_files.map(|(file, why)| RefusedFile { file, code: why.code, reason: why.message }).collect();
    let ready = compiling.is_empty();
    let restored_at = app.store().standing().await?.restored_at.map(time::show);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((status, Json(Readiness { ready, named: named.len(), compiling, refused, restored_at, refused_files })))
}
