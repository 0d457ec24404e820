//! A slow look at active instances: one list per backend. What is wrong is said, and never repaired unasked.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::driver::{Call, Deployer, Drivers, Observed};
use crate::model::{FlowId, OperationId, RevisionId};
use crate::store::{self, Lane, Store, Watched, WriteObserved};

/// Backends that are looked at at once.
const BACKENDS: usize = 16;

/// Handles in one list.
const AT_ONCE: usize = 1000;

/// Never returns. A backend that hangs is looked at again once it answered, and keeps no other one waiting.
pub(super) async fn run(store: &Store, drivers: &Drivers, clock: &Clock, every: Duration) {
    let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
    let (turns, mut under_way, mut looks) = (Semaphore::new(BACKENDS), BTreeSet::new(), FuturesUnordered::new());
    loop {
        match running(store).await {
            Ok(all) => {
                for (revision, all) in all.into_iter().filter(|(revision, _)| under_way.insert(*revision)) {
                    let turn = turns.acquire();
                    looks.push(async move {
                        // Never closed.
                        let _turn = turn.await;
                        (revision, look(store, drivers, clock, revision, all).await)
                    });
                }
            }
            Err(error) => tracing::warn!(%error, "the active instances were not looked at"),
        }
        let mut next = pin!(clock.until(clock.now().saturating_add(every)));
        loop {
            tokio::select! {
                Some((revision, looked)) = looks.next() => {
                    under_way.remove(&revision);
                    if let Err(error) = looked {
                        tracing::warn!(%error, revision = revision.0, "what was seen is not written down");
                    }
                }
                () = &mut next => break,
            }
        }
    }
}

/// What runs, by the revision that it is looked at through.
async fn running(store: &Store) -> store::Result<BTreeMap<RevisionId, Vec<Watched>>> {
    let mut by_revision: BTreeMap<_, Vec<Watched>> = BTreeMap::new();
    for watched in store.watched().await? {
        by_revision.entry(watched.revision).or_default().push(watched);
    }
    Ok(by_revision)
}

/// Once, at one backend.
async fn look(
    store: &Store,
    drivers: &Drivers,
    clock: &Clock,
    revision: RevisionId,
    all: Vec<Watched>,
) -> store::Result<()> {
    let deployer = match drivers.deployer(revision).await {
        Ok(deployer) => deployer,
        Err(fault) => {
            tracing::debug!(revision = revision.0, message = %fault.message, "a backend was not looked at");
            return Ok(());
        }
    };
    for some in all.chunks(AT_ONCE) {
        if let Some(seen) = seen(&deployer, some).await {
            let found = some.iter().map(|watched| (watched.instance, verdict(watched, &seen))).collect();
            store.write(Lane::Flow, WriteObserved { found, at: clock.now() }).await?;
        }
    }
    Ok(())
}

/// None when the far side does not answer: nothing is known, so nothing is said.
async fn seen(deployer: &Deployer, some: &[Watched]) -> Option<BTreeMap<String, Observed>> {
    let handles: Vec<String> = some.iter().map(|watched| watched.handle.clone()).collect();
    let operation = OperationId(format!("observe-{}", FlowId::fresh().0.simple()));
    let call = Call { operation, attempt: 1, checkpoint: None, access_of: None };
    match deployer.observe(call, &handles).await.result {
        Ok(list) => Some(list.into_iter().map(|seen| (seen.handle.clone(), seen)).collect()),
        Err(fault) => {
            tracing::info!(plugin = deployer.plugin(), message = %fault.message, "the far side was not seen");
            None
        }
    }
}

/// What is wrong with it, in one sentence.
fn verdict(watched: &Watched, seen: &BTreeMap<String, Observed>) -> Option<String> {
    let Some(seen) = seen.get(&watched.handle) else {
        return Some(format!("gone: {} does not know {} any more", watched.backend, watched.handle));
    };
    if seen.state.contains("maintenance") {
        return Some(format!("in maintenance: {}", seen.note));
    }
    (seen.is_on == Some(false) && !watched.off).then(|| "powered off, and nobody asked for it here".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{InstanceId, Name};

    fn say(is_on: Option<bool>, state: &str, off: bool) -> Option<String> {
        let backend = Name::parse("name", "ironic-1").expect("a name");
        let watched =
            Watched { instance: InstanceId::fresh(), backend, revision: RevisionId(1), handle: "n1".into(), off };
        let seen = Observed { handle: "n1".into(), is_on, state: state.into(), note: "a fan".into() };
        verdict(&watched, &BTreeMap::from([("n1".to_owned(), seen)]))
    }

    #[test]
    fn a_machine_that_is_off_is_degraded_unless_somebody_asked_for_it() {
        assert_eq!(say(Some(true), "active", false), None);
        assert_eq!(say(None, "active", false), None);
        assert!(say(Some(false), "active", false).is_some_and(|why| why.contains("powered off")));
        assert_eq!(say(Some(false), "active", true), None);
        assert!(say(Some(true), "active, in maintenance", false).is_some_and(|why| why.contains("a fan")));
    }
}
