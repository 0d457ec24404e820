//! Whatever the tasks answer, and whoever cancels, stops or kills it meanwhile: a flow ends or waits for a person, and what it took is
//! given back or on the list.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::*;
use crate::flow::testing::{Act, Stage};

const ROLES: [Role; 3] = [Role::Compose, Role::Enroll, Role::Deploy];

/// What a call does out there, and then what it answers.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// It takes, or gives back.
    works: bool,
    answers: Answers,
}

#[derive(Debug, Clone, Copy)]
enum Answers {
    Done,
    Pending,
    Retry,
    Fail,
    Panic,
}

/// What happens while a call stands still.
#[derive(Debug, Clone, Copy)]
enum Meanwhile {
    Death,
    Delete,
    PauseFlow,
    PauseBackend,
    Freeze,
}

/// The far side, and the script of its answers.
#[derive(Debug, Default)]
struct Far {
    taken: BTreeSet<String>,
    steps: VecDeque<Step>,
}

/// Takes one thing, and gives it back: backward, or forward in a flow that is an undo.
struct Takes {
    role: Role,
    undoes: bool,
    store: Store,
    far: Arc<Mutex<Far>>,
}

impl Takes {
    fn step(&self) -> Step {
        let last = Step { works: true, answers: Answers::Done };
        self.far.lock().unwrap().steps.pop_front().unwrap_or(last)
    }

    fn take(&self, cx: &mut Cx) -> Outcome {
        let step = self.step();
        let mark = cx.at.mark();
        // A done that did nothing would be a lie of the driver: the checks with real components have that.
        if step.works || matches!(step.answers, Answers::Done) {
            self.far.lock().unwrap().taken.insert(mark.0.clone());
        }
        if matches!(step.answers, Answers::Done) {
            let (operation, facts) = (cx.at.doing(), serde_json::Map::new());
            cx.also(Effect::Hold { operation, handle: mark.0, facts, node: None });
        }
        answer(step.answers)
    }

    async fn give_back(&self, cx: &mut Cx) -> Outcome {
        let Some(undone) = self.store.last_holding(cx.at.instance, self.role).await.unwrap() else {
            return Outcome::Done;
        };
        let step = self.step();
        if step.works || matches!(step.answers, Answers::Done) {
            self.far.lock().unwrap().taken.remove(&undone.holding.mark.0);
        }
        if matches!(step.answers, Answers::Done) {
            cx.also(Effect::Settle(undone.holding.id));
        }
        answer(step.answers)
    }
}

fn answer(answers: Answers) -> Outcome {
    match answers {
        Answers::Done => Outcome::Done,
        Answers::Pending => pending(5),
        Answers::Retry => Outcome::retry("no answer"),
        Answers::Fail => Outcome::Fail(Fault::new(FaultKind::Broken, "it is on fire")),
        Answers::Panic => panic!("as the script says"),
    }
}

#[async_trait]
impl Task<Nothing> for Takes {
    fn name(&self) -> &'static str {
        self.role.as_str()
    }

    fn begin(&self, begin: &Begin, _: &Nothing) -> Vec<Effect> {
        if self.undoes || begin.direction == Direction::Revert {
            return vec![Effect::BeginUndo { instance: begin.instance, role: self.role }];
        }
        vec![Effect::Intend(Intent {
            instance: begin.instance,
            role: self.role,
            backend: name("pod-a"),
            operation: begin.doing(),
            mark: begin.mark(),
        })]
    }

    async fn execute(&self, cx: &mut Cx, _: &mut Nothing) -> Outcome {
        if self.undoes { self.give_back(cx).await } else { self.take(cx) }
    }

    async fn revert(&self, cx: &mut Cx, _: &mut Nothing) -> Outcome {
        if self.undoes { Outcome::Done } else { self.give_back(cx).await }
    }
}

fn ends(id: InstanceId, _: &Nothing, ending: Ending, fault: Option<&Fault>) -> Vec<Effect> {
    let reason = fault.map(|fault| fault.message.clone());
    let state = match ending {
        Ending::Done => InstanceState::Active,
        Ending::Reverted | Ending::NeedsOperator => InstanceState::Failed,
    };
    vec![Effect::Instance(InstanceChange { state: Some(state), reason, ..InstanceChange::of(id) })]
}

fn gone(id: InstanceId, _: &Nothing, ending: Ending, _: Option<&Fault>) -> Vec<Effect> {
    let gone = InstanceChange { gone: true, ..InstanceChange::of(id) };
    if ending == Ending::NeedsOperator { Vec::new() } else { vec![Effect::Instance(gone)] }
}

/// One installation that can die.
struct Play {
    folder: tempfile::TempDir,
    clock: Clock,
    site: Site,
    far: Arc<Mutex<Far>>,
    stage: Stage,
    meanwhile: BTreeMap<usize, Meanwhile>,
    calls: usize,
}

/// One life of it.
struct Life {
    store: Store,
    book: Book,
    _stop: watch::Sender<bool>,
    /// Dropped last, with every call that is under way.
    runtime: Runtime,
}

impl Play {
    fn live(&self) -> Life {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store = Store::open(self.folder.path()).unwrap();
        let task = |role, undoes| Takes { role, undoes, store: store.clone(), far: self.far.clone() };
        let make = ROLES.iter().fold(List::new("test", 1), |list, role| list.then(task(*role, false)));
        let undo = ROLES.iter().rev().fold(List::new("undo", 1), |list, role| list.then(task(*role, true)));
        let book = Book::default().with(make.ends(ends)).with(undo.never_turns().ends(gone));
        let book = self.stage.direct(book);
        let (stop, stopped) = watch::channel(false);
        let runner = Runner::new(store.clone(), book.clone(), self.clock.clone(), self.site.clone(), Flows::default());
        runtime.block_on(runner.take_over()).unwrap();
        runtime.spawn(async move { runner.run(stopped).await });
        Life { store, book, _stop: stop, runtime }
    }

    fn event(&self) -> Event {
        Event { at: self.clock.now(), ..line() }
    }

    async fn create(&self, life: &Life) -> InstanceId {
        let (id, project) = (InstanceId::fresh(), name("default"));
        let state = serde_json::to_vec(&Nothing {}).unwrap();
        let kind = (FlowId::fresh(), "test", 1);
        let (flow, event, effects) =
            first(&life.book, &self.site, kind, (project.clone(), id), state, self.clock.now());
        let instance = instance(id, project, flow.id, self.clock.now());
        let create = CreateInstance { instance, flow, event, effects, idempotency: None };
        life.store.write(Lane::Interactive, create).await.unwrap();
        id
    }

    async fn delete(&self, life: &Life, id: InstanceId) {
        let state = serde_json::to_vec(&Nothing {}).unwrap();
        let kind = (FlowId::fresh(), "undo", 1);
        let (flow, event, effects) =
            first(&life.book, &self.site, kind, (name("default"), id), state, self.clock.now());
        let delete = DeleteInstance { instance: id, flow, event, cancelled: self.event(), effects };
        match life.store.write(Lane::Interactive, delete).await {
            Ok(_) => (),
            Err(Error::Refused(_)) => assert!(life.store.instance(None, id).await.unwrap().unwrap().1),
            Err(other) => panic!("{other}"),
        }
    }

    /// What was to happen at this call.
    async fn act(&self, life: &Life, id: InstanceId, meanwhile: Meanwhile) {
        let at = self.clock.now();
        let pause = |stop| Pause { stop, by: by(), at };
        let row = life.store.instance(None, id).await.unwrap().unwrap().0;
        let done = match meanwhile {
            Meanwhile::Death => unreachable!("a life does not end itself"),
            Meanwhile::Delete => return self.delete(life, id).await,
            Meanwhile::PauseFlow => {
                life.store.write(Lane::Interactive, pause(Stop::Flow(row.flow, self.event()))).await
            }
            Meanwhile::PauseBackend => life.store.write(Lane::Interactive, pause(Stop::Backend(name("pod-a")))).await,
            Meanwhile::Freeze => life.store.write(Lane::Interactive, Freeze { by: by(), at }).await,
        };
        // A flow that ended is not paused.
        done.or_else(|error| if matches!(error, Error::Refused(_)) { Ok(()) } else { Err(error) }).unwrap();
    }

    /// Ends every stop; true when there was one.
    async fn go_on(&self, life: &Life, flows: &[Flow]) -> bool {
        let at = self.clock.now();
        let mut any = false;
        for flow in flows.iter().filter(|flow| flow.paused.is_some()) {
            let resume = Resume { stop: Stop::Flow(flow.id, self.event()), by: by(), at };
            any |= life.store.write(Lane::Interactive, resume).await.is_ok();
        }
        let resume = Resume { stop: Stop::Backend(name("pod-a")), by: by(), at };
        any |= life.store.write(Lane::Interactive, resume).await.is_ok();
        any | life.store.write(Lane::Interactive, Thaw { by: by(), at }).await.is_ok()
    }

    /// Until every flow ended or rests. Ends stops when nothing else is left to do, and moves the clock when nothing is due.
    async fn until_quiet(&self, life: &Life) -> Quiet {
        let mut changes = life.store.watch_flows();
        loop {
            let flows = life.store.flows(None, None, 10).await.unwrap();
            let running: Vec<_> = flows.iter().filter(|flow| flow.position.phase.runs()).collect();
            let due = life.store.due_flows(self.clock.now(), 10, &[], &[]).await.unwrap();
            if life.store.flows(None, None, 10).await.unwrap() != flows {
                continue;
            }
            if running.is_empty() {
                return Quiet::Ended;
            }
            if !due.is_empty() {
                tokio::select! {
                    _ = changes.recv() => (),
                    _ = self.stage.until_held() => return Quiet::Held,
                }
                continue;
            }
            let later = running.iter().filter_map(|flow| flow.wake).filter(|wake| *wake > self.clock.now()).min();
            match later {
                _ if self.go_on(life, &flows).await => self.clock.advance(Duration::from_secs(1)),
                Some(wake) => {
                    self.clock.advance(Duration::from_millis(u64::try_from(wake - self.clock.now()).unwrap()))
                }
                // It waits for one that rests.
                None => return Quiet::Ended,
            }
        }
    }
}

enum Quiet {
    Ended,
    Held,
}

fn line() -> Event {
    Event {
        seq: 0,
        at: 0,
        task: String::new(),
        direction: Direction::Execute,
        round: 0,
        attempt: 0,
        kind: EventKind::Resumed,
        note: "by the property".into(),
        backend: None,
        plugin: None,
        exchanges: Vec::new(),
        given_back: None,
        evidence: None,
    }
}

fn by() -> By {
    By::checked("ann", "the property").unwrap()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let answers = prop_oneof![
        6 => Just(Answers::Done),
        3 => Just(Answers::Pending),
        3 => Just(Answers::Retry),
        1 => Just(Answers::Fail),
        1 => Just(Answers::Panic),
    ];
    prop::collection::vec((any::<bool>(), answers).prop_map(|(works, answers)| Step { works, answers }), 0..40)
}

fn meanwhile() -> impl Strategy<Value = BTreeMap<usize, Meanwhile>> {
    let what = prop_oneof![
        3 => Just(Meanwhile::Death),
        2 => Just(Meanwhile::Delete),
        1 => Just(Meanwhile::PauseFlow),
        1 => Just(Meanwhile::PauseBackend),
        1 => Just(Meanwhile::Freeze),
    ];
    prop::collection::btree_map(0..30_usize, what, 0..6)
}

/// Every flow ended or rests: what is out there is on the list, and an instance is what it says.
fn is_true(play: &Play, life: &Life, id: InstanceId) -> std::result::Result<bool, TestCaseError> {
    let flows = life.runtime.block_on(life.store.flows(None, None, 10)).unwrap();
    let holdings = life.runtime.block_on(life.store.holdings(HoldingFilter::default())).unwrap();
    let (instance, gone) = life.runtime.block_on(life.store.instance(None, id)).unwrap().unwrap();
    let taken = play.far.lock().unwrap().taken.clone();
    let listed: BTreeSet<_> = holdings.iter().map(|it| it.mark.0.clone()).collect();
    prop_assert!(taken.is_subset(&listed), "out there and on no list: {taken:?} of {listed:?}");
    let rests = flows.iter().any(|flow| flow.position.phase == Phase::NeedsOperator);
    if rests {
        return Ok(false);
    }
    for flow in &flows {
        prop_assert!(flow.position.phase.is_ended(), "{flow:?}");
    }
    match (gone, instance.state) {
        (false, InstanceState::Active) => prop_assert_eq!(taken.len(), ROLES.len()),
        (true, _) | (_, InstanceState::Failed) => prop_assert_eq!(holdings, Vec::<Holding>::new()),
        (_, state) => prop_assert!(false, "every flow ended and it is {}", state.as_str()),
    }
    Ok(true)
}

fn run(steps: Vec<Step>, meanwhile: BTreeMap<usize, Meanwhile>) -> std::result::Result<(), TestCaseError> {
    let far = Arc::new(Mutex::new(Far { taken: BTreeSet::new(), steps: steps.into() }));
    let mut play = Play {
        folder: tempfile::tempdir().unwrap(),
        clock: Clock::by_hand(1_000_000),
        site: Site::parse("abcdef").unwrap(),
        far,
        stage: Stage::default(),
        meanwhile,
        calls: 0,
    };
    let mut life = play.live();
    life.runtime.block_on(life.store.site(play.site.clone())).unwrap();
    life.runtime.block_on(bind(&life.store));
    play.stage.arm_all(Act::HoldBefore);
    let id = life.runtime.block_on(play.create(&life));
    let mut retries = 0;
    loop {
        match life.runtime.block_on(play.until_quiet(&life)) {
            Quiet::Held => {
                let meanwhile = play.meanwhile.remove(&play.calls);
                play.calls += 1;
                match meanwhile {
                    Some(Meanwhile::Death) => {
                        drop(life);
                        play.stage.release();
                        life = play.live();
                    }
                    Some(other) => {
                        life.runtime.block_on(play.act(&life, id, other));
                        play.stage.release();
                    }
                    None => play.stage.release(),
                }
            }
            Quiet::Ended if is_true(&play, &life, id)? => break,
            Quiet::Ended => {
                retries += 1;
                prop_assert!(retries < 100, "it rests for ever");
                life.runtime.block_on(retry(&play, &life));
            }
        }
    }
    Ok(())
}

async fn bind(store: &Store) {
    let revision = Revision {
        id: RevisionId(0),
        backend: name("pod-a"),
        digest: Digest::of(b"plugin"),
        settings: serde_json::Map::new(),
        endpoints: BTreeMap::new(),
        access: None,
        grants: vec![],
        sweep: SweepPolicy::default(),
        budgets: crate::model::Budgets::default(),
        projects: crate::model::Projects::default(),
        granted: None,
        limits: crate::model::Limits::default(),
    };
    let write = WriteRevision { revision, exclusive: vec!["enroll".into()], after: None, at: 0 };
    store.write(Lane::Interactive, write).await.unwrap();
}

/// A person looks.
async fn retry(play: &Play, life: &Life) {
    for flow in life.store.flows(None, None, 10).await.unwrap() {
        if flow.position.phase == Phase::NeedsOperator {
            let phase = if life.book.turns(&flow.kind, flow.version) { Phase::Backward } else { Phase::Forward };
            let retry = RetryFlow { flow: flow.id, phase, event: play.event(), by: by() };
            life.store.write(Lane::Interactive, retry).await.unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_flow_ends_or_waits_and_holds_nothing_unsaid(steps in steps(), meanwhile in meanwhile()) {
        run(steps, meanwhile)?;
    }
}
