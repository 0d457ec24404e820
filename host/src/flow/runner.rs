//! The loop: asks the store what is due, calls the task, asks `advance`, commits. Recovery is the same question.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{Notify, Semaphore, watch};

use super::advance::{Limits, Next, Signals, Wake, advance};
use super::list::{Book, Page};
use super::story;
use super::task::{Begin, Cx, Left, Outcome};
use crate::clock::Clock;
use crate::config::Flows;
use crate::model::{
    Direction, Event, EventKind, Fault, FaultKind, Flow, FlowId, InstanceId, Millis, Name, Phase, Position, Progress,
    Role, Site,
};
use crate::store::{self, Effect, FlowUpdate, Store, Transition};

/// How patient all flows are.
pub type Patience = Flows;

/// Cheap to clone.
#[derive(Clone)]
pub struct Runner(Arc<Inner>);

struct Inner {
    store: Store,
    book: Book,
    clock: Clock,
    site: Site,
    patience: Patience,
    room: Arc<Semaphore>,
    /// Flows with a call under way, and the backend that it goes to: due in the store, and not to be called twice.
    under_way: Mutex<HashMap<FlowId, Option<Name>>>,
    /// Flows with a call whose outcome could not be stored: its next try is not the first.
    lost: Mutex<HashSet<FlowId>>,
    one_ended: Notify,
}

/// The row, the first line and the first effects of a new flow, for the commit that makes it.
pub fn first(
    book: &Book,
    site: &Site,
    flow: (FlowId, &str, u32),
    of: (Name, InstanceId),
    state: Vec<u8>,
    now: Millis,
) -> (Flow, Event, Vec<Effect>) {
    let (id, kind, version) = flow;
    let (project, instance) = of;
    let begin = Begin { flow: id, instance, direction: Direction::Execute, task: 0, round: 1, site: site.clone() };
    let effects = book.page(kind, version).map(|page| page.begin(&begin, &state)).unwrap_or_default();
    let task = book.tasks(kind, version, 1).first().copied().unwrap_or_default();
    let flow = Flow {
        id,
        kind: kind.to_owned(),
        version,
        project,
        instance,
        position: Position { phase: Phase::Forward, task: 0, attempt: 1, round: 1 },
        revision: 1,
        state,
        checkpoint: None,
        task_since: now,
        wake: Some(now),
        cancel: false,
        fault: None,
        progress: Progress::default(),
        exclusive: None,
        follows: None,
        backend: None,
        paused: None,
        created_at: now,
        updated_at: now,
    };
    let event = Event {
        seq: 0,
        at: now,
        task: task.to_owned(),
        direction: Direction::Execute,
        round: 1,
        attempt: 1,
        kind: EventKind::Created,
        note: kind.to_owned(),
        backend: None,
        plugin: None,
        exchanges: Vec::new(),
        given_back: None,
    };
    (flow, event, effects)
}

impl Runner {
    pub fn new(store: Store, book: Book, clock: Clock, site: Site, patience: Patience) -> Self {
        let room = Arc::new(Semaphore::new(patience.at_once));
        Self(Arc::new(Inner {
            store,
            book,
            clock,
            site,
            patience,
            room,
            under_way: Mutex::default(),
            lost: Mutex::default(),
            one_ended: Notify::new(),
        }))
    }

    /// Once, before [`Runner::run`]: what is due may have been in a call when the last run ended, so its next try counts as another.
    pub async fn take_over(&self) -> store::Result<()> {
        self.0.store.take_over(self.0.clock.now()).await
    }

    /// An operator's word in place of a task that a flow rests at: it counts as done, and what its undo would have given back as gone.
    ///
    /// `also` is committed with it. None: the flow does not rest.
    pub fn skipped(&self, flow: &Flow, note: &str, also: Vec<Effect>) -> Option<Transition> {
        let (page, flow) = self.rested(flow)?;
        let begin = self.0.begin(&flow, flow.position);
        let mut effects = written_off(&page.begin(&begin, &flow.state));
        effects.extend(also);
        let left = Left { effects, note: Some(note.to_owned()), kind: Some(EventKind::Skipped), ..Left::default() };
        Some(self.0.transition(&flow, Some(&page), Outcome::Done, flow.state.clone(), left).0)
    }

    /// The end of a flow that rests, whatever it still holds. None: it does not rest.
    pub fn abandoned(&self, flow: &Flow, note: &str, also: Vec<Effect>) -> Option<Transition> {
        let (page, at) = self.rested(flow)?;
        let left =
            Left { effects: also, note: Some(note.to_owned()), kind: Some(EventKind::Abandoned), ..Left::default() };
        // As if it came to rest once more: that begins no other task.
        let why = flow.fault.clone().unwrap_or_else(|| Fault::new(FaultKind::Broken, note));
        let (mut end, _) = self.0.transition(&at, Some(&page), Outcome::Fail(why), at.state.clone(), left);
        let phase = if page.turns() { Phase::Reverted } else { Phase::Done };
        end.update.position = Position { phase, ..flow.position };
        (end.update.wake, end.update.task_over) = (None, true);
        Some(end)
    }

    /// Which role's undo a flow rests at; none for a task that gives nothing back.
    pub fn rests_at(&self, flow: &Flow) -> Option<Role> {
        let (page, flow) = self.rested(flow)?;
        let begun = page.begin(&self.0.begin(&flow, flow.position), &flow.state);
        begun.iter().find_map(|effect| match effect {
            Effect::BeginUndo { role, .. } => Some(*role),
            _ => None,
        })
    }

    /// A flow that needs an operator, as it stood before it rested.
    fn rested(&self, flow: &Flow) -> Option<(Arc<dyn Page>, Flow)> {
        let page = self.0.book.page(&flow.kind, flow.version)?;
        let phase = if page.turns() { Phase::Backward } else { Phase::Forward };
        let position = Position { phase, ..flow.position };
        (flow.position.phase == Phase::NeedsOperator).then(|| (page, Flow { position, ..flow.clone() }))
    }

    /// Runs what is due until `stop` says so; calls under way are cut, as a crash would cut them.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        loop {
            let wake = match self.start_due().await {
                Ok(wake) => wake,
                Err(error) => {
                    tracing::error!(%error, "the store does not say which flows are due; asking again in a second");
                    Some(self.0.clock.now() + 1_000)
                }
            };
            tokio::select! {
                () = self.0.store.flows_changed() => (),
                () = self.0.one_ended.notified() => (),
                () = until(&self.0.clock, wake) => (),
                stopped = stop.wait_for(|stop| *stop) => {
                    // The sender gone means the service is gone.
                    stopped.ok();
                    return;
                }
            }
        }
    }

    /// Starts a call for each flow that is due and has none, as far as there is room; answers when to look again.
    async fn start_due(&self) -> store::Result<Option<Millis>> {
        let inner = &self.0;
        let now = inner.clock.now();
        let (under_way, full) = inner.calls();
        for flow in inner.store.due_flows(now, under_way + inner.patience.at_once, &full).await? {
            let Ok(room) = inner.room.clone().try_acquire_owned() else { break };
            if !inner.has_room_at(flow.backend.as_ref()) || !inner.begins(&flow) {
                continue;
            }
            let runner = self.clone();
            tokio::spawn(async move {
                let id = flow.id;
                // The row may have been read before the last call of it was stored.
                if let Ok(Some(now)) = runner.0.store.flow(id).await
                    && now.revision == flow.revision
                {
                    runner.0.run_while_due(flow).await;
                }
                runner.0.under_way().remove(&id);
                drop(room);
                runner.0.one_ended.notify_one();
            });
        }
        inner.store.next_wake(now).await
    }
}

/// Never, when there is nothing to wake for.
async fn until(clock: &Clock, wake: Option<Millis>) {
    match wake {
        Some(then) => clock.until(then).await,
        None => std::future::pending().await,
    }
}

impl Inner {
    fn lost(&self) -> std::sync::MutexGuard<'_, HashSet<FlowId>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn under_way(&self) -> std::sync::MutexGuard<'_, HashMap<FlowId, Option<Name>>> {
        // A panicking task leaves the map whole.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many calls are under way, and the backends that have as many as they may.
    fn calls(&self) -> (usize, Vec<Name>) {
        let under_way = self.under_way();
        let mut of: HashMap<&Name, usize> = HashMap::new();
        for backend in under_way.values().flatten() {
            *of.entry(backend).or_default() += 1;
        }
        let full = of.into_iter().filter(|(_, calls)| *calls >= self.patience.at_once_per_backend);
        (under_way.len(), full.map(|(backend, _)| backend.clone()).collect())
    }

    /// A backend that does not answer must not take every place.
    fn has_room_at(&self, backend: Option<&Name>) -> bool {
        let Some(backend) = backend else { return true };
        let calls = self.under_way().values().flatten().filter(|other| *other == backend).count();
        calls < self.patience.at_once_per_backend
    }

    /// False when a call of it is under way.
    fn begins(&self, flow: &Flow) -> bool {
        match self.under_way().entry(flow.id) {
            std::collections::hash_map::Entry::Occupied(_) => false,
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(flow.backend.clone());
                true
            }
        }
    }

    /// Whether the call that follows at once may take the place of the one that ended.
    fn goes_on(&self, flow: &Flow) -> bool {
        let same = self.under_way().get(&flow.id).is_some_and(|backend| *backend == flow.backend);
        if same {
            return true;
        }
        let room = self.has_room_at(flow.backend.as_ref());
        if room {
            self.under_way().insert(flow.id, flow.backend.clone());
        }
        room
    }

    /// Steps one flow as long as it is due at once.
    async fn run_while_due(&self, flow: Flow) {
        let id = flow.id;
        let mut due = Some(flow);
        while let Some(mut flow) = due.take() {
            flow.position.attempt += u32::from(self.lost().contains(&id));
            match self.step(flow).await {
                Ok(again) => {
                    self.lost().remove(&id);
                    due = if again { self.reload(id).await } else { None };
                }
                // The row was moved on, or the store is away: the loop asks again, and not in a hurry.
                Err(error) => {
                    tracing::warn!(flow = %id, %error, "a step was not stored and will be made again");
                    self.lost().insert(id);
                    self.clock.until(self.clock.now() + 1_000).await;
                }
            }
        }
    }

    /// As it stands now, if it may go on without standing in line.
    async fn reload(&self, id: FlowId) -> Option<Flow> {
        let flow = self.store.due_flow(id, self.clock.now()).await.ok().flatten()?;
        self.goes_on(&flow).then_some(flow)
    }

    /// One call and its commit. True when the flow is due again at once.
    async fn step(&self, flow: Flow) -> store::Result<bool> {
        let page = self.book.page(&flow.kind, flow.version);
        let Some(page) = page else {
            let fault = Fault::new(
                FaultKind::Broken,
                format!(
                    "this moganite does not know {} version {}: start the version that wrote it",
                    flow.kind, flow.version
                ),
            );
            return self.commit(&flow, None, Outcome::Fail(fault), flow.state.clone(), Left::default()).await;
        };
        let mut state = flow.state.clone();
        let mut cx = Cx::new(
            self.begin(&flow, flow.position),
            flow.position.attempt,
            flow.checkpoint.clone(),
            flow.fault.clone(),
        );
        let outcome = if flow.cancel && flow.position.phase == Phase::Forward && page.turns() {
            Outcome::Fail(Fault::new(FaultKind::Cancelled, "a user asked to stop"))
        } else {
            match AssertUnwindSafe(page.call(&mut cx, &mut state)).catch_unwind().await {
                Ok(outcome) => outcome,
                // What it left half-made is dropped with it; the flow waits, counts and goes on, and no other is touched.
                Err(_) => {
                    (state, cx.left) = (flow.state.clone(), Left::default());
                    Outcome::retry("the task broke inside moganite; the log has where")
                }
            }
        };
        match self.commit(&flow, Some(&page), outcome, state, cx.left).await {
            // The driver named what another instance has: that answer is refused, and the flow turns round.
            Err(store::Error::Owned(message)) => {
                let fault = Fault::new(FaultKind::Conflict, message);
                let dispute = Effect::Dispute { operation: cx.at.doing(), fault: fault.clone() };
                let left = Left { effects: vec![dispute], ..Left::default() };
                self.commit(&flow, Some(&page), Outcome::Fail(fault), flow.state.clone(), left).await
            }
            other => other,
        }
    }

    async fn commit(
        &self,
        flow: &Flow,
        page: Option<&Arc<dyn Page>>,
        outcome: Outcome,
        state: Vec<u8>,
        left: Left,
    ) -> store::Result<bool> {
        let (transition, due_now) = self.transition(flow, page, outcome, state, left);
        self.store.transit(transition).await?;
        Ok(due_now)
    }

    /// What the commit after a call writes, and whether the flow is due again at once.
    fn transition(
        &self,
        flow: &Flow,
        page: Option<&Arc<dyn Page>>,
        outcome: Outcome,
        state: Vec<u8>,
        mut left: Left,
    ) -> (Transition, bool) {
        let now = self.clock.now();
        let signals = Signals {
            cancelled: flow.cancel,
            overdue: now.saturating_sub(flow.task_since) > millis(left.budget.unwrap_or(self.patience.deadline)),
            again: page
                .zip(flow.fault.as_ref())
                .and_then(|(page, cause)| page.again(&state, flow.position.round, cause)),
        };
        let limits = self.limits(page, flow.position.round);
        let next = advance(flow.position, &outcome, signals, &limits);
        let due_now = next.wake == Wake::Now;
        let mut effects = std::mem::take(&mut left.effects);
        if let Some(page) = page {
            if next.task_over && next.position.phase.runs() {
                effects.extend(page.begin(&self.begin(flow, next.position), &state));
            }
            let fault = next.fault.as_ref().or(flow.fault.as_ref());
            effects.extend(page.end(flow.instance, &state, next.position.phase, fault));
        }
        let names = page.map(|page| page.names(flow.position.round)).unwrap_or_default();
        let progress = story::progress(&outcome, &next, &left, flow);
        let backend = left.backend.clone();
        let event = Event {
            seq: 0,
            at: now,
            task: names.get(flow.position.task).copied().unwrap_or_default().to_owned(),
            direction: direction(flow.position.phase),
            round: flow.position.round,
            attempt: flow.position.attempt,
            kind: left.kind.unwrap_or_else(|| story::kind(&outcome, &next)),
            note: left.note.unwrap_or_else(|| story::note(&outcome, &next)),
            backend: left.backend,
            plugin: left.plugin,
            exchanges: left.exchanges,
            given_back: left.given_back,
        };
        let update = FlowUpdate {
            position: next.position,
            checkpoint: checkpoint(flow, outcome, &next),
            state,
            task_since: if next.task_over { now } else { flow.task_since },
            wake: match next.wake {
                Wake::Now => Some(now),
                Wake::After(after) => Some(now + millis(after.min(self.patience.longest_wait))),
                Wake::Never => None,
            },
            fault: fault_of_round(flow, &next),
            progress,
            backend,
            task_over: next.task_over,
        };
        (Transition { flow: flow.id, from: flow.revision, update, event, effects }, due_now)
    }

    fn limits(&self, page: Option<&Arc<dyn Page>>, round: u32) -> Limits {
        Limits {
            tasks: page.map_or(1, |page| page.names(round).len()),
            attempts: self.patience.attempts,
            revert_attempts: self.patience.revert_attempts,
            turns: page.is_some_and(|page| page.turns()),
            patient: page.is_some_and(|page| page.is_patient()),
            backoff: self.patience.backoff,
            backoff_max: self.patience.backoff_max,
            revert_backoff_max: self.patience.revert_backoff_max,
        }
    }

    fn begin(&self, flow: &Flow, position: Position) -> Begin {
        Begin {
            flow: flow.id,
            instance: flow.instance,
            direction: direction(position.phase),
            task: position.task,
            round: position.round,
            site: self.site.clone(),
        }
    }
}

/// An undo that a person takes the place of.
fn written_off(begun: &[Effect]) -> Vec<Effect> {
    let role = begun.iter().find_map(|effect| match effect {
        Effect::BeginUndo { instance, role } => Some(Effect::WriteOff { instance: *instance, role: *role }),
        _ => None,
    });
    role.into_iter().collect()
}

fn direction(phase: Phase) -> Direction {
    if phase == Phase::Backward { Direction::Revert } else { Direction::Execute }
}

/// The first cause of a round is kept; a new round starts without one.
fn fault_of_round(flow: &Flow, next: &Next) -> Option<Fault> {
    let new_round = next.position.round > flow.position.round;
    let resting = next.position.phase == Phase::NeedsOperator;
    match (&flow.fault, &next.fault) {
        _ if new_round => None,
        (Some(first), _) if !resting => Some(first.clone()),
        (first, None) => first.clone(),
        (_, Some(now)) => Some(now.clone()),
    }
}

fn checkpoint(flow: &Flow, outcome: Outcome, next: &Next) -> Option<Vec<u8>> {
    match outcome {
        _ if next.task_over => None,
        Outcome::Pending { checkpoint, .. } => Some(checkpoint),
        _ => flow.checkpoint.clone(),
    }
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
