//! What the engine is given to do: four tasks that do nothing, with what they leave: 64 to 192 bytes of state, 96 bytes of a line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use moganite::flow::{Begin, Book, Cx, List, Outcome, Task, first};
use moganite::model::{Event, Flow, FlowId, InstanceId, Name, Site};
use moganite::store::Effect;
use serde::{Deserialize, Serialize};

pub(crate) const TASKS: [&str; 4] = ["compose", "enroll", "deploy", "finish"];

const KIND: &str = "bench";

/// Calls of tasks, all and those of the last task of each flow.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    all: AtomicU64,
    last: AtomicU64,
}

impl Calls {
    pub(crate) fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }

    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }
}

/// Called in the last task of each flow with the number that the flow was begun with.
pub(crate) type Then = Arc<dyn Fn(usize) + Send + Sync>;

#[derive(Serialize, Deserialize)]
struct State {
    /// A number, filled up with noughts.
    asked: String,
    answers: Vec<String>,
}

struct Nothing {
    name: &'static str,
    calls: Arc<Calls>,
    then: Option<Then>,
}

#[async_trait]
impl Task<State> for Nothing {
    fn name(&self) -> &'static str {
        self.name
    }

    fn begin(&self, _: &Begin, _: &State) -> Vec<Effect> {
        Vec::new()
    }

    async fn execute(&self, cx: &mut Cx, state: &mut State) -> Outcome {
        self.calls.all.fetch_add(1, Ordering::Relaxed);
        state.answers.push("a".repeat(29));
        cx.note("n".repeat(96));
        if let Some(then) = &self.then {
            self.calls.last.fetch_add(1, Ordering::Relaxed);
            then(state.asked.parse().unwrap_or_default());
        }
        Outcome::Done
    }

    async fn revert(&self, _: &mut Cx, _: &mut State) -> Outcome {
        Outcome::Done
    }
}

pub(crate) fn book(calls: &Arc<Calls>, then: Then) -> Book {
    let mut then = Some(then);
    let mut list = List::new(KIND, 1);
    for name in TASKS {
        let then = if name == TASKS[TASKS.len() - 1] { then.take() } else { None };
        list = list.then(Nothing { name, calls: calls.clone(), then });
    }
    Book::default().with(list)
}

/// A new flow that is due at once, with its first line.
pub(crate) fn flow(book: &Book, site: &Site, project: &Name, number: usize, now: i64) -> (Flow, Event) {
    let state = State { asked: format!("{number:034}"), answers: Vec::with_capacity(TASKS.len()) };
    // A struct of strings is always JSON.
    let state = serde_json::to_vec(&state).unwrap_or_default();
    let (flow, event, _) =
        first(book, site, (FlowId::fresh(), KIND, 1), (project.clone(), InstanceId::fresh()), state, now);
    (flow, event)
}
