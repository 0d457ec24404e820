//! Who is told of a commit: the runner, of the flows that may be due by it, and who watches, of the flow that it touched. Told is that
//! something changed, never what: whoever wants to know reads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, broadcast, watch};

use super::Operation;
use crate::model::FlowId;

/// Flows that are named until the runner asks, at most.
const NAMED: usize = 16_384;

/// Which flows may be due by a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wakes {
    Nobody,
    Only(FlowId),
    /// Whichever the store says.
    Any,
}

/// Flows that may be due.
#[derive(Debug, Default)]
pub struct Woken {
    pub flows: Vec<FlowId>,
    /// Others too: whichever the store says.
    pub others: bool,
}

/// The changes of one flow. Who watches one is not woken by the others.
pub struct Watch {
    flow: FlowId,
    changes: watch::Receiver<()>,
    told: Arc<Told>,
}

pub(super) struct Told {
    woken: Mutex<Woken>,
    bell: Notify,
    watched: Mutex<HashMap<FlowId, Watched>>,
    /// For those who watch all flows.
    all: broadcast::Sender<FlowId>,
}

/// A flow that is watched, by so many.
#[derive(Default)]
struct Watched {
    changes: watch::Sender<()>,
    by: usize,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            woken: Mutex::default(),
            bell: Notify::new(),
            watched: Mutex::default(),
            all: broadcast::channel(1024).0,
        }
    }
}

impl Told {
    pub(super) fn committed<O: Operation>(&self, operation: &O, answer: &O::Answer) {
        self.wake(operation.wakes(answer));
        if let Some(flow) = operation.flow() {
            self.changed(flow);
        }
    }

    pub(super) fn changed(&self, flow: FlowId) {
        if let Some(watched) = self.watched().get(&flow) {
            watched.changes.send_replace(());
        }
        if self.all.receiver_count() > 0 {
            // The last who listened may just have gone.
            self.all.send(flow).ok();
        }
    }

    pub(super) fn wake(&self, wakes: Wakes) {
        let mut woken = self.woken();
        match wakes {
            Wakes::Nobody => return,
            Wakes::Only(flow) if woken.flows.len() < NAMED => woken.flows.push(flow),
            Wakes::Only(_) | Wakes::Any => woken.others = true,
        }
        drop(woken);
        self.bell.notify_one();
    }

    /// Returns when there is something to take.
    pub(super) async fn bell(&self) {
        self.bell.notified().await;
    }

    pub(super) fn take_woken(&self) -> Woken {
        std::mem::take(&mut *self.woken())
    }

    pub(super) fn watch(self: &Arc<Self>, flow: FlowId) -> Watch {
        let mut all = self.watched();
        let watched = all.entry(flow).or_default();
        watched.by += 1;
        Watch { flow, changes: watched.changes.subscribe(), told: self.clone() }
    }

    pub(super) fn watch_all(&self) -> broadcast::Receiver<FlowId> {
        self.all.subscribe()
    }

    fn woken(&self) -> MutexGuard<'_, Woken> {
        // A list of names stays whole whoever panics.
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<FlowId, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Returns when the flow changed since this was asked last, or since it is watched.
    pub async fn changed(&mut self) {
        // It fails only when the sender is gone, and that stays as long as somebody watches.
        self.changes.changed().await.ok();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut all = self.told.watched();
        let left = all.get_mut(&self.flow).map(|watched| {
            watched.by -= 1;
            watched.by
        });
        if left == Some(0) {
            all.remove(&self.flow);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures_util::FutureExt as _;
    use rusqlite::Connection;

    use super::*;
    use crate::store::{Lane, Result, Store};

    /// A flow is due by it.
    struct Wake(FlowId);

    impl Operation for Wake {
        type Answer = ();

        fn apply(&self, _: &Connection) -> Result<()> {
            Ok(())
        }

        fn flow(&self) -> Option<FlowId> {
            Some(self.0)
        }

        fn wakes(&self, (): &()) -> Wakes {
            Wakes::Only(self.0)
        }
    }

    #[tokio::test]
    async fn the_runner_is_told_of_a_write_whose_caller_went_away() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let flow = FlowId::fresh();
        // It is queued, and nobody waits for its answer.
        store.write(Lane::Interactive, Wake(flow)).now_or_never();
        store.flows_woke().await;
        assert_eq!(store.take_woken().flows, [flow]);
    }

    #[test]
    fn who_watches_a_flow_is_told_of_that_one_alone() {
        let (told, own) = (Arc::new(Told::default()), Wake(FlowId::fresh()));
        let mut watch = told.watch(own.0);
        told.committed(&Wake(FlowId::fresh()), &());
        assert!(watch.changed().now_or_never().is_none(), "another flow changed");
        told.committed(&own, &());
        told.committed(&own, &());
        assert!(watch.changed().now_or_never().is_some());
        assert!(watch.changed().now_or_never().is_none(), "told once of what was there when it looked");
    }

    #[test]
    fn a_flow_that_nobody_watches_any_more_takes_no_room() {
        let (told, flow) = (Arc::new(Told::default()), FlowId::fresh());
        let (one, mut other) = (told.watch(flow), told.watch(flow));
        drop(one);
        told.committed(&Wake(flow), &());
        assert!(other.changed().now_or_never().is_some(), "the other still watches");
        drop(other);
        assert!(told.watched().is_empty());
    }
}
