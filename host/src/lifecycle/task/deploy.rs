//! Writes the image, boots, waits; powers off and erases as the flavor says.

use async_trait::async_trait;

use super::{Undo, call, intend, intended, settle, shown, told, uncalled};
use crate::driver::{DeployOrder, Drivers};
use crate::flow::{Begin, Cx, Outcome, Task};
use crate::lifecycle::create::Create;
use crate::model::{Direction, Fault, FaultKind, Role};
use crate::store::{Effect, InstanceChange, Store};

pub(in crate::lifecycle) struct Deploy {
    store: Store,
    drivers: Drivers,
    undo: Undo,
}

impl Deploy {
    pub(in crate::lifecycle) fn with(store: &Store, drivers: &Drivers) -> Self {
        Self { store: store.clone(), drivers: drivers.clone(), undo: Undo::of(Role::Deploy, store, drivers) }
    }
}

#[async_trait]
impl Task<Create> for Deploy {
    fn name(&self) -> &'static str {
        "deploy"
    }

    fn begin(&self, begin: &Begin, create: &Create) -> Vec<Effect> {
        match begin.direction {
            Direction::Execute => intend(begin, Role::Deploy, create.deployer()),
            Direction::Revert => self.undo.begin(begin, create.order.erasure()),
        }
    }

    async fn execute(&self, cx: &mut Cx, create: &mut Create) -> Outcome {
        let Some(enrolled) = &create.enrolled else {
            return Outcome::Fail(Fault::new(FaultKind::Broken, "there is no enrolled node to deploy to"));
        };
        cx.budget(create.order.budgets.of("deploy"));
        let holding = match intended(&self.store, cx).await {
            Ok(holding) => holding,
            Err(outcome) => return outcome,
        };
        cx.pinned(holding.revision);
        let deployer = match self.drivers.deployer(holding.revision).await {
            Ok(deployer) => deployer,
            Err(fault) => return uncalled(fault),
        };
        cx.calls(holding.backend.as_str(), deployer.plugin());
        cx.budget(deployer.budget("deploy"));
        cx.shown(shown(&deployer, "deploy", Some(&enrolled.handle)));
        let order = DeployOrder {
            node: enrolled.handle.clone(),
            image: create.order.image_for(&holding.backend),
            hostname: create.order.hostname.clone(),
            user_data: create.order.user_data.clone(),
            ssh_keys: create.order.ssh_keys.clone(),
            networks: create.order.networks.get(&holding.backend).cloned().unwrap_or_default(),
        };
        let answer = deployer.deploy(call(cx, None), &holding.mark, &order).await;
        told(cx, holding.revision, &answer);
        settle(cx, answer, |cx, deployed| {
            cx.note(if create.order.adopting { "taken over as it runs" } else { "active" });
            cx.also(Effect::Hold {
                operation: cx.at.doing(),
                handle: deployed.handle,
                facts: deployed.facts,
                node: None,
            });
            cx.also(Effect::Instance(InstanceChange {
                addresses: Some(deployed.addresses),
                ..InstanceChange::of(cx.at.instance)
            }));
        })
    }

    async fn revert(&self, cx: &mut Cx, create: &mut Create) -> Outcome {
        cx.budget(create.order.budgets.of("undeploy"));
        self.undo.run(cx, create.order.erasure()).await
    }
}
