//! How many requests an endpoint gets in a second, over all calls: a far side that freezes under load is not hammered.

use std::sync::{Mutex, PoisonError};

use crate::clock::Clock;

/// Of one line. As many requests as in a second may come at once; after that one after the other.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: u32,
    /// When the bucket is full again. Unit: microseconds.
    full_at: Mutex<i64>,
}

const SECOND: i64 = 1_000_000;

impl Bucket {
    pub(super) fn of(per_second: u32) -> Self {
        Self { per_second: per_second.max(1), full_at: Mutex::new(0) }
    }

    /// Returns when the next request may be sent. One that is cut while it waits has used its turn.
    pub(super) async fn take(&self, clock: &Clock) {
        if let Some(then) = self.turn(clock.now()) {
            clock.until(then).await;
        }
    }

    /// None: now.
    fn turn(&self, now_ms: i64) -> Option<i64> {
        let now = now_ms.saturating_mul(1000);
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*full_at).max(now).saturating_add(SECOND / i64::from(self.per_second));
        *full_at = next;
        let then = next.saturating_sub(SECOND);
        (then > now).then(|| (then + 999) / 1000)
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn a_burst_passes_and_the_rest_comes_one_after_the_other() {
        let bucket = Bucket::of(10);
        let turns: Vec<_> = (0..12).map(|_| bucket.turn(5_000)).collect();
        assert_eq!(turns[..10], [None; 10]);
        assert_eq!(turns[10..], [Some(5_100), Some(5_200)]);
        // A second later as many may come again but for those that wait.
        assert_eq!(bucket.turn(6_300), None);
        let more = (0..10).filter(|_| bucket.turn(6_300).is_none()).count();
        assert_eq!(more, 9);
    }

    #[tokio::test]
    async fn a_request_over_the_rate_waits_for_the_clock() {
        let (clock, bucket) = (Clock::by_hand(1_000), Bucket::of(1));
        bucket.take(&clock).await;
        let mut waiting = Box::pin(bucket.take(&clock));
        let mut looks = || waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        assert!(!looks());
        clock.advance(std::time::Duration::from_millis(999));
        assert!(!looks());
        clock.advance(std::time::Duration::from_millis(1));
        assert!(looks());
    }
}
