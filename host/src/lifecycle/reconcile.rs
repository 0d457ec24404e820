//! After a restore the far sides know what this database forgot, and the other way round. A person decides each difference; until then no
//! flow runs and nothing that changes something leaves the gate.

use super::{Error, Lifecycle};
use crate::model::{By, InstanceId, Name, OrphanId, OrphanState};
use crate::store::{self, EndReconcile, Excuse, ForgetMissing, KeepMissing, Lane, Operation};

/// What is to become of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Theirs and not ours: given back as soon as flows run.
    Release,
    /// Theirs: left alone. Of either kind it is remembered as decided.
    KeepTheirs,
    /// Ours and not theirs: the holdings are written off, the instance has failed.
    Forget,
    /// Ours: the holdings stay.
    KeepOurs,
}

impl Lifecycle {
    /// Decides one difference, or every one of its kind that is not decided. Answers how many.
    pub async fn decide_difference(&self, what: Decision, only: Option<&str>, by: By) -> Result<usize, Error> {
        match what {
            Decision::Release | Decision::KeepTheirs => self.decide_theirs(what, only, by).await,
            Decision::Forget | Decision::KeepOurs => self.decide_ours(what, only, by).await,
        }
    }

    /// The reconcile may end without what this backend has.
    pub async fn reconcile_without(&self, backend: &Name, by: By) -> Result<(), Error> {
        self.newest(backend).await?;
        self.decided(Excuse { backend: backend.clone(), by, at: self.clock.now() }).await
    }

    /// All was decided: flows run from now on.
    pub async fn end_reconcile(&self, by: By) -> Result<(), Error> {
        self.decided(EndReconcile { by, at: self.clock.now() }).await?;
        self.stand().await
    }

    async fn decide_theirs(&self, what: Decision, only: Option<&str>, by: By) -> Result<usize, Error> {
        let ids: Vec<OrphanId> = match only {
            Some(id) => vec![OrphanId(id.parse().map_err(|_| not_found("orphan", id))?)],
            None => {
                let open = |orphan: &crate::model::Orphan| orphan.state == OrphanState::Orphan;
                let stacks = self.known_stacks().await?;
                stacks.iter().filter_map(|stack| stack.iter().find(|orphan| open(orphan))).map(|it| it.id).collect()
            }
        };
        for id in &ids {
            match what {
                Decision::Release => drop(self.release_orphan(*id, None, by.clone()).await?),
                _ => self.keep_orphan(*id, by.clone()).await?,
            }
        }
        Ok(ids.len())
    }

    async fn decide_ours(&self, what: Decision, only: Option<&str>, by: By) -> Result<usize, Error> {
        let instances: Vec<InstanceId> = match only {
            Some(id) => vec![id.parse().map_err(|_| not_found("instance", id))?],
            None => {
                let mut open: Vec<_> = self
                    .store
                    .missing()
                    .await?
                    .into_iter()
                    .filter(|it| !it.is_kept && !it.flow_runs)
                    .map(|it| it.instance)
                    .collect();
                open.sort_unstable();
                open.dedup();
                open
            }
        };
        let at = self.clock.now();
        for instance in &instances {
            match what {
                Decision::Forget => self.decided(ForgetMissing { instance: *instance, by: by.clone(), at }).await?,
                _ => self.decided(KeepMissing { instance: *instance, by: by.clone(), at }).await?,
            }
        }
        Ok(instances.len())
    }

    async fn decided<O: Operation<Answer = ()>>(&self, verb: O) -> Result<(), Error> {
        self.store.write(Lane::Interactive, verb).await.map_err(|error| match error {
            store::Error::Refused(message) => Error::Refused { code: "not-reconciled", message },
            other => other.into(),
        })
    }
}

fn not_found(what: &'static str, name: &str) -> Error {
    Error::NotFound { what, name: name.to_owned() }
}
