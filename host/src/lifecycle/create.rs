//! Create an instance on a node composed for it.

use serde::{Deserialize, Serialize};

use super::Error;
use super::task::{Compose, Deploy, Enroll, Verify};
use crate::driver::Drivers;
use crate::flow::List;
use crate::model::{Ending, Fault, InstanceId, InstanceState, Invalid, Name, Node, Order};
use crate::store::{Effect, InstanceChange, Store};

pub(super) const KIND: &str = "instance.create-composed";
pub(super) const VERSION: u32 = 1;

/// 1. `Compose`  asks the composer for a node       | releases the node
/// 2. `Enroll`   puts the node under management     | removes it
/// 3. `Verify`   compares it with what was asked    | nothing to undo
/// 4. `Deploy`   writes the image, boots, waits     | powers off, erases as the flavor says
pub(super) fn composed(store: &Store, drivers: &Drivers) -> List<Create> {
    List::new(KIND, VERSION)
        .then(Compose::with(store, drivers))
        .then(Enroll::with(store, drivers))
        .then(Verify)
        .then(Deploy::with(store, drivers))
        .rounds(Create::rounds)
        .ends(ends)
}

/// What one task leaves for the next.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Create {
    pub(super) order: Order,
    /// What the composer claims to have made.
    pub(super) node: Option<Node>,
    /// The node as the managing side sees it.
    pub(super) enrolled: Option<Node>,
}

impl Create {
    pub(super) fn of(order: Order) -> Self {
        Self { order, node: None, enrolled: None }
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|e| Invalid::new("order", e.to_string()).into())
    }

    /// A round for each composer: `capacity` moves on to the next.
    fn rounds(&self) -> u32 {
        u32::try_from(self.order.route.compose.len()).unwrap_or(1)
    }

    pub(super) fn composer(&self, round: u32) -> Option<&Name> {
        let index = usize::try_from(round.saturating_sub(1)).ok()?;
        self.order.route.compose.get(index)
    }

    pub(super) fn enroller(&self) -> Option<&Name> {
        self.order.route.enroll.first()
    }

    /// The backend that deploys is the first that knows the image.
    pub(super) fn deployer(&self) -> Option<&Name> {
        self.order.route.deploy.iter().find(|name| self.order.image.backends.contains_key(*name))
    }
}

fn ends(id: InstanceId, _: &Create, ending: Ending, fault: Option<&Fault>) -> Vec<Effect> {
    let reason = fault.map(|fault| fault.message.clone());
    let change = match ending {
        Ending::Done => InstanceChange { state: Some(InstanceState::Active), ..InstanceChange::of(id) },
        Ending::Reverted => InstanceChange {
            state: Some(InstanceState::Failed),
            composed: Some(false),
            reason,
            ..InstanceChange::of(id)
        },
        Ending::NeedsOperator => {
            InstanceChange { state: Some(InstanceState::Failed), reason, ..InstanceChange::of(id) }
        }
    };
    vec![Effect::Instance(change)]
}
