//! One step of a flow: `execute`, and `revert` below it.

use std::time::Duration;

use async_trait::async_trait;

use super::list::Typed;
use super::notices::Shown;
use crate::model::{
    Direction, EventKind, Evidence, Exchange, Fault, FaultKind, FlowId, GivenBack, InstanceId, Mark, OperationId,
    RevisionId, Site,
};
use crate::store::Effect;

/// A task may be called again at any time with the same operation: it runs at least once.
#[async_trait]
pub trait Task<S>: Send + Sync {
    /// One word, the same in timeline, docs and API.
    fn name(&self) -> &'static str;

    /// What the commit that starts this task in this direction records beside the flow.
    fn begin(&self, begin: &Begin, state: &S) -> Vec<Effect>;

    async fn execute(&self, cx: &mut Cx, state: &mut S) -> Outcome;

    /// Copes with "nothing happened" and with "half of it happened".
    async fn revert(&self, cx: &mut Cx, state: &mut S) -> Outcome;
}

/// What a task answers. It never sleeps: a wait is a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Done,
    /// Called again with this checkpoint after so long.
    Pending {
        checkpoint: Vec<u8>,
        after: Duration,
        percent: Option<u8>,
        note: String,
    },
    /// Waits, counts, and is called again with the last checkpoint.
    Retry {
        fault: Fault,
        after: Option<Duration>,
    },
    /// Turns the flow round.
    Fail(Fault),
    /// The plugin is not to be called now: it waits, and that counts as no try unless a call was cut for it.
    Stopped {
        fault: Fault,
        tried: bool,
    },
}

impl Outcome {
    pub fn retry(message: impl Into<String>) -> Self {
        Self::Retry { fault: Fault::new(FaultKind::Retry, message), after: None }
    }
}

/// Which task begins, in which flow.
#[derive(Debug, Clone)]
pub struct Begin {
    pub flow: FlowId,
    pub instance: InstanceId,
    pub direction: Direction,
    pub task: usize,
    pub round: u32,
    pub site: Site,
}

impl Begin {
    /// The operation that this task does in this round: the same for every repeat, also seen from its revert.
    pub fn doing(&self) -> OperationId {
        OperationId::doing(self.flow, self.task, self.round)
    }

    /// What a driver stamps on what this task takes.
    pub fn mark(&self) -> Mark {
        self.site.mark(&self.doing())
    }
}

/// One call of a task: what it needs to know, and what it leaves beside its outcome.
#[derive(Debug)]
pub struct Cx {
    pub at: Begin,
    /// Tries since the last stored checkpoint, from 1.
    pub attempt: u32,
    pub checkpoint: Option<Vec<u8>>,
    /// Why the flow turned round in this round.
    pub cause: Option<Fault>,
    pub(super) left: Left,
}

/// What the transition takes along from a call.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// The state: before a call as the one before left it, where that is known, then as this one did.
    pub state: Option<Typed>,
    pub effects: Vec<Effect>,
    pub exchanges: Vec<Exchange>,
    pub backend: Option<String>,
    pub plugin: Option<String>,
    pub note: Option<String>,
    /// In place of what the outcome says.
    pub kind: Option<EventKind>,
    pub given_back: Option<GivenBack>,
    pub evidence: Option<Evidence>,
    pub budget: Option<Duration>,
    pub calls: Option<RevisionId>,
    /// Where the end of a `Pending` shows; in the transition, only if that is left to the looks.
    pub shown: Option<Shown>,
}

impl Left {
    /// A driver that was called broke.
    pub(super) fn broke(&self) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::Called { broke: Some(_), .. }))
    }
}

impl Cx {
    pub(super) fn new(at: Begin, attempt: u32, checkpoint: Option<Vec<u8>>, cause: Option<Fault>) -> Self {
        Self { at, attempt, checkpoint, cause, left: Left::default() }
    }

    /// Committed in the same transaction as the outcome.
    pub fn also(&mut self, effect: Effect) {
        self.left.effects.push(effect);
    }

    /// What the gate saw in this call, for the timeline.
    pub fn saw(&mut self, exchanges: Vec<Exchange>) {
        self.left.exchanges.extend(exchanges);
    }

    /// Who is called, for the timeline.
    pub fn calls(&mut self, backend: impl Into<String>, plugin: impl Into<String>) {
        self.left.backend = Some(backend.into());
        self.left.plugin = Some(plugin.into());
    }

    /// Which revision this task calls: what an operator says of its plugin holds for the flow.
    pub fn pinned(&mut self, revision: RevisionId) {
        self.left.calls = Some(revision);
    }

    /// Should this call wait on: where the end of that shows.
    pub fn shown(&mut self, shown: Option<Shown>) {
        self.left.shown = shown;
    }

    /// A holding is settled by this call: the receipt's words about it.
    pub fn gave_back(&mut self, given_back: GivenBack) {
        self.left.given_back = Some(given_back);
    }

    /// How long this task may take before it is overdue; each call says it. The first that is said counts, then the service's own.
    pub fn budget(&mut self, budget: Option<Duration>) {
        self.left.budget = self.left.budget.or(budget);
    }

    /// What a `Done` rests on, for the timeline.
    pub fn rests_on(&mut self, evidence: Evidence) {
        self.left.evidence = Some(evidence);
    }

    /// One sentence about a `Done`, for the timeline.
    pub fn note(&mut self, note: impl Into<String>) {
        self.left.note = Some(note.into());
    }

    /// The operation of this call: the doing one, or the one that undoes it.
    pub fn operation(&self) -> OperationId {
        match self.at.direction {
            Direction::Execute => self.at.doing(),
            Direction::Revert => OperationId::undoing(self.at.flow, self.at.task, self.at.round),
        }
    }
}
