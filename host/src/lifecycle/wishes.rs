//! What users may wish of instances: each writes an intent and answers at once; a flow does the work.

use super::{Error, Lifecycle, create, delete, power, rebuild, rules};
use crate::driver::PowerWish;
use crate::flow::first;
use crate::model::{
    Direction, Event, EventKind, Flavor, FlowId, Instance, InstanceId, InstanceState, Name, Order, Project, Route,
};
use crate::store::{self, CreateInstance, Created, DeleteInstance, Deleting, Lane, StartFlow, Started};

/// What a user orders.
#[derive(Debug, Clone)]
pub struct Request {
    pub name: Name,
    pub flavor: Name,
    pub image: Name,
    /// The instance's name, when it is none.
    pub hostname: Option<String>,
    pub ssh_keys: Vec<String>,
    pub user_data: Option<String>,
    pub networks: Vec<Name>,
    /// A pre-set node that an operator chose, by the far side's name or uuid.
    pub node: Option<String>,
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

impl Lifecycle {
    /// Writes the intent to create. A repeat with the same key and request answers the first one's id.
    pub async fn create(
        &self,
        project: Project,
        request: Request,
        idempotency: Option<(String, Vec<u8>)>,
    ) -> Result<InstanceId, Error> {
        let order = match self.order(&project, request.clone()).await {
            Ok(order) => order,
            Err(refused) => return self.made_before(&project, idempotency).await?.ok_or(refused),
        };
        let state = create::Create::of(order);
        let kind = (state.kind(), create::VERSION);
        self.make(project, request.name, state, kind, idempotency).await
    }

    /// What this very request made when it could still be granted: who lost the answer gets it.
    pub(super) async fn made_before(
        &self,
        project: &Project,
        idempotency: Option<(String, Vec<u8>)>,
    ) -> Result<Option<InstanceId>, Error> {
        match idempotency {
            Some(repeat) => Ok(self.store.made_before(project, repeat).await?),
            None => Ok(None),
        }
    }

    /// A new instance and the flow that makes it.
    pub(super) async fn make(
        &self,
        project: Project,
        name: Name,
        state: create::Create,
        (kind, version): (&str, u32),
        idempotency: Option<(String, Vec<u8>)>,
    ) -> Result<InstanceId, Error> {
        let (id, now) = (InstanceId::fresh(), self.clock.now());
        let bytes = state.to_bytes()?;
        let kind = (FlowId::fresh(), kind, version);
        let (flow, event, effects) = first(&self.book, &self.site, kind, (project.clone(), id), bytes, now);
        let instance = Instance {
            id,
            project,
            name,
            order: state.order,
            state: InstanceState::Creating,
            composed: None,
            reason: None,
            addresses: serde_json::Map::new(),
            unverified: Vec::new(),
            degraded: None,
            off: false,
            flow: flow.id,
            created_at: now,
            updated_at: now,
        };
        match self
            .store
            .write(Lane::Interactive, CreateInstance { instance, flow, event, effects, idempotency })
            .await?
        {
            Created::New => Ok(id),
            Created::Before(first) => Ok(first),
            Created::KeyReused => Err(key_reused()),
        }
    }

    /// Writes the intent to delete; a create that runs is cancelled by it. Repeatable.
    pub async fn delete(&self, project: Option<Project>, id: InstanceId) -> Result<FlowId, Error> {
        let instance = self.here(project, id).await?;
        let now = self.clock.now();
        let state = delete::Delete::of(&instance);
        let kind = (FlowId::fresh(), delete::KIND, delete::VERSION);
        let bytes = state.to_bytes()?;
        let (flow, event, effects) = first(&self.book, &self.site, kind, (instance.project, id), bytes, now);
        let flow_id = flow.id;
        let cancelled = self.wish(EventKind::CancelAsked, "the instance is to be deleted");
        let delete = DeleteInstance { instance: id, flow, event, cancelled, effects };
        match self.store.write(Lane::Interactive, delete).await {
            Ok(Deleting::Started | Deleting::Cancelling) => Ok(flow_id),
            Ok(Deleting::Already(flow)) => Ok(flow),
            // It went since it was looked up.
            Err(store::Error::Refused(message)) => Err(Error::Refused { code: "instance-gone", message }),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the intent to change the power of an active instance's machine.
    pub async fn power(
        &self,
        project: Option<Project>,
        id: InstanceId,
        wish: PowerWish,
        idempotency: Option<(Project, String, Vec<u8>)>,
    ) -> Result<FlowId, Error> {
        let instance = self.here(project, id).await?;
        rules::is_ours(&instance)?;
        let kind = (FlowId::fresh(), power::KIND, power::VERSION);
        let budgets = instance.order.budgets.clone();
        self.start(instance, kind, power::Power { wish, budgets, was_asked: false }.to_bytes()?, idempotency).await
    }

    /// Writes the intent to put an image on the machine anew: the one that it has, or another.
    pub async fn rebuild(
        &self,
        project: Option<Project>,
        id: InstanceId,
        image: Option<Name>,
        idempotency: Option<(Project, String, Vec<u8>)>,
    ) -> Result<FlowId, Error> {
        let instance = self.here(project, id).await?;
        rules::is_ours(&instance)?;
        let mut order = instance.order.clone();
        if let Some(name) = image {
            let found = self.store.image(&name).await?;
            order.image = found.ok_or_else(|| Error::NotFound { what: "image", name: name.to_string() })?;
            rules::image_reaches(&order.image, &order.route.deploy, &order.flavor)?;
        }
        let enrolled = self.store.node_of(id).await?;
        let kind = (FlowId::fresh(), rebuild::KIND, rebuild::VERSION);
        self.start(instance, kind, create::Create::on(order, enrolled).to_bytes()?, idempotency).await
    }

    /// One that is not gone, of that project if one is given.
    pub async fn here(&self, project: Option<Project>, id: InstanceId) -> Result<Instance, Error> {
        match self.store.instance(project, id).await? {
            Some((instance, false)) => Ok(instance),
            Some((instance, true)) => {
                let message = format!("instance {id} is gone, by flow {}", instance.flow);
                Err(Error::Refused { code: "instance-gone", message })
            }
            None => Err(Error::NotFound { what: "instance", name: id.to_string() }),
        }
    }

    /// One flow at a time works on an instance. A repeat with the same key and request answers the first one's.
    pub(super) async fn start(
        &self,
        of: Instance,
        kind: (FlowId, &str, u32),
        state: Vec<u8>,
        idempotency: Option<(Project, String, Vec<u8>)>,
    ) -> Result<FlowId, Error> {
        let (flow, event, effects) = first(&self.book, &self.site, kind, (of.project, of.id), state, self.clock.now());
        let id = flow.id;
        let start = StartFlow { instance: of.id, flow, event, effects, idempotency };
        match self.store.write(Lane::Interactive, start).await {
            Ok(Started::New) => Ok(id),
            Ok(Started::Before(first)) => Ok(first),
            Ok(Started::KeyReused) => Err(key_reused()),
            Err(store::Error::Refused(message)) => Err(Error::Refused { code: "instance-busy", message }),
            Err(error) => Err(error.into()),
        }
    }

    /// Flavor and image as they are now: the instance keeps them.
    async fn order(&self, project: &Project, request: Request) -> Result<Order, Error> {
        let not_found = |what, name: &Name| Error::NotFound { what, name: name.to_string() };
        let flavor = self.flavor_for(project, &request.flavor).await?;
        let flavor = Flavor { route: self.route_for(project, &flavor).await?, ..flavor };
        let image = self.store.image(&request.image).await?.ok_or_else(|| not_found("image", &request.image))?;
        rules::image_reaches(&image, &flavor.route.deploy, &flavor.name)?;
        let mut networks = Vec::new();
        for name in &request.networks {
            networks.push(self.store.network(name).await?.ok_or_else(|| not_found("network", name))?);
        }
        let ordered = request.networks;
        let networks = rules::laid_over(&networks, &flavor)?;
        let mut shape = flavor.shape;
        if let Some(node) = request.node {
            rules::may_choose(&flavor.route, &flavor.name)?;
            shape.properties.insert("node".into(), node.into());
        }
        let order = Order {
            flavor: flavor.name,
            shape,
            ordered_networks: ordered,
            networks,
            adopting: false,
            route: flavor.route,
            erase: flavor.erase,
            eraser: flavor.eraser,
            image,
            hostname: request.hostname.unwrap_or_else(|| request.name.to_string()),
            ssh_keys: request.ssh_keys,
            user_data: request.user_data,
            metadata: request.metadata,
            budgets: flavor.budgets,
        };
        order.check()?;
        Ok(order)
    }

    /// A flavor that is limited to other projects is none.
    pub(super) async fn flavor_for(&self, project: &Project, name: &Name) -> Result<Flavor, Error> {
        let flavor = self.store.flavor(name).await?.filter(|flavor| flavor.projects.has(project));
        flavor.ok_or_else(|| Error::NotFound { what: "flavor", name: name.to_string() })
    }

    /// The flavor's route over backends that the project may use.
    async fn route_for(&self, project: &Project, flavor: &Flavor) -> Result<Route, Error> {
        let mut closed = Vec::new();
        for backend in flavor.route.backends() {
            if !self.newest(backend).await?.projects.has(project) {
                closed.push(backend.clone());
            }
        }
        if closed.is_empty() {
            return Ok(flavor.route.clone());
        }
        flavor.route.without(&closed).ok_or_else(|| Error::Refused {
            code: "flavor-not-for-project",
            message: format!(
                "the backends of flavor {} are not open to project {project}: order another flavor, or ask an operator",
                flavor.name
            ),
        })
    }

    pub(super) fn wish(&self, kind: EventKind, note: &str) -> Event {
        Event {
            seq: 0,
            at: self.clock.now(),
            task: String::new(),
            direction: Direction::Execute,
            round: 0,
            attempt: 0,
            kind,
            note: note.into(),
            backend: None,
            plugin: None,
            exchanges: Vec::new(),
            given_back: None,
            evidence: None,
        }
    }
}

fn key_reused() -> Error {
    Error::Refused {
        code: "idempotency-key-reused",
        message: "this Idempotency-Key came with another request before: send a new key for a new request".into(),
    }
}
