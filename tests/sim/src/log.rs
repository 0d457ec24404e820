//! What was asked of the far sides, in the order of arrival, with the bodies as they came, secrets included: this is where a test sees
//! that the gate put a password where it belongs.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;

use crate::call::Call;
use crate::clock::Clock;
use crate::exchange::Side;

/// How many entries are kept; older ones are forgotten.
const KEPT: usize = 50_000;

/// One request.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// From 1, in the order of arrival.
    pub n: u64,
    /// Milliseconds since the simulator's start.
    pub at_ms: u64,
    pub side: Side,
    pub method: String,
    pub path: String,
    /// Null while it runs, and when the connection closed without an answer.
    pub status: Option<u16>,
    pub user_agent: Option<String>,
    /// Whether it carried an `Authorization` header.
    pub authorization: bool,
    /// Null when there was none, or none that is JSON.
    pub body: Value,
}

#[derive(Default)]
pub(crate) struct Log {
    entries: Mutex<VecDeque<Entry>>,
    open: Mutex<HashMap<Side, Open>>,
}

/// Requests without an answer yet.
#[derive(Clone, Copy, Default)]
struct Open {
    now: usize,
    most: usize,
}

impl Log {
    /// Notes a request that arrived; its number.
    pub(crate) fn open(&self, clock: &Clock, side: Side, call: &Call) -> u64 {
        self.with_open(side, |open| {
            open.now += 1;
            open.most = open.most.max(open.now);
        });
        let mut entries = self.lock();
        let n = entries.back().map_or(1, |last| last.n + 1);
        if entries.len() == KEPT {
            entries.pop_front();
        }
        entries.push_back(Entry {
            n,
            at_ms: clock.now_ms(),
            side,
            method: call.method.to_string(),
            path: call.path.clone(),
            status: None,
            user_agent: call.header("user-agent").map(str::to_owned),
            authorization: call.header("authorization").is_some(),
            body: call.json(),
        });
        n
    }

    pub(crate) fn close(&self, n: u64, side: Side, status: Option<u16>) {
        self.with_open(side, |open| open.now = open.now.saturating_sub(1));
        let mut entries = self.lock();
        let first = entries.front().map_or(0, |entry| entry.n);
        if let Some(entry) = n.checked_sub(first).and_then(|at| entries.get_mut(at as usize)) {
            entry.status = status;
        }
    }

    pub(crate) fn after(&self, n: u64) -> Vec<Entry> {
        self.lock().iter().filter(|entry| entry.n > n).cloned().collect()
    }

    /// Open at the same time since this was asked last.
    pub(crate) fn most_at_once(&self, side: Side) -> usize {
        self.with_open(side, |open| std::mem::replace(&mut open.most, open.now))
    }

    fn with_open<T>(&self, side: Side, work: impl FnOnce(&mut Open) -> T) -> T {
        work(self.open.lock().unwrap_or_else(PoisonError::into_inner).entry(side).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
