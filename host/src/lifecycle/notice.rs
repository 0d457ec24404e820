//! Soon after a far side is done its flow goes on: all machines of a backend that flows wait for are looked at together, again and again,
//! while there are any.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::driver::{Call, Deployer, Drivers};
use crate::flow::{Notices, Shown};
use crate::model::{Fault, FlowId, Millis, OperationId, RevisionId};
use crate::store::{Hasten, Lane, Store};

/// Backends that are looked at at once.
const BACKENDS: usize = 16;

/// Machines in one list.
const AT_ONCE: usize = 1000;

/// How much longer than a look took nobody looks again: at most a fifth of a far side's time is ours.
const SPARE: Millis = 4;

/// The longest time between two looks, where they fail.
const LONGEST: Millis = 30_000;

/// When a backend is looked at again.
struct Turn {
    at: Millis,
    /// Looks in a row that failed.
    failed: u32,
}

struct Looked {
    revision: RevisionId,
    began: Millis,
    failed: bool,
}

/// Never returns. A backend that hangs keeps no other one waiting.
pub(super) async fn run(notices: &Notices, store: &Store, drivers: &Drivers, clock: &Clock, every: Duration) {
    let every = Millis::try_from(every.as_millis()).unwrap_or(Millis::MAX);
    let (slots, mut looks) = (Semaphore::new(BACKENDS), FuturesUnordered::new());
    let (mut turns, mut under_way) = (BTreeMap::<RevisionId, Turn>::new(), BTreeSet::new());
    loop {
        let mut waiting = notices.waiting();
        turns.retain(|revision, _| waiting.contains_key(revision));
        waiting.retain(|revision, _| !under_way.contains(revision));
        let mut soonest = Millis::MAX;
        for (revision, asked) in waiting {
            let turn = turns.entry(revision).or_insert(Turn { at: clock.now(), failed: 0 });
            if turn.at > clock.now() {
                soonest = soonest.min(turn.at);
                continue;
            }
            under_way.insert(revision);
            let slot = slots.acquire();
            looks.push(async move {
                // Never closed.
                let _slot = slot.await;
                let began = clock.now();
                let failed = look(notices, store, drivers, clock, revision, &asked).await.is_err();
                Looked { revision, began, failed }
            });
        }
        tokio::select! {
            Some(Looked { revision, began, failed }) = looks.next() => {
                under_way.remove(&revision);
                let now = clock.now();
                let failed = if failed { turns.get(&revision).map_or(0, |turn| turn.failed).saturating_add(1) } else { 0 };
                turns.insert(revision, Turn { at: now.saturating_add(pause(every, now - began, failed)), failed });
            }
            () = clock.until(soonest), if soonest < Millis::MAX => (),
            () = notices.came() => (),
        }
    }
}

/// From the end of a look to the next one. Milliseconds.
fn pause(every: Millis, took: Millis, failed: u32) -> Millis {
    let longer = every.saturating_mul(1 << failed.min(16)).min(LONGEST);
    every.max(took.saturating_mul(SPARE)).max(longer)
}

/// Once, at one backend. A failure was told, and what these flows know of their machines is forgotten.
async fn look(
    notices: &Notices,
    store: &Store,
    drivers: &Drivers,
    clock: &Clock,
    revision: RevisionId,
    asked: &[(FlowId, Shown)],
) -> Result<(), ()> {
    let told = |fault: Fault| {
        tracing::info!(revision = revision.0, message = %fault.message, "the machines that flows wait for were not seen");
        notices.lost(asked);
    };
    let deployer = drivers.deployer(revision).await.map_err(told)?;
    for some in asked.chunks(AT_ONCE) {
        let states = states(&deployer, some).await.map_err(told)?;
        let holds =
            |shown: &Shown| states.get(&shown.handle).filter(|state| deployer.shows_wait(shown.verb, state)).cloned();
        let flows = notices.saw(some, holds);
        if !flows.is_empty()
            && let Err(error) = store.write(Lane::Flow, Hasten { flows, at: clock.now() }).await
        {
            tracing::warn!(%error, "flows whose wait is over are called after the next look");
        }
    }
    Ok(())
}

/// What the far side says of each.
async fn states(deployer: &Deployer, some: &[(FlowId, Shown)]) -> Result<BTreeMap<String, String>, Fault> {
    let handles: BTreeSet<&str> = some.iter().map(|(_, shown)| shown.handle.as_str()).collect();
    let handles: Vec<String> = handles.into_iter().map(str::to_owned).collect();
    let operation = OperationId(format!("notice-{}", FlowId::fresh().0.simple()));
    let call = Call { operation, attempt: 1, checkpoint: None, access_of: None };
    let seen = deployer.observe(call, &handles).await.result?;
    Ok(seen.into_iter().map(|seen| (seen.handle, seen.state)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_far_side_is_looked_at_less_often_and_one_that_fails_less_and_less() {
        assert_eq!(pause(1_500, 100, 0), 1_500);
        assert_eq!(pause(1_500, 2_000, 0), 8_000);
        assert_eq!([1, 2, 3, 40].map(|failed| pause(1_500, 100, failed)), [3_000, 6_000, 12_000, 30_000]);
    }
}
