//! What is done about orphans: a person releases or keeps them; a policy releases the late ones, as far as the brake lets it.
//!
//! A release is a settling flow over holdings of no instance: what belongs together goes together, last taken first.

use super::{Error, Lifecycle, delete};
use crate::flow::first;
use crate::model::{
    Budgets, By, Erase, Eraser, Erasure, FlowId, InstanceId, Invalid, Name, OperationId, Orphan, OrphanId, OrphanState,
    Role, SweepPolicy, stacks,
};
use crate::store::{self, GoOn, KeepOrphans, Lane, ReleaseStack, Released};

/// Whose flows give back what was nobody's.
const PROJECT: &str = "orphans";

impl Lifecycle {
    /// Gives back the whole stack that an orphan is of; `erase` in place of what its order said, or of `quick`. Answers the flow.
    pub async fn release_orphan(
        &self,
        id: OrphanId,
        erase: Option<Erase>,
        by: By,
    ) -> Result<(FlowId, Vec<OrphanId>), Error> {
        let stack = self.stack_of(id).await?;
        let ids = stack.iter().map(|orphan| orphan.id).collect();
        let release = self.release(stack, erase, Some(by)).await?;
        let flow = release.flow.id;
        self.orphaned(self.store.write(Lane::Interactive, release).await)?;
        Ok((flow, ids))
    }

    /// Leaves the whole stack that an orphan is of alone, from now on.
    pub async fn keep_orphan(&self, id: OrphanId, by: By) -> Result<(), Error> {
        let orphans = self.stack_of(id).await?.iter().map(|orphan| orphan.id).collect();
        let keep = KeepOrphans { orphans, by, at: self.clock.now() };
        self.orphaned(self.store.write(Lane::Interactive, keep).await)
    }

    /// A person looked at what the brake stopped.
    pub async fn go_on(&self, backend: &Name, by: By) -> Result<(), Error> {
        self.newest(backend).await?;
        let go_on = GoOn { backend: backend.clone(), by, at: self.clock.now() };
        self.store.write(Lane::Interactive, go_on).await.map_err(|error| match error {
            store::Error::Refused(message) => Error::Refused { code: "not-stopped", message },
            other => other.into(),
        })
    }

    /// Every stack whose backends all say `release`. What may not be released by itself is left to a person.
    pub(super) async fn release_by_policy(&self) -> Result<(), Error> {
        let backends = self.store.backends().await?;
        let lets = |orphan: &Orphan| {
            let of = backends.iter().find(|backend| backend.name == orphan.backend);
            of.is_some_and(|backend| backend.revision.sweep == SweepPolicy::Release)
        };
        let may = |stack: &Vec<Orphan>| {
            let late = |orphan: &Orphan| orphan.state == OrphanState::Orphan && orphan.promised_at.is_some();
            stack.iter().all(|orphan| late(orphan) && orphan.blocked_by.is_none() && lets(orphan))
        };
        for stack in self.known_stacks().await?.into_iter().filter(may) {
            let said = stack.iter().map(|orphan| orphan.mark.to_string()).collect::<Vec<_>>().join(", ");
            let release = match self.release(stack, None, None).await {
                Ok(release) => release,
                Err(error) => {
                    tracing::warn!(marks = said, %error, "an orphan is left to a person");
                    continue;
                }
            };
            let flow = release.flow.id;
            match self.store.write(Lane::Flow, release).await {
                Ok(Released::Started) => {
                    tracing::warn!(marks = said, %flow, "an orphan is released, as the policy says")
                }
                Ok(Released::Braked(backend)) => {
                    tracing::error!(marks = said, backend, "the brake holds: nothing more is released there by itself");
                }
                Ok(Released::Left) => (),
                Err(store::Error::Refused(why)) => tracing::info!(marks = said, why, "an orphan is left"),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What is told, as stacks: what is not certain yet is not in them.
    pub async fn known_stacks(&self) -> Result<Vec<Vec<Orphan>>, Error> {
        let mut orphans = self.store.orphans().await?;
        orphans.retain(|orphan| orphan.state != OrphanState::Seen);
        Ok(stacks(orphans))
    }

    async fn stack_of(&self, id: OrphanId) -> Result<Vec<Orphan>, Error> {
        let all = self.known_stacks().await?;
        let found = all.into_iter().find(|stack| stack.iter().any(|orphan| orphan.id == id));
        let mut stack = found.ok_or_else(|| Error::NotFound { what: "orphan", name: id.0.to_string() })?;
        // One that is on its way is its own flow's; asked for by itself it is refused.
        stack.retain(|orphan| orphan.state != OrphanState::Releasing || orphan.id == id);
        Ok(stack)
    }

    async fn release(
        &self,
        mut stack: Vec<Orphan>,
        erase: Option<Erase>,
        by: Option<By>,
    ) -> Result<ReleaseStack, Error> {
        let height = |role: Role| match role {
            Role::Compose => 0,
            Role::Claim => 1,
            Role::Enroll => 2,
            Role::Deploy => 3,
        };
        stack.sort_by_key(|orphan| height(orphan.role));
        if let Some(two) = stack.windows(2).find(|two| two[0].role == two[1].role) {
            let message = format!(
                "orphans {} and {} are both {} of one stack: only one of them can be true, look at the far side",
                two[0].id.0,
                two[1].id.0,
                two[0].role.as_str()
            );
            return Err(Error::Refused { code: "orphan-not-releasable", message });
        }
        let erasure = self.erasure_of(&stack, erase).await?;
        let state = delete::Delete { erasure, budgets: Budgets::default() }.to_bytes()?;
        let of = (Name::parse("project", PROJECT)?, InstanceId::fresh());
        let kind = (FlowId::fresh(), delete::SETTLE, delete::VERSION);
        let (flow, event, effects) = first(&self.book, &self.site, kind, of, state, self.clock.now());
        let operation = |orphan: &Orphan| -> Result<OperationId, Error> {
            let operation = self.site.operation(&orphan.mark);
            Ok(operation.ok_or_else(|| Invalid::new("mark", "it is not of this site"))?)
        };
        let stack = stack.iter().map(|orphan| Ok((orphan.id, operation(orphan)?))).collect::<Result<_, Error>>()?;
        Ok(ReleaseStack { stack, flow, event, effects, by })
    }

    /// As its order said, where it is known. Else data can only be where something was deployed.
    async fn erasure_of(&self, stack: &[Orphan], erase: Option<Erase>) -> Result<Erasure, Error> {
        let mut known = None;
        for instance in stack.iter().filter_map(|orphan| orphan.instance) {
            known = known.or(self.store.instance(None, instance).await?.map(|(instance, _)| instance.order.erasure()));
        }
        let deployed = stack.iter().any(|orphan| orphan.role == Role::Deploy);
        let usual =
            Erasure { level: if deployed { Erase::Quick } else { Erase::None }, eraser: Eraser::Deploy, let_go: false };
        let erasure = known.unwrap_or(usual);
        Ok(Erasure { level: erase.unwrap_or(erasure.level), ..erasure })
    }

    fn orphaned<T>(&self, written: store::Result<T>) -> Result<T, Error> {
        written.map_err(|error| match error {
            store::Error::Refused(message) => Error::Refused { code: "orphan-not-releasable", message },
            other => other.into(),
        })
    }
}
