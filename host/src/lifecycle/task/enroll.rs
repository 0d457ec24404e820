//! Puts the node under management; removes it.

use async_trait::async_trait;

use super::{Undo, call, intend, intended, settle, told, uncalled};
use crate::driver::Drivers;
use crate::flow::{Begin, Cx, Outcome, Task};
use crate::lifecycle::create::Create;
use crate::model::{Direction, Fault, FaultKind, Role};
use crate::store::{Effect, Store};

pub(in crate::lifecycle) struct Enroll {
    store: Store,
    drivers: Drivers,
    undo: Undo,
}

impl Enroll {
    pub(in crate::lifecycle) fn with(store: &Store, drivers: &Drivers) -> Self {
        Self { store: store.clone(), drivers: drivers.clone(), undo: Undo::of(Role::Enroll, store, drivers) }
    }
}

#[async_trait]
impl Task<Create> for Enroll {
    fn name(&self) -> &'static str {
        "enroll"
    }

    fn begin(&self, begin: &Begin, create: &Create) -> Vec<Effect> {
        match begin.direction {
            Direction::Execute => intend(begin, Role::Enroll, create.enroller()),
            Direction::Revert => self.undo.begin(begin, create.order.erasure()),
        }
    }

    async fn execute(&self, cx: &mut Cx, create: &mut Create) -> Outcome {
        let Some(made) = create.node.clone() else {
            return Outcome::Fail(Fault::new(FaultKind::Broken, "there is no composed node to enroll"));
        };
        cx.budget(create.order.budgets.of("enroll"));
        let holding = match intended(&self.store, cx).await {
            Ok(holding) => holding,
            Err(outcome) => return outcome,
        };
        cx.pinned(holding.revision);
        let enroller = match self.drivers.enroller(holding.revision).await {
            Ok(enroller) => enroller,
            Err(fault) => return uncalled(fault),
        };
        cx.calls(holding.backend.as_str(), enroller.plugin());
        cx.budget(enroller.budget("enroll"));
        let access_of = create.composer(cx.at.round).cloned();
        let answer = enroller.enroll(call(cx, access_of), &holding.mark, &made).await;
        told(cx, holding.revision, &answer);
        settle(cx, answer, |cx, node| {
            cx.note(format!("enrolled as {}", node.handle));
            cx.also(Effect::Hold {
                operation: cx.at.doing(),
                handle: node.handle.clone(),
                facts: node.facts.clone(),
                node: Some(node.clone()),
            });
            create.enrolled = Some(node);
        })
    }

    async fn revert(&self, cx: &mut Cx, create: &mut Create) -> Outcome {
        cx.budget(create.order.budgets.of("unenroll"));
        let outcome = self.undo.run(cx, create.order.erasure()).await;
        if outcome == Outcome::Done {
            create.enrolled = None;
        }
        outcome
    }
}
