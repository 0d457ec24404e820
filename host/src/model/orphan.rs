//! What a sweep finds: things of ours that no holding knows, and holdings that no far side knows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FlowId, HoldingId, InstanceId, Mark, Millis, Name, Role};

/// What may be done about an orphan without a person's word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SweepPolicy {
    /// It is told, and nothing else.
    #[default]
    Report,
    /// It is released, as far as the brake lets it.
    Release,
}

impl SweepPolicy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Release => "release",
        }
    }
}

/// A row of the orphans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrphanId(pub i64);

/// Theirs and not ours: it bears a mark of this site, and no holding has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Orphan {
    pub id: OrphanId,
    pub backend: Name,
    pub role: Role,
    pub mark: Mark,
    pub handle: String,
    /// The far side's own words for its state.
    pub said: String,
    /// The flow that the mark names, also one that this database does not know.
    pub flow: Option<FlowId>,
    pub round: u32,
    /// Whose it was; none where the flow is not known here.
    pub instance: Option<InstanceId>,
    pub state: OrphanState,
    /// When a driver promised that nothing of the mark was left and nothing could appear: it came late.
    pub promised_at: Option<Millis>,
    /// The instance that has the machine, or the rest of the stack: a release could take it from there.
    pub blocked_by: Option<InstanceId>,
    /// Why a person keeps it.
    pub why: Option<String>,
    pub first_seen: Millis,
    pub last_seen: Millis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrphanState {
    /// In one look, while its flow was running: it may be an operation in flight, and is not reported.
    Seen,
    Orphan,
    /// A person decided that it is left alone.
    Kept,
    /// A flow gives it back.
    Releasing,
}

impl OrphanState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Orphan => "orphan",
            Self::Kept => "kept",
            Self::Releasing => "releasing",
        }
    }
}

/// Ours and not theirs: a holding of which its backend's list says nothing, and of which `find` says that it is absent.
#[derive(Debug, Clone, PartialEq)]
pub struct Missing {
    pub holding: HoldingId,
    pub instance: InstanceId,
    /// Of the instance; none where it is no instance's.
    pub name: Option<Name>,
    pub backend: Name,
    pub role: Role,
    pub mark: Mark,
    pub handle: Option<String>,
    /// Since when it was held.
    pub since: Millis,
    /// A person decided that the holding stays.
    pub is_kept: bool,
    /// A flow works on the instance, and will find it out by itself.
    pub flow_runs: bool,
    pub why: Option<String>,
    pub first_seen: Millis,
    pub last_seen: Millis,
}

/// How far sweeps of one backend are.
#[derive(Debug, Clone, PartialEq)]
pub struct Swept {
    pub backend: Name,
    /// When the last look began that saw all of it; none: never.
    pub at: Option<Millis>,
    /// Why a later look did not end.
    pub fault: Option<String>,
    /// Different handles under this site's marks in that look.
    pub nodes: u64,
    /// Released by itself within the last hour.
    pub released: u64,
    /// Late arrivals: a driver had promised that nothing could appear.
    pub late: u64,
    /// Since when the brake holds, and why.
    pub stopped: Option<(Millis, String)>,
    /// Why a person let a reconcile end without it.
    pub excused: Option<String>,
}

/// How many objects of a backend with so many nodes may be released in an hour by themselves: 5 or 2 %, whichever is more.
pub fn brake(nodes: u64) -> u64 {
    (nodes / 50).max(5)
}

/// What belongs together and is given back together, so that the order of the stack holds: what one round of one flow made, and what is on
/// one machine of one backend. In the order of the smallest id.
pub fn stacks(orphans: Vec<Orphan>) -> Vec<Vec<Orphan>> {
    let mut stacks: Vec<Vec<Orphan>> = Vec::new();
    for orphan in orphans {
        let (near, far): (Vec<_>, Vec<_>) =
            stacks.into_iter().partition(|stack| stack.iter().any(|other| other.belongs_to(&orphan)));
        stacks = far;
        let mut stack: Vec<Orphan> = near.into_iter().flatten().chain([orphan]).collect();
        stack.sort_by_key(|orphan| orphan.id);
        stacks.push(stack);
    }
    let by_first: BTreeMap<_, _> = stacks.into_iter().filter_map(|stack| Some((stack.first()?.id, stack))).collect();
    by_first.into_values().collect()
}

impl Orphan {
    fn belongs_to(&self, other: &Self) -> bool {
        let of_one_round = self.flow.is_some() && (self.flow, self.round) == (other.flow, other.round);
        of_one_round || (&self.backend, &self.handle) == (&other.backend, &other.handle)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn orphan(id: i64, flow: Option<FlowId>, role: Role, backend: &str, handle: &str) -> Orphan {
        Orphan {
            id: OrphanId(id),
            backend: Name::parse("backend", backend).unwrap(),
            role,
            mark: Mark(format!("mg-abcdef-{id}")),
            handle: handle.into(),
            said: String::new(),
            flow,
            round: 1,
            instance: None,
            state: OrphanState::Orphan,
            promised_at: None,
            blocked_by: None,
            why: None,
            first_seen: 0,
            last_seen: 0,
        }
    }

    fn ids(stacks: Vec<Vec<Orphan>>) -> Vec<Vec<i64>> {
        stacks.into_iter().map(|stack| stack.into_iter().map(|orphan| orphan.id.0).collect()).collect()
    }

    #[test]
    fn what_one_round_made_and_what_is_on_one_machine_is_one_stack() {
        let (create, rebuild) = (Some(FlowId::fresh()), Some(FlowId::fresh()));
        let all = vec![
            orphan(1, create, Role::Compose, "pod-a", "n1"),
            orphan(2, None, Role::Compose, "pod-a", "n2"),
            orphan(3, rebuild, Role::Deploy, "ironic-1", "u1"),
            orphan(4, create, Role::Enroll, "ironic-1", "u1"),
            orphan(5, None, Role::Compose, "pod-b", "n2"),
        ];
        assert_eq!(ids(stacks(all)), [vec![1, 3, 4], vec![2], vec![5]]);
    }

    #[test]
    fn two_rounds_of_one_flow_are_two_stacks() {
        let flow = Some(FlowId::fresh());
        let second = Orphan { round: 2, ..orphan(2, flow, Role::Compose, "pod-a", "n2") };
        assert_eq!(ids(stacks(vec![orphan(1, flow, Role::Compose, "pod-a", "n1"), second])), [vec![1], vec![2]]);
    }

    #[test]
    fn the_brake_is_five_an_hour_or_two_in_a_hundred() {
        assert_eq!([0, 249, 299, 300, 1_000].map(brake), [5, 5, 5, 6, 20]);
    }
}
