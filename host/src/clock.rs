//! The only place that asks the time, and the only one that waits for it.

#![expect(clippy::disallowed_methods, reason = "everything else asks this clock")]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::model::Millis;

/// The system's clock, or one that a test moves by hand.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Source>);

#[derive(Debug)]
enum Source {
    System,
    Hand(watch::Sender<Millis>),
}

impl Clock {
    pub fn system() -> Self {
        Self(Arc::new(Source::System))
    }

    /// Stands at `start` until [`Clock::advance`].
    pub fn by_hand(start: Millis) -> Self {
        Self(Arc::new(Source::Hand(watch::Sender::new(start))))
    }

    /// Milliseconds since the epoch.
    pub fn now(&self) -> Millis {
        match &*self.0 {
            Source::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
            }
            Source::Hand(now) => *now.borrow(),
        }
    }

    /// Moves a clock that is moved by hand; the system's stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Source::Hand(now) = &*self.0 {
            let by = Millis::try_from(by.as_millis()).unwrap_or(Millis::MAX);
            now.send_modify(|now| *now = now.saturating_add(by));
        }
    }

    /// Returns when the clock shows `then` or later. Dropping it is harmless.
    pub async fn until(&self, then: Millis) {
        match &*self.0 {
            Source::System => {
                let left = u64::try_from(then.saturating_sub(self.now())).unwrap_or(0);
                // A timer's range is bounded; an hour is soon enough to look again.
                tokio::time::sleep(Duration::from_millis(left.min(3_600_000))).await;
            }
            Source::Hand(now) => {
                let mut now = now.subscribe();
                // It fails only when the sender is gone, and `self` holds the sender.
                now.wait_for(|now| *now >= then).await.ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_clock_moved_by_hand_wakes_who_waits_for_it() {
        let clock = Clock::by_hand(1_000);
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.until(61_000).await;
                clock.now()
            }
        });
        clock.advance(Duration::from_secs(60));
        assert_eq!(waiting.await.ok(), Some(61_000));
    }
}
