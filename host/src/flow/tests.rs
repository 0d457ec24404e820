//! The engine with native tasks on a real store: what is committed, when, and what a restart finds.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod breaker;
mod notices;
mod property;
mod stops;
mod trials;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::*;
use crate::clock::Clock;
use crate::config::Flows;
use crate::model::*;
use crate::store::*;

#[derive(Serialize, Deserialize)]
struct Nothing {}

/// Answers what it was told to, then `Done`; writes down each call.
#[derive(Clone)]
struct Scripted {
    name: &'static str,
    answers: Arc<Mutex<VecDeque<Outcome>>>,
    calls: Arc<Mutex<Vec<String>>>,
    takes: Option<Name>,
    store: Store,
    budget: Option<Duration>,
    /// Where its waits show their end.
    shown: Option<Shown>,
}

/// What a plugin's broken call fails with.
const BROKE: &str = "it crashed";

#[async_trait]
impl Task<Nothing> for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn begin(&self, begin: &Begin, _: &Nothing) -> Vec<Effect> {
        let intent = |backend: &Name| {
            Effect::Intend(Intent {
                instance: begin.instance,
                role: Role::Compose,
                backend: backend.clone(),
                operation: begin.doing(),
                mark: begin.mark(),
            })
        };
        self.takes.iter().filter(|_| begin.direction == Direction::Execute).map(intent).collect()
    }

    async fn execute(&self, cx: &mut Cx, _: &mut Nothing) -> Outcome {
        self.calls.lock().unwrap().push(format!("{} {}", self.name, cx.attempt));
        // The service's own would do, the first that is said counts.
        cx.budget(self.budget);
        cx.shown(self.shown.clone());
        cx.budget(Some(Duration::from_secs(7200)));
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Outcome::Done);
        if self.takes.is_some() {
            let broke = matches!(&answer, Outcome::Fail(fault) if fault.message == BROKE).then(|| BROKE.to_owned());
            let holding = self.store.holding(cx.at.doing()).await.unwrap().unwrap();
            cx.also(Effect::Called { revision: holding.revision, broke });
        }
        assert!(!matches!(&answer, Outcome::Fail(fault) if fault.message == PANIC), "as the script says");
        answer
    }

    async fn revert(&self, _: &mut Cx, _: &mut Nothing) -> Outcome {
        self.calls.lock().unwrap().push(format!("{} back", self.name));
        Outcome::Done
    }
}

/// One installation: a store in a folder of its own, a clock in the hand, a list of four tasks.
struct Bench {
    folder: tempfile::TempDir,
    store: Store,
    clock: Clock,
    calls: Arc<Mutex<Vec<String>>>,
    tasks: Vec<Scripted>,
    site: Site,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let store = Store::open(folder.path()).unwrap();
        let task = |name| Scripted {
            name,
            answers: Arc::default(),
            calls: calls.clone(),
            takes: None,
            store: store.clone(),
            budget: None,
            shown: None,
        };
        Self {
            store: store.clone(),
            folder,
            clock: Clock::by_hand(1_000_000),
            tasks: ["one", "two", "three", "four"].map(task).to_vec(),
            calls,
            site: Site::parse("abcdef").unwrap(),
        }
    }

    fn answers(&self, task: usize, outcomes: impl IntoIterator<Item = Outcome>) {
        self.tasks[task].answers.lock().unwrap().extend(outcomes);
    }

    fn book(&self) -> Book {
        let list = self.tasks.iter().fold(List::new("test", 1), |list, task| list.then(task.clone()));
        Book::default().with(list)
    }

    async fn create(&self) -> (InstanceId, FlowId) {
        let (id, project) = (InstanceId::fresh(), name("default"));
        let state = serde_json::to_vec(&Nothing {}).unwrap();
        let kind = (FlowId::fresh(), "test", 1);
        let (flow, event, effects) =
            first(&self.book(), &self.site, kind, (project.clone(), id), state, self.clock.now());
        let flow_id = flow.id;
        let instance = instance(id, project, flow_id, self.clock.now());
        self.store
            .write(Lane::Interactive, CreateInstance { instance, flow, event, effects, idempotency: None })
            .await
            .unwrap();
        (id, flow_id)
    }

    /// A service that runs until it is dropped.
    fn serve(&self) -> Service {
        self.serve_by(self.runner())
    }

    fn runner(&self) -> Runner {
        Runner::new(self.store.clone(), self.book(), self.clock.clone(), self.site.clone(), Flows::default())
    }

    fn serve_by(&self, runner: Runner) -> Service {
        let (stop, stopped) = watch::channel(false);
        Service { _stop: stop, running: tokio::spawn(async move { runner.run(stopped).await }) }
    }

    async fn ahead(&self, of: FlowId) -> Option<Ahead> {
        let flow = self.store.flow(of).await.unwrap().unwrap();
        self.store.obstacles(&[flow]).await.unwrap().ahead.get(&of).copied()
    }

    async fn until(&self, flow: FlowId, is: impl Fn(&Flow) -> bool) -> Flow {
        let mut changes = self.store.watch_flows();
        loop {
            let now = self.store.flow(flow).await.unwrap().unwrap();
            if is(&now) {
                return now;
            }
            changes.recv().await.unwrap();
        }
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

struct Service {
    _stop: watch::Sender<bool>,
    running: tokio::task::JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn name(text: &str) -> Name {
    Name::parse("name", text).unwrap()
}

fn instance(id: InstanceId, project: Name, flow: FlowId, now: Millis) -> Instance {
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
        adopting: false,
        ordered_networks: Vec::new(),
        networks: std::collections::BTreeMap::new(),
        metadata: serde_json::Map::new(),
        budgets: crate::model::Budgets::default(),
    };
    Instance {
        id,
        project,
        name: name("web"),
        order,
        state: InstanceState::Creating,
        composed: None,
        reason: None,
        addresses: serde_json::Map::new(),
        unverified: vec![],
        degraded: None,
        off: false,
        flow,
        created_at: now,
        updated_at: now,
    }
}

fn pending(seconds: u64) -> Outcome {
    Outcome::Pending { checkpoint: vec![7], after: Duration::from_secs(seconds), percent: None, note: "waits".into() }
}

/// The sentence of a fault at which a scripted task panics.
const PANIC: &str = "panic";

/// The backend `pod-a`, with these verbs one at a time.
async fn bind(bench: &Bench, exclusive: &[&str]) {
    let revision = Revision {
        id: RevisionId(0),
        backend: name("pod-a"),
        digest: Digest::of(b"plugin"),
        settings: serde_json::Map::new(),
        endpoints: std::collections::BTreeMap::new(),
        access: None,
        grants: vec![],
        sweep: SweepPolicy::default(),
        budgets: crate::model::Budgets::default(),
        projects: crate::model::Projects::default(),
        granted: None,
        limits: crate::model::Limits::default(),
    };
    let exclusive = exclusive.iter().map(|verb| (*verb).to_owned()).collect();
    bench.store.write(Lane::Interactive, WriteRevision { revision, exclusive, after: None, at: 0 }).await.unwrap();
}

fn ended(flow: &Flow) -> bool {
    !flow.position.phase.runs()
}

#[tokio::test]
async fn a_flow_commits_once_to_begin_once_per_task_and_once_per_pending() {
    let bench = Bench::new();
    bench.answers(1, [pending(0), pending(0)]);
    let before = bench.store.commits();
    let (_, flow) = bench.create().await;
    let _service = bench.serve();
    let end = bench.until(flow, ended).await;
    assert_eq!(end.position.phase, Phase::Done);
    assert_eq!(bench.store.commits() - before, 1 + 4 + 2);
    assert_eq!(bench.store.events(flow, 0).await.unwrap().len(), 7);
}

#[tokio::test]
async fn what_failed_is_reverted_first_and_the_first_cause_is_kept() {
    let bench = Bench::new();
    bench.answers(2, [Outcome::Fail(Fault::new(FaultKind::Broken, "no power"))]);
    let (_, flow) = bench.create().await;
    let _service = bench.serve();
    let end = bench.until(flow, ended).await;
    assert_eq!(end.position.phase, Phase::Reverted);
    assert_eq!(bench.calls(), ["one 1", "two 1", "three 1", "three back", "two back", "one back"]);
    assert_eq!(end.fault.map(|fault| fault.message), Some("no power".into()));
}

#[tokio::test]
async fn a_wait_ends_when_the_clock_says_so_and_not_before() {
    let bench = Bench::new();
    bench.answers(0, [pending(60)]);
    let (_, flow) = bench.create().await;
    let _service = bench.serve();
    let waits = bench.until(flow, |flow| flow.checkpoint.is_some()).await;
    assert_eq!(waits.wake, Some(bench.clock.now() + 60_000));
    assert_eq!(bench.calls(), ["one 1"]);
    bench.clock.advance(Duration::from_secs(60));
    bench.until(flow, ended).await;
    assert_eq!(bench.calls()[..2], ["one 1", "one 1"]);
}

#[tokio::test]
async fn after_a_restart_the_flow_goes_on_from_its_row() {
    let mut bench = Bench::new();
    bench.answers(1, [pending(60)]);
    let (_, flow) = bench.create().await;
    let service = bench.serve();
    bench.until(flow, |flow| flow.checkpoint.is_some()).await;
    drop(service);
    bench.store = Store::open(bench.folder.path()).unwrap();
    bench.clock.advance(Duration::from_secs(60));
    let runner = bench.runner();
    runner.take_over().await.unwrap();
    let _service = bench.serve_by(runner);
    let end = bench.until(flow, ended).await;
    assert_eq!(end.position.phase, Phase::Done);
    assert_eq!(
        bench.calls(),
        ["one 1", "two 1", "two 2", "three 1", "four 1"],
        "the try that may have been cut counts"
    );
}

#[tokio::test]
async fn a_task_that_panics_is_tried_again_and_its_flow_does_not_hang() {
    let bench = Bench::new();
    bench.answers(1, [Outcome::Fail(Fault::new(FaultKind::Broken, PANIC))]);
    let (_, flow) = bench.create().await;
    let _service = bench.serve();
    let waits = bench.until(flow, |flow| flow.position.attempt == 2).await;
    assert!(waits.progress.note.contains("broke inside moganite"), "{waits:?}");
    bench.clock.advance(Duration::from_secs(60));
    let end = bench.until(flow, ended).await;
    assert_eq!(end.position.phase, Phase::Done);
    assert_eq!(bench.calls(), ["one 1", "two 1", "two 2", "three 1", "four 1"]);
}

#[tokio::test]
async fn a_delete_during_a_create_waits_for_it_to_turn_round_and_end() {
    let bench = Bench::new();
    bench.answers(1, [pending(3600)]);
    let (id, create) = bench.create().await;
    let _service = bench.serve();
    bench.until(create, |flow| flow.checkpoint.is_some()).await;
    let state = serde_json::to_vec(&Nothing {}).unwrap();
    let kind = (FlowId::fresh(), "test", 1);
    let (flow, event, effects) =
        first(&bench.book(), &bench.site, kind, (name("default"), id), state, bench.clock.now());
    let (delete, cancelled) = (flow.id, event.clone());
    let operation = DeleteInstance { instance: id, flow, event, cancelled, effects };
    assert_eq!(bench.store.write(Lane::Interactive, operation.clone()).await.unwrap(), Deleting::Cancelling);
    assert_eq!(bench.store.write(Lane::Interactive, operation).await.unwrap(), Deleting::Already(delete));
    let turned = bench.until(create, ended).await;
    assert_eq!(turned.position.phase, Phase::Reverted);
    assert_eq!(turned.fault.map(|fault| fault.kind), Some(FaultKind::Cancelled));
    bench.until(delete, ended).await;
    assert_eq!(bench.calls()[..4], ["one 1", "two 1", "two back", "one back"]);
}

#[tokio::test]
async fn what_an_instance_took_later_stands_on_what_it_took_before() {
    let mut bench = Bench::new();
    bind(&bench, &[]).await;
    (bench.tasks[0].takes, bench.tasks[1].takes) = (Some(name("pod-a")), Some(name("pod-a")));
    let (instance, flow) = bench.create().await;
    let _service = bench.serve();
    bench.until(flow, ended).await;
    let of = HoldingFilter { instance: Some(instance), ..HoldingFilter::default() };
    let held = bench.store.holdings(of).await.unwrap();
    assert_eq!(held.len(), 2);
    assert_eq!(bench.store.taken_after(&held[0]).await.unwrap().as_ref(), Some(&held[1]));
    assert_eq!(bench.store.taken_after(&held[1]).await.unwrap(), None);
}

#[tokio::test]
async fn at_an_exclusive_backend_flows_take_turns_in_the_order_they_came() {
    let mut bench = Bench::new();
    bind(&bench, &["compose"]).await;
    bench.tasks[0].takes = Some(name("pod-a"));
    bench.answers(0, [pending(60)]);
    let (_, first) = bench.create().await;
    let (_, second) = bench.create().await;
    let _service = bench.serve();
    bench.until(first, |flow| flow.checkpoint.is_some()).await;
    assert_eq!(bench.ahead(second).await, Some(Ahead { first, in_line: 1 }));
    assert_eq!(bench.calls(), ["one 1"]);
    bench.clock.advance(Duration::from_secs(60));
    bench.until(second, ended).await;
    assert_eq!(bench.ahead(second).await, None);
}

#[tokio::test]
async fn what_a_flow_waits_in_a_line_is_not_taken_from_its_budget() {
    let mut bench = Bench::new();
    bind(&bench, &["compose"]).await;
    bench.tasks[0].takes = Some(name("pod-a"));
    bench.tasks[0].budget = Some(Duration::from_secs(60));
    // The first one's, one after the other, then the second's.
    bench.answers(0, [pending(50), Outcome::Done, pending(15), pending(5)]);
    let (_, first) = bench.create().await;
    let (_, second) = bench.create().await;
    let _service = bench.serve();
    bench.until(first, |flow| flow.checkpoint.is_some()).await;
    bench.clock.advance(Duration::from_secs(50));
    let its_turn = bench.until(second, |flow| flow.checkpoint.is_some()).await;
    assert_eq!((its_turn.task_since, its_turn.place), (bench.clock.now(), Some(0)));
    bench.clock.advance(Duration::from_secs(15));
    bench.until(second, |flow| flow.revision > its_turn.revision).await;
    bench.clock.advance(Duration::from_secs(5));
    assert_eq!(
        bench.until(second, ended).await.position.phase,
        Phase::Done,
        "it was 70 s at the task, 20 of them its turn"
    );
}

#[tokio::test]
async fn a_task_over_its_own_budget_is_overdue_and_turns_the_flow_round() {
    let mut bench = Bench::new();
    bench.tasks[0].budget = Some(Duration::from_secs(60));
    bench.answers(0, [pending(50), pending(50), pending(50)]);
    let (_, flow) = bench.create().await;
    let _service = bench.serve();
    let row = bench.until(flow, |flow| flow.checkpoint.is_some()).await;
    assert_eq!(row.progress.budget_ms, Some(60_000));
    bench.clock.advance(Duration::from_secs(50));
    bench.until(flow, |flow| flow.revision > row.revision).await;
    assert_eq!(bench.store.count_overdue(bench.clock.now(), 7_200_000).await.unwrap(), []);
    bench.clock.advance(Duration::from_secs(50));
    let row = bench.until(flow, |flow| flow.position.phase == Phase::Reverted).await;
    assert_eq!(row.fault.map(|fault| fault.kind), Some(FaultKind::Overdue));
}

#[tokio::test]
async fn a_machine_of_another_instance_is_refused_and_one_that_it_gives_back_is_waited_for() {
    let bench = Bench::new();
    bind(&bench, &[]).await;
    let node = |handle: &str| Node {
        handle: handle.into(),
        identity: Identity { system_uuid: None, serial: Some("S1".into()), macs: vec![] },
        parts: vec![],
        place: None,
        access: None,
        facts: serde_json::Map::new(),
    };
    // `before`: what the same commit does first; it is taken back with a take that is refused.
    let take = async |round, before: Vec<Effect>| {
        let (id, flow) = bench.create().await;
        let row = bench.store.flow(flow).await.unwrap().unwrap();
        let operation = OperationId::doing(flow, 0, round);
        let mark = bench.site.mark(&operation);
        let intent =
            Intent { instance: id, role: Role::Compose, backend: name("pod-a"), operation: operation.clone(), mark };
        let made = node(&format!("n{round}"));
        let hold = Effect::Hold { operation, handle: made.handle.clone(), facts: made.facts.clone(), node: Some(made) };
        let event = bench.store.events(flow, 0).await.unwrap().remove(0);
        let update = FlowUpdate {
            position: row.position,
            state: row.state,
            checkpoint: None,
            task_since: 0,
            wake: None,
            fault: None,
            backend: None,
            calls: None,
            progress: Progress::default(),
            task_over: false,
            shown: false,
            as_due_as_before: false,
        };
        let transition = Transition {
            flow,
            row: row.row,
            from: row.revision,
            update,
            event,
            effects: before.into_iter().chain([Effect::Intend(intent), hold]).collect(),
        };
        bench.store.transit(transition).await.map(|_| id)
    };
    let first = take(1, vec![]).await.unwrap();
    assert!(matches!(take(2, vec![]).await, Err(Error::Owned(message)) if message.contains("serial S1")));
    let leaves = || Effect::BeginUndo { instance: first, role: Role::Compose };
    let later = take(3, vec![leaves()]).await;
    assert!(matches!(later, Err(Error::Leaving(message)) if message.contains("about to have given back")));
    // Something went wrong with it: nobody knows what the far side has by now.
    let holding = bench.store.last_holding(first, Role::Compose).await.unwrap().unwrap().holding.id;
    let owed = Effect::Owe { holding, fault: Fault::new(FaultKind::Broken, "it broke") };
    assert!(matches!(take(4, vec![leaves(), owed]).await, Err(Error::Owned(_))));
}
