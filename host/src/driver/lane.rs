//! Where a call computes, and how long. It begins on the threads of whoever called it, where most end; one that computes long goes on in the
//! slow lane, on threads of a lower priority: what computes without end takes a core from nobody who waits for one.
//!
//! Only the polling moves. Requests, timers and log stay with the runtime that the call came from.

use std::io;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use rustix::process::nice;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{JoinError, JoinHandle};
use tracing::Dispatch;
use tracing::dispatcher::{get_default, with_default};

use super::ticker::Ticker;

/// Ticks that a call computes before it goes to the slow lane: 20 ms, more than a driver takes that reads an answer and asks the next.
const LIGHT: u64 = 10;

/// The lowest: a sixtieth of a core where others want all of it.
const NICE: i32 = 19;

/// Threads for the calls that compute long.
pub(super) struct Lane {
    /// None while it ends.
    runtime: Option<Runtime>,
    handle: Handle,
}

/// What one call computed, for its store and for who polls it.
pub(super) struct Computed {
    ticker: Arc<Ticker>,
    /// The tick in which it was polled, or found computing, last.
    since: AtomicU64,
    /// Ticks that found it computing.
    used: AtomicU64,
}

/// A call's work, wherever it goes on. Cut when it is dropped.
pub(super) struct Work<F: Future> {
    here: Option<Pin<Box<F>>>,
    moved: Option<JoinHandle<F::Output>>,
    computed: Arc<Computed>,
    lane: Handle,
}

/// Work in the slow lane.
struct Moved<F> {
    work: Pin<Box<F>>,
    computed: Arc<Computed>,
    home: Handle,
    log: Dispatch,
}

impl Lane {
    pub(super) fn open() -> io::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("slow-lane")
            .on_thread_start(|| {
                // Where the system forbids it they compete as equals, which is no reason not to serve.
                nice(NICE).ok();
            })
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// All that a call does; begins here when it is polled.
    pub(super) fn work<F: Future>(&self, computed: Arc<Computed>, work: F) -> Work<F> {
        Work { here: Some(Box::pin(work)), moved: None, computed, lane: self.handle.clone() }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // A thread of another runtime may not wait for this one's.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Computed {
    pub(super) fn counted_by(ticker: Arc<Ticker>) -> Self {
        Self { ticker, since: AtomicU64::new(0), used: AtomicU64::new(0) }
    }

    /// Whether a tick passed since it was polled, or asked this last: then it is counted. What passed while it waited is not.
    pub(super) fn was_interrupted(&self) -> bool {
        let now = self.ticker.now();
        let interrupted = self.since.swap(now, Ordering::Relaxed) != now;
        self.used.fetch_add(interrupted.into(), Ordering::Relaxed);
        interrupted
    }

    /// Unit: ticks.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn polled<T>(&self, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        let _computes = self.ticker.computes();
        self.since.store(self.ticker.now(), Ordering::Relaxed);
        let polled = poll();
        // What the host did for it may have taken a tick too.
        self.was_interrupted();
        polled
    }
}

impl<F> Future for Work<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        if let Some(mut work) = this.here.take() {
            let polled = this.computed.polled(|| work.as_mut().poll(cx));
            if polled.is_ready() {
                return polled;
            }
            if this.computed.used() < LIGHT {
                this.here = Some(work);
                return polled;
            }
            let (computed, home, log) = (this.computed.clone(), Handle::current(), get_default(Dispatch::clone));
            this.moved = Some(this.lane.spawn(Moved { work, computed, home, log }));
        }
        let Some(moved) = &mut this.moved else { return Poll::Pending };
        match ready!(Pin::new(moved).poll(cx)).map_err(JoinError::try_into_panic) {
            Ok(ended) => Poll::Ready(ended),
            Err(Ok(panic)) => resume_unwind(panic),
            // The lane has ended, and so will whoever waits here.
            Err(Err(_)) => Poll::Pending,
        }
    }
}

impl<F: Future> Drop for Work<F> {
    fn drop(&mut self) {
        if let Some(moved) = &self.moved {
            moved.abort();
        }
    }
}

impl<F: Future> Future for Moved<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { work, computed, home, log } = &mut *self;
        let _home = home.enter();
        with_default(log, || computed.polled(|| work.as_mut().poll(cx)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::future::poll_fn;

    use futures_util::FutureExt as _;

    use super::*;

    fn computed() -> Arc<Computed> {
        Arc::new(Computed::counted_by(Arc::new(Ticker::by_hand())))
    }

    /// Work that lets a tick pass in each of so many polls; ends with those in which it was in the slow lane.
    async fn lanes(polls: usize, computed: &Arc<Computed>) -> Vec<bool> {
        let lane = Lane::open().unwrap();
        let (mut lanes, ticker) = (Vec::new(), computed.ticker.clone());
        let work = poll_fn(move |cx| {
            lanes.push(std::thread::current().name() == Some("slow-lane"));
            ticker.tick();
            cx.waker().wake_by_ref();
            if lanes.len() < polls { Poll::Pending } else { Poll::Ready(std::mem::take(&mut lanes)) }
        });
        lane.work(computed.clone(), work).await
    }

    #[tokio::test]
    async fn what_computes_long_goes_on_in_the_slow_lane_and_what_does_not_stays() {
        let (long, short) = (computed(), computed());
        let light = usize::try_from(LIGHT).unwrap();
        let lanes_of = lanes(light + 5, &long).await;
        assert_eq!(lanes_of.iter().position(|slow| *slow), Some(light), "{lanes_of:?}");
        assert!(lanes_of[light..].iter().all(|slow| *slow), "{lanes_of:?}");
        assert!(!lanes(light, &short).await.contains(&true));
        assert_eq!((long.used(), short.used()), (LIGHT + 5, LIGHT));
    }

    #[tokio::test]
    async fn a_tick_that_passes_while_a_call_waits_is_not_counted() {
        let lane = Lane::open().unwrap();
        let computed = computed();
        let (ticker, mut polls) = (computed.ticker.clone(), 0);
        let waiting = poll_fn(move |_| {
            polls += 1;
            if polls < 50 { Poll::Pending } else { Poll::Ready(()) }
        });
        let mut work = std::pin::pin!(lane.work(computed.clone(), waiting));
        while work.as_mut().now_or_never().is_none() {
            ticker.tick();
        }
        assert_eq!(computed.used(), 0);
        // One that was found computing is counted once.
        ticker.tick();
        assert!(computed.was_interrupted() && !computed.was_interrupted());
        assert_eq!(computed.used(), 1);
    }

    #[tokio::test]
    async fn what_is_in_the_slow_lane_has_the_timers_of_its_caller_and_breaks_for_it() {
        let lane = Lane::open().unwrap();
        let computed = computed();
        computed.used.store(LIGHT, Ordering::Relaxed);
        let work = async {
            tokio::task::yield_now().await;
            let moved = std::thread::current().name() == Some("slow-lane");
            // Without a runtime that has timers it would panic.
            let clock = crate::clock::Clock::system();
            clock.until(clock.now() + 1).await;
            moved
        };
        assert!(lane.work(computed.clone(), work).await);
        let breaks = async {
            tokio::task::yield_now().await;
            panic!("as it was told to");
        };
        let broke = std::panic::AssertUnwindSafe(lane.work(computed, breaks)).catch_unwind().await;
        assert_eq!(broke.unwrap_err().downcast_ref(), Some(&"as it was told to"));
    }
}
