//! Alive, and ready: for whatever starts and stops the service. No token is asked for.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::error::Result;
use crate::driver::PluginState;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(alive)).routes(routes!(ready))
}

#[derive(Debug, Serialize, ToSchema)]
struct Readiness {
    ready: bool,
    /// Plugins that a backend names.
    named: usize,
    /// Of those: still compiling.
    compiling: Vec<String>,
    /// Of those: will not run. The service is ready without them; operations there say why.
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Refused {
    digest: String,
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
    let (mut compiling, mut refused) = (Vec::new(), Vec::new());
    for digest in &named {
        match app.drivers().plugin(digest).map(|plugin| plugin.state) {
            Some(PluginState::Ready) => {}
            Some(PluginState::Compiling) => compiling.push(digest.to_string()),
            Some(PluginState::Refused(reason)) => refused.push(Refused { digest: digest.to_string(), reason }),
            None => refused
                .push(Refused { digest: digest.to_string(), reason: "its file is not in the state folder".into() }),
        }
    }
    let ready = compiling.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((status, Json(Readiness { ready, named: named.len(), compiling, refused })))
}
