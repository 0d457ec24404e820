//! Tells the managing side the access of a machine anew.

use async_trait::async_trait;

use super::{call, failed, heard, uncalled};
use crate::driver::{Doing, Drivers};
use crate::flow::{Begin, Cx, Outcome, Task};
use crate::lifecycle::refresh::Refresh;
use crate::model::{Fault, FaultKind, Role};
use crate::store::{Effect, Store};

pub(in crate::lifecycle) struct Rewrite {
    store: Store,
    drivers: Drivers,
}

impl Rewrite {
    pub(in crate::lifecycle) fn with(store: &Store, drivers: &Drivers) -> Self {
        Self { store: store.clone(), drivers: drivers.clone() }
    }
}

#[async_trait]
impl Task<Refresh> for Rewrite {
    fn name(&self) -> &'static str {
        "refresh"
    }

    fn begin(&self, _: &Begin, _: &Refresh) -> Vec<Effect> {
        Vec::new()
    }

    async fn execute(&self, cx: &mut Cx, refresh: &mut Refresh) -> Outcome {
        cx.budget(refresh.budgets.of("refresh"));
        let holding = match self.store.last_holding(cx.at.instance, Role::Enroll).await {
            Ok(Some(undone)) => undone.holding,
            Ok(None) => {
                return Outcome::Fail(Fault::new(FaultKind::Rejected, "no managing side has a node of this instance"));
            }
            Err(error) => return Outcome::retry(format!("the store did not say who manages it: {error}")),
        };
        cx.pinned(holding.revision);
        let enroller = match self.drivers.enroller(holding.revision).await {
            Ok(enroller) => enroller,
            Err(fault) => return uncalled(fault),
        };
        cx.calls(holding.backend.as_str(), enroller.plugin());
        cx.budget(enroller.budget("refresh"));
        let mut answer = enroller.refresh(call(cx, Some(refresh.of.clone())), &holding).await;
        heard(cx, holding.revision, &mut answer);
        match answer.result {
            Ok(Doing::Done(_)) => {
                cx.note(format!("{} was told the access of {} anew", holding.backend, refresh.of));
                Outcome::Done
            }
            Ok(Doing::Pending(pause)) => Outcome::Pending {
                checkpoint: pause.checkpoint,
                after: pause.after,
                percent: pause.percent,
                note: pause.note,
            },
            Err(fault) => failed(fault),
        }
    }

    /// A copy is right when it is the present value: there is nothing to put back.
    async fn revert(&self, _: &mut Cx, _: &mut Refresh) -> Outcome {
        Outcome::Done
    }
}
