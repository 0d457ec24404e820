//! What an operator says of a flow that rests.

use std::sync::Arc;

use super::Runner;
use crate::flow::list::Page;
use crate::flow::task::{Left, Outcome};
use crate::model::{EventKind, Fault, FaultKind, Flow, Phase, Position, Role};
use crate::store::{Effect, Transition};

impl Runner {
    /// An operator's word in place of a task that a flow rests at: it counts as done, and what its undo would have given back as gone.
    ///
    /// `also` is committed with it. None: the flow does not rest.
    pub fn skipped(&self, flow: &Flow, note: &str, also: Vec<Effect>) -> Option<Transition> {
        let (page, flow) = self.rested(flow)?;
        let begin = self.0.begin(&flow, flow.position);
        let mut effects = written_off(&page.begin(&begin, &flow.state));
        effects.extend(also);
        let left = Left { effects, note: Some(note.to_owned()), kind: Some(EventKind::Skipped), ..Left::default() };
        Some(self.0.transition(&flow, Some(&page), Outcome::Done, (flow.state.clone(), None), left))
    }

    /// The end of a flow that rests, whatever it still holds. None: it does not rest.
    pub fn abandoned(&self, flow: &Flow, note: &str, also: Vec<Effect>) -> Option<Transition> {
        let (page, at) = self.rested(flow)?;
        let left =
            Left { effects: also, note: Some(note.to_owned()), kind: Some(EventKind::Abandoned), ..Left::default() };
        // As if it came to rest once more: that begins no other task.
        let why = flow.fault.clone().unwrap_or_else(|| Fault::new(FaultKind::Broken, note));
        let mut end = self.0.transition(&at, Some(&page), Outcome::Fail(why), (at.state.clone(), None), left);
        let phase = if page.turns() { Phase::Reverted } else { Phase::Done };
        end.update.position = Position { phase, ..flow.position };
        (end.update.wake, end.update.task_over) = (None, true);
        Some(end)
    }

    /// Which role's undo a flow rests at; none for a task that gives nothing back.
    pub fn rests_at(&self, flow: &Flow) -> Option<Role> {
        let (page, flow) = self.rested(flow)?;
        let begun = page.begin(&self.0.begin(&flow, flow.position), &flow.state);
        begun.iter().find_map(|effect| match effect {
            Effect::BeginUndo { role, .. } => Some(*role),
            _ => None,
        })
    }

    /// A flow that needs an operator, as it stood before it rested.
    fn rested(&self, flow: &Flow) -> Option<(Arc<dyn Page>, Flow)> {
        let page = self.0.book.page(&flow.kind, flow.version)?;
        let phase = if page.turns() { Phase::Backward } else { Phase::Forward };
        let position = Position { phase, ..flow.position };
        (flow.position.phase == Phase::NeedsOperator).then(|| (page, Flow { position, ..flow.clone() }))
    }
}

/// An undo that a person takes the place of.
fn written_off(begun: &[Effect]) -> Vec<Effect> {
    let role = begun.iter().find_map(|effect| match effect {
        Effect::BeginUndo { instance, role } => Some(Effect::WriteOff { instance: *instance, role: *role }),
        _ => None,
    });
    role.into_iter().collect()
}
