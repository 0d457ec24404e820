//! Adopting: a machine that runs already becomes an instance, as it runs.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::view::InstanceView;
use crate::api::App;
use crate::api::auth::Operator;
use crate::api::body::{Body, Key};
use crate::api::error::{Problem, Result};
use crate::lifecycle::Adoption;
use crate::model::Name;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(adopt))
}

/// What an operator says of a machine that runs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Adopt {
    /// `[a-z][a-z0-9-]{0,62}`. Names need not be unique.
    #[schema(value_type = String)]
    name: Name,
    /// What the machine must have, and how far it is erased when the instance is deleted.
    #[schema(value_type = String)]
    flavor: Name,
    /// What runs on it: a rebuild without another image puts this one on.
    #[schema(value_type = String)]
    image: Name,
    /// Where it is managed.
    #[schema(value_type = String)]
    backend: Name,
    /// By that backend's name or uuid.
    node: String,
    /// 1 to 63 characters of a-z, 0-9 and -; the name when left out.
    hostname: Option<String>,
    /// Whose instance it is; the caller's own project when left out.
    #[schema(value_type = Option<String>)]
    project: Option<Name>,
    /// At most 64 keys and 16384 bytes.
    #[serde(default)]
    metadata: Map<String, Value>,
}

/// Brings a machine that runs under moganite as it runs. If anything stands against it, what was marked is unmarked and the machine is
/// left alone; once the instance is active it is like any other, and a delete erases it. With an Idempotency-Key a repeat answers the
/// first one's.
#[utoipa::path(post, path = "/v1/instances/adopt", tag = "instances", params(("Idempotency-Key" = Option<String>, Header)),
    request_body = Adopt, responses((status = 202, body = InstanceView, headers(("Location" = String)))))]
async fn adopt(
    Operator(caller): Operator,
    State(app): State<App>,
    key: Key,
    Body(new): Body<Adopt>,
) -> Result<impl IntoResponse> {
    let idempotency = key.of(&new)?;
    let Adopt { name, flavor, image, backend, node, hostname, project, metadata } = new;
    let project = project.unwrap_or(caller.project);
    let adoption = Adoption { name, flavor, image, backend, node, hostname, metadata };
    let id = app.lifecycle.adopt(project.clone(), adoption, idempotency).await.map_err(Problem::in_body)?;
    let instance = app.store().instance(Some(project), id).await?;
    let (instance, _) = instance.ok_or_else(|| Problem::not_found("instance", id))?;
    let location = [(header::LOCATION, format!("/v1/instances/{id}"))];
    Ok((StatusCode::ACCEPTED, AppendHeaders(location), Json(InstanceView::whole(&app, instance).await?)))
}
