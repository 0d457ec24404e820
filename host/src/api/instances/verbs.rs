//! What may be wished of an instance that is there: delete, power, rebuild. Each writes a flow and answers 202.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::here;
use super::view::Links;
use crate::api::App;
use crate::api::auth::Member;
use crate::api::body::{Body, Id, Key};
use crate::api::error::{Problem, Result};
use crate::driver::PowerWish;
use crate::model::{FlowId, InstanceId, Name};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(delete)).routes(routes!(power)).routes(routes!(rebuild))
}

/// A wish that was written down, and the flow that does it.
#[derive(Debug, Serialize, ToSchema)]
struct Started {
    id: String,
    flow: String,
    links: Links,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Power {
    /// on, off, reboot, soft-off or soft-reboot; a soft one asks the operating system first.
    #[schema(value_type = String)]
    wish: PowerWish,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rebuild {
    /// Another image; the one that it has when left out.
    #[schema(value_type = Option<String>)]
    image: Option<Name>,
}

/// Deletes an instance; one that is still made is cancelled first. Repeatable: the flow is the same until it is gone.
#[utoipa::path(delete, path = "/v1/instances/{id}", tag = "instances", params(("id" = String, Path)), responses((status = 202, body = Started)))]
async fn delete(Member(caller): Member, State(app): State<App>, Id(id): Id<InstanceId>) -> Result<impl IntoResponse> {
    let flow = app.lifecycle.delete(caller.scope, id).await?;
    Ok(started(id, flow))
}

/// Changes the power of the machine. Refused while another flow works on the instance. With an Idempotency-Key a repeat answers the first
/// one's flow.
#[utoipa::path(post, path = "/v1/instances/{id}/power", tag = "instances",
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = Power,
    responses((status = 202, body = Started)))]
async fn power(
    Member(caller): Member,
    State(app): State<App>,
    Id(id): Id<InstanceId>,
    key: Key,
    Body(Power { wish }): Body<Power>,
) -> Result<impl IntoResponse> {
    here(&app, &caller, id).await?;
    let key = key.of(&json!({"power": id.to_string(), "wish": wish}))?.map(|(key, hash)| (caller.project, key, hash));
    let flow = app.lifecycle.power(caller.scope, id, wish, key).await.map_err(Problem::in_body)?;
    Ok(started(id, flow))
}

/// Puts the image on the machine anew, or another one; what was on its disks is erased first, as the flavor says. With an Idempotency-Key a
/// repeat answers the first one's flow.
#[utoipa::path(post, path = "/v1/instances/{id}/rebuild", tag = "instances",
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = Rebuild,
    responses((status = 202, body = Started)))]
async fn rebuild(
    Member(caller): Member,
    State(app): State<App>,
    Id(id): Id<InstanceId>,
    key: Key,
    Body(Rebuild { image }): Body<Rebuild>,
) -> Result<impl IntoResponse> {
    here(&app, &caller, id).await?;
    let key =
        key.of(&json!({"rebuild": id.to_string(), "image": image}))?.map(|(key, hash)| (caller.project, key, hash));
    let flow = app.lifecycle.rebuild(caller.scope, id, image, key).await.map_err(Problem::in_body)?;
    Ok(started(id, flow))
}

fn started(id: InstanceId, flow: FlowId) -> impl IntoResponse + use<> {
    let links = Links::of(id, flow);
    let location = [(header::LOCATION, links.flow.clone())];
    (StatusCode::ACCEPTED, AppendHeaders(location), Json(Started { id: id.to_string(), flow: flow.to_string(), links }))
}
