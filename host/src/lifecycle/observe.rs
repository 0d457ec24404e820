//! A slow look at active instances: one list per backend. What is wrong is said, and never repaired unasked.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Clock;
use crate::driver::{Call, Deployer, Drivers, Observed};
use crate::model::{FlowId, OperationId, RevisionId};
use crate::store::{self, Lane, Store, Watched, WriteObserved};

/// Handles in one list.
const AT_ONCE: usize = 1000;

/// Never returns.
pub(super) async fn run(store: &Store, drivers: &Drivers, clock: &Clock, every: Duration) {
    loop {
        if let Err(error) = look(store, drivers, clock).await {
            tracing::warn!(%error, "the active instances were not looked at");
        }
        let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
        clock.until(clock.now().saturating_add(every)).await;
    }
}

/// Once, at every backend that runs something.
async fn look(store: &Store, drivers: &Drivers, clock: &Clock) -> store::Result<()> {
    let mut by_revision: BTreeMap<RevisionId, Vec<Watched>> = BTreeMap::new();
    for watched in store.watched().await? {
        by_revision.entry(watched.revision).or_default().push(watched);
    }
    for (revision, all) in by_revision {
        let deployer = match drivers.deployer(revision).await {
            Ok(deployer) => deployer,
            Err(fault) => {
                tracing::debug!(revision = revision.0, message = %fault.message, "a backend was not looked at");
                continue;
            }
        };
        for some in all.chunks(AT_ONCE) {
            if let Some(seen) = seen(&deployer, some).await {
                let found = some.iter().map(|watched| (watched.instance, verdict(watched, &seen))).collect();
                store.write(Lane::Flow, WriteObserved { found, at: clock.now() }).await?;
            }
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
