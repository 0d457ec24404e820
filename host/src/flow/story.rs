//! How a step is told to people: the progress of a wait, the lines of a timeline. Decides nothing.

use super::Outcome;
use super::advance::Next;
use super::task::Left;
use crate::model::{EventKind, Flow, Millis, Phase, Progress};

/// What the flow waits for now.
pub(super) fn progress(outcome: &Outcome, next: &Next, left: &Left, flow: &Flow) -> Progress {
    if next.task_over {
        return Progress::default();
    }
    let before = &flow.progress;
    let (percent, note) = match outcome {
        Outcome::Pending { percent, note, .. } => (*percent, note.clone()),
        Outcome::Retry { fault, .. } | Outcome::Stopped { fault, .. } | Outcome::Fail(fault) => {
            (before.percent, fault.message.clone())
        }
        Outcome::Done => return Progress::default(),
    };
    Progress {
        note,
        percent,
        backend: left.backend.clone().or_else(|| before.backend.clone()),
        plugin: left.plugin.clone().or_else(|| before.plugin.clone()),
        budget_ms: left.budget.map(|budget| Millis::try_from(budget.as_millis()).unwrap_or(Millis::MAX)),
    }
}

pub(super) fn kind(outcome: &Outcome, next: &Next) -> EventKind {
    match outcome {
        _ if next.position.phase == Phase::NeedsOperator => EventKind::NeedsOperator,
        _ if next.fault.is_some() => EventKind::Failed,
        Outcome::Done if next.position.phase.is_ended() => EventKind::Ended,
        Outcome::Done => EventKind::Done,
        Outcome::Pending { .. } => EventKind::Pending,
        Outcome::Retry { .. } | Outcome::Stopped { .. } => EventKind::Retry,
        Outcome::Fail(_) => EventKind::Failed,
    }
}

/// One sentence for the timeline.
pub(super) fn note(outcome: &Outcome, next: &Next) -> String {
    match (outcome, &next.fault) {
        (_, Some(fault)) => fault.message.clone(),
        (Outcome::Pending { note, .. }, None) => note.clone(),
        (Outcome::Retry { fault, .. } | Outcome::Stopped { fault, .. } | Outcome::Fail(fault), None) => {
            fault.message.clone()
        }
        (Outcome::Done, None) => String::new(),
    }
}
