//! Put an image on an instance's machine anew.

use super::create::Create;
use super::task::{Deploy, Undo};
use crate::driver::Drivers;
use crate::flow::List;
use crate::model::{Ending, Fault, InstanceId, InstanceState, Role};
use crate::store::{Effect, InstanceChange, Store};

pub(super) const KIND: &str = "instance.rebuild";
pub(super) const VERSION: u32 = 1;

/// 1. `Undo`    takes the old image off, erases      | stays off
/// 2. `Deploy`  writes the image, boots, waits       | powers off, erases as the flavor says
///
/// A rebuild that fails leaves a failed instance with its machine, off and erased: to be rebuilt again, or deleted.
pub(super) fn instance(store: &Store, drivers: &Drivers) -> List<Create> {
    List::new(KIND, VERSION).then(Undo::of(Role::Deploy, store, drivers)).then(Deploy::with(store, drivers)).ends(ends)
}

fn ends(id: InstanceId, create: &Create, ending: Ending, fault: Option<&Fault>) -> Vec<Effect> {
    let change = match ending {
        Ending::Done => InstanceChange {
            state: Some(InstanceState::Active),
            order: Some(create.order.clone()),
            off: Some(false),
            ..InstanceChange::of(id)
        },
        // Nothing was taken off: it is what it was.
        Ending::Reverted if create.runs_on => InstanceChange {
            reason: fault.map(|fault| format!("it was not rebuilt: {}", fault.message)),
            ..InstanceChange::of(id)
        },
        Ending::Reverted | Ending::NeedsOperator => InstanceChange {
            state: Some(InstanceState::Failed),
            reason: fault.map(|fault| fault.message.clone()),
            ..InstanceChange::of(id)
        },
    };
    vec![Effect::Instance(change)]
}
