//! What answers here.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Reader;
use super::error::Result;
use super::{App, time};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(about))
}

#[derive(Debug, Serialize, ToSchema)]
struct About {
    name: &'static str,
    version: &'static str,
    /// The contract with drivers that it speaks.
    contract: &'static str,
    /// This installation: the middle of its marks on far sides.
    site: String,
    /// Not null: why no flow goes on and nothing is changed on a far side, and what to do.
    held_back: Option<String>,
    /// `tokens`, or `none: loopback only`.
    credentials: &'static str,
    /// Yours: reader, member or operator.
    #[schema(value_type = String)]
    role: crate::model::ProjectRole,
    project: String,
}

/// Why no flow goes on, in one sentence; none when nothing holds them back.
async fn held_back(app: &App) -> Result<Option<String>> {
    let standing = app.store().standing().await?;
    let restored = standing.restored_at.map(|at| {
        let at = time::show(at);
        format!(
            "restored from a backup at {at}: nothing is changed on a far side until `moganite reconcile` is decided"
        )
    });
    let frozen = standing
        .frozen
        .map(|frozen| format!("frozen at {} until `moganite unfreeze`: {}", time::show(frozen.at), frozen.why));
    Ok(restored.or(frozen))
}

/// What answers here, and as what you are known to it.
#[utoipa::path(get, path = "/v1", tag = "service", responses((status = 200, body = About)))]
async fn about(Reader(caller): Reader, State(app): State<App>) -> Result<Json<About>> {
    let tokens = app.store().has_tokens().await?;
    Ok(Json(About {
        name: "moganite",
        version: env!("CARGO_PKG_VERSION"),
        contract: "moganite:driver@0.9",
        site: app.lifecycle.site().as_str().to_owned(),
        held_back: held_back(&app).await?,
        credentials: if tokens { "tokens" } else { "none: loopback only" },
        role: caller.role,
        project: caller.project.to_string(),
    }))
}
