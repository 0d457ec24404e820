//! The one clock of the simulator: every delay sleeps on it, every time stamp comes from it. It runs with the machine's, or stands
//! still and is moved by hand; moving it by hand also works while it runs. Nothing else here may ask for the time or sleep.
#![expect(clippy::disallowed_methods, reason = "this is the simulator's one clock")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// Milliseconds since the simulator's start, and the calendar time that they stand for.
pub(crate) struct Clock {
    started: Instant,
    epoch_ms: u64,
    by_hand: bool,
    moved: watch::Sender<u64>,
}

impl Clock {
    pub(crate) fn new(by_hand: bool) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), epoch_ms: since.as_millis() as u64, by_hand, moved: watch::Sender::new(0) }
    }

    /// Milliseconds since the start.
    pub(crate) fn now_ms(&self) -> u64 {
        let ran = if self.by_hand { 0 } else { self.started.elapsed().as_millis() as u64 };
        ran + *self.moved.borrow()
    }

    /// Moves the clock forward; whoever sleeps until then wakes.
    pub(crate) fn advance(&self, ms: u64) {
        self.moved.send_modify(|moved| *moved += ms);
    }

    /// Returns when the clock shows `ms` more than now.
    pub(crate) async fn sleep(&self, ms: u64) {
        let until = self.now_ms() + ms;
        let mut moves = self.moved.subscribe();
        loop {
            moves.borrow_and_update();
            let left = until.saturating_sub(self.now_ms());
            if left == 0 {
                return;
            }
            let tick = async {
                match self.by_hand {
                    true => std::future::pending().await,
                    false => tokio::time::sleep(Duration::from_millis(left)).await,
                }
            };
            tokio::select! {
                () = tick => {}
                _ = moves.changed() => {}
            }
        }
    }

    /// As Ironic writes it: `2026-11-22T06:51:28+00:00`.
    pub(crate) fn iso(&self) -> String {
        let (date, time) = self.calendar();
        format!("{date}T{time}+00:00")
    }

    /// As Valence writes it: `2026-11-22 06:51:28 UTC`.
    pub(crate) fn spaced(&self) -> String {
        let (date, time) = self.calendar();
        format!("{date} {time} UTC")
    }

    fn calendar(&self) -> (String, String) {
        let seconds = (self.epoch_ms + self.now_ms()) / 1000;
        let (year, month, day) = civil(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        (format!("{year:04}-{month:02}-{day:02}"), format!("{hour:02}:{minute:02}:{second:02}"))
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar. Years are counted from March, so that the
/// leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates_over_leap_years() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_779), (2026, 11, 22));
    }

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_hand_moves_far_enough() {
        let clock = Clock::new(true);
        let slept = async {
            clock.sleep(100).await;
            clock.now_ms()
        };
        let moved = async {
            clock.advance(60);
            tokio::task::yield_now().await;
            clock.advance(60);
        };
        let (woke, ()) = tokio::join!(slept, moved);
        assert_eq!(woke, 120);
    }
}
