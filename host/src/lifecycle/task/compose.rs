//! Asks the composer for a node; releases it.

use async_trait::async_trait;

use super::{Undo, call, intend, intended, settle, told, uncalled};
use crate::driver::Drivers;
use crate::flow::{Begin, Cx, Outcome, Task};
use crate::lifecycle::create::Create;
use crate::model::{Direction, Role};
use crate::store::{Effect, InstanceChange, Store};

pub(in crate::lifecycle) struct Compose {
    store: Store,
    drivers: Drivers,
    undo: Undo,
}

impl Compose {
    pub(in crate::lifecycle) fn with(store: &Store, drivers: &Drivers) -> Self {
        Self { store: store.clone(), drivers: drivers.clone(), undo: Undo::of(Role::Compose, store, drivers) }
    }
}

#[async_trait]
impl Task<Create> for Compose {
    fn name(&self) -> &'static str {
        "compose"
    }

    fn begin(&self, begin: &Begin, create: &Create) -> Vec<Effect> {
        match begin.direction {
            Direction::Execute => intend(begin, Role::Compose, create.composer(begin.round)),
            Direction::Revert => self.undo.begin(begin, create.order.erasure()),
        }
    }

    async fn execute(&self, cx: &mut Cx, create: &mut Create) -> Outcome {
        cx.budget(create.order.budgets.of("compose"));
        let holding = match intended(&self.store, cx).await {
            Ok(holding) => holding,
            Err(outcome) => return outcome,
        };
        cx.pinned(holding.revision);
        let composer = match self.drivers.composer(holding.revision).await {
            Ok(composer) => composer,
            Err(fault) => return uncalled(fault),
        };
        cx.calls(holding.backend.as_str(), composer.plugin());
        cx.budget(composer.budget("compose"));
        let want = create.order.shape_for(&holding.backend);
        let answer = composer.compose(call(cx, None), &holding.mark, &want).await;
        told(cx, holding.revision, &answer);
        settle(cx, answer, |cx, node| {
            cx.note(format!("composed as {}", node.handle));
            cx.also(Effect::Hold {
                operation: cx.at.doing(),
                handle: node.handle.clone(),
                facts: node.facts.clone(),
                node: Some(node.clone()),
            });
            cx.also(Effect::Instance(InstanceChange { composed: Some(true), ..InstanceChange::of(cx.at.instance) }));
            create.node = Some(node);
        })
    }

    async fn revert(&self, cx: &mut Cx, create: &mut Create) -> Outcome {
        cx.budget(create.order.budgets.of("release"));
        let outcome = self.undo.run(cx, create.order.erasure()).await;
        if outcome == Outcome::Done {
            create.node = None;
        }
        outcome
    }
}
