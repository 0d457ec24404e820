//! Waits whose end a look at many machines shows, so that none of them is asked about alone.
//!
//! A wait is left to the looks when one of them saw its machine in a state that only another state ends, before the call began that waits
//! on: whatever changes from then on, a later look tells. All of it is in memory; a new run begins with a call of each such flow.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::model::{FlowId, RevisionId};

/// What is looked at while a call's answer is `pending`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub revision: RevisionId,
    /// The machine, as the far side calls it.
    pub handle: String,
    pub verb: &'static str,
}

#[derive(Default)]
pub struct Notices {
    waiting: Mutex<HashMap<FlowId, Waiting>>,
    bell: Notify,
}

struct Waiting {
    shown: Shown,
    /// What the last look saw, if only another state ends it.
    state: Option<String>,
    /// How often that was another one than before.
    changes: u64,
    /// Of `changes`, when its present call began; none where no look had seen it.
    begun: Option<u64>,
    /// The same once the wait is left to the looks: another number of changes ends it.
    left: Option<u64>,
}

impl Waiting {
    fn is_over(&self) -> bool {
        self.left.is_some_and(|left| left != self.changes)
    }
}

impl Notices {
    /// A call of it begins.
    pub(super) fn begin(&self, flow: FlowId) {
        if let Some(waiting) = self.lock().get_mut(&flow) {
            waiting.begun = waiting.state.is_some().then_some(waiting.changes);
            waiting.left = None;
        }
    }

    /// Its call waits on. True: the looks tell when that ends.
    pub(super) fn waits(&self, flow: FlowId, shown: Shown) -> bool {
        let mut all = self.lock();
        if let Some(waiting) = all.get_mut(&flow).filter(|waiting| waiting.shown == shown) {
            let is_seen = waiting.state.is_some() && waiting.begun == Some(waiting.changes);
            waiting.left = waiting.begun.filter(|_| is_seen);
            return is_seen;
        }
        let is_first = all.values().all(|waiting| waiting.shown.revision != shown.revision);
        all.insert(flow, Waiting { shown, state: None, changes: 0, begun: None, left: None });
        if is_first {
            self.bell.notify_one();
        }
        false
    }

    /// Its call ended otherwise.
    pub(super) fn forget(&self, flow: FlowId) {
        self.lock().remove(&flow);
    }

    /// A wait came at a revision through which nothing was looked at.
    pub async fn came(&self) {
        self.bell.notified().await;
    }

    /// All that is to be looked at, by the revision to look through.
    pub fn waiting(&self) -> BTreeMap<RevisionId, Vec<(FlowId, Shown)>> {
        let mut by_revision: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (flow, Waiting { shown, .. }) in &*self.lock() {
            by_revision.entry(shown.revision).or_default().push((*flow, shown.clone()));
        }
        by_revision
    }

    /// What a look saw of these, where only another state ends it; answers whose wait is over. They are answered again by each look until
    /// they are called: one that was seen before its wait was written down is made due by the next look.
    pub fn saw(&self, asked: &[(FlowId, Shown)], state: impl Fn(&Shown) -> Option<String>) -> Vec<FlowId> {
        let mut all = self.lock();
        let mut over = Vec::new();
        for (flow, shown) in asked {
            let Some(waiting) = all.get_mut(flow).filter(|waiting| waiting.shown == *shown) else { continue };
            let state = state(shown);
            let is_other = match &waiting.state {
                Some(before) => Some(before) != state.as_ref(),
                // What was known was lost: it may have changed meanwhile.
                None => waiting.left.is_some(),
            };
            waiting.changes += u64::from(is_other);
            waiting.state = state;
            over.extend(waiting.is_over().then_some(*flow));
        }
        over
    }

    /// A look at these failed: what was seen of them before counts no more.
    pub fn lost(&self, asked: &[(FlowId, Shown)]) {
        let mut all = self.lock();
        for (flow, shown) in asked {
            if let Some(waiting) = all.get_mut(flow).filter(|waiting| waiting.shown == *shown) {
                waiting.state = None;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FlowId, Waiting>> {
        // A map stays whole whoever panics.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rig {
        notices: Notices,
        flow: FlowId,
        shown: Shown,
    }

    impl Rig {
        fn new() -> Self {
            let shown = Shown { revision: RevisionId(1), handle: "node-1".into(), verb: "deploy" };
            Self { notices: Notices::default(), flow: FlowId::fresh(), shown }
        }

        /// One call that waits on; true when that is left to the looks.
        fn call(&self) -> bool {
            self.notices.begin(self.flow);
            self.notices.waits(self.flow, self.shown.clone())
        }

        /// One look; true when the wait is over.
        fn look(&self, state: Option<&str>) -> bool {
            let asked = [(self.flow, self.shown.clone())];
            self.notices.saw(&asked, |_| state.map(str::to_owned)) == [self.flow]
        }

        fn lose(&self) {
            self.notices.lost(&[(self.flow, self.shown.clone())]);
        }
    }

    #[test]
    fn a_wait_is_left_to_the_looks_once_one_of_them_saw_it_before_its_call() {
        let rig = Rig::new();
        assert!(!rig.call(), "nobody looked yet");
        assert!(!rig.call(), "and still nobody");
        assert!(!rig.look(Some("deploying")));
        assert!(rig.call());
        assert!(!rig.look(Some("deploying")));
        assert!(rig.look(Some("wait call-back")));
        assert!(rig.look(Some("wait call-back")), "told until it is called");
        assert!(rig.call());
        assert!(rig.look(None), "another state ends it, whichever");
    }

    #[test]
    fn a_state_that_does_not_hold_the_wait_is_asked_about_by_its_own_flow() {
        let rig = Rig::new();
        rig.call();
        rig.look(None);
        assert!(!rig.call());
    }

    #[test]
    fn what_changes_during_a_call_is_not_missed() {
        let rig = Rig::new();
        rig.call();
        rig.look(Some("deploying"));
        rig.notices.begin(rig.flow);
        rig.look(Some("wait call-back"));
        assert!(!rig.notices.waits(rig.flow, rig.shown.clone()), "it may have read what was before");
        assert!(rig.call());
        assert!(!rig.look(Some("wait call-back")));
        assert!(rig.look(Some("deploying")), "between its answer and its commit");
        assert!(rig.look(Some("deploying")), "and again, when there is something to make due");
    }

    #[test]
    fn after_a_look_that_failed_the_next_one_ends_every_wait() {
        let rig = Rig::new();
        rig.call();
        rig.look(Some("deploying"));
        assert!(rig.call());
        rig.lose();
        assert!(rig.look(Some("deploying")), "it may have been another state meanwhile");
        rig.lose();
        assert!(!rig.call(), "nothing is known");
    }

    #[test]
    fn another_machine_or_verb_is_another_wait() {
        let rig = Rig::new();
        rig.call();
        rig.look(Some("deploying"));
        let other = Shown { verb: "undeploy", ..rig.shown.clone() };
        rig.notices.begin(rig.flow);
        assert!(!rig.notices.waits(rig.flow, other));
        assert!(!rig.look(Some("active")), "the look asked for what it waited for before");
        rig.notices.forget(rig.flow);
        assert!(rig.notices.waiting().is_empty());
    }
}
