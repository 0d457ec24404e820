//! What interrupts guests, so that their CPU time is counted and others get their turn. It ticks while a guest computes, and rests while
//! none does: a service that waits for its far sides would else wake five hundred times a second for nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::Engine;

/// How often running components are interrupted, to count their CPU time and to let others run: what a call may wait for each one that
/// computes beside it on its thread.
pub(super) const TICK: Duration = Duration::from_millis(2);

/// Ends with the last who may let a guest compute.
pub(super) struct Ticker {
    guests: Arc<Guests>,
    thread: Thread,
}

/// How many compute at this moment, and whether somebody counts their time.
#[derive(Default)]
struct Guests {
    computing: AtomicUsize,
    /// Since the start.
    ticks: AtomicU64,
    resting: AtomicBool,
    ended: AtomicBool,
}

impl Ticker {
    pub(super) fn start(engine: &Engine) -> io::Result<Self> {
        let (engine, guests) = (engine.weak(), Arc::<Guests>::default());
        let of_thread = guests.clone();
        let thread = thread::Builder::new().name("epoch".into()).spawn(move || {
            while !of_thread.ended.load(Ordering::SeqCst) {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "CPU time is measured in true ticks; no test moves it by hand"
                )]
                thread::sleep(TICK);
                let Some(engine) = engine.upgrade() else { return };
                // Before the engine interrupts: whoever is interrupted finds it counted.
                of_thread.ticks.fetch_add(1, Ordering::Relaxed);
                engine.increment_epoch();
                drop(engine);
                if of_thread.rest() {
                    // Returns at once when somebody began meanwhile.
                    thread::park();
                }
                of_thread.resting.store(false, Ordering::SeqCst);
            }
        })?;
        Ok(Self { guests, thread: thread.thread().clone() })
    }

    /// How often it ticked since the start.
    pub(super) fn now(&self) -> u64 {
        self.guests.ticks.load(Ordering::Relaxed)
    }

    /// A guest computes as long as this is kept.
    pub(super) fn computes(&self) -> Computes<'_> {
        if self.guests.begin() {
            self.thread.unpark();
        }
        Computes(&self.guests)
    }
}

#[cfg(test)]
impl Ticker {
    /// Ticks when it is told to.
    pub(super) fn by_hand() -> Self {
        Self { guests: Arc::default(), thread: thread::current() }
    }

    pub(super) fn tick(&self) {
        self.guests.ticks.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.guests.ended.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// One that computes, also when it panics.
pub(super) struct Computes<'g>(&'g Guests);

impl Drop for Computes<'_> {
    fn drop(&mut self) {
        self.0.computing.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Guests {
    /// One more computes. True: the ticker is to be woken.
    fn begin(&self) -> bool {
        self.computing.fetch_add(1, Ordering::SeqCst);
        self.resting.load(Ordering::SeqCst)
    }

    /// Whether the ticker may rest. Said first and looked at then, as `begin` counts first and looks then: one of the two sees the other.
    fn rest(&self) -> bool {
        self.resting.store(true, Ordering::SeqCst);
        self.computing.load(Ordering::SeqCst) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticker_rests_while_no_guest_computes_and_is_woken_by_the_next() {
        let guests = Guests::default();
        assert!(!guests.begin(), "it ticks already");
        assert!(!guests.rest(), "one computes");
        drop(Computes(&guests));
        assert!(guests.rest(), "none does");
        assert!(guests.begin(), "it was to rest");
    }
}
