//! Secrets: set and named here, used by the gate alone. A value that came in never goes out.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::Operator;
use super::body::{Asked, Body, Key, Named};
use super::error::{Problem, Result};
use super::page::{Page, Paging};
use super::reason::Reason;
use super::time::show;
use crate::lifecycle::Refreshed;
use crate::model::{Auth, Millis, Name, Revision};
use crate::store::{Copied, Lane, PutSecret, RemoveSecret};

/// Bytes of a value, at most.
const LONGEST: usize = 64 * 1024;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(put, remove))
        .routes(routes!(copies))
        .routes(routes!(refresh))
        .routes(routes!(rotate))
}

/// A secret by its name. There is no way to read its value.
#[derive(Debug, Serialize, ToSchema)]
struct Secret {
    name: String,
    updated_at: String,
}

// No Debug: it would print the value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SecretValue {
    /// 1 to 65536 bytes.
    value: String,
}

/// A copy that a far side keeps of a secret: in an enrolled node, for the access of the backend that composed it.
#[derive(Debug, Serialize, ToSchema)]
struct Copy {
    instance: String,
    /// Who keeps it.
    backend: String,
    /// Whose access it is.
    of: String,
}

/// What a refresh began.
#[derive(Debug, Serialize, ToSchema)]
struct Refreshes {
    items: Vec<Refresh>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Refresh {
    #[serde(flatten)]
    copy: Copy,
    /// The flow that writes it anew.
    flow: Option<String>,
    /// Why there is none, and what to do.
    refused: Option<String>,
}

/// The names of all secrets.
#[utoipa::path(get, path = "/v1/secrets", tag = "secrets", params(Paging), responses((status = 200, body = Page<Secret>)))]
async fn list(_: Operator, State(app): State<App>, Asked(paging): Asked<Paging>) -> Result<Json<Page<Secret>>> {
    let secrets = app.store().secrets().await?;
    let page = Page::cut("secrets", &paging, secrets, |(name, _)| name.to_string())?;
    Ok(Json(page.map(|(name, at)| Secret::of(&name, at))))
}

/// Sets a secret. The next request that needs it carries the new value; a copy that a far side keeps is written anew by a refresh.
#[utoipa::path(put, path = "/v1/secrets/{name}", tag = "secrets", params(("name" = String, Path)), request_body = SecretValue, responses((status = 200, body = Secret)))]
async fn put(
    _: Operator,
    State(app): State<App>,
    Named(name): Named,
    Body(body): Body<SecretValue>,
) -> Result<Json<Secret>> {
    if body.value.is_empty() || body.value.len() > LONGEST {
        return Err(Problem::new("invalid-field", format!("value: 1 to {LONGEST} bytes")));
    }
    let sealed = app.drivers().vault().seal(&name, body.value.as_bytes()).map_err(|error| {
        tracing::error!(secret = %name, %error, "sealing failed");
        Problem::new("internal", "the value could not be sealed")
    })?;
    let at = app.now();
    app.store().write(Lane::Interactive, PutSecret { name: name.clone(), sealed, at }).await?;
    Ok(Json(Secret::of(&name, at)))
}

/// Removes a secret that no backend names.
#[utoipa::path(delete, path = "/v1/secrets/{name}", tag = "secrets", params(("name" = String, Path)), responses((status = 204)))]
async fn remove(_: Operator, State(app): State<App>, Named(name): Named) -> Result<StatusCode> {
    for backend in app.store().backends().await? {
        if named(&backend.revision).any(|named| *named == name) {
            return Err(Problem::new("in-use", format!("backend {} names the secret {name}", backend.name)));
        }
    }
    if !app.store().write(Lane::Interactive, RemoveSecret(name.clone())).await? {
        return Err(Problem::not_found("secret", name));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The copies that far sides keep of a secret.
#[utoipa::path(get, path = "/v1/secrets/{name}/copies", tag = "secrets", params(("name" = String, Path), Paging), responses((status = 200, body = Page<Copy>)))]
async fn copies(
    _: Operator,
    State(app): State<App>,
    Named(name): Named,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<Copy>>> {
    known(&app, &name).await?;
    let copies = app.lifecycle.copies(&name).await?;
    let page = Page::cut("copies", &paging, copies, |copy| format!("{}/{}", copy.instance, copy.backend))?;
    Ok(Json(page.map(Copy::of)))
}

/// Writes the copies anew that far sides keep of a secret: a flow for each. One whose instance another flow works on is left out and says so.
#[utoipa::path(post, path = "/v1/secrets/{name}/refresh", tag = "secrets", params(("name" = String, Path)), responses((status = 202, body = Refreshes)))]
async fn refresh(_: Operator, State(app): State<App>, Named(name): Named) -> Result<(StatusCode, Json<Refreshes>)> {
    known(&app, &name).await?;
    let items = app.lifecycle.refresh(&name).await?.into_iter().map(Refresh::of).collect();
    Ok((StatusCode::ACCEPTED, Json(Refreshes { items })))
}

async fn known(app: &App, name: &Name) -> Result<()> {
    let is_there = app.store().secrets().await?.iter().any(|(secret, _)| secret == name);
    if is_there { Ok(()) } else { Err(Problem::not_found("secret", name.clone())) }
}

/// Makes another master key in place of the one in `secret.key`. No secret is touched; a backup that was made before needs the key that it holds.
#[utoipa::path(post, path = "/v1/master-key/rotate", tag = "secrets", request_body = Reason, responses((status = 204)))]
async fn rotate(
    Operator(caller): Operator,
    State(app): State<App>,
    _: Key,
    Body(Reason { reason }): Body<Reason>,
) -> Result<StatusCode> {
    app.store().rotate(caller.says(reason)?, app.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The secrets that a revision names.
pub(super) fn named(revision: &Revision) -> impl Iterator<Item = &Name> {
    let endpoints = revision.endpoints.values().filter_map(|endpoint| match &endpoint.auth {
        Auth::None => None,
        Auth::Basic { password_secret, .. } => Some(password_secret),
    });
    let granted = revision.grants.iter().filter_map(|grant| grant.secret.as_ref());
    endpoints.chain(revision.access.iter().map(|access| &access.password_secret)).chain(granted)
}

impl Copy {
    fn of(copy: Copied) -> Self {
        Self { instance: copy.instance.to_string(), backend: copy.backend.to_string(), of: copy.of.to_string() }
    }
}

impl Refresh {
    fn of(refreshed: Refreshed) -> Self {
        let (flow, refused) = match refreshed.flow {
            Ok(flow) => (Some(flow.to_string()), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self { copy: Copy::of(refreshed.copy), flow, refused }
    }
}

impl Secret {
    fn of(name: &Name, at: Millis) -> Self {
        Self { name: name.to_string(), updated_at: show(at) }
    }
}
