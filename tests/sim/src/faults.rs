//! The switches: what a test sets so that a far side misbehaves, how often and on which requests. A switch that belongs to a request
//! (a lost answer, a refusal) is matched by side, method and path; one that belongs to a deed (composing half the memory) is
//! matched by its kind alone, where the deed is done.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::exchange::Side;

/// One switch. Fields that a kind does not name are ignored by it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Whose requests; every side's when absent.
    pub side: Option<Side>,
    /// `GET`, `POST`...; any when absent.
    pub method: Option<String>,
    /// A path pattern, `*` for one segment, `**` at the end for the rest; any when absent.
    pub path: Option<String>,
    pub kind: Kind,
    /// How many times it fires; 0: for ever.
    #[serde(default = "once")]
    pub times: u64,
    /// How many matching requests pass first.
    #[serde(default)]
    pub skip: u64,
    /// HTTP status of `refuse`; 503 when absent.
    pub status: Option<u16>,
    /// Milliseconds, for the kinds that wait.
    pub ms: Option<u64>,
    /// The sentence that the far side says about it.
    pub message: Option<String>,
    /// `garbage`: whether the work is done (it is). `deploy-fails`: whether the disks were written before (they were).
    pub work: Option<bool>,
    /// `half-memory`: the pod manager tells the size that was asked for all the same.
    #[serde(default)]
    pub lies: bool,
    /// `assembly-fails`: after Assemble was accepted, and not at once.
    #[serde(default)]
    pub later: bool,
    /// How often it fired.
    #[serde(default)]
    pub fired: u64,
    #[serde(default, skip)]
    seen: u64,
}

fn once() -> u64 {
    1
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    // Of a request, on any side.
    /// Does the work, then closes the connection without an answer.
    LostAnswer,
    /// Nothing done; an error of this `status` in that side's shape.
    Refuse,
    /// Waits `ms`, then does it.
    Delay,
    /// Does it, then waits `ms` with the answer.
    SlowAnswer,
    /// Nothing done, the connection is closed.
    Drop,
    /// 200 with a body that is no JSON.
    Garbage,
    /// 200 with an error body, as the Valence of 2017 reports a failed assembly; nothing done.
    ErrorBody,
    /// The connection closes at once; the work is done `ms` later.
    LateCompletion,

    // Of the pod manager.
    /// The next node has half the memory.
    HalfMemory,
    /// The next node has the system of a node that exists.
    SameSystemTwice,
    /// Answers the release; the node stays, visible and held.
    KeepOnRelease,
    /// Answers the release and shows the node no more, but holds it still.
    ForgetReleaseSilent,
    /// Assembling fails.
    AssemblyFails,
    /// Assembling goes on for `ms` and then fails; without `ms` it goes on for ever.
    StuckAssembling,
    /// No system is free.
    FullPool,
    /// Somebody else released the node, and its index is now a foreign node's.
    IndexReused,
    /// Somebody else released the node; Valence's record of it can never be removed.
    RecordStuck,

    // Of the pod manager's pool in pieces.
    /// Somebody else composes a system with the first block of the next one, too.
    DoubleCompose,
    /// Before the next composition somebody takes the first block away, reserved or not.
    ReserveLost,
    /// The first block of the next system that is decomposed is `Failed`; repaired after `ms`, without `ms` never.
    BlockFailed,
    /// The next erasing ends in an exception, or is not done on detach.
    EraseFails,
    /// The next composition is answered 201 with neither Location nor body.
    NoLocation,
    /// The next composition is answered 200 with the system and no Location.
    BodyOnly,
    /// The next composition or decomposition is answered 202 with a task monitor, and done after `ms`.
    AsTask,

    /// etcd is away when Valence writes its record of an assembled node.
    EtcdDown,

    // Of Ironic.
    /// The node is locked: 409.
    Locked,
    /// Verifying fails.
    ManageFails,
    /// Deploying fails.
    DeployFails,
    /// Deleting fails, and ends in `error`.
    UndeployError,
    /// Cleaning fails, nothing is erased, and the node goes into maintenance.
    CleanFails,
    /// The lock is kept `ms` longer than the state changes; 1,000 when absent.
    SlowLockRelease,
    /// An allocation stays `allocating` for `ms`; without `ms` for ever.
    StuckAllocating,
    /// An allocation fails because its candidates are locked or taken while it is decided.
    AllocationContended,
    /// Ironic is killed during the next transition, and started again.
    RestartDuring,

    // Of CloudBoot.
    /// The installer reports a failure, after it wrote the disks.
    InstallFails,
    /// The installer reports nothing any more; after `ms` CloudBoot calls it a failure, without `ms` never.
    InstallStuck,
    /// Somebody else enters the same server right after us.
    ClaimedTwice,
    /// No BMC can be reached with these credentials.
    BmcAway,
    /// A power action is answered and not done.
    PowerIgnored,
}

impl Kind {
    fn is_of_a_request(self) -> bool {
        matches!(
            self,
            Self::LostAnswer
                | Self::Refuse
                | Self::Delay
                | Self::SlowAnswer
                | Self::Drop
                | Self::Garbage
                | Self::ErrorBody
                | Self::LateCompletion
        )
    }
}

/// Every switch that is set.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        self.lock().push(Fault { fired: 0, seen: 0, ..fault });
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    pub(crate) fn list(&self) -> Vec<Fault> {
        self.lock().clone()
    }

    /// The faults of this request: every delay, and at most one of another kind.
    pub(crate) fn strike(&self, side: Side, call: &Call) -> Vec<Fault> {
        let mut struck: Vec<Fault> = Vec::new();
        for fault in self.lock().iter_mut().filter(|fault| fault.kind.is_of_a_request()) {
            let taken = struck.iter().any(|other| other.kind != Kind::Delay);
            if (fault.kind == Kind::Delay || !taken) && fault.matches(side, call) && fault.fire() {
                struck.push(fault.clone());
            }
        }
        struck
    }

    /// Whether a deed goes wrong in this way now. Counts as fired when it does.
    pub(crate) fn fires(&self, kind: Kind) -> Option<Fault> {
        self.lock()
            .iter_mut()
            .find(|fault| fault.kind == kind && fault.is_left())
            .and_then(|fault| fault.fire().then(|| fault.clone()))
    }

    /// The same, for the kinds that are Ironic's answer to a request.
    pub(crate) fn fires_on(&self, kind: Kind, side: Side, call: &Call) -> Option<Fault> {
        let mut faults = self.lock();
        let fault =
            faults.iter_mut().find(|fault| fault.kind == kind && fault.is_left() && fault.matches(side, call))?;
        fault.fire().then(|| fault.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fault {
    fn matches(&self, side: Side, call: &Call) -> bool {
        self.side.is_none_or(|wanted| wanted == side)
            && self.method.as_deref().is_none_or(|method| method.eq_ignore_ascii_case(call.method.as_str()))
            && self.path.as_deref().is_none_or(|pattern| fits(pattern, &call.path))
    }

    fn is_left(&self) -> bool {
        self.times == 0 || self.fired < self.times
    }

    fn fire(&mut self) -> bool {
        if !self.is_left() {
            return false;
        }
        self.seen += 1;
        let fires = self.seen > self.skip;
        self.fired += u64::from(fires);
        fires
    }
}

fn fits(pattern: &str, path: &str) -> bool {
    let mut path = path.split('/').filter(|part| !part.is_empty());
    for wanted in pattern.split('/').filter(|part| !part.is_empty()) {
        match (wanted, path.next()) {
            ("**", _) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(part)) if wanted == part => {}
            _ => return false,
        }
    }
    path.next().is_none()
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::*;

    fn fault(text: &str) -> Fault {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_star_stands_for_one_segment_and_two_for_the_rest() {
        assert!(fits("/v1/nodes/*", "/v1/nodes/a"));
        assert!(!fits("/v1/nodes/*", "/v1/nodes"));
        assert!(!fits("/v1/nodes/*", "/v1/nodes/a/states"));
        assert!(fits("/v1/**", "/v1/nodes/a/states"));
    }

    #[test]
    fn a_switch_skips_then_fires_as_often_as_it_says() {
        let faults = Faults::default();
        faults.add(fault(r#"{"side":"valence","method":"POST","path":"/v1/nodes","kind":"drop","times":2,"skip":1}"#));
        let call = Call::new(Method::POST, "/v1/nodes");
        let fired: Vec<_> = (0..5).map(|_| faults.strike(Side::Valence, &call).len()).collect();
        assert_eq!(fired, [0, 1, 1, 0, 0]);
        assert!(faults.strike(Side::Ironic, &call).is_empty());
        assert_eq!(faults.list()[0].fired, 2);
    }

    #[test]
    fn a_switch_that_belongs_to_a_deed_does_not_strike_requests() {
        let faults = Faults::default();
        faults.add(fault(r#"{"side":"valence","kind":"half-memory"}"#));
        assert!(faults.strike(Side::Valence, &Call::new(Method::POST, "/v1/nodes")).is_empty());
        assert!(faults.fires(Kind::HalfMemory).is_some());
        assert!(faults.fires(Kind::HalfMemory).is_none());
    }
}
