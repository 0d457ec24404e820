//! Delete an instance: undo every holding, last taken first, whatever its create left.

use serde::{Deserialize, Serialize};

use super::Error;
use super::task::Undo;
use crate::driver::Drivers;
use crate::flow::List;
use crate::model::{Budgets, Ending, Erasure, Fault, Instance, InstanceId, Invalid, Role};
use crate::store::{Effect, InstanceChange, Store};

pub(super) const KIND: &str = "instance.delete";
pub(super) const SETTLE: &str = "instance.settle";
pub(super) const VERSION: u32 = 1;

/// 1. `undeploy`  powers off, erases as the flavor says
/// 2. `unenroll`  removes the node from management
/// 3. `unclaim`   gives a pre-set node back
/// 4. `release`   gives a composed one back to the pool
///
/// It is an undo itself and never turns round: what fails is tried again, and then an operator must look. When
/// one of them does not end and the machine was seen off, the instance is gone and what is still held are debts.
pub(super) fn instance(store: &Store, drivers: &Drivers) -> List<Delete> {
    undo_all(KIND, store, drivers).never_turns()
}

/// Settle the debts of an instance that is gone: the same, and tried again for as long as it takes.
pub(super) fn settle(store: &Store, drivers: &Drivers) -> List<Delete> {
    undo_all(SETTLE, store, drivers).never_gives_up()
}

fn undo_all(kind: &'static str, store: &Store, drivers: &Drivers) -> List<Delete> {
    List::new(kind, VERSION)
        .then(Undo::of(Role::Deploy, store, drivers).of_deleted())
        .then(Undo::of(Role::Enroll, store, drivers).of_deleted())
        .then(Undo::of(Role::Claim, store, drivers).of_deleted())
        .then(Undo::of(Role::Compose, store, drivers).of_deleted())
        .ends(ends)
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Delete {
    pub(super) erasure: Erasure,
    #[serde(default)]
    pub(super) budgets: Budgets,
}

impl Delete {
    pub(super) fn of(instance: &Instance) -> Self {
        Self { erasure: instance.order.erasure(), budgets: instance.order.budgets.clone() }
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|e| Invalid::new("erasure", e.to_string()).into())
    }
}

fn ends(id: InstanceId, _: &Delete, ending: Ending, fault: Option<&Fault>) -> Vec<Effect> {
    let change = match ending {
        Ending::Done | Ending::Reverted => InstanceChange { gone: true, ..InstanceChange::of(id) },
        Ending::NeedsOperator => {
            InstanceChange { reason: fault.map(|fault| fault.message.clone()), ..InstanceChange::of(id) }
        }
    };
    vec![Effect::Instance(change)]
}
