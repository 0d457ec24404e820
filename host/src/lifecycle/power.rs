//! Change the power of an instance's machine.

use serde::{Deserialize, Serialize};

use super::Error;
use super::task::SetPower;
use crate::driver::{Drivers, PowerWish};
use crate::flow::List;
use crate::model::{Budgets, Ending, Fault, InstanceId, Invalid};
use crate::store::{Effect, InstanceChange, Store};

pub(super) const KIND: &str = "instance.power";
pub(super) const VERSION: u32 = 1;

/// 1. `SetPower`  asks the running side and waits   | looks what came of it
pub(super) fn instance(store: &Store, drivers: &Drivers) -> List<Power> {
    List::new(KIND, VERSION).then(SetPower::with(store, drivers)).ends(ends)
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Power {
    pub(super) wish: PowerWish,
    #[serde(default)]
    pub(super) budgets: Budgets,
    /// The driver took the request.
    #[serde(default)]
    pub(super) was_asked: bool,
}

impl Power {
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|e| Invalid::new("power", e.to_string()).into())
    }
}

/// A machine that is off by wish is not degraded for it.
fn ends(id: InstanceId, power: &Power, ending: Ending, _: Option<&Fault>) -> Vec<Effect> {
    let off = matches!(power.wish, PowerWish::Off | PowerWish::SoftOff);
    let change = InstanceChange { off: Some(off), ..InstanceChange::of(id) };
    if ending == Ending::Done { vec![Effect::Instance(change)] } else { Vec::new() }
}
