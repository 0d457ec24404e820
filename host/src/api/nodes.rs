//! Nodes: the machines under the project's instances, as the sides that made and manage them tell it.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::Reader;
use super::body::Asked;
use super::error::Result;
use super::page::{Page, Paging};
use super::time;
use crate::model::{Holding, HoldingState, Part, PartKind, Role};
use crate::store::HoldingFilter;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A machine under an instance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Node)]
struct NodeView {
    instance: String,
    /// The backend that made or lent it.
    backend: String,
    /// Made for the instance, and not one that existed before.
    composed: bool,
    /// What that backend calls it; null while it is being taken.
    handle: Option<String>,
    /// intended, held or disputed.
    state: &'static str,
    identity: Option<IdentityView>,
    parts: Vec<PartView>,
    place: Option<String>,
    /// Where it is managed; null while it is not.
    enrolled: Option<Enrolled>,
    since: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Enrolled {
    backend: String,
    handle: Option<String>,
    /// intended, held or disputed.
    state: &'static str,
    since: String,
    /// As the managing side sees it.
    identity: Option<IdentityView>,
    parts: Vec<PartView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Identity)]
struct IdentityView {
    system_uuid: Option<String>,
    serial: Option<String>,
    macs: Vec<String>,
}

/// Size by kind: cpu cores, memory MiB, disk GiB, nic Mbps, others pieces.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Part)]
struct PartView {
    id: String,
    /// cpu, memory, disk, nic, gpu or other.
    #[schema(value_type = String)]
    kind: PartKind,
    size: u64,
    serial: Option<String>,
    properties: Map<String, Value>,
}

/// The project's nodes, oldest first; for an operator those of all projects.
#[utoipa::path(get, path = "/v1/nodes", tag = "nodes", params(Paging), responses((status = 200, body = Page<NodeView>)))]
async fn list(
    Reader(caller): Reader,
    State(app): State<App>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<NodeView>>> {
    let holdings = app.store().holdings(HoldingFilter { project: caller.scope, instance: None }).await?;
    let (taken, others): (Vec<_>, Vec<_>) =
        holdings.into_iter().partition(|holding| matches!(holding.role, Role::Compose | Role::Claim));
    let page = Page::cut("nodes", &paging, taken, |holding| format!("{:020}", holding.id.0))?;
    Ok(Json(page.map(|holding| NodeView::of(holding, &others))))
}

impl NodeView {
    fn of(taken: Holding, others: &[Holding]) -> Self {
        let enrolled = others.iter().rfind(|other| other.role == Role::Enroll && other.instance == taken.instance);
        let (identity, parts, place) = seen(&taken);
        Self {
            instance: taken.instance.to_string(),
            backend: taken.backend.to_string(),
            composed: taken.role == Role::Compose,
            state: HoldingState::as_str(taken.state),
            identity,
            parts,
            place,
            enrolled: enrolled.map(Enrolled::of),
            since: time::show(taken.since),
            handle: taken.handle,
        }
    }
}

impl Enrolled {
    fn of(holding: &Holding) -> Self {
        let (identity, parts, _) = seen(holding);
        Self {
            backend: holding.backend.to_string(),
            handle: holding.handle.clone(),
            state: holding.state.as_str(),
            since: time::show(holding.since),
            identity,
            parts,
        }
    }
}

fn seen(holding: &Holding) -> (Option<IdentityView>, Vec<PartView>, Option<String>) {
    let Some(node) = &holding.node else { return (None, Vec::new(), None) };
    let identity = IdentityView {
        system_uuid: node.identity.system_uuid.clone(),
        serial: node.identity.serial.clone(),
        macs: node.identity.macs.clone(),
    };
    (Some(identity), node.parts.iter().map(PartView::of).collect(), node.place.clone())
}

impl PartView {
    fn of(part: &Part) -> Self {
        let Part { id, kind, size, serial, properties } = part.clone();
        Self { id, kind, size, serial, properties }
    }
}
