//! Instances: POST and DELETE write an intent and answer 202 with the flow to follow; GET shows the record and what it waits for.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Caller, Member, Reader};
use super::body::{Asked, Body, Id, Key};
use super::error::{Problem, Result};
use super::flavors::ShapeBody;
use super::page::{Page, Paging};
use super::time;
use crate::lifecycle::Request;
use crate::model::{Erase, Flow, FlowId, Instance, InstanceId, Name, Phase};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, delete))
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

/// What a user asked for, and how far it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Instance)]
struct InstanceView {
    id: String,
    project: String,
    name: String,
    /// creating, active, deleting or failed.
    state: &'static str,
    flavor: String,
    shape: ShapeBody,
    image: String,
    hostname: String,
    ssh_keys: Vec<String>,
    metadata: Map<String, Value>,
    #[schema(value_type = String)]
    erase: Erase,
    /// Whether its node was made for it; null until that is known.
    composed: Option<bool>,
    /// Why it is failed, in one sentence.
    reason: Option<String>,
    addresses: Map<String, Value>,
    /// What nobody could compare with what was asked.
    unverified: Vec<String>,
    /// What the last look at its machine found wrong; null when nothing was.
    degraded: Option<String>,
    /// The flow that works on it, or worked on it last.
    flow: String,
    links: Links,
    /// What happens now; null when nothing does. Left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<Now>,
    created_at: String,
    updated_at: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Links {
    #[serde(rename = "self")]
    this: String,
    flow: String,
    events: String,
}

/// Where the work stands.
#[derive(Debug, Serialize, ToSchema)]
struct Now {
    task: String,
    since: String,
    /// One sentence: for what, and who acts next.
    waits_for: String,
    /// Null while it waits for another flow or for a person.
    next_try: Option<String>,
    /// The next step is an operator's.
    needs_operator: bool,
}

/// A wish that was written down, and the flow that does it.
#[derive(Debug, Serialize, ToSchema)]
struct Deleting {
    id: String,
    flow: String,
    links: Links,
}

/// The project's instances, oldest first; for an operator those of all projects.
#[utoipa::path(get, path = "/v1/instances", tag = "instances", params(Paging), responses((status = 200, body = Page<InstanceView>)))]
async fn list(
    Reader(caller): Reader,
    State(app): State<App>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<InstanceView>>> {
    let limit = paging.limit()?;
    let after = paging.after("instances")?.map(|id| id.parse::<InstanceId>());
    let after =
        after.transpose().map_err(|_| Problem::new("invalid-cursor", "the cursor was not made by this list"))?;
    let instances = app.store().instances(caller.scope, after, limit + 1).await?;
    let page = Page::of("instances", limit, instances, |instance| instance.id.to_string());
    Ok(Json(page.map(|instance| InstanceView::of(instance, None))))
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
    let request = Request { name, flavor, image, hostname, ssh_keys, user_data, networks, node, metadata };
    let project = caller.project.clone();
    let id = app.lifecycle.create(project.clone(), request, idempotency).await.map_err(Problem::in_body)?;
    let instance = app.store().instance(Some(project), id).await?;
    // Also one that is gone by now: a repeat of the key long after.
    let (instance, _) = instance.ok_or_else(|| Problem::not_found("instance", id))?;
    let location = format!("/v1/instances/{id}");
    let now = now(&app, instance.flow).await?;
    Ok((StatusCode::ACCEPTED, AppendHeaders([(header::LOCATION, location)]), Json(InstanceView::of(instance, now))))
}

/// One instance, and what it waits for.
#[utoipa::path(get, path = "/v1/instances/{id}", tag = "instances", params(("id" = String, Path)), responses((status = 200, body = InstanceView)))]
async fn show(Reader(caller): Reader, State(app): State<App>, Id(id): Id<InstanceId>) -> Result<Json<InstanceView>> {
    let instance = here(&app, &caller, id).await?;
    let now = now(&app, instance.flow).await?;
    Ok(Json(InstanceView::of(instance, now)))
}

/// Deletes an instance; one that is still made is cancelled first. Repeatable: the flow is the same until it is gone.
#[utoipa::path(delete, path = "/v1/instances/{id}", tag = "instances", params(("id" = String, Path)), responses((status = 202, body = Deleting)))]
async fn delete(Member(caller): Member, State(app): State<App>, Id(id): Id<InstanceId>) -> Result<impl IntoResponse> {
    here(&app, &caller, id).await?;
    let flow = app.lifecycle.delete(caller.scope, id).await?;
    let links = Links::of(id, flow);
    Ok((
        StatusCode::ACCEPTED,
        AppendHeaders([(header::LOCATION, links.flow.clone())]),
        Json(Deleting { id: id.to_string(), flow: flow.to_string(), links }),
    ))
}

async fn here(app: &App, caller: &Caller, id: InstanceId) -> Result<Instance> {
    match app.store().instance(caller.scope.clone(), id).await? {
        None => Err(Problem::not_found("instance", id)),
        Some((instance, true)) => {
            Err(Problem::new("instance-gone", format!("instance {id} is gone, by flow {}", instance.flow)))
        }
        Some((instance, false)) => Ok(instance),
    }
}

async fn now(app: &App, flow: FlowId) -> Result<Option<Now>> {
    let flow = app.store().flow(flow).await?;
    Ok(flow.filter(|flow| !flow.position.phase.is_ended()).map(|flow| Now::of(app, &flow)))
}

impl Now {
    fn of(app: &App, flow: &Flow) -> Self {
        let tasks = app.lifecycle.tasks(flow);
        Self {
            task: tasks.get(flow.position.task).copied().unwrap_or_default().to_owned(),
            since: time::show(flow.task_since),
            waits_for: app.lifecycle.waits_for(flow),
            next_try: flow.wake.map(time::show),
            needs_operator: flow.position.phase == Phase::NeedsOperator,
        }
    }
}

impl Links {
    fn of(instance: InstanceId, flow: FlowId) -> Self {
        Self {
            this: format!("/v1/instances/{instance}"),
            flow: format!("/v1/flows/{flow}"),
            events: format!("/v1/flows/{flow}/events"),
        }
    }
}

impl InstanceView {
    fn of(instance: Instance, now: Option<Now>) -> Self {
        let Instance {
            id,
            project,
            name,
            order,
            state,
            composed,
            reason,
            addresses,
            unverified,
            degraded,
            off: _,
            flow,
            created_at,
            updated_at,
        } = instance;
        Self {
            id: id.to_string(),
            project: project.to_string(),
            name: name.to_string(),
            state: state.as_str(),
            flavor: order.flavor.to_string(),
            shape: order.shape.into(),
            image: order.image.name.to_string(),
            hostname: order.hostname,
            ssh_keys: order.ssh_keys,
            metadata: order.metadata,
            erase: order.erase,
            composed,
            reason,
            addresses,
            unverified,
            degraded,
            flow: flow.to_string(),
            links: Links::of(id, flow),
            now,
            created_at: time::show(created_at),
            updated_at: time::show(updated_at),
        }
    }
}
