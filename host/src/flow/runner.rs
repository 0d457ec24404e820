//! The loop: asks the store what is due, calls the task, asks `advance`, commits. Recovery is the same question.

mod resting;
mod transition;

use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use super::calls::Calls;
use super::list::{Book, Page, Typed};
use super::notices::Notices;
use super::task::{Cx, Left, Outcome};
use crate::clock::Clock;
use crate::config::Flows;
use crate::model::{Fault, FaultKind, Flow, FlowId, Millis, Name, Phase, Site};
use crate::store::{self, Due, Effect, FlowUpdate, Moved, Store};

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
    calls: Calls,
    notices: Notices,
    /// Flows with a call whose outcome could not be stored: its next try is not the first.
    lost: Mutex<HashSet<FlowId>>,
    /// The store is to be asked for everything that is due, and not only for what was named.
    look: AtomicBool,
    /// The earliest wake of what rests; [`Millis::MAX`] for never.
    soonest: AtomicI64,
    /// A call ended, or there is a reason to look.
    bell: Notify,
}

/// Flows that may be due, the longest first. Their rows are read before they are called.
#[derive(Default)]
struct Ready {
    flows: VecDeque<Due>,
    /// The store has more than are named here.
    more: bool,
}

/// A flow that nobody else calls, with its place among the calls.
type Claimed = (FlowId, OwnedSemaphorePermit);

/// How a flow is left after its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaves {
    /// Due then, or never.
    Until(Option<Millis>),
    /// Its row is to be looked at once more, now that it is not under way: who made room for it meanwhile found it under way.
    Again,
}

impl Leaves {
    fn wake(self) -> Option<Millis> {
        match self {
            Self::Until(wake) => wake,
            Self::Again => None,
        }
    }
}

/// How a flow stands after a commit.
enum Stands {
    /// Due again at once.
    Due,
    /// Due when others made room, or whenever the store says.
    Waits,
    /// Due then, or never.
    Rests(Option<Millis>),
}

impl Runner {
    pub fn new(store: Store, book: Book, clock: Clock, site: Site, patience: Patience) -> Self {
        let room = Arc::new(Semaphore::new(patience.at_once));
        let calls = Calls::new(patience.at_once_per_backend);
        Self(Arc::new(Inner {
            store,
            book,
            clock,
            site,
            patience,
            room,
            calls,
            notices: Notices::default(),
            lost: Mutex::default(),
            look: AtomicBool::new(true),
            soonest: AtomicI64::new(Millis::MAX),
            bell: Notify::new(),
        }))
    }

    /// Once, before [`Runner::run`]: what is due may have been in a call when the last run ended, so its next try counts as another.
    pub async fn take_over(&self) -> store::Result<()> {
        self.0.store.take_over(self.0.clock.now()).await
    }

    /// The waits whose end a look at many machines shows.
    pub fn notices(&self) -> &Notices {
        &self.0.notices
    }

    /// Runs what is due until `stop` says so; calls under way are cut, as a crash would cut them.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        let inner = &self.0;
        let mut ready = Ready::default();
        loop {
            let wake = match self.start_ready(&mut ready).await {
                Ok(()) => Some(inner.soonest.load(Ordering::Acquire)).filter(|wake| *wake < Millis::MAX),
                Err(error) => {
                    tracing::error!(%error, "the store does not say which flows are due; asking again in a second");
                    inner.look.store(true, Ordering::Release);
                    Some(inner.clock.now() + 1_000)
                }
            };
            tokio::select! {
                () = inner.store.flows_woke() => (),
                () = inner.bell.notified() => (),
                () = until(&inner.clock, wake) => inner.look.store(true, Ordering::Release),
                stopped = stop.wait_for(|stop| *stop) => {
                    // The sender gone means the service is gone.
                    stopped.ok();
                    return;
                }
            }
        }
    }

    /// Starts a call for each flow that is due and has none, as far as there is room.
    async fn start_ready(&self, ready: &mut Ready) -> store::Result<()> {
        let inner = &self.0;
        loop {
            inner.hear(ready);
            if inner.look.swap(false, Ordering::AcqRel) {
                inner.look(ready).await?;
            }
            let claimed = inner.claim(ready);
            if !claimed.is_empty() {
                self.start(claimed).await?;
            } else if ready.flows.is_empty() && ready.more && inner.room.available_permits() > 0 {
                inner.look.store(true, Ordering::Release);
            } else {
                return Ok(());
            }
        }
    }

    /// Reads the rows, now that nobody else calls them, and calls those that are due.
    async fn start(&self, claimed: Vec<Claimed>) -> store::Result<()> {
        let inner = &self.0;
        let now = inner.clock.now();
        let ids: Vec<_> = claimed.iter().map(|(id, _)| *id).collect();
        let found = inner.store.flows_now(&ids, now).await;
        let failed = found.as_ref().err().cloned();
        let found = found.unwrap_or_default().into_iter();
        let mut found: HashMap<FlowId, (Flow, bool, Option<i64>)> = found.map(|found| (found.0.id, found)).collect();
        for (id, room) in claimed {
            match found.remove(&id) {
                Some((flow, true, probes)) if inner.goes_on(id, flow.backend.as_ref(), probes) => {
                    let runner = self.clone();
                    let mut flow = Box::new(flow);
                    tokio::spawn(async move {
                        let leaves = runner.0.run_while_due(&mut flow, probes.is_some()).await;
                        runner.0.end(id, Some(flow.revision), leaves.wake());
                        if leaves == Leaves::Again {
                            runner.0.store.wake(id);
                        }
                        drop(room);
                        runner.0.bell.notify_one();
                    });
                }
                Some((flow, false, _)) => inner.end(id, None, flow.wake.filter(|wake| *wake > now)),
                _ => inner.end(id, None, None),
            }
        }
        failed.map_or(Ok(()), Err)
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

    /// Takes in what writes named. What has a call under way is looked at when that ends.
    fn hear(&self, ready: &mut Ready) {
        let woken = self.store.take_woken();
        if woken.others {
            self.look.store(true, Ordering::Release);
        }
        for id in woken.flows {
            if ready.flows.len() >= self.patience.at_once * 16 {
                ready.more = true;
            } else if !self.calls.name(id) {
                ready.flows.push_back(Due { id, revision: None, backend: None, probes: None });
            }
        }
    }

    /// Asks the store for what is due, and when to ask again.
    async fn look(&self, ready: &mut Ready) -> store::Result<()> {
        // Before it is asked: what goes to rest meanwhile is not forgotten.
        self.soonest.store(Millis::MAX, Ordering::Release);
        let now = self.clock.now();
        let (full, probing) = (self.calls.full(), self.calls.probing());
        let limit = self.calls.count() + self.patience.at_once * 4;
        let due = self.store.due_flows(now, limit, &full, &probing).await?;
        ready.more = due.len() == limit;
        ready.flows = due.into();
        self.rests_until(self.store.next_wake(now).await?);
        Ok(())
    }

    /// Takes what may be called now: as many as there is room for, none that is under way.
    fn claim(&self, ready: &mut Ready) -> Vec<Claimed> {
        let mut claimed = Vec::new();
        while !ready.flows.is_empty() {
            let Ok(room) = self.room.clone().try_acquire_owned() else { break };
            let Some(due) = ready.flows.pop_front() else { break };
            if self.calls.begin(&due) {
                claimed.push((due.id, room));
            }
        }
        claimed
    }

    /// Whether its next call may be made now.
    fn goes_on(&self, id: FlowId, backend: Option<&Name>, probes: Option<i64>) -> bool {
        let goes_on = self.calls.goes_on(id, backend, probes);
        if goes_on.room {
            self.look_again();
        }
        goes_on.may
    }

    /// No call of it is under way any more.
    fn end(&self, id: FlowId, revision: Option<i64>, wake: Option<Millis>) {
        let ended = self.calls.end(id, revision);
        self.rests_until(wake);
        if ended.named {
            self.store.wake(id);
        }
        if ended.room {
            self.look_again();
        }
    }

    fn rests_until(&self, wake: Option<Millis>) {
        if let Some(wake) = wake {
            self.soonest.fetch_min(wake, Ordering::AcqRel);
        }
    }

    fn look_again(&self) {
        self.look.store(true, Ordering::Release);
        self.bell.notify_one();
    }

    /// Steps one flow as long as it is due at once. `probes`: its first call tries a plugin that broke.
    async fn run_while_due(&self, flow: &mut Flow, mut probes: bool) -> Leaves {
        let id = flow.id;
        let page = self.book.page(&flow.kind, flow.version);
        // As the last call left it: the next one reads it no more.
        let mut state = None;
        loop {
            let is_lost = self.lost().contains(&id);
            flow.position.attempt += u32::from(is_lost);
            match self.step(flow, page.as_ref(), &mut state, std::mem::take(&mut probes)).await {
                Ok(stands) => {
                    if is_lost {
                        self.lost().remove(&id);
                    }
                    match stands {
                        Stands::Due if self.goes_on(id, flow.backend.as_ref(), None) => (),
                        Stands::Due | Stands::Waits => return Leaves::Again,
                        Stands::Rests(wake) => return Leaves::Until(wake),
                    }
                }
                // The row was moved on, or the store is away: the loop asks again, and not in a hurry.
                Err(error) => {
                    tracing::warn!(flow = %id, %error, "a step was not stored and will be made again");
                    self.lost().insert(id);
                    self.clock.until(self.clock.now() + 1_000).await;
                    return Leaves::Again;
                }
            }
        }
    }

    /// One call and its commit.
    async fn step(
        &self,
        flow: &mut Flow,
        page: Option<&Arc<dyn Page>>,
        typed: &mut Option<Typed>,
        probes: bool,
    ) -> store::Result<Stands> {
        let Some(page) = page else {
            let fault = Fault::new(
                FaultKind::Broken,
                format!(
                    "this moganite does not know {} version {}: start the version that wrote it",
                    flow.kind, flow.version
                ),
            );
            return self.commit(flow, None, Outcome::Fail(fault), flow.state.clone(), Left::default(), typed).await;
        };
        let mut state = flow.state.clone();
        let mut cx = Cx::new(
            self.begin(flow, flow.position),
            flow.position.attempt,
            flow.checkpoint.clone(),
            flow.fault.clone(),
        );
        cx.left.state = typed.take();
        self.notices.begin(flow.id);
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
        // Who tries what broke for the others is not punished for it.
        let outcome = match outcome {
            Outcome::Fail(fault) if probes && cx.left.broke() => Outcome::Stopped { fault, tried: true },
            other => other,
        };
        match self.commit(flow, Some(page), outcome, state, cx.left, typed).await {
            // The driver named what another instance has: that answer is refused, and the flow turns round.
            Err(store::Error::Owned(message)) => {
                let fault = Fault::new(FaultKind::Conflict, message);
                let dispute = Effect::Dispute { operation: cx.at.doing(), fault: fault.clone() };
                let left = Left { effects: vec![dispute], ..Left::default() };
                self.commit(flow, Some(page), Outcome::Fail(fault), flow.state.clone(), left, typed).await
            }
            // A far side may have lent it again before our look at the first give-back was stored.
            Err(store::Error::Leaving(message)) => {
                let later = Outcome::retry(message);
                self.commit(flow, Some(page), later, flow.state.clone(), Left::default(), typed).await
            }
            other => other,
        }
    }

    async fn commit(
        &self,
        flow: &mut Flow,
        page: Option<&Arc<dyn Page>>,
        outcome: Outcome,
        state: Vec<u8>,
        mut left: Left,
        typed: &mut Option<Typed>,
    ) -> store::Result<Stands> {
        let after = left.state.take();
        left.shown = match (&outcome, left.shown.take()) {
            (Outcome::Pending { after, .. }, Some(shown)) if self.patience.is_long(*after) => {
                self.notices.waits(flow.id, shown.clone()).then_some(shown)
            }
            _ => {
                self.notices.forget(flow.id);
                None
            }
        };
        let transition = self.transition(flow, page, outcome, (state, after.as_ref()), left);
        let (update, at) = (transition.update.clone(), transition.event.at);
        let moved = self.store.transit(transition).await?;
        *typed = after;
        Ok(self.stands(flow, update, moved, at))
    }

    /// The row as the commit left it, without reading it: nobody else moves it, and `moved` has the wishes of others. What became due since `at` is
    /// the loop's, which asks whether somebody stopped it.
    fn stands(&self, flow: &mut Flow, update: FlowUpdate, moved: Moved, at: Millis) -> Stands {
        let gave_way = flow.exclusive.is_some() && update.task_over;
        if gave_way {
            // Another one is the first in its line.
            self.look_again();
        }
        let Moved { cancel, wake, exclusive, backend, stopped, barred, .. } = moved;
        let FlowUpdate { position, state, checkpoint, task_since, fault, progress, shown, .. } = update;
        (flow.position, flow.state, flow.checkpoint, flow.task_since) = (position, state, checkpoint, task_since);
        (flow.fault, flow.progress, flow.shown, flow.updated_at) = (fault, progress, shown, at);
        // One that took a new place is read again before its turn.
        flow.place = flow.place.map(|_| 0);
        (flow.cancel, flow.wake, flow.exclusive, flow.backend) = (cancel, wake, exclusive, backend);
        flow.revision += 1;
        let is_due = wake.is_some_and(|wake| wake <= at) && position.phase.runs();
        match is_due {
            _ if stopped => Stands::Waits,
            false => Stands::Rests(wake),
            true if barred.is_some_and(|until| until > at) => Stands::Rests(barred),
            true if barred.is_some() => Stands::Waits,
            true if flow.exclusive.is_some() => Stands::Waits,
            true => Stands::Due,
        }
    }
}
