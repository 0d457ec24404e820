//! All far sides die at once and are back after a while: requests under way end where they are, half done, their connections and all
//! new ones are closed without an answer. What was written down stays, and what runs by itself (a deployment, an assembly) goes on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::task::AbortHandle;

use crate::clock::Clock;

#[derive(Default)]
pub(crate) struct Outage {
    /// On the simulator's clock.
    until_ms: AtomicU64,
    under_way: Mutex<Vec<AbortHandle>>,
}

impl Outage {
    /// From now on, for `ms`.
    pub(crate) fn begin(&self, clock: &Clock, ms: u64) {
        self.until_ms.store(clock.now_ms() + ms, Ordering::SeqCst);
        for request in self.under_way.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            request.abort();
        }
    }

    pub(crate) fn is_on(&self, clock: &Clock) -> bool {
        clock.now_ms() < self.until_ms.load(Ordering::SeqCst)
    }

    /// A request that an outage ends.
    pub(crate) fn ends(&self, request: AbortHandle) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|request| !request.is_finished());
        under_way.push(request);
    }
}
