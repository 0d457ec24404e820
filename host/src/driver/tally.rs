//! What the gate denied and how calls ended since the start, for metrics and for the operator who looks at a backend.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::Name;

/// Denied requests of one backend that are kept in words; all are counted.
const WORDS: usize = 8;

/// What the gate denied to one plugin at one backend since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Denied {
    pub count: u64,
    /// The last of them, newest last: request and reason.
    pub last: VecDeque<String>,
}

/// A backend, and a plugin as `name@version sha256:abcdef012345`.
pub type Pair = (Name, String);

/// Counted by backend and plugin, of which there are only so many.
#[derive(Debug, Default)]
pub(super) struct Tally {
    denied: Mutex<BTreeMap<Pair, Denied>>,
    ended: Mutex<BTreeMap<(Pair, &'static str), u64>>,
}

impl Tally {
    pub(super) fn deny(&self, backend: &Name, plugin: &str, what: &str) {
        let mut denied = lock(&self.denied);
        let denied = denied.entry((backend.clone(), plugin.to_owned())).or_default();
        denied.count += 1;
        if denied.last.len() == WORDS {
            denied.last.pop_front();
        }
        denied.last.push_back(what.to_owned());
    }

    pub(super) fn denied(&self) -> BTreeMap<Pair, Denied> {
        lock(&self.denied).clone()
    }

    pub(super) fn end(&self, backend: &Name, plugin: &str, cause: &'static str) {
        *lock(&self.ended).entry(((backend.clone(), plugin.to_owned()), cause)).or_default() += 1;
    }

    pub(super) fn ended(&self) -> BTreeMap<(Pair, &'static str), u64> {
        lock(&self.ended).clone()
    }
}

fn lock<T>(counts: &Mutex<T>) -> MutexGuard<'_, T> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn all_are_counted_and_the_last_are_kept_in_words() {
        let (tally, backend) = (Tally::default(), Name::parse("name", "pod-a").unwrap());
        for n in 0..20 {
            tally.deny(&backend, "p@1", &n.to_string());
        }
        tally.deny(&backend, "p@2", "other");
        let all = tally.denied();
        let denied = &all[&(backend.clone(), "p@1".into())];
        assert_eq!((denied.count, denied.last.front().unwrap().as_str()), (20, "12"));
        assert_eq!(all[&(backend, "p@2".into())].count, 1);
    }
}
