//! Borrows a machine that exists; gives it back, and quarantines one that failed.

use async_trait::async_trait;

use super::{Undo, call, intend, intended, settle, told, uncalled};
use crate::driver::Drivers;
use crate::flow::{Begin, Cx, Outcome, Task};
use crate::lifecycle::create::Create;
use crate::model::{Direction, Fault, FaultKind, Node, Role};
use crate::store::{Effect, InstanceChange, Store};

pub(in crate::lifecycle) struct Claim {
    store: Store,
    drivers: Drivers,
    undo: Undo,
}

impl Claim {
    pub(in crate::lifecycle) fn with(store: &Store, drivers: &Drivers) -> Self {
        Self { store: store.clone(), drivers: drivers.clone(), undo: Undo::of(Role::Claim, store, drivers) }
    }
}

#[async_trait]
impl Task<Create> for Claim {
    fn name(&self) -> &'static str {
        "claim"
    }

    fn begin(&self, begin: &Begin, create: &Create) -> Vec<Effect> {
        match begin.direction {
            Direction::Execute => intend(begin, Role::Claim, create.claimer()),
            Direction::Revert => self.undo.begin(begin, create.order.erasure()),
        }
    }

    async fn execute(&self, cx: &mut Cx, create: &mut Create) -> Outcome {
        cx.budget(create.order.budgets.of("claim"));
        let holding = match intended(&self.store, cx).await {
            Ok(holding) => holding,
            Err(outcome) => return outcome,
        };
        cx.pinned(holding.revision);
        let claimer = match self.drivers.claimer(holding.revision).await {
            Ok(claimer) => claimer,
            Err(fault) => return uncalled(fault),
        };
        cx.calls(holding.backend.as_str(), claimer.plugin());
        cx.budget(claimer.budget("claim"));
        let mut exclude = create.excluded.clone();
        match self.store.quarantined(&holding.backend).await {
            Ok(nodes) => exclude.extend(nodes.into_iter().map(|node| node.handle)),
            Err(error) => return Outcome::retry(format!("the store did not say which nodes are quarantined: {error}")),
        }
        let want = create.order.shape_to_claim();
        let answer = claimer.claim(call(cx, None), &holding.mark, &want, &exclude).await;
        told(cx, holding.revision, &answer);
        let outcome = settle(cx, answer, |cx, node| {
            cx.note(format!("claimed {}", node.handle));
            cx.also(Effect::Hold {
                operation: cx.at.doing(),
                handle: node.handle.clone(),
                facts: node.facts.clone(),
                node: Some(node.clone()),
            });
            cx.also(Effect::Instance(InstanceChange { composed: Some(false), ..InstanceChange::of(cx.at.instance) }));
            create.enrolled = Some(node);
        });
        match (&outcome, &create.enrolled) {
            (Outcome::Done, Some(node)) if create.order.adopting && !is_adopted(node) => Outcome::Fail(Fault::new(
                FaultKind::Rejected,
                "the driver does not say that it took the machine as it runs",
            )),
            _ => outcome,
        }
    }

    /// The machine that failed is left out of the next rounds, and of other instances until an operator clears it.
    async fn revert(&self, cx: &mut Cx, create: &mut Create) -> Outcome {
        cx.budget(create.order.budgets.of("unclaim"));
        let outcome = self.undo.run(cx, create.order.erasure()).await;
        if outcome != Outcome::Done {
            return outcome;
        }
        if let (Some(node), Some(cause), Some(backend)) = (create.enrolled.take(), cx.cause.clone(), create.claimer()) {
            let is_the_nodes =
                matches!(cause.kind, FaultKind::Broken | FaultKind::Overdue | FaultKind::Mismatch | FaultKind::Retry);
            // One that was never ours is nobody's to take out of service.
            if is_the_nodes && !create.order.adopting {
                cx.also(Effect::Quarantine { backend: backend.clone(), handle: node.handle.clone(), cause });
            }
            create.excluded.push(node.handle);
        }
        outcome
    }
}

/// A driver that knows nothing of adopting may have lent a free machine instead.
fn is_adopted(node: &Node) -> bool {
    node.facts.get("adopted") == Some(&true.into())
}
