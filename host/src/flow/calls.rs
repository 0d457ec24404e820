//! Which flows have a call under way: none is called twice, and no backend gets more calls at once than it may.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::{FlowId, Name};
use crate::store::Due;

pub(super) struct Calls {
    per_backend: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: HashMap<FlowId, Call>,
    /// Somebody was left out because a backend was full.
    left_out: bool,
}

struct Call {
    /// Whom it calls.
    backend: Option<Name>,
    /// The plugin that it tries, which broke too often.
    probes: Option<i64>,
    /// A write named the flow meanwhile.
    named: bool,
    /// The latest revision of its row that a look found due meanwhile.
    due_at: Option<i64>,
}

/// Whether a flow may make its next call at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GoesOn {
    pub(super) may: bool,
    /// What it left has room again for who was left out.
    pub(super) room: bool,
}

/// What the end of a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    /// The flow was named meanwhile, or found due as its calls left it: its row is to be looked at.
    pub(super) named: bool,
    /// A backend has room again for who was left out.
    pub(super) room: bool,
}

impl Calls {
    pub(super) fn new(per_backend: usize) -> Self {
        Self { per_backend, state: Mutex::default() }
    }

    pub(super) fn count(&self) -> usize {
        self.lock().calls.len()
    }

    /// The backends that have as many calls as they may.
    pub(super) fn full(&self) -> Vec<Name> {
        let mut state = self.lock();
        let mut of: HashMap<&Name, usize> = HashMap::new();
        for backend in state.calls.values().filter_map(|call| call.backend.as_ref()) {
            *of.entry(backend).or_default() += 1;
        }
        let full = of.into_iter().filter(|(_, calls)| *calls >= self.per_backend);
        let full: Vec<Name> = full.map(|(backend, _)| backend.clone()).collect();
        state.left_out |= !full.is_empty();
        full
    }

    /// The plugins that a call under way tries.
    pub(super) fn probing(&self) -> Vec<i64> {
        let mut state = self.lock();
        let probing: Vec<i64> = state.calls.values().filter_map(|call| call.probes).collect();
        state.left_out |= !probing.is_empty();
        probing
    }

    /// From now on it is under way. False when it was, when its backend is full, or when another one probes what it would.
    pub(super) fn begin(&self, due: &Due) -> bool {
        let Due { id, revision, backend, probes } = due;
        let mut state = self.lock();
        if let Some(call) = state.calls.get_mut(id) {
            call.named |= revision.is_none();
            call.due_at = call.due_at.max(*revision);
            return false;
        }
        if !state.has_room(backend.as_ref(), self.per_backend) || !state.may_probe(*id, *probes) {
            return false;
        }
        state.calls.insert(*id, Call { backend: backend.clone(), probes: *probes, named: false, due_at: None });
        true
    }

    /// True when a call of it is under way, which answers for it at its end.
    pub(super) fn name(&self, id: FlowId) -> bool {
        self.lock().calls.get_mut(&id).map(|call| call.named = true).is_some()
    }

    /// Whether the next call of a flow that is under way may go to this backend, in place of the one before.
    pub(super) fn goes_on(&self, id: FlowId, backend: Option<&Name>, probes: Option<i64>) -> GoesOn {
        let mut state = self.lock();
        let Some((before, probed)) = state.calls.get(&id).map(|call| (call.backend.clone(), call.probes)) else {
            return GoesOn { may: false, room: false };
        };
        let moves = before.as_ref() != backend;
        if !state.may_probe(id, probes) || moves && !state.has_room(backend, self.per_backend) {
            // Its end makes the room.
            return GoesOn { may: false, room: false };
        }
        if let Some(call) = state.calls.get_mut(&id) {
            (call.backend, call.probes) = (backend.cloned(), probes);
        }
        let left = moves && before.is_some() || probed.is_some() && probed != probes;
        GoesOn { may: true, room: left && std::mem::take(&mut state.left_out) }
    }

    /// `revision`: its row's after the last call; none when it was not called.
    pub(super) fn end(&self, id: FlowId, revision: Option<i64>) -> Ended {
        let mut state = self.lock();
        let Some(call) = state.calls.remove(&id) else { return Ended { named: false, room: false } };
        let left = call.backend.is_some() || call.probes.is_some();
        let named = call.named || revision.is_some() && call.due_at >= revision;
        Ended { named, room: left && std::mem::take(&mut state.left_out) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panicking task leaves the map whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// One call at a time finds out whether a plugin that broke too often is whole again.
    fn may_probe(&mut self, id: FlowId, probes: Option<i64>) -> bool {
        let taken = probes.is_some() && self.calls.iter().any(|(other, call)| *other != id && call.probes == probes);
        self.left_out |= taken;
        !taken
    }

    /// A backend that does not answer must not take every place.
    fn has_room(&mut self, backend: Option<&Name>, per_backend: usize) -> bool {
        let Some(backend) = backend else { return true };
        let calls = self.calls.values().filter(|call| call.backend.as_ref() == Some(backend)).count();
        self.left_out |= calls >= per_backend;
        calls < per_backend
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(id: FlowId, backend: &Name, probes: Option<i64>) -> Due {
        Due { id, revision: Some(1), backend: Some(backend.clone()), probes }
    }

    #[test]
    fn who_was_left_out_of_a_full_backend_is_looked_for_when_it_has_room() {
        let calls = Calls::new(1);
        let pod = Name::parse("name", "pod-a").unwrap();
        let (first, second) = (FlowId::fresh(), FlowId::fresh());
        assert!(calls.begin(&due(first, &pod, None)));
        assert!(!calls.begin(&due(second, &pod, None)));
        assert_eq!(calls.end(first, Some(1)), Ended { named: false, room: true });
        assert!(calls.begin(&due(second, &pod, None)));
        assert_eq!(calls.end(second, Some(1)), Ended { named: false, room: false });
    }

    #[test]
    fn one_call_at_a_time_probes_a_plugin() {
        let calls = Calls::new(4);
        let pod = Name::parse("name", "pod-a").unwrap();
        let (first, second) = (FlowId::fresh(), FlowId::fresh());
        assert!(calls.begin(&due(first, &pod, Some(7))));
        assert!(!calls.begin(&due(second, &pod, Some(7))));
        assert_eq!(calls.probing(), [7]);
        assert_eq!(calls.goes_on(first, Some(&pod), None), GoesOn { may: true, room: true }, "the first is through");
        assert!(calls.begin(&due(second, &pod, Some(7))));
        assert_eq!(calls.goes_on(first, Some(&pod), Some(7)), GoesOn { may: false, room: false });
    }

    #[test]
    fn who_was_left_out_of_a_backend_is_looked_for_when_a_flow_goes_on_elsewhere() {
        let calls = Calls::new(1);
        let [pod, ironic] = ["pod-a", "ironic-1"].map(|name| Name::parse("name", name).unwrap());
        let (first, second) = (FlowId::fresh(), FlowId::fresh());
        assert!(calls.begin(&due(first, &pod, None)));
        assert!(!calls.begin(&due(second, &pod, None)));
        assert_eq!(calls.goes_on(first, Some(&pod), None), GoesOn { may: true, room: false }, "it stays where it is");
        assert_eq!(calls.goes_on(first, Some(&ironic), None), GoesOn { may: true, room: true });
        assert!(calls.begin(&due(second, &pod, None)));
        assert_eq!(calls.goes_on(first, Some(&pod), None), GoesOn { may: false, room: false }, "now that is full");
        assert_eq!(calls.end(second, Some(1)), Ended { named: false, room: true });
    }

    #[test]
    fn a_flow_that_is_named_during_its_call_is_looked_at_after_it() {
        let calls = Calls::new(1);
        let flow = FlowId::fresh();
        let named = Due { id: flow, revision: None, backend: None, probes: None };
        assert!(!calls.name(flow));
        assert!(calls.begin(&named));
        assert!(calls.name(flow));
        assert_eq!(calls.end(flow, Some(2)), Ended { named: true, room: false });
    }

    #[test]
    fn a_flow_that_is_found_due_as_its_last_call_left_it_is_looked_at_after_its_end() {
        let calls = Calls::new(1);
        let pod = Name::parse("name", "pod-a").unwrap();
        let found = |revision| Due { revision: Some(revision), ..due(FlowId::fresh(), &pod, None) };
        for (seen, left, looked_at) in [(1, 3, false), (3, 3, true), (4, 3, true)] {
            let first = found(1);
            assert!(calls.begin(&first));
            assert!(!calls.begin(&Due { revision: Some(seen), ..first.clone() }), "it is under way");
            let ended = calls.end(first.id, Some(left));
            assert_eq!(ended.named, looked_at, "found due at revision {seen}, left at {left}");
        }
    }
}
