//! Instances: POST writes an intent and answers 202 with the flow to follow; GET shows the record and what it waits for.
//!
//! `instances/adopt.rs` takes a machine that runs, `instances/verbs.rs` has what may be wished of one that is there, `instances/view.rs` how it is shown.

mod adopt;
mod verbs;
mod view;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Caller, Member, Reader};
use super::body::{Asked, Body, Id, Key};
use super::error::{Problem, Result};
use super::page::{Page, Paging};
use crate::lifecycle::Request;
use crate::model::{Instance, InstanceId, InstanceState, Name};
use view::InstanceView;

/// Networks of one order, at most.
const NETWORKS: usize = 16;
/// Records read at once while a filter leaves some out.
const AT_ONCE: usize = 1000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .merge(adopt::routes())
        .routes(routes!(show))
        .merge(verbs::routes())
}

/// What a user orders.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewInstance {
    /// `[a-z][a-z0-9-]{0,62}`. Names need not be unique.
    #[schema(value_type = String)]
    name: Name,
    #[schema(value_type = String)]
    flavor: Name,
    #[schema(value_type = String)]
    image: Name,
    /// 1 to 63 characters of a-z, 0-9 and -; the name when left out.
    hostname: Option<String>,
    /// At most 16, one line each.
    #[serde(default)]
    ssh_keys: Vec<String>,
    /// For cloud-init, at most 65535 bytes.
    user_data: Option<String>,
    /// Names of networks, at most 16.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    networks: Vec<Name>,
    /// An operator's choice of a pre-set node, by the far side's name or uuid.
    node: Option<String>,
    /// Yours: at most 64 keys and 16384 bytes.
    #[serde(default)]
    metadata: Map<String, Value>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Of {
    /// creating, active, deleting or failed.
    #[param(value_type = Option<String>)]
    state: Option<InstanceState>,
    /// True: those that the last look found something wrong with; false: the others.
    degraded: Option<bool>,
}

/// The project's instances, oldest first; for an operator those of all projects.
#[utoipa::path(get, path = "/v1/instances", tag = "instances", params(Paging, Of), responses((status = 200, body = Page<InstanceView>)))]
async fn list(
    Reader(caller): Reader,
    State(app): State<App>,
    Asked(paging): Asked<Paging>,
    Asked(of): Asked<Of>,
) -> Result<Json<Page<InstanceView>>> {
    let limit = paging.limit()?;
    let after = paging.after("instances")?.map(|id| id.parse::<InstanceId>());
    let mut after =
        after.transpose().map_err(|_| Problem::new("invalid-cursor", "the cursor was not made by this list"))?;
    let at_once = if of.takes_all() { limit + 1 } else { AT_ONCE };
    let mut found = Vec::new();
    loop {
        let read = app.store().instances(caller.scope.clone(), after, at_once).await?;
        after = read.last().map(|instance| instance.id);
        let all = read.len() < at_once;
        found.extend(read.into_iter().filter(|instance| of.takes(instance)));
        if all || found.len() > limit {
            break;
        }
    }
    let page = Page::of("instances", limit, found, |instance| instance.id.to_string());
    Ok(Json(InstanceView::listed(&app, page).await?))
}

/// Orders an instance. With an Idempotency-Key a repeat answers the first one's.
#[utoipa::path(post, path = "/v1/instances", tag = "instances", params(("Idempotency-Key" = Option<String>, Header)),
    request_body = NewInstance, responses((status = 202, body = InstanceView, headers(("Location" = String)))))]
async fn create(
    Member(caller): Member,
    State(app): State<App>,
    key: Key,
    Body(new): Body<NewInstance>,
) -> Result<impl IntoResponse> {
    let idempotency = key.of(&new)?;
    let NewInstance { name, flavor, image, hostname, ssh_keys, user_data, networks, node, metadata } = new;
    if node.is_some() && !caller.is_operator() {
        return Err(Problem::new("role-too-small", "only an operator chooses the node"));
    }
    if networks.len() > NETWORKS {
        return Err(Problem::new("invalid-field", format!("networks: at most {NETWORKS}")));
    }
    let request = Request { name, flavor, image, hostname, ssh_keys, user_data, networks, node, metadata };
    let project = caller.project.clone();
    let id = app.lifecycle.create(project.clone(), request, idempotency).await.map_err(Problem::in_body)?;
    let instance = app.store().instance(Some(project), id).await?;
    // Also one that is gone by now: a repeat of the key long after.
    let (instance, _) = instance.ok_or_else(|| Problem::not_found("instance", id))?;
    let location = [(header::LOCATION, format!("/v1/instances/{id}"))];
    Ok((StatusCode::ACCEPTED, AppendHeaders(location), Json(InstanceView::whole(&app, instance).await?)))
}

/// One instance, and what it waits for.
#[utoipa::path(get, path = "/v1/instances/{id}", tag = "instances", params(("id" = String, Path)), responses((status = 200, body = InstanceView)))]
async fn show(Reader(caller): Reader, State(app): State<App>, Id(id): Id<InstanceId>) -> Result<Json<InstanceView>> {
    let instance = here(&app, &caller, id).await?;
    Ok(Json(InstanceView::whole(&app, instance).await?))
}

async fn here(app: &App, caller: &Caller, id: InstanceId) -> Result<Instance> {
    Ok(app.lifecycle.here(caller.scope.clone(), id).await?)
}

impl Of {
    fn takes_all(&self) -> bool {
        self.state.is_none() && self.degraded.is_none()
    }

    fn takes(&self, instance: &Instance) -> bool {
        self.state.is_none_or(|state| instance.state == state)
            && self.degraded.is_none_or(|degraded| instance.degraded.is_some() == degraded)
    }
}
