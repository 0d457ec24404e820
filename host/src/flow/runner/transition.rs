//! What the commit after a call writes: the position that `advance` says, the effects of what begins or ends by it, its line.

use std::sync::Arc;
use std::time::Duration;

use super::Inner;
use crate::flow::advance::{Limits, Next, Signals, Wake, advance};
use crate::flow::list::{Page, Typed};
use crate::flow::story;
use crate::flow::task::{Begin, Left, Outcome};
use crate::model::{Direction, Event, Fault, Flow, Millis, Phase, Position};
use crate::store::{FlowUpdate, Transition};

impl Inner {
    /// What the commit after a call writes.
    pub(super) fn transition(
        &self,
        flow: &Flow,
        page: Option<&Arc<dyn Page>>,
        outcome: Outcome,
        (state, typed): (Vec<u8>, Option<&Typed>),
        mut left: Left,
    ) -> Transition {
        let now = self.clock.now();
        // In a line the clock stands: a task's time begins with its turn.
        let since = if flow.place.is_some_and(|place| place > 0) { now } else { flow.task_since };
        let budget = left.budget.unwrap_or(self.patience.deadline);
        let used = now.saturating_sub(since);
        let budget_left = budget.saturating_sub(Duration::from_millis(used.try_into().unwrap_or(0)));
        let signals = Signals {
            cancelled: flow.cancel,
            overdue: used > millis(budget),
            again: page
                .zip(flow.fault.as_ref())
                .and_then(|(page, cause)| page.again(&state, flow.position.round, cause)),
        };
        let limits = self.limits(page, flow.position.round);
        let next = advance(flow.position, &outcome, signals, &limits);
        let mut effects = std::mem::take(&mut left.effects);
        if let Some(page) = page {
            if next.task_over && next.position.phase.runs() {
                effects.extend(page.begin_after(&self.begin(flow, next.position), &state, typed));
            }
            let fault = next.fault.as_ref().or(flow.fault.as_ref());
            effects.extend(page.end(flow.instance, &state, next.position.phase, fault));
        }
        let task = page.and_then(|page| page.task_name(flow.position.round, flow.position.task));
        let progress = story::progress(&outcome, &next, &left, flow);
        let backend = left.backend.clone();
        let shown = left.shown.is_some() && !next.task_over && matches!(next.wake, Wake::After(_));
        let event = Event {
            seq: 0,
            at: now,
            task: task.unwrap_or_default().to_owned(),
            direction: direction(flow.position.phase),
            round: flow.position.round,
            attempt: flow.position.attempt,
            kind: left.kind.unwrap_or_else(|| story::kind(&outcome, &next)),
            note: left.note.unwrap_or_else(|| story::note(&outcome, &next)),
            backend: left.backend,
            plugin: left.plugin,
            exchanges: left.exchanges,
            given_back: left.given_back,
            evidence: left.evidence,
        };
        let update = FlowUpdate {
            position: next.position,
            checkpoint: checkpoint(flow, outcome, &next),
            state,
            task_since: if next.task_over { now } else { since },
            wake: match next.wake {
                Wake::Now => Some(now),
                Wake::After(after) => {
                    let after = if shown { after.max(self.patience.shown_wait.min(budget_left)) } else { after };
                    Some(now + millis(after.min(self.patience.longest_wait)))
                }
                Wake::Never => None,
            },
            shown,
            fault: fault_of_round(flow, &next),
            progress,
            as_due_as_before: next.wake == Wake::Now
                && flow.wake.is_some_and(|wake| wake <= now)
                && left.calls.is_none()
                && (&backend, &flow.backend, &flow.exclusive) == (&None, &None, &None),
            backend,
            calls: left.calls,
            task_over: next.task_over,
        };
        Transition { flow: flow.id, row: flow.row, from: flow.revision, update, event, effects }
    }

    fn limits(&self, page: Option<&Arc<dyn Page>>, round: u32) -> Limits {
        Limits {
            tasks: page.map_or(1, |page| page.count(round)),
            attempts: self.patience.attempts,
            revert_attempts: self.patience.revert_attempts,
            turns: page.is_some_and(|page| page.turns()),
            patient: page.is_some_and(|page| page.is_patient()),
            backoff: self.patience.backoff,
            backoff_max: self.patience.backoff_max,
            revert_backoff_max: self.patience.revert_backoff_max,
        }
    }

    pub(super) fn begin(&self, flow: &Flow, position: Position) -> Begin {
        Begin {
            flow: flow.id,
            instance: flow.instance,
            direction: direction(position.phase),
            task: position.task,
            round: position.round,
            site: self.site.clone(),
        }
    }
}

fn direction(phase: Phase) -> Direction {
    if phase == Phase::Backward { Direction::Revert } else { Direction::Execute }
}

/// The first cause of a round is kept; a new round starts without one.
fn fault_of_round(flow: &Flow, next: &Next) -> Option<Fault> {
    let new_round = next.position.round > flow.position.round;
    let resting = next.position.phase == Phase::NeedsOperator;
    match (&flow.fault, &next.fault) {
        _ if new_round => None,
        (Some(first), _) if !resting => Some(first.clone()),
        (first, None) => first.clone(),
        (_, Some(now)) => Some(now.clone()),
    }
}

fn checkpoint(flow: &Flow, outcome: Outcome, next: &Next) -> Option<Vec<u8>> {
    match outcome {
        _ if next.task_over => None,
        Outcome::Pending { checkpoint, .. } => Some(checkpoint),
        _ => flow.checkpoint.clone(),
    }
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
