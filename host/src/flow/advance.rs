//! What comes next: laws 6 to 9 of the engine in one `match`, without clock and without IO.
//!
//! 6. The task that failed is reverted too, first.
//! 7. A retry waits and counts; a fail turns the flow round. A revert that runs out of attempts needs an operator.
//! 8. A cancel acts as a fail of the current task; backward it only forbids another round.
//! 9. Another round begins when everything was reverted, unless cancelled or the request itself was wrong.

use std::time::Duration;

use super::Outcome;
use crate::model::{Fault, FaultKind, Phase, Position};

/// How patient this flow is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tasks in the list.
    pub tasks: usize,
    /// Attempts of an execute.
    pub attempts: u32,
    /// Attempts of a revert, and of an execute in a flow that does not turn.
    pub revert_attempts: u32,
    /// False for a flow that is itself an undo: it has nowhere to turn and asks for an operator instead.
    pub turns: bool,
    /// True for a flow that is never given up: whatever fails is tried again.
    pub patient: bool,
    pub backoff: Duration,
    pub backoff_max: Duration,
    /// The longest back-off of an undo, and of a flow that does not turn: it is tried for a day and more.
    pub revert_backoff_max: Duration,
}

/// What is known beside the outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signals {
    pub cancelled: bool,
    /// The task used up its time for this round and direction.
    pub overdue: bool,
    /// The round to begin when everything was reverted: the first cause was one that it may not meet.
    pub again: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Next {
    pub position: Position,
    pub wake: Wake,
    /// Why it turned round or rests.
    pub fault: Option<Fault>,
    /// The task, direction or round is another one: its checkpoint is void and its clock starts anew.
    pub task_over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    Now,
    After(Duration),
    /// It ended, or only a person moves it.
    Never,
}

/// The next position after `outcome`. Only for a position whose phase runs.
pub fn advance(at: Position, outcome: &Outcome, signals: Signals, limits: &Limits) -> Next {
    use Outcome::{Done, Fail, Pending, Retry, Stopped};
    use Phase::{Backward, Forward};

    match (at.phase, outcome) {
        (Forward, Done) if at.task + 1 == limits.tasks => end(at, Phase::Done),
        (Forward, Done) => begin(at, Forward, at.task + 1, at.round),
        (Forward, Retry { fault, .. } | Fail(fault)) if limits.patient => slowly(at, fault, limits),
        (Forward, Pending { after, .. }) if limits.patient => stay(at, 1, *after),
        (_, Stopped { tried, .. }) if limits.patient => halt(at, *tried, limits),

        (Forward, Pending { .. } | Retry { .. } | Stopped { .. }) if signals.cancelled => turn(at, cancelled(), limits),
        (Forward, Pending { note, .. }) if signals.overdue => turn(at, overdue(note), limits),
        (Forward, Retry { fault, .. } | Stopped { fault, .. }) if signals.overdue => {
            turn(at, overdue(&fault.message), limits)
        }
        (Forward, Retry { fault, .. }) if at.attempt >= attempts(limits) => turn(at, fault.clone(), limits),
        (Forward, Fail(fault)) => turn(at, fault.clone(), limits),

        (Backward, Done) if at.task > 0 => begin(at, Backward, at.task - 1, at.round),
        (Backward, Done) => match signals.again.filter(|round| *round > at.round && !signals.cancelled) {
            Some(round) => begin(at, Forward, 0, round),
            None => end(at, Phase::Reverted),
        },
        (Backward, Pending { note, .. }) if signals.overdue => rest(at, overdue(note)),
        (Backward, Retry { fault, .. }) if at.attempt >= limits.revert_attempts => rest(at, fault.clone()),
        (Backward, Fail(fault)) => rest(at, fault.clone()),

        (_, Stopped { tried, .. }) => halt(at, *tried, limits),
        (_, Pending { after, .. }) => stay(at, 1, *after),
        (_, Retry { after, .. }) => {
            stay(at, at.attempt.saturating_add(1), after.unwrap_or_else(|| backoff(at, limits)))
        }
        (phase, Done) => end(at, phase),
        (_, Fail(fault)) => rest(at, fault.clone()),
    }
}

/// Law 6: the failed task itself is reverted first.
fn turn(at: Position, fault: Fault, limits: &Limits) -> Next {
    if !limits.turns {
        return rest(at, fault);
    }
    Next { fault: Some(fault), ..begin(at, Phase::Backward, at.task, at.round) }
}

fn begin(at: Position, phase: Phase, task: usize, round: u32) -> Next {
    let position = Position { phase, task, attempt: 1, round };
    Next { position, wake: Wake::Now, fault: None, task_over: position != at }
}

fn stay(at: Position, attempt: u32, after: Duration) -> Next {
    let wake = if after.is_zero() { Wake::Now } else { Wake::After(after) };
    Next { position: Position { attempt, ..at }, wake, fault: None, task_over: false }
}

/// What ends the stop wakes it; should it wake before, it is not in a hurry.
fn halt(at: Position, tried: bool, limits: &Limits) -> Next {
    stay(at, at.attempt.saturating_add(u32::from(tried)), backoff(at, limits))
}

fn rest(at: Position, fault: Fault) -> Next {
    let position = Position { phase: Phase::NeedsOperator, ..at };
    Next { position, wake: Wake::Never, fault: Some(fault), task_over: false }
}

fn end(at: Position, phase: Phase) -> Next {
    Next { position: Position { phase, ..at }, wake: Wake::Never, fault: None, task_over: true }
}

fn attempts(limits: &Limits) -> u32 {
    if limits.turns { limits.attempts } else { limits.revert_attempts }
}

fn backoff(at: Position, limits: &Limits) -> Duration {
    let doubled = limits.backoff.saturating_mul(1 << at.attempt.saturating_sub(1).min(20));
    let undoes = at.phase == Phase::Backward || !limits.turns;
    doubled.min(if undoes { limits.revert_backoff_max } else { limits.backoff_max })
}

/// What a far side says to wait is a floor, never a reason to come sooner.
fn slowly(at: Position, fault: &Fault, limits: &Limits) -> Next {
    let asked = fault.after_ms.map(Duration::from_millis).unwrap_or_default();
    stay(at, at.attempt.saturating_add(1), asked.max(backoff(at, limits)))
}

fn cancelled() -> Fault {
    Fault::new(FaultKind::Cancelled, "a user asked to stop")
}

fn overdue(waited_for: &str) -> Fault {
    Fault::new(FaultKind::Overdue, format!("it took longer than its budget; the last word was: {waited_for}"))
}

#[cfg(test)]
mod tests;
