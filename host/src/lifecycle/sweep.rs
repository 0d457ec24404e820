//! The sweep: every backend's list against the holdings, on a schedule and on demand. What is found is told; `release.rs` gives back what
//! a policy or a person lets it.

use std::collections::HashSet;
use std::time::Duration;

use super::look::Look;
use super::{Error, Lifecycle};
use crate::model::{Fault, Millis, Name, Revision};
use crate::store::{EndLook, Judge, Lane};

/// Never returns. The schedule outlives a restart: what counts is when a backend was last tried.
pub(super) async fn run(lifecycle: &Lifecycle, every: Duration) {
    let every = Millis::try_from(every.as_millis()).unwrap_or(Millis::MAX);
    let (clock, started) = (lifecycle.clock(), lifecycle.clock().now());
    let last = lifecycle.store().last_swept().await.ok().flatten().unwrap_or(started);
    let mut next = last.saturating_add(every);
    loop {
        clock.until(next).await;
        if let Err(error) = lifecycle.sweep(None).await {
            tracing::warn!(%error, "the backends were not swept");
        }
        next = clock.now().saturating_add(every);
    }
}

impl Lifecycle {
    /// Looks at one backend, or at all of them, and writes down what it found. A backend that cannot be seen is told so and stops nobody
    /// else's look.
    pub async fn sweep(&self, only: Option<&Name>) -> Result<(), Error> {
        let revisions = match only {
            Some(name) => vec![self.newest(name).await?],
            None => self.store.backends().await?.into_iter().map(|backend| backend.revision).collect(),
        };
        for revision in revisions {
            let began = self.clock.now();
            let nodes = self.look(&revision).await.map_err(|fault| fault.message);
            if let Err(why) = &nodes {
                tracing::warn!(backend = %revision.backend, why, "a backend was not swept");
            }
            self.store.write(Lane::Flow, EndLook { backend: revision.backend, began, nodes }).await?;
        }
        self.store.write(Lane::Flow, Judge { at: self.clock.now() }).await?;
        self.release_by_policy().await
    }

    /// All roles of the plugin; answers how many machines bear this site's marks.
    async fn look(&self, revision: &Revision) -> Result<u64, Fault> {
        // It is refused, or not compiled yet: then its roles are not known.
        self.drivers.prober(revision.id).await?;
        let roles = self.drivers.plugin(&revision.digest).map(|plugin| plugin.roles).unwrap_or_default();
        let look = Look { store: &self.store, drivers: &self.drivers, clock: &self.clock, site: &self.site, revision };
        let mut handles: HashSet<String> = HashSet::new();
        for role in roles {
            handles.extend(look.run(role).await?);
        }
        Ok(u64::try_from(handles.len()).unwrap_or(u64::MAX))
    }
}
