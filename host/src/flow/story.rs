//! How a step is told to people: the progress of a wait, the lines of a timeline. Decides nothing.

use super::Outcome;
use super::advance::Next;
use crate::model::{EventKind, Flow, Phase, Progress};

/// What the flow waits for now.
pub(super) fn progress(
    outcome: &Outcome,
    next: &Next,
    backend: Option<String>,
    plugin: Option<String>,
    flow: &Flow,
) -> Progress {
    if next.task_over {
        return Progress::default();
    }
    let (backend, plugin) =
        (backend.or_else(|| flow.progress.backend.clone()), plugin.or_else(|| flow.progress.plugin.clone()));
    match outcome {
        Outcome::Pending { percent, note, .. } => Progress { note: note.clone(), percent: *percent, backend, plugin },
        Outcome::Retry { fault, .. } | Outcome::Fail(fault) => {
            Progress { note: fault.message.clone(), percent: flow.progress.percent, backend, plugin }
        }
        Outcome::Done => Progress::default(),
    }
}

pub(super) fn kind(outcome: &Outcome, next: &Next) -> EventKind {
    match outcome {
        _ if next.position.phase == Phase::NeedsOperator => EventKind::NeedsOperator,
        _ if next.fault.is_some() => EventKind::Failed,
        Outcome::Done if next.position.phase.is_ended() => EventKind::Ended,
        Outcome::Done => EventKind::Done,
        Outcome::Pending { .. } => EventKind::Pending,
        Outcome::Retry { .. } => EventKind::Retry,
        Outcome::Fail(_) => EventKind::Failed,
    }
}

/// One sentence for the timeline.
pub(super) fn note(outcome: &Outcome, next: &Next) -> String {
    match (outcome, &next.fault) {
        (_, Some(fault)) => fault.message.clone(),
        (Outcome::Pending { note, .. }, None) => note.clone(),
        (Outcome::Retry { fault, .. } | Outcome::Fail(fault), None) => fault.message.clone(),
        (Outcome::Done, None) => String::new(),
    }
}
