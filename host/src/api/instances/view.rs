//! An instance as it is shown: the record, its machine's ports, what happens now, and where to follow that.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api::App;
use crate::api::error::Result;
use crate::api::flavors::ShapeBody;
use crate::api::page::Page;
use crate::api::time;
use crate::api::waits::WaitsView;
use crate::lifecycle::Waits;
use crate::model::{Erase, Flow, FlowId, Instance, InstanceId, Phase};
use crate::store::HoldingFilter;

/// What a user asked for, and how far it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Instance)]
pub(super) struct InstanceView {
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
    /// The networks that were ordered; what it got of them is in `addresses`.
    networks: Vec<String>,
    metadata: Map<String, Value>,
    #[schema(value_type = String)]
    erase: Erase,
    /// Whether its node was made for it; null until that is known.
    composed: Option<bool>,
    /// Why it is failed, in one sentence.
    reason: Option<String>,
    /// As the backend that deployed it says; empty where it does not say.
    addresses: Map<String, Value>,
    /// The interfaces of its machine; empty until they are known. Left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    ports: Option<Vec<Port>>,
    /// What nobody could compare with what was asked.
    unverified: Vec<String>,
    /// What the last look at its machine found wrong; null when nothing was.
    degraded: Option<String>,
    /// The flow that works on it, or worked on it last.
    flow: String,
    links: Links,
    /// What happens now; null when nothing does.
    now: Option<Now>,
    created_at: String,
    updated_at: String,
}

/// An interface of the machine.
#[derive(Debug, Serialize, ToSchema)]
struct Port {
    /// In lower case with colons.
    mac: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Links {
    #[serde(rename = "self")]
    this: String,
    pub(super) flow: String,
    events: String,
}

/// Where the work stands.
#[derive(Debug, Serialize, ToSchema)]
struct Now {
    task: String,
    since: String,
    /// Why it is not moving, in one sentence.
    waits_for: String,
    /// The same, taken apart.
    waits: WaitsView,
    /// The task takes longer than its budget.
    overdue: bool,
    /// Null while it waits for another flow or for a person.
    next_try: Option<String>,
    /// The next step is an operator's.
    needs_operator: bool,
}

impl InstanceView {
    /// With all that needs a further read.
    pub(super) async fn whole(app: &App, instance: Instance) -> Result<Self> {
        let ports = ports(app, instance.id).await?;
        let mut now = Now::of_all(app, std::slice::from_ref(&instance)).await?;
        Ok(Self { ports: Some(ports), now: now.remove(&instance.flow), ..Self::of(instance) })
    }

    /// A page of a list.
    pub(super) async fn listed(app: &App, page: Page<Instance>) -> Result<Page<Self>> {
        let mut now = Now::of_all(app, &page.items).await?;
        Ok(page.map(|instance| Self { now: now.remove(&instance.flow), ..Self::of(instance) }))
    }

    /// Without what needs a further read.
    fn of(instance: Instance) -> Self {
        let Instance { id, order, flow, .. } = instance;
        Self {
            id: id.to_string(),
            project: instance.project.to_string(),
            name: instance.name.to_string(),
            state: instance.state.as_str(),
            flavor: order.flavor.to_string(),
            shape: order.shape.into(),
            image: order.image.name.to_string(),
            hostname: order.hostname,
            ssh_keys: order.ssh_keys,
            networks: order.ordered_networks.iter().map(ToString::to_string).collect(),
            metadata: order.metadata,
            erase: order.erase,
            composed: instance.composed,
            reason: instance.reason,
            addresses: instance.addresses,
            ports: None,
            unverified: instance.unverified,
            degraded: instance.degraded,
            flow: flow.to_string(),
            links: Links::of(id, flow),
            now: None,
            created_at: time::show(instance.created_at),
            updated_at: time::show(instance.updated_at),
        }
    }
}

/// Of the side that sees them: the one that manages the machine before the one that made it.
async fn ports(app: &App, instance: InstanceId) -> Result<Vec<Port>> {
    let holdings = app.store().holdings(HoldingFilter { project: None, instance: Some(instance) }).await?;
    let macs = holdings.into_iter().rev().filter_map(|holding| holding.node).map(|node| node.identity.macs);
    let seen = macs.into_iter().find(|macs| !macs.is_empty()).unwrap_or_default();
    Ok(seen.into_iter().map(|mac| Port { mac }).collect())
}

impl Now {
    /// By flow, for those that did not end.
    async fn of_all(app: &App, instances: &[Instance]) -> Result<BTreeMap<FlowId, Self>> {
        let flows = app.store().flows_named(instances.iter().map(|instance| instance.flow).collect()).await?;
        let waits = app.lifecycle.waits(&flows).await?;
        let now = flows.iter().zip(waits).filter_map(|(flow, waits)| Some((flow.id, Self::of(app, flow, &waits?))));
        Ok(now.collect())
    }

    fn of(app: &App, flow: &Flow, waits: &Waits) -> Self {
        let tasks = app.lifecycle.tasks(flow);
        Self {
            task: tasks.get(flow.position.task).copied().unwrap_or_default().to_owned(),
            since: time::show(flow.task_since),
            waits_for: waits.sentence(),
            overdue: waits.is_overdue(),
            waits: WaitsView::of(waits),
            next_try: flow.wake.map(time::show),
            needs_operator: flow.position.phase == Phase::NeedsOperator,
        }
    }
}

impl Links {
    pub(super) fn of(instance: InstanceId, flow: FlowId) -> Self {
        Self {
            this: format!("/v1/instances/{instance}"),
            flow: format!("/v1/flows/{flow}"),
            events: format!("/v1/flows/{flow}/events"),
        }
    }
}
