//! The loop: asks the store what is due, calls the task, asks `advance`, commits. Recovery is the same question.

use std::collections::HashSet;
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
    Site,
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
    /// Flows with a call under way: due in the store, and not to be called twice.
    under_way: Mutex<HashSet<FlowId>>,
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
        let under_way = inner.under_way().len();
        for flow in inner.store.due_flows(now, under_way + inner.patience.at_once).await? {
            let Ok(room) = inner.room.clone().try_acquire_owned() else { break };
            if !inner.under_way().insert(flow.id) {
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

    fn under_way(&self) -> std::sync::MutexGuard<'_, HashSet<FlowId>> {
        // A panicking task leaves the set whole.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
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
        let flow = self.store.flow(id).await.ok().flatten()?;
        let due = flow.exclusive.is_none() && flow.wake.is_some_and(|wake| wake <= self.clock.now());
        (flow.position.phase.runs() && due).then_some(flow)
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
        let now = self.clock.now();
        let signals = Signals {
            cancelled: flow.cancel,
            overdue: now.saturating_sub(flow.task_since) > millis(self.patience.deadline),
            again: page
                .zip(flow.fault.as_ref())
                .and_then(|(page, cause)| page.again(&state, flow.position.round, cause)),
        };
        let limits = self.limits(page, flow.position.round);
        let next = advance(flow.position, &outcome, signals, &limits);
        let due_now = next.wake == Wake::Now;
        let mut effects = left.effects;
        if let Some(page) = page {
            if next.task_over && next.position.phase.runs() {
                effects.extend(page.begin(&self.begin(flow, next.position), &state));
            }
            let fault = next.fault.as_ref().or(flow.fault.as_ref());
            effects.extend(page.end(flow.instance, &state, next.position.phase, fault));
        }
        let names = page.map(|page| page.names(flow.position.round)).unwrap_or_default();
        let progress = story::progress(&outcome, &next, left.backend.clone(), left.plugin.clone(), flow);
        let event = Event {
            seq: 0,
            at: now,
            task: names.get(flow.position.task).copied().unwrap_or_default().to_owned(),
            direction: direction(flow.position.phase),
            round: flow.position.round,
            attempt: flow.position.attempt,
            kind: story::kind(&outcome, &next),
            note: left.note.unwrap_or_else(|| story::note(&outcome, &next)),
            backend: left.backend,
            plugin: left.plugin,
            exchanges: left.exchanges,
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
            task_over: next.task_over,
        };
        self.store.transit(Transition { flow: flow.id, from: flow.revision, update, event, effects }).await?;
        Ok(due_now)
    }

    fn limits(&self, page: Option<&Arc<dyn Page>>, round: u32) -> Limits {
        Limits {
            tasks: page.map_or(1, |page| page.names(round).len()),
            attempts: self.patience.attempts,
            revert_attempts: self.patience.revert_attempts,
            turns: page.is_some_and(|page| page.turns()),
            backoff: self.patience.backoff,
            backoff_max: self.patience.backoff_max,
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
