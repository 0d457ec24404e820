//! What happens to an instance: joins flows and drivers, which do not know each other.
//!
//! `create.rs` and `delete.rs` read as tables of contents, one task is one file under `task/`. `rules.rs` says what may be ordered and
//! bound. The api calls [`Lifecycle`]; it writes an intent and answers, a flow does the work.

mod create;
mod delete;
mod observe;
mod power;
mod rebuild;
mod rules;
mod task;

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::{Config, Flows};
use crate::driver::{Call, Drivers, PowerWish, Refusal};
use crate::flow::{Book, Runner, first};
use crate::model::{
    Digest, Direction, Event, EventKind, Flavor, Flow, FlowId, Image, Instance, InstanceId, InstanceState, Invalid,
    Name, Network, OperationId, Order, Phase, Project, Revision, RevisionId, Role, Site,
};
use crate::store::{
    self, Catalog, CreateInstance, Created, DeleteInstance, Deleting, Lane, RetryFlow, StartFlow, Store, WriteRevision,
};

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

/// Why an intent was not taken. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no {what} {name}")]
    NotFound { what: &'static str, name: String },
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// `code` is stable; `message` says what to do.
    #[error("{message}")]
    Refused { code: &'static str, message: String },
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { code: refusal.code, message: refusal.message }
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Lifecycle {
    store: Store,
    drivers: Drivers,
    clock: Clock,
    site: Site,
    book: Book,
    runner: Runner,
    observe_every: Duration,
}

impl Lifecycle {
    pub async fn open(config: &Config, store: Store, drivers: Drivers, clock: Clock) -> Result<Self, Error> {
        let site = store.site(fresh_site()?).await?;
        Ok(Self::on(&config.flows, site, store, drivers, clock))
    }

    fn on(patience: &Flows, site: Site, store: Store, drivers: Drivers, clock: Clock) -> Self {
        let book = Book::default()
            .with(create::composed(&store, &drivers))
            .with(delete::instance(&store, &drivers))
            .with(power::instance(&store, &drivers))
            .with(rebuild::instance(&store, &drivers));
        let runner = Runner::new(store.clone(), book.clone(), clock.clone(), site.clone(), patience.clone());
        Self { store, drivers, clock, site, book, runner, observe_every: patience.observe_every }
    }

    /// Runs the flows until `stop` says so.
    pub async fn run(&self, stop: watch::Receiver<bool>) -> Result<(), Error> {
        self.runner.take_over().await?;
        let observing = observe::run(&self.store, &self.drivers, &self.clock, self.observe_every);
        tokio::select! {
            () = self.runner.run(stop) => (),
            () = observing => (),
        }
        Ok(())
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    pub fn drivers(&self) -> &Drivers {
        &self.drivers
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Writes the intent to create. A repeat with the same key and request answers the first one's id.
    pub async fn create(
        &self,
        project: Project,
        request: Request,
        idempotency: Option<(String, Vec<u8>)>,
    ) -> Result<InstanceId, Error> {
        let order = self.order(request.clone()).await?;
        let (id, now) = (InstanceId::fresh(), self.clock.now());
        let state = create::Create::of(order.clone());
        let kind = (FlowId::fresh(), state.kind(), create::VERSION);
        let bytes = state.to_bytes()?;
        let (flow, event, effects) = first(&self.book, &self.site, kind, (project.clone(), id), bytes, now);
        let instance = Instance {
            id,
            project,
            name: request.name,
            order,
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
            Created::KeyReused => Err(Error::Refused {
                code: "idempotency-key-reused",
                message: "this Idempotency-Key came with another request before: send a new key for a new request"
                    .into(),
            }),
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
        match self
            .store
            .write(Lane::Interactive, DeleteInstance { instance: id, flow, event, cancelled, effects })
            .await?
        {
            Deleting::Started => Ok(flow_id),
            Deleting::Already(flow) => Ok(flow),
        }
    }

    /// Writes the intent to change the power of an active instance's machine.
    pub async fn power(&self, project: Option<Project>, id: InstanceId, wish: PowerWish) -> Result<FlowId, Error> {
        let instance = self.here(project, id).await?;
        let kind = (FlowId::fresh(), power::KIND, power::VERSION);
        self.start(instance, kind, power::Power { wish }.to_bytes()?).await
    }

    /// Writes the intent to put an image on the machine anew: the one that it has, or another.
    pub async fn rebuild(
        &self,
        project: Option<Project>,
        id: InstanceId,
        image: Option<Name>,
    ) -> Result<FlowId, Error> {
        let instance = self.here(project, id).await?;
        let mut order = instance.order.clone();
        if let Some(name) = image {
            let found = self.store.image(&name).await?;
            order.image = found.ok_or_else(|| Error::NotFound { what: "image", name: name.to_string() })?;
            rules::image_reaches(&order.image, &order.route.deploy, &order.flavor)?;
        }
        let enrolled = self.store.node_of(id).await?;
        let kind = (FlowId::fresh(), rebuild::KIND, rebuild::VERSION);
        self.start(instance, kind, create::Create::on(order, enrolled).to_bytes()?).await
    }

    /// A person looked: a flow that rests goes on where it rested.
    pub async fn retry(&self, id: FlowId) -> Result<(), Error> {
        let flow = self.store.flow(id).await?.ok_or_else(|| Error::NotFound { what: "flow", name: id.to_string() })?;
        let phase = if self.book.turns(&flow.kind, flow.version) { Phase::Backward } else { Phase::Forward };
        let event = self.wish(EventKind::Resumed, "an operator asked to try again");
        let retried = self.store.write(Lane::Interactive, RetryFlow { flow: id, phase, event }).await;
        retried.map_err(|error| match error {
            store::Error::Refused(message) => Error::Refused { code: "flow-does-not-rest", message },
            other => other.into(),
        })
    }

    /// Writes a backend's next revision. `after`: the newest that the caller saw.
    pub async fn bind(&self, draft: Revision, after: Option<RevisionId>) -> Result<RevisionId, Error> {
        self.drivers.check_binding(&draft.digest, &draft)?;
        let plugin = self.drivers.plugin(&draft.digest).ok_or_else(|| no_plugin(&draft.digest))?;
        rules::can_undo(&plugin, &self.store.roles_held(&draft.backend).await?)?;
        let write = WriteRevision {
            revision: draft,
            exclusive: plugin.manifest.exclusive.clone(),
            after,
            at: self.clock.now(),
        };
        Ok(self.store.write(Lane::Interactive, write).await?)
    }

    /// The next operation uses this plugin; those that run end on theirs.
    pub async fn swap(&self, backend: &Name, digest: Digest) -> Result<RevisionId, Error> {
        let newest = self.newest(backend).await?;
        let after = newest.id;
        self.bind(Revision { digest, ..newest }, Some(after)).await
    }

    /// What the far side says of itself, asked through the driver.
    pub async fn probe(&self, backend: &Name) -> Result<serde_json::Map<String, serde_json::Value>, Error> {
        let newest = self.newest(backend).await?;
        let refused =
            |fault: crate::model::Fault| Error::Refused { code: "backend-probe-failed", message: fault.message };
        let prober = self.drivers.prober(newest.id).await.map_err(refused)?;
        let operation = OperationId(format!("probe-{}", FlowId::fresh().0.simple()));
        let call = Call { operation, attempt: 1, checkpoint: None, access_of: None };
        prober.probe(call).await.result.map_err(refused)
    }

    pub async fn put_flavor(&self, flavor: Flavor) -> Result<(), Error> {
        flavor.check()?;
        rules::serves(&self.drivers, &self.store, &flavor).await?;
        for (role, backends) in [(Role::Compose, &flavor.route.compose), (Role::Deploy, &flavor.route.deploy)] {
            for backend in backends {
                let abilities = self.abilities(backend).await;
                rules::within(&flavor, role, backend, &abilities)?;
            }
        }
        Ok(self.store.write(Lane::Interactive, Catalog::Flavor(flavor, self.clock.now())).await?)
    }

    pub async fn put_network(&self, network: Network) -> Result<(), Error> {
        Ok(self.store.write(Lane::Interactive, Catalog::Network(network, self.clock.now())).await?)
    }

    pub async fn put_image(&self, image: Image) -> Result<(), Error> {
        Ok(self.store.write(Lane::Interactive, Catalog::Image(image, self.clock.now())).await?)
    }

    /// The names of a flow's tasks in its present round, in order.
    pub fn tasks(&self, flow: &Flow) -> Vec<&'static str> {
        self.book.tasks(&flow.kind, flow.version, flow.position.round)
    }

    /// One sentence: waiting for what, and who acts next.
    pub fn waits_for(&self, flow: &Flow) -> String {
        match flow.position.phase {
            Phase::Done | Phase::Reverted => String::new(),
            Phase::NeedsOperator => {
                let why = flow.fault.as_ref().map_or("it rests", |fault| fault.message.as_str());
                format!("an operator must look: {why}")
            }
            Phase::Forward | Phase::Backward => match (flow.wake, flow.follows) {
                (None, Some(before)) => format!("waits for flow {before} to end"),
                _ if flow.progress.note.is_empty() => "its next call".into(),
                _ => flow.progress.note.clone(),
            },
        }
    }

    /// Empty when the far side does not answer: then the flow will say what it cannot do.
    async fn abilities(&self, backend: &Name) -> serde_json::Map<String, serde_json::Value> {
        let answer = self.probe(backend).await.unwrap_or_default();
        answer.get("abilities").and_then(serde_json::Value::as_object).cloned().unwrap_or_default()
    }

    async fn here(&self, project: Option<Project>, id: InstanceId) -> Result<Instance, Error> {
        match self.store.instance(project, id).await? {
            Some((instance, false)) => Ok(instance),
            _ => Err(Error::NotFound { what: "instance", name: id.to_string() }),
        }
    }

    /// One flow at a time works on an instance.
    async fn start(&self, of: Instance, kind: (FlowId, &str, u32), state: Vec<u8>) -> Result<FlowId, Error> {
        let (flow, event, effects) = first(&self.book, &self.site, kind, (of.project, of.id), state, self.clock.now());
        let id = flow.id;
        let started = self.store.write(Lane::Interactive, StartFlow { instance: of.id, flow, event, effects }).await;
        match started {
            Ok(()) => Ok(id),
            Err(store::Error::Refused(message)) => Err(Error::Refused { code: "instance-busy", message }),
            Err(error) => Err(error.into()),
        }
    }

    async fn newest(&self, backend: &Name) -> Result<Revision, Error> {
        let newest = self.store.newest_revision(backend).await?;
        newest.ok_or_else(|| Error::NotFound { what: "backend", name: backend.to_string() })
    }

    /// Flavor and image as they are now: the instance keeps them.
    async fn order(&self, request: Request) -> Result<Order, Error> {
        let not_found = |what, name: &Name| Error::NotFound { what, name: name.to_string() };
        let flavor = self.store.flavor(&request.flavor).await?.ok_or_else(|| not_found("flavor", &request.flavor))?;
        let image = self.store.image(&request.image).await?.ok_or_else(|| not_found("image", &request.image))?;
        rules::image_reaches(&image, &flavor.route.deploy, &flavor.name)?;
        let mut networks = Vec::new();
        for name in &request.networks {
            networks.push(self.store.network(name).await?.ok_or_else(|| not_found("network", name))?);
        }
        let networks = rules::laid_over(&networks, &flavor)?;
        let mut shape = flavor.shape;
        if let Some(node) = request.node {
            rules::may_choose(&flavor.route, &flavor.name)?;
            shape.properties.insert("node".into(), node.into());
        }
        let order = Order {
            flavor: flavor.name,
            shape,
            networks,
            route: flavor.route,
            erase: flavor.erase,
            image,
            hostname: request.hostname.unwrap_or_else(|| request.name.to_string()),
            ssh_keys: request.ssh_keys,
            user_data: request.user_data,
            metadata: request.metadata,
        };
        order.check()?;
        for backend in order.route.backends() {
            self.newest(backend).await?;
        }
        Ok(order)
    }

    fn wish(&self, kind: EventKind, note: &str) -> Event {
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
        }
    }
}

fn no_plugin(digest: &Digest) -> Error {
    Error::NotFound { what: "plugin", name: digest.to_string() }
}

fn fresh_site() -> Result<Site, Error> {
    let mut bytes = [0; 6];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::Refused { code: "no-randomness", message: "the system gives no random bytes".into() })?;
    Ok(Site::from_random(bytes))
}
