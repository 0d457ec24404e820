//! Flavors: everybody reads them, an operator writes them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Caller, Operator, Reader};
use super::body::{Asked, Body, Key, Named};
use super::error::{Problem, Result};
use super::page::{Page, Paging};
use crate::model::{Budgets, Device, Erase, Eraser, Flavor, Name, PartKind, Projects, Route, Shape};
use crate::store::{Lane, Remove};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, put, remove))
}

/// The shape asked for, and which backends serve it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Flavor)]
#[serde(deny_unknown_fields)]
struct FlavorBody {
    /// `[a-z][a-z0-9-]{0,62}`; in a PUT it may be left out.
    #[schema(value_type = Option<String>)]
    name: Option<Name>,
    #[serde(default)]
    shape: ShapeBody,
    route: RouteBody,
    /// How far data goes from the disks at delete: none, quick (keys and partition tables) or full.
    #[serde(default)]
    #[schema(value_type = String, default = "quick")]
    erase: Erase,
    /// Seconds that verbs may take before they are overdue: compose, release, claim, unclaim, enroll, refresh, unenroll, deploy,
    /// undeploy, set-power. What is left out is the backend's.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, u64>)]
    budgets: Budgets,
    /// Who may order it, for operators alone to see; left out: everybody. For all others there is no such flavor.
    #[serde(default, skip_serializing_if = "Projects::are_all")]
    #[schema(value_type = Option<Vec<String>>)]
    projects: Projects,
}

/// Zero or empty: no wish.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = Shape)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ShapeBody {
    /// CPU cores in all, at most 65536.
    cores: u32,
    /// MiB in all, at most 2^30.
    memory_mib: u64,
    /// GiB, one item a disk.
    disks_gib: Vec<u64>,
    /// Mbps, one item an interface.
    nics_mbps: Vec<u32>,
    devices: Vec<DeviceBody>,
    /// The far side's own class of machine.
    class: Option<String>,
    traits: Vec<String>,
    /// What a vendor's driver reads beside it.
    properties: Map<String, Value>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Device)]
#[serde(deny_unknown_fields)]
struct DeviceBody {
    /// cpu, memory, disk, nic, gpu or other.
    #[schema(value_type = String)]
    kind: PartKind,
    count: u32,
    #[serde(default)]
    properties: Map<String, Value>,
}

/// Backends per role, in order of preference.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = Route)]
#[serde(default, deny_unknown_fields)]
struct RouteBody {
    /// Lends machines that exist; a composed route has none.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    claim: Vec<Name>,
    #[schema(value_type = Vec<String>)]
    compose: Vec<Name>,
    #[schema(value_type = Vec<String>)]
    enroll: Vec<Name>,
    #[schema(value_type = Vec<String>)]
    deploy: Vec<Name>,
}

/// All flavors, by name.
#[utoipa::path(get, path = "/v1/flavors", tag = "flavors", params(Paging), responses((status = 200, body = Page<FlavorBody>)))]
async fn list(
    Reader(caller): Reader,
    State(app): State<App>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<FlavorBody>>> {
    let flavors = app.store().flavors().await?.into_iter().filter_map(|flavor| seen(&caller, flavor)).collect();
    let page = Page::cut("flavors", &paging, flavors, |flavor| flavor.name.to_string())?;
    Ok(Json(page.map(FlavorBody::from)))
}

/// Adds a flavor. The same again is no error; another content under the name is.
#[utoipa::path(post, path = "/v1/flavors", tag = "flavors", request_body = FlavorBody, responses((status = 201, body = FlavorBody)))]
async fn create(
    _: Operator,
    State(app): State<App>,
    _: Key,
    Body(body): Body<FlavorBody>,
) -> Result<(StatusCode, Json<FlavorBody>)> {
    let name = body.name.clone().ok_or_else(|| Problem::new("invalid-field", "name: is missing"))?;
    let flavor = body.into_flavor(name);
    // Who erases is found out when it is bound.
    let other = |old: Flavor| Flavor { eraser: flavor.eraser, ..old } != flavor;
    if app.store().flavor(&flavor.name).await?.is_some_and(other) {
        return Err(Problem::new("already-exists", format!("another flavor is named {}", flavor.name)));
    }
    app.lifecycle.put_flavor(flavor.clone()).await.map_err(Problem::in_body)?;
    Ok((StatusCode::CREATED, Json(flavor.into())))
}

/// One flavor.
#[utoipa::path(get, path = "/v1/flavors/{name}", tag = "flavors", params(("name" = String, Path)), responses((status = 200, body = FlavorBody)))]
async fn show(Reader(caller): Reader, State(app): State<App>, Named(name): Named) -> Result<Json<FlavorBody>> {
    let flavor = app.store().flavor(&name).await?.and_then(|flavor| seen(&caller, flavor));
    let flavor = flavor.ok_or_else(|| Problem::not_found("flavor", &name))?;
    Ok(Json(flavor.into()))
}

/// Writes a flavor, new or in place of the old one. Instances keep what they were made from.
#[utoipa::path(put, path = "/v1/flavors/{name}", tag = "flavors", params(("name" = String, Path)), request_body = FlavorBody, responses((status = 200, body = FlavorBody)))]
async fn put(
    _: Operator,
    State(app): State<App>,
    Named(name): Named,
    Body(body): Body<FlavorBody>,
) -> Result<Json<FlavorBody>> {
    if body.name.as_ref().is_some_and(|inside| *inside != name) {
        return Err(Problem::new("invalid-field", format!("name: the path says {name}")));
    }
    let flavor = body.into_flavor(name);
    app.lifecycle.put_flavor(flavor.clone()).await.map_err(Problem::in_body)?;
    Ok(Json(flavor.into()))
}

/// Takes a flavor out of the catalog.
#[utoipa::path(delete, path = "/v1/flavors/{name}", tag = "flavors", params(("name" = String, Path)), responses((status = 204)))]
async fn remove(_: Operator, State(app): State<App>, Named(name): Named) -> Result<StatusCode> {
    if !app.store().write(Lane::Interactive, Remove::Flavor(name.clone())).await? {
        return Err(Problem::not_found("flavor", name));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// As this caller sees it: a flavor of other projects not at all, and whose it is only as an operator.
fn seen(caller: &Caller, flavor: Flavor) -> Option<Flavor> {
    if caller.is_operator() {
        return Some(flavor);
    }
    flavor.projects.has(&caller.project).then(|| Flavor { projects: Projects::default(), ..flavor })
}

impl FlavorBody {
    fn into_flavor(self, name: Name) -> Flavor {
        let RouteBody { claim, compose, enroll, deploy } = self.route;
        Flavor {
            name,
            shape: self.shape.into(),
            route: Route { claim, compose, enroll, deploy },
            erase: self.erase,
            // Found out by whoever writes it.
            eraser: Eraser::default(),
            budgets: self.budgets,
            projects: self.projects,
        }
    }
}

impl From<Flavor> for FlavorBody {
    fn from(Flavor { name, shape, route, erase, budgets, projects, .. }: Flavor) -> Self {
        let Route { claim, compose, enroll, deploy } = route;
        let route = RouteBody { claim, compose, enroll, deploy };
        Self { name: Some(name), shape: shape.into(), route, erase, budgets, projects }
    }
}

impl From<ShapeBody> for Shape {
    fn from(body: ShapeBody) -> Self {
        let ShapeBody { cores, memory_mib, disks_gib, nics_mbps, devices, class, traits, properties } = body;
        let device = |DeviceBody { kind, count, properties }| Device { kind, count, properties };
        let devices = devices.into_iter().map(device).collect();
        Self { cores, memory_mib, disks_gib, nics_mbps, devices, class, traits, properties }
    }
}

impl From<Shape> for ShapeBody {
    fn from(shape: Shape) -> Self {
        let Shape { cores, memory_mib, disks_gib, nics_mbps, devices, class, traits, properties } = shape;
        let device = |Device { kind, count, properties }| DeviceBody { kind, count, properties };
        let devices = devices.into_iter().map(device).collect();
        Self { cores, memory_mib, disks_gib, nics_mbps, devices, class, traits, properties }
    }
}
