//! What answers here.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::Reader;
use super::error::Result;

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
    /// `tokens`, or `none: loopback only`.
    credentials: &'static str,
    /// Yours: reader, member or operator.
    #[schema(value_type = String)]
    role: crate::model::ProjectRole,
    project: String,
}

/// What answers here, and as what you are known to it.
#[utoipa::path(get, path = "/v1", tag = "service", responses((status = 200, body = About)))]
async fn about(Reader(caller): Reader, State(app): State<App>) -> Result<Json<About>> {
    let tokens = !app.store().tokens().await?.is_empty();
    Ok(Json(About {
        name: "moganite",
        version: env!("CARGO_PKG_VERSION"),
        contract: "moganite:driver@0.9",
        site: app.lifecycle.site().as_str().to_owned(),
        credentials: if tokens { "tokens" } else { "none: loopback only" },
        role: caller.role,
        project: caller.project.to_string(),
    }))
}
