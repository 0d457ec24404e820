//! The store alone, in a folder of its own, with flows that nobody runs.

use async_trait::async_trait;
use moganite::flow::{Begin, Book, Cx, List, Outcome, Task, first};
use moganite::model::{
    Budgets, Digest, Direction, Erase, Eraser, Event, EventKind, Flow, FlowId, Identity, Image, Instance, InstanceId,
    InstanceState, Millis, Node, OperationId, Order, Phase, Position, Progress, Projects, Revision, RevisionId, Role,
    Route, Shape, Site, SweepPolicy,
};
use moganite::store::{
    CreateInstance, Created, DeleteInstance, Deleting, Effect, Error, FlowUpdate, Intent, Lane, StartFlow, Started,
    Store, Transition, WriteRevision,
};
use serde::{Deserialize, Serialize};

use crate::bind::name;

#[derive(Serialize, Deserialize)]
struct Nothing {}

pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) now: Millis,
    site: Site,
    _folder: tempfile::TempDir,
}

/// Takes from `pod-a`.
struct Takes;

#[async_trait]
impl Task<Nothing> for Takes {
    fn name(&self) -> &'static str {
        "takes"
    }

    fn begin(&self, begin: &Begin, _: &Nothing) -> Vec<Effect> {
        vec![Effect::Intend(Intent {
            instance: begin.instance,
            role: Role::Compose,
            backend: name("pod-a"),
            operation: begin.doing(),
            mark: begin.mark(),
        })]
    }

    async fn execute(&self, _: &mut Cx, _: &mut Nothing) -> Outcome {
        Outcome::Done
    }

    async fn revert(&self, _: &mut Cx, _: &mut Nothing) -> Outcome {
        Outcome::Done
    }
}

impl Bench {
    /// With the backend `pod-a`, where composing is exclusive.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bench = Self {
            store: Store::open(folder.path()).unwrap(),
            now: 1_000_000,
            site: Site::parse("abcdef").unwrap(),
            _folder: folder,
        };
        bench.store.site(bench.site.clone()).await.unwrap();
        bench.write_revision(None).await.unwrap();
        bench
    }

    pub(crate) async fn write_revision(&self, after: Option<RevisionId>) -> Result<RevisionId, Error> {
        let revision = Revision {
            id: RevisionId(0),
            backend: name("pod-a"),
            digest: Digest::of(b"plugin"),
            settings: serde_json::Map::new(),
            endpoints: std::collections::BTreeMap::new(),
            access: None,
            grants: vec![],
            sweep: SweepPolicy::default(),
            budgets: Budgets::default(),
            projects: Projects::default(),
            granted: None,
            limits: moganite::model::Limits::default(),
        };
        let write = WriteRevision { revision, exclusive: vec!["compose".into()], after, at: 0 };
        self.store.write(Lane::Interactive, write).await
    }

    /// What the runner would call now.
    pub(crate) async fn due(&self) -> Vec<FlowId> {
        self.store.due_now(self.now).await.unwrap().into_iter().map(|flow| flow.id).collect()
    }

    pub(crate) async fn flow(&self, flow: FlowId) -> Flow {
        self.store.flow(flow).await.unwrap().unwrap()
    }

    pub(crate) async fn create(&self) -> (InstanceId, FlowId) {
        let (id, flow, created) = self.create_with(None).await.unwrap();
        assert_eq!(created, Created::New);
        (id, flow)
    }

    pub(crate) async fn create_with(
        &self,
        idempotency: Option<(String, Vec<u8>)>,
    ) -> Result<(InstanceId, FlowId, Created), Error> {
        let id = InstanceId::fresh();
        let (flow, event, effects) = self.a_flow(id);
        let flow_id = flow.id;
        let instance = instance(id, flow_id, self.now);
        let create = CreateInstance { instance, flow, event, effects, idempotency };
        let created = self.store.write(Lane::Interactive, create).await?;
        Ok((id, flow_id, created))
    }

    pub(crate) async fn delete(&self, instance: InstanceId) -> Result<Deleting, Error> {
        let (flow, event, _) = self.a_flow(instance);
        let cancelled = event.clone();
        let delete = DeleteInstance { instance, flow, event, cancelled, effects: Vec::new() };
        self.store.write(Lane::Interactive, delete).await
    }

    pub(crate) async fn start(&self, instance: InstanceId) -> Result<Started, Error> {
        let (flow, event, effects) = self.a_flow(instance);
        self.store.write(Lane::Interactive, StartFlow { instance, flow, event, effects, idempotency: None }).await
    }

    /// One step of a flow, from the revision that it has now.
    pub(crate) async fn step(&self, flow: FlowId, phase: Phase, effects: Vec<Effect>) -> Result<(), Error> {
        let row = self.flow(flow).await;
        self.step_from(&row, phase, effects).await
    }

    pub(crate) async fn step_from(&self, row: &Flow, phase: Phase, effects: Vec<Effect>) -> Result<(), Error> {
        let update = FlowUpdate {
            position: Position { phase, ..row.position },
            state: row.state.clone(),
            checkpoint: None,
            task_since: row.task_since,
            wake: None,
            fault: None,
            progress: Progress::default(),
            backend: None,
            calls: None,
            task_over: true,
            shown: false,
            as_due_as_before: false,
        };
        let (_, event, _) = self.a_flow(row.instance);
        let step = Transition { flow: row.id, row: row.row, from: row.revision, update, event, effects };
        self.store.write(Lane::Flow, step).await.map(drop)
    }

    /// What the first task of this flow answers when it made a node.
    pub(crate) fn made(&self, flow: FlowId, handle: &str, serial: &str) -> Effect {
        let node = Node {
            handle: handle.into(),
            identity: Identity { system_uuid: None, serial: Some(serial.into()), macs: vec![] },
            parts: vec![],
            place: None,
            access: None,
            facts: serde_json::Map::new(),
        };
        let operation = OperationId::doing(flow, 0, 1);
        Effect::Hold { operation, handle: handle.into(), facts: serde_json::Map::new(), node: Some(node) }
    }

    pub(crate) fn event(&self) -> Event {
        Event {
            seq: 0,
            at: self.now,
            task: String::new(),
            direction: Direction::Execute,
            round: 0,
            attempt: 0,
            kind: EventKind::Resumed,
            note: "by the checks".into(),
            backend: None,
            plugin: None,
            exchanges: Vec::new(),
            given_back: None,
            evidence: None,
        }
    }

    fn a_flow(&self, instance: InstanceId) -> (Flow, Event, Vec<Effect>) {
        let kind = (FlowId::fresh(), "takes", 1);
        let state = serde_json::to_vec(&Nothing {}).unwrap();
        let book = Book::default().with(List::new("takes", 1).then(Takes));
        first(&book, &self.site, kind, (name("default"), instance), state, self.now)
    }
}

fn instance(id: InstanceId, flow: FlowId, now: i64) -> Instance {
    let order = Order {
        flavor: name("small"),
        shape: Shape::default(),
        route: Route::default(),
        erase: Erase::Quick,
        eraser: Eraser::Deploy,
        image: Image { name: name("none"), backends: std::collections::BTreeMap::new() },
        hostname: "web".into(),
        ssh_keys: vec![],
        user_data: None,
        ordered_networks: vec![],
        networks: std::collections::BTreeMap::new(),
        adopting: false,
        budgets: Budgets::default(),
        metadata: serde_json::Map::new(),
    };
    Instance {
        id,
        project: name("default"),
        name: name("web"),
        order,
        state: InstanceState::Creating,
        composed: None,
        reason: None,
        addresses: serde_json::Map::new(),
        unverified: Vec::new(),
        degraded: None,
        off: false,
        flow,
        created_at: now,
        updated_at: now,
    }
}
