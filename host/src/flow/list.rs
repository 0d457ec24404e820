//! How a flow reads in code: a list of tasks over one typed state, and what the instance becomes when it ends.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::task::{Begin, Cx, Outcome, Task};
use crate::model::{Direction, Ending, Fault, FaultKind, InstanceId, Phase};
use crate::store::Effect;

type Ends<S> = fn(InstanceId, &S, Ending, Option<&Fault>) -> Vec<Effect>;
type Tasks<S> = Vec<Box<dyn Task<S>>>;
type Again<S> = fn(&S, u32, &Fault) -> Option<u32>;

/// A flow. Kind and version are in the row, so a flow ends under the list that it began with.
pub struct List<S> {
    pub kind: &'static str,
    pub version: u32,
    tasks: Tasks<S>,
    /// The list of all rounds after this one.
    fallback: Option<(u32, Tasks<S>)>,
    again: Again<S>,
    turns: bool,
    patient: bool,
    ends: Ends<S>,
}

impl<S: Serialize + DeserializeOwned + Send + Sync + 'static> List<S> {
    pub fn new(kind: &'static str, version: u32) -> Self {
        Self {
            kind,
            version,
            tasks: Vec::new(),
            fallback: None,
            again: |_, _, _| None,
            turns: true,
            patient: false,
            ends: |_, _, _, _| Vec::new(),
        }
    }

    #[must_use]
    pub fn then(mut self, task: impl Task<S> + 'static) -> Self {
        self.tasks.push(Box::new(task));
        self
    }

    /// Which round follows this one, whose first cause is given. None: it stays reverted.
    #[must_use]
    pub fn again(mut self, again: Again<S>) -> Self {
        self.again = again;
        self
    }

    /// After so many rounds the tasks of another list take over, in the same flow and timeline.
    #[must_use]
    pub fn falls_back(mut self, rounds: u32, list: Self) -> Self {
        self.fallback = Some((rounds, list.tasks));
        self
    }

    /// It is an undo itself: what fails is tried again and then needs an operator.
    #[must_use]
    pub fn never_turns(mut self) -> Self {
        self.turns = false;
        self
    }

    /// It never turns, never rests, and is never given up: what fails is tried again, as slowly as the back-off goes.
    #[must_use]
    pub fn never_gives_up(mut self) -> Self {
        (self.turns, self.patient) = (false, true);
        self
    }

    /// What the commit that ends or rests it records.
    #[must_use]
    pub fn ends(mut self, ends: Ends<S>) -> Self {
        self.ends = ends;
        self
    }
}

impl<S> List<S> {
    fn tasks_of(&self, round: u32) -> &[Box<dyn Task<S>>] {
        match &self.fallback {
            Some((rounds, tasks)) if round > *rounds => tasks,
            _ => &self.tasks,
        }
    }
}

/// All flows in the code, by kind and version.
#[derive(Clone, Default)]
pub struct Book(HashMap<(String, u32), Arc<dyn Page>>);

impl Book {
    #[must_use]
    pub fn with<S: Serialize + DeserializeOwned + Send + Sync + 'static>(mut self, list: List<S>) -> Self {
        self.0.insert((list.kind.to_owned(), list.version), Arc::new(list));
        self
    }

    /// Every flow in the code, by kind and version.
    pub fn kinds(&self) -> Vec<(String, u32)> {
        let mut kinds: Vec<_> = self.0.keys().cloned().collect();
        kinds.sort();
        kinds
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn map(self, page: impl Fn(&str, Arc<dyn Page>) -> Arc<dyn Page>) -> Self {
        Self(self.0.into_iter().map(|((kind, version), old)| ((kind.clone(), version), page(&kind, old))).collect())
    }

    pub(super) fn page(&self, kind: &str, version: u32) -> Option<Arc<dyn Page>> {
        self.0.get(&(kind.to_owned(), version)).cloned()
    }

    /// Whether a flow that fails turns round; one that does not goes on forward after a person looked.
    pub fn turns(&self, kind: &str, version: u32) -> bool {
        self.page(kind, version).is_some_and(|page| page.turns())
    }

    /// The names of a round's tasks, in order; empty for a flow that this version does not know.
    pub fn tasks(&self, kind: &str, version: u32, round: u32) -> Vec<&'static str> {
        self.page(kind, version).map(|page| page.names(round)).unwrap_or_default()
    }
}

/// A state as its list reads it.
pub(super) type Typed = Box<dyn Any + Send + Sync>;

/// A list with its state's type hidden: what the runner sees.
#[async_trait]
pub(super) trait Page: Send + Sync {
    fn names(&self, round: u32) -> Vec<&'static str>;
    fn task_name(&self, round: u32, task: usize) -> Option<&'static str> {
        self.names(round).get(task).copied()
    }
    fn count(&self, round: u32) -> usize {
        self.names(round).len()
    }
    fn again(&self, state: &[u8], round: u32, cause: &Fault) -> Option<u32>;
    fn turns(&self) -> bool;
    fn is_patient(&self) -> bool;
    fn begin(&self, begin: &Begin, state: &[u8]) -> Vec<Effect>;
    /// As [`Self::begin`], with the state as the call before left it, where that is known: reading it again takes as long as the call.
    fn begin_after(&self, begin: &Begin, state: &[u8], _left: Option<&Typed>) -> Vec<Effect> {
        self.begin(begin, state)
    }
    async fn call(&self, cx: &mut Cx, state: &mut Vec<u8>) -> Outcome;
    fn end(&self, instance: InstanceId, state: &[u8], phase: Phase, fault: Option<&Fault>) -> Vec<Effect>;
}

#[async_trait]
impl<S: Serialize + DeserializeOwned + Send + Sync + 'static> Page for List<S> {
    fn names(&self, round: u32) -> Vec<&'static str> {
        self.tasks_of(round).iter().map(|task| task.name()).collect()
    }

    fn task_name(&self, round: u32, task: usize) -> Option<&'static str> {
        self.tasks_of(round).get(task).map(|task| task.name())
    }

    fn count(&self, round: u32) -> usize {
        self.tasks_of(round).len()
    }

    fn again(&self, state: &[u8], round: u32, cause: &Fault) -> Option<u32> {
        serde_json::from_slice(state).ok().and_then(|state| (self.again)(&state, round, cause))
    }

    fn turns(&self) -> bool {
        self.turns
    }

    fn is_patient(&self) -> bool {
        self.patient
    }

    fn begin(&self, begin: &Begin, state: &[u8]) -> Vec<Effect> {
        match (self.tasks_of(begin.round).get(begin.task), serde_json::from_slice(state)) {
            (Some(task), Ok(state)) => task.begin(begin, &state),
            // The call that follows says what is wrong.
            _ => Vec::new(),
        }
    }

    fn begin_after(&self, begin: &Begin, state: &[u8], left: Option<&Typed>) -> Vec<Effect> {
        match (self.tasks_of(begin.round).get(begin.task), left.and_then(|left| left.downcast_ref::<S>())) {
            (Some(task), Some(state)) => task.begin(begin, state),
            _ => self.begin(begin, state),
        }
    }

    async fn call(&self, cx: &mut Cx, state: &mut Vec<u8>) -> Outcome {
        let Some(task) = self.tasks_of(cx.at.round).get(cx.at.task) else {
            return unreadable(format!("{} version {} has no task {}", self.kind, self.version, cx.at.task));
        };
        let known = cx.left.state.take().and_then(|typed| typed.downcast::<S>().ok());
        let mut typed: S = match known.map_or_else(|| serde_json::from_slice(state), |typed| Ok(*typed)) {
            Ok(typed) => typed,
            Err(error) => {
                return unreadable(format!(
                    "the state of {} version {} cannot be read: {error}",
                    self.kind, self.version
                ));
            }
        };
        let outcome = match cx.at.direction {
            Direction::Execute => task.execute(cx, &mut typed).await,
            Direction::Revert => task.revert(cx, &mut typed).await,
        };
        match serde_json::to_vec(&typed) {
            Ok(bytes) => *state = bytes,
            Err(error) => return unreadable(format!("the state of {} cannot be written: {error}", self.kind)),
        }
        cx.left.state = Some(Box::new(typed));
        outcome
    }

    fn end(&self, instance: InstanceId, state: &[u8], phase: Phase, fault: Option<&Fault>) -> Vec<Effect> {
        let ending = match phase {
            Phase::Done => Ending::Done,
            Phase::Reverted => Ending::Reverted,
            Phase::NeedsOperator => Ending::NeedsOperator,
            Phase::Forward | Phase::Backward => return Vec::new(),
        };
        serde_json::from_slice(state).map_or_else(|_| Vec::new(), |state| (self.ends)(instance, &state, ending, fault))
    }
}

fn unreadable(message: String) -> Outcome {
    Outcome::Fail(Fault::new(FaultKind::Broken, message))
}
