//! Asks the running side to change the power, and waits until it did.

use async_trait::async_trait;

use super::{call, failed};
use crate::driver::{Doing, Drivers};
use crate::flow::{Begin, Cx, Outcome, Task};
use crate::lifecycle::power::Power;
use crate::model::{Fault, FaultKind, Role};
use crate::store::{Effect, Store};

pub(in crate::lifecycle) struct SetPower {
    store: Store,
    drivers: Drivers,
}

impl SetPower {
    pub(in crate::lifecycle) fn with(store: &Store, drivers: &Drivers) -> Self {
        Self { store: store.clone(), drivers: drivers.clone() }
    }
}

#[async_trait]
impl Task<Power> for SetPower {
    fn name(&self) -> &'static str {
        "power"
    }

    fn begin(&self, _: &Begin, _: &Power) -> Vec<Effect> {
        Vec::new()
    }

    async fn execute(&self, cx: &mut Cx, power: &mut Power) -> Outcome {
        cx.budget(power.budgets.of("set-power"));
        let running = match self.store.last_holding(cx.at.instance, Role::Deploy).await {
            Ok(running) => running.map(|undone| undone.holding),
            Err(error) => return Outcome::retry(format!("the store did not say what runs: {error}")),
        };
        let Some((holding, handle)) =
            running.and_then(|holding| holding.handle.clone().map(|handle| (holding, handle)))
        else {
            return Outcome::Fail(Fault::new(FaultKind::Rejected, "nothing is deployed on this instance"));
        };
        let deployer = match self.drivers.deployer(holding.revision).await {
            Ok(deployer) => deployer,
            Err(fault) => return failed(fault),
        };
        cx.calls(holding.backend.as_str(), deployer.plugin());
        cx.budget(deployer.budget("set-power"));
        let answer = deployer.set_power(call(cx, None), &handle, power.wish).await;
        cx.saw(answer.exchanges);
        match answer.result {
            Ok(Doing::Done(_)) => Outcome::Done,
            Ok(Doing::Pending(pause)) => Outcome::Pending {
                checkpoint: pause.checkpoint,
                after: pause.after,
                percent: pause.percent,
                note: pause.note,
            },
            Err(fault) => failed(fault),
        }
    }

    /// Power is not put back: nobody asked for it.
    async fn revert(&self, _: &mut Cx, _: &mut Power) -> Outcome {
        Outcome::Done
    }
}
