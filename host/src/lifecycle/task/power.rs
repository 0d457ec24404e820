//! Asks the running side to change the power, and waits until it did.

use async_trait::async_trait;

use super::{call, failed, heard, shown, uncalled};
use crate::driver::{Call, Doing, Drivers, PowerWish};
use crate::flow::{Begin, Cx, Outcome, Task};
use crate::lifecycle::power::Power;
use crate::model::{Fault, FaultKind, Role};
use crate::store::{Effect, InstanceChange, Store};

pub(in crate::lifecycle) struct SetPower {
    store: Store,
    drivers: Drivers,
}

impl SetPower {
    pub(in crate::lifecycle) fn with(store: &Store, drivers: &Drivers) -> Self {
        Self { store: store.clone(), drivers: drivers.clone() }
    }
}

impl SetPower {
    /// What the running side sees; none when it does not tell.
    async fn is_on(&self, cx: &mut Cx) -> Option<bool> {
        let holding = self.store.last_holding(cx.at.instance, Role::Deploy).await.ok()??.holding;
        let handle = holding.handle?;
        let deployer = self.drivers.deployer(holding.revision).await.ok()?;
        cx.calls(holding.backend.as_str(), deployer.plugin());
        let looks = Call { checkpoint: None, ..call(cx, None) };
        let answer = deployer.observe(looks, &[handle]).await;
        cx.saw(answer.exchanges);
        answer.result.ok()?.first().and_then(|seen| seen.is_on)
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
        cx.pinned(holding.revision);
        let deployer = match self.drivers.deployer(holding.revision).await {
            Ok(deployer) => deployer,
            Err(fault) => return uncalled(fault),
        };
        cx.calls(holding.backend.as_str(), deployer.plugin());
        cx.budget(deployer.budget("set-power"));
        cx.shown(shown(&deployer, "set-power", Some(&handle)));
        let mut answer = deployer.set_power(call(cx, None), &handle, power.wish).await;
        heard(cx, holding.revision, &mut answer);
        power.was_asked |= answer.result.is_ok();
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

    /// Power is not put back: nobody asked for that. What was asked for may have come about all the same; then it is written down, also
    /// where the running side was asked and nobody can see what came of it.
    async fn revert(&self, cx: &mut Cx, power: &mut Power) -> Outcome {
        let off = match (power.wish, self.is_on(cx).await) {
            (PowerWish::Off | PowerWish::SoftOff, Some(false)) => true,
            (PowerWish::Off | PowerWish::SoftOff, None) if power.was_asked => true,
            (PowerWish::On, Some(true)) => false,
            (PowerWish::On, None) if power.was_asked => false,
            _ => return Outcome::Done,
        };
        cx.also(Effect::Instance(InstanceChange { off: Some(off), ..InstanceChange::of(cx.at.instance) }));
        Outcome::Done
    }
}
