//! Trouble on purpose, at every call of every flow in a book, also of one that is added later: nothing here knows a flow by name.
//!
//! A test arms a [`Stage`] with what goes wrong and when, and asks the far side's own ledger afterwards. Compiled for tests alone.
//! Next: `tests/checks/main.rs`, which plays all of it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use super::list::{Book, Page};
use super::task::{Begin, Cx, Left, Outcome};
use crate::model::{Direction, Fault, FaultKind, FlowId, InstanceId, Phase};
use crate::store::Effect;
use crate::switch::{Switch, holds};

/// The n-th call of one task in one direction and round.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Moment {
    pub direction: Direction,
    pub round: u32,
    pub task: usize,
    pub name: &'static str,
    /// From 1, over all that the flow did there, repeats included.
    pub call: u32,
}

/// What goes wrong there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Nothing happened, and it failed.
    FailBefore,
    /// It happened; the answer is lost and it counts as failed.
    FailAfter,
    /// Nothing happened, and it may work when tried again.
    RetryBefore,
    /// It happened; the answer is lost, and it is tried again.
    RetryAfter,
    /// It is called twice with the same operation and checkpoint; the first answer is lost.
    Twice,
    /// It stands still before the call, until [`Stage::release`] or the end of the process.
    HoldBefore,
    /// It stands still between the far side's answer and the commit.
    HoldAfter,
}

/// What a call ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Done,
    Pending,
    Retry,
    Failed,
}

/// Where a test stands and directs. Cheap to clone; outlives the services whose flows it directs.
#[derive(Clone)]
pub struct Stage(Arc<Inner>);

struct Inner {
    script: Mutex<Script>,
    held: watch::Sender<Option<Moment>>,
}

#[derive(Default)]
struct Script {
    /// Whose calls are counted and struck: nobody's, one kind's, everybody's.
    whose: Whose,
    acts: VecDeque<(Moment, Act)>,
    every: Option<Act>,
    calls: HashMap<(FlowId, Direction, u32, usize), u32>,
    seen: Vec<(Moment, Ended)>,
}

#[derive(Default, PartialEq, Eq)]
enum Whose {
    #[default]
    Nobodys,
    Of(String),
    All,
}

impl Default for Stage {
    fn default() -> Self {
        Self(Arc::new(Inner { script: Mutex::default(), held: watch::Sender::new(None) }))
    }
}

impl Stage {
    /// Every flow of the book is called by way of this stage from now on.
    pub fn direct(&self, book: Book) -> Book {
        book.map(|kind, page| Arc::new(Directed { kind: kind.to_owned(), page, stage: self.clone() }))
    }

    /// From now on these acts strike flows of this kind, each once. What was seen before is forgotten.
    pub fn arm(&self, kind: &str, acts: impl IntoIterator<Item = (Moment, Act)>) {
        *self.script() =
            Script { whose: Whose::Of(kind.to_owned()), acts: acts.into_iter().collect(), ..Script::default() };
    }

    /// The same act at every call.
    pub fn arm_every(&self, kind: &str, act: Act) {
        *self.script() = Script { whose: Whose::Of(kind.to_owned()), every: Some(act), ..Script::default() };
    }

    /// The same act at every call of every flow.
    pub fn arm_all(&self, act: Act) {
        *self.script() = Script { whose: Whose::All, every: Some(act), ..Script::default() };
    }

    /// Nothing goes wrong any more; answers what did not strike.
    pub fn disarm(&self) -> Vec<(Moment, Act)> {
        std::mem::take(&mut *self.script()).acts.into()
    }

    /// The calls since it was armed, and how each ended.
    pub fn seen(&self) -> Vec<(Moment, Ended)> {
        self.script().seen.clone()
    }

    /// Returns when a call stands still.
    pub async fn until_held(&self) -> Moment {
        let mut held = self.0.held.subscribe();
        loop {
            if let Some(moment) = held.borrow_and_update().clone() {
                return moment;
            }
            // It fails only when the sender is gone, and `self` holds it.
            held.changed().await.ok();
        }
    }

    /// What stands still goes on.
    pub fn release(&self) {
        self.0.held.send_replace(None);
    }

    async fn hold(&self, moment: &Moment) {
        let mut held = self.0.held.subscribe();
        self.0.held.send_replace(Some(moment.clone()));
        // As above.
        held.wait_for(Option::is_none).await.ok();
    }

    /// The moment that this call is, and what goes wrong in it.
    fn enter(&self, kind: &str, name: &'static str, at: &Begin) -> Option<(Moment, Option<Act>)> {
        let mut script = self.script();
        match &script.whose {
            Whose::All => (),
            Whose::Of(whose) if whose == kind => (),
            _ => return None,
        }
        let call = script.calls.entry((at.flow, at.direction, at.round, at.task)).or_default();
        *call += 1;
        let moment = Moment { direction: at.direction, round: at.round, task: at.task, name, call: *call };
        let planned = script.acts.iter().position(|(planned, _)| *planned == moment);
        let act = planned.and_then(|at| script.acts.remove(at)).map(|(_, act)| act);
        Some((moment, act.or(script.every)))
    }

    fn left(&self, moment: Moment, outcome: &Outcome) {
        let ended = match outcome {
            Outcome::Done => Ended::Done,
            Outcome::Pending { .. } => Ended::Pending,
            Outcome::Retry { .. } | Outcome::Stopped { .. } => Ended::Retry,
            Outcome::Fail(_) => Ended::Failed,
        };
        self.script().seen.push((moment, ended));
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        // A panicking check leaves it whole.
        self.0.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A page whose calls go by way of a stage.
struct Directed {
    kind: String,
    page: Arc<dyn Page>,
    stage: Stage,
}

impl Directed {
    async fn act(&self, act: Option<Act>, moment: &Moment, cx: &mut Cx, state: &mut Vec<u8>) -> Outcome {
        match act {
            None => self.page.call(cx, state).await,
            Some(Act::FailBefore) => failed("before anything happened"),
            Some(Act::RetryBefore) => Outcome::retry("the checks let it be tried again before anything happened"),
            Some(Act::FailAfter) => {
                self.lost(cx, state).await;
                failed("and lost its answer")
            }
            Some(Act::RetryAfter) => {
                self.lost(cx, state).await;
                Outcome::retry("the checks lost an answer")
            }
            Some(Act::Twice) => {
                self.lost(cx, state).await;
                // As the engine counts: a try that may have been cut is one.
                cx.attempt += 1;
                self.page.call(cx, state).await
            }
            Some(Act::HoldBefore) => {
                self.stage.hold(moment).await;
                self.page.call(cx, state).await
            }
            Some(Act::HoldAfter) => {
                let outcome = self.page.call(cx, state).await;
                self.stage.hold(moment).await;
                outcome
            }
        }
    }

    /// A call of which nothing comes back.
    async fn lost(&self, cx: &mut Cx, state: &[u8]) {
        let mut state = state.to_vec();
        self.page.call(cx, &mut state).await;
        cx.left = Left::default();
    }
}

fn failed(how: &str) -> Outcome {
    Outcome::Fail(Fault::new(FaultKind::Broken, format!("the checks let it fail {how}")))
}

#[async_trait]
impl Page for Directed {
    fn names(&self, round: u32) -> Vec<&'static str> {
        self.page.names(round)
    }

    fn again(&self, state: &[u8], round: u32, cause: &Fault) -> Option<u32> {
        self.page.again(state, round, cause)
    }

    fn turns(&self) -> bool {
        self.page.turns()
    }

    fn is_patient(&self) -> bool {
        self.page.is_patient()
    }

    fn begin(&self, begin: &Begin, state: &[u8]) -> Vec<Effect> {
        self.page.begin(begin, state)
    }

    async fn call(&self, cx: &mut Cx, state: &mut Vec<u8>) -> Outcome {
        let name = self.page.names(cx.at.round).get(cx.at.task).copied().unwrap_or_default();
        let undoes = cx.at.direction == Direction::Revert || !self.page.turns();
        if undoes && !holds(Switch::Revert(name)) {
            return Outcome::Done;
        }
        let Some((moment, act)) = self.stage.enter(&self.kind, name, &cx.at) else {
            return self.page.call(cx, state).await;
        };
        let outcome = self.act(act, &moment, cx, state).await;
        self.stage.left(moment, &outcome);
        outcome
    }

    fn end(&self, instance: InstanceId, state: &[u8], phase: Phase, fault: Option<&Fault>) -> Vec<Effect> {
        self.page.end(instance, state, phase, fault)
    }
}
