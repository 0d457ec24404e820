//! Networks: an operator registers what each backend calls them, users name them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Operator, Reader};
use super::body::{Asked, Body, Key, Named};
use super::error::{Problem, Result};
use super::page::{Page, Paging};
use crate::model::{Name, Network};
use crate::store::{Lane, Remove};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, put, remove))
}

/// What a user may connect an instance to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Network)]
#[serde(deny_unknown_fields)]
struct NetworkBody {
    /// `[a-z][a-z0-9-]{0,62}`; in a PUT it may be left out.
    #[schema(value_type = Option<String>)]
    name: Option<Name>,
    /// By backend: the object that its driver gets; those of several networks are laid over each other. Shown to operators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, Object>>)]
    backends: Option<BTreeMap<Name, Map<String, Value>>>,
}

/// All networks, by name.
#[utoipa::path(get, path = "/v1/networks", tag = "networks", params(Paging), responses((status = 200, body = Page<NetworkBody>)))]
async fn list(
    Reader(caller): Reader,
    State(app): State<App>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<NetworkBody>>> {
    let networks = app.store().networks().await?;
    let page = Page::cut("networks", &paging, networks, |network| network.name.to_string())?;
    Ok(Json(page.map(|network| NetworkBody::of(network, caller.is_operator()))))
}

/// Adds a network. The same again is no error; another content under the name is.
#[utoipa::path(post, path = "/v1/networks", tag = "networks", request_body = NetworkBody, responses((status = 201, body = NetworkBody)))]
async fn create(
    _: Operator,
    State(app): State<App>,
    _: Key,
    Body(body): Body<NetworkBody>,
) -> Result<(StatusCode, Json<NetworkBody>)> {
    let name = body.name.clone().ok_or_else(|| Problem::new("invalid-field", "name: is missing"))?;
    let network = body.into_network(name)?;
    if app.store().network(&network.name).await?.is_some_and(|old| old != network) {
        return Err(Problem::new("already-exists", format!("another network is named {}", network.name)));
    }
    app.lifecycle.put_network(network.clone()).await.map_err(Problem::in_body)?;
    Ok((StatusCode::CREATED, Json(NetworkBody::of(network, true))))
}

/// One network.
#[utoipa::path(get, path = "/v1/networks/{name}", tag = "networks", params(("name" = String, Path)), responses((status = 200, body = NetworkBody)))]
async fn show(Reader(caller): Reader, State(app): State<App>, Named(name): Named) -> Result<Json<NetworkBody>> {
    let network = app.store().network(&name).await?.ok_or_else(|| Problem::not_found("network", &name))?;
    Ok(Json(NetworkBody::of(network, caller.is_operator())))
}

/// Writes a network, new or in place of the old one. Instances keep what they were made from.
#[utoipa::path(put, path = "/v1/networks/{name}", tag = "networks", params(("name" = String, Path)), request_body = NetworkBody, responses((status = 200, body = NetworkBody)))]
async fn put(
    _: Operator,
    State(app): State<App>,
    Named(name): Named,
    Body(body): Body<NetworkBody>,
) -> Result<Json<NetworkBody>> {
    if body.name.as_ref().is_some_and(|inside| *inside != name) {
        return Err(Problem::new("invalid-field", format!("name: the path says {name}")));
    }
    let network = body.into_network(name)?;
    app.lifecycle.put_network(network.clone()).await.map_err(Problem::in_body)?;
    Ok(Json(NetworkBody::of(network, true)))
}

/// Takes a network out of the catalog.
#[utoipa::path(delete, path = "/v1/networks/{name}", tag = "networks", params(("name" = String, Path)), responses((status = 204)))]
async fn remove(_: Operator, State(app): State<App>, Named(name): Named) -> Result<StatusCode> {
    if !app.store().write(Lane::Interactive, Remove::Network(name.clone())).await? {
        return Err(Problem::not_found("network", name));
    }
    Ok(StatusCode::NO_CONTENT)
}

impl NetworkBody {
    fn of(network: Network, operator: bool) -> Self {
        Self { name: Some(network.name), backends: operator.then_some(network.backends) }
    }

    fn into_network(self, name: Name) -> Result<Network> {
        let backends = self.backends.ok_or_else(|| Problem::new("invalid-field", "backends: is missing"))?;
        Ok(Network { name, backends })
    }
}
