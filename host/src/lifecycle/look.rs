//! One look at one role of one backend: its list against the holdings, in both directions. It changes nothing on any far side.
//!
//! The holdings are read before the list and again after it. An operation writes its holding before its first request, so what is in the
//! list and in no holding read afterwards was never begun by this database, or was settled.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::clock::Clock;
use crate::driver::{Answer, Call, Drivers, Held, Page, Presence};
use crate::model::{
    Fault, FaultKind, Flow, FlowId, Holding, HoldingId, HoldingState, InstanceId, Mark, Millis, OperationId, Phase,
    Revision, Role, Site,
};
use crate::store::{HeldAt, Lane, Store, Theirs, WriteLook};

/// Pages of one list, at most.
const PAGES: usize = 10_000;

pub(super) struct Look<'a> {
    pub(super) store: &'a Store,
    pub(super) drivers: &'a Drivers,
    pub(super) clock: &'a Clock,
    pub(super) site: &'a Site,
    /// The newest of the backend.
    pub(super) revision: &'a Revision,
}

impl Look<'_> {
    /// Writes down what it found; answers the handles that bear this site's marks.
    pub(super) async fn run(&self, role: Role) -> Result<HashSet<String>, Fault> {
        let began = self.clock.now();
        let backend = &self.revision.backend;
        let before = self.store.held_at(backend, role).await.map_err(not_read)?;
        let listed = self.list(role).await?;
        let after = self.store.held_at(backend, role).await.map_err(not_read)?;
        let (strange, doubtful) = compare(&listed, &before, &after);

        let earlier: HashMap<Mark, Millis> =
            self.store.orphans().await.map_err(not_read)?.into_iter().map(|it| (it.mark, it.first_seen)).collect();
        let mut theirs = Vec::new();
        for held in strange {
            let seen_before = earlier.get(&Mark(held.mark.clone())).is_some_and(|first| *first < began);
            theirs.push(self.theirs(role, held, seen_before).await?);
        }
        let mut missing = Vec::new();
        for id in doubtful {
            if self.is_absent(role, id).await? {
                missing.push(id);
            }
        }
        let handles = listed.iter().map(|held| held.handle.clone()).collect();
        let listed: BTreeSet<_> = listed.into_iter().map(|held| Mark(held.mark)).collect();
        let look = WriteLook { backend: backend.clone(), role, began, at: self.clock.now(), listed, theirs, missing };
        self.store.write(Lane::Flow, look).await.map_err(not_read)?;
        Ok(handles)
    }

    /// All pages; what bears another site's mark, or none, is not looked at, whatever the driver says.
    async fn list(&self, role: Role) -> Result<Vec<Held>, Fault> {
        let mut ours = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..PAGES {
            let page = self.page(role, after.clone()).await?.result?;
            let (own, others): (Vec<_>, Vec<_>) =
                page.items.into_iter().partition(|held| self.site.operation(&Mark(held.mark.clone())).is_some());
            if !others.is_empty() {
                let backend = self.revision.backend.as_str();
                tracing::warn!(backend, n = others.len(), "a list named what bears no mark of this site: left alone");
            }
            ours.extend(own);
            match page.next {
                None => return Ok(ours),
                next if next == after => break,
                next => after = next,
            }
        }
        Err(Fault::new(
            FaultKind::Broken,
            format!("the list of {} at {} does not end", role.as_str(), self.revision.backend),
        ))
    }

    async fn page(&self, role: Role, after: Option<String>) -> Result<Answer<Page>, Fault> {
        let (drivers, revision, call) = (self.drivers, self.revision.id, call());
        Ok(match role {
            Role::Compose => drivers.composer(revision).await?.list(call, self.site, after).await,
            Role::Claim => drivers.claimer(revision).await?.list(call, self.site, after).await,
            Role::Enroll => drivers.enroller(revision).await?.list(call, self.site, after).await,
            Role::Deploy => drivers.deployer(revision).await?.list(call, self.site, after).await,
        })
    }

    async fn find(&self, role: Role, what: &Holding) -> Result<Presence, Fault> {
        let (drivers, revision, call) = (self.drivers, self.revision.id, call());
        let answer = match role {
            Role::Compose => drivers.composer(revision).await?.find(call, what).await,
            Role::Claim => drivers.claimer(revision).await?.find(call, what).await,
            Role::Enroll => drivers.enroller(revision).await?.find(call, what).await,
            Role::Deploy => drivers.deployer(revision).await?.find(call, what).await,
        };
        answer.result
    }

    /// Certain when no operation in flight can be behind it, and `find` sees it after the holdings were read.
    async fn theirs(&self, role: Role, held: Held, seen_before: bool) -> Result<Theirs, Fault> {
        let mark = Mark(held.mark);
        let operation = self.site.operation(&mark).unwrap_or_else(|| OperationId(String::new()));
        let parts = operation.parts();
        let flow = match parts {
            Some((id, ..)) => self.store.flow(id).await.map_err(not_read)?,
            None => None,
        };
        let in_flight = flow.as_ref().is_some_and(|flow| {
            flow.position.phase.runs() && (!seen_before || parts.is_some_and(|at| is_to_come(flow, at)))
        });
        let what = bare(&mark, &held.handle, role, self.revision, operation);
        let certain = !in_flight && matches!(self.find(role, &what).await?, Presence::Present { .. });
        let said = [held.state, held.note].into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(": ");
        Ok(Theirs {
            mark,
            handle: held.handle,
            said,
            flow: parts.map(|(id, ..)| id),
            round: parts.map_or(0, |(.., round)| round),
            instance: flow.map(|flow| flow.instance),
            certain,
        })
    }

    /// Of a holding as it is now; one that went meanwhile is not missing.
    async fn is_absent(&self, role: Role, id: HoldingId) -> Result<bool, Fault> {
        let Some(holding) = self.store.holding_by_id(id).await.map_err(not_read)? else { return Ok(false) };
        Ok(self.find(role, &holding).await? == Presence::Absent)
    }
}

/// In the list and not in the holdings read after it; held before and after the list, and not in it.
fn compare(listed: &[Held], before: &[HeldAt], after: &[HeldAt]) -> (Vec<Held>, Vec<HoldingId>) {
    let ours: HashSet<&str> = after.iter().map(|held| held.mark.0.as_str()).collect();
    let theirs: HashSet<&str> = listed.iter().map(|held| held.mark.as_str()).collect();
    let before: HashSet<HoldingId> = before.iter().filter(|held| held.is_held).map(|held| held.id).collect();
    let mut once = HashSet::new();
    let strange = listed.iter().filter(|held| !ours.contains(held.mark.as_str()) && once.insert(held.mark.as_str()));
    let doubtful =
        after.iter().filter(|held| held.is_held && before.contains(&held.id) && !theirs.contains(held.mark.0.as_str()));
    (strange.cloned().collect(), doubtful.map(|held| held.id).collect())
}

/// In a restored database a flow may be behind what it has done: it will come to this operation again, and find the thing by its mark.
fn is_to_come(flow: &Flow, (_, task, round): (FlowId, usize, u32)) -> bool {
    flow.position.phase == Phase::Forward && (round, task) >= (flow.position.round, flow.position.task)
}

/// What is known of a thing that no holding has.
fn bare(mark: &Mark, handle: &str, role: Role, revision: &Revision, operation: OperationId) -> Holding {
    Holding {
        id: HoldingId(0),
        instance: InstanceId(uuid::Uuid::nil()),
        role,
        backend: revision.backend.clone(),
        revision: revision.id,
        operation,
        mark: mark.clone(),
        handle: Some(handle.to_owned()),
        facts: serde_json::Map::new(),
        trail: None,
        node: None,
        state: HoldingState::Held,
        fault: None,
        since: 0,
        off_at: None,
        owed_at: None,
    }
}

fn call() -> Call {
    let operation = OperationId(format!("sweep-{}", FlowId::fresh().0.simple()));
    Call { operation, attempt: 1, checkpoint: None, access_of: None }
}

fn not_read(error: crate::store::Error) -> Fault {
    Fault::new(FaultKind::Retry, format!("the store did not do it: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(id: i64, mark: &str, is_held: bool) -> HeldAt {
        HeldAt { id: HoldingId(id), mark: Mark(mark.into()), handle: None, is_held }
    }

    fn seen(mark: &str) -> Held {
        Held { mark: mark.into(), handle: mark.into(), state: String::new(), note: String::new() }
    }

    #[test]
    fn what_began_or_ended_while_the_list_was_read_is_no_difference() {
        let before = [held(1, "a", true), held(2, "b", true), held(3, "c", false)];
        // Meanwhile 2 was settled, 3 was answered, 4 began and 5 was answered.
        let after = [held(1, "a", true), held(3, "c", true), held(4, "d", false), held(5, "e", true)];
        let (strange, doubtful) = compare(&[seen("a"), seen("d")], &before, &after);
        assert_eq!((strange.len(), doubtful.len()), (0, 0));
    }

    #[test]
    fn each_direction_is_told_once() {
        let holdings = [held(1, "a", true), held(2, "b", false)];
        let (strange, doubtful) = compare(&[seen("x"), seen("x"), seen("y")], &holdings, &holdings);
        assert_eq!(strange.iter().map(|held| held.mark.as_str()).collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(doubtful, [HoldingId(1)]);
    }
}
