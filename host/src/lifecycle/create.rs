//! Create an instance: on a node composed for it, or on a pre-set one.

use serde::{Deserialize, Serialize};

use super::Error;
use super::task::{Claim, Compose, Deploy, Enroll, Verify};
use crate::driver::Drivers;
use crate::flow::List;
use crate::model::{Ending, Fault, FaultKind, InstanceId, InstanceState, Invalid, Name, Node, Order};
use crate::store::{Effect, InstanceChange, Store};

pub(super) const COMPOSED: &str = "instance.create-composed";
pub(super) const PRESET: &str = "instance.create-preset";
pub(super) const VERSION: u32 = 1;

/// Rounds on pre-set nodes, each with the failed ones left out.
const CLAIMS: u32 = 3;

/// 1. `Compose`  asks the composer for a node       | releases the node
/// 2. `Enroll`   puts the node under management     | removes it
/// 3. `Verify`   compares it with what was asked    | nothing to undo
/// 4. `Deploy`   writes the image, boots, waits     | powers off, erases as the flavor says
pub(super) fn composed(store: &Store, drivers: &Drivers) -> List<Create> {
    List::new(COMPOSED, VERSION)
        .then(Compose::with(store, drivers))
        .then(Enroll::with(store, drivers))
        .then(Verify)
        .then(Deploy::with(store, drivers))
        .again(Create::again)
        .ends(ends)
}

/// 1. `Claim`    borrows a free machine             | gives it back, quarantines one that failed
/// 2. `Verify`   compares it with what was asked    | nothing to undo
/// 3. `Deploy`   writes the image, boots, waits     | powers off, erases as the flavor says
///
/// Up to three rounds, each on another machine; then, where the flavor says so, on a composed one.
pub(super) fn preset(store: &Store, drivers: &Drivers) -> List<Create> {
    List::new(PRESET, VERSION)
        .then(Claim::with(store, drivers))
        .then(Verify)
        .then(Deploy::with(store, drivers))
        .falls_back(CLAIMS, composed(store, drivers))
        .again(Create::again)
        .ends(ends)
}

/// What one task leaves for the next.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Create {
    pub(super) order: Order,
    /// What the composer claims to have made; none on a pre-set node.
    pub(super) node: Option<Node>,
    /// The node as the managing side sees it.
    pub(super) enrolled: Option<Node>,
    /// Pre-set nodes that failed in an earlier round.
    #[serde(default)]
    pub(super) excluded: Vec<String>,
    /// Of a rebuild: the old image was not taken off, and runs.
    #[serde(default)]
    pub(super) runs_on: bool,
}

impl Create {
    pub(super) fn of(order: Order) -> Self {
        Self { order, node: None, enrolled: None, excluded: Vec::new(), runs_on: false }
    }

    /// On a node that the instance has already.
    pub(super) fn on(order: Order, enrolled: Option<Node>) -> Self {
        Self { enrolled, ..Self::of(order) }
    }

    pub(super) fn kind(&self) -> &'static str {
        if self.order.route.claim.is_empty() { COMPOSED } else { PRESET }
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|e| Invalid::new("order", e.to_string()).into())
    }

    /// Rounds that claim come first.
    fn claims(&self) -> u32 {
        if self.order.route.claim.is_empty() { 0 } else { CLAIMS }
    }

    /// A pre-set node that failed is tried on another; want of one falls back to composing. A composed node is never tried again,
    /// only another composer when one had no room.
    fn again(&self, round: u32, cause: &Fault) -> Option<u32> {
        use FaultKind::{Broken, Cancelled, Capacity, Conflict, Mismatch, Overdue, Rejected, Retry, Stopped};
        let composers = u32::try_from(self.order.route.compose.len()).unwrap_or(u32::MAX);
        let last = self.claims().saturating_add(composers);
        let composing = self.claims() + 1;
        let next = match cause.kind {
            Cancelled | Rejected | Stopped => return None,
            Capacity if round <= self.claims() => composing,
            Capacity => round + 1,
            Retry | Conflict | Broken | Overdue | Mismatch if round <= self.claims() => round + 1,
            Retry | Conflict | Broken | Overdue | Mismatch => return None,
        };
        let falls_back = round <= self.claims() && next >= composing;
        (next <= last.max(self.claims()) && (!falls_back || composers > 0)).then_some(next)
    }

    pub(super) fn composer(&self, round: u32) -> Option<&Name> {
        let index = usize::try_from(round.checked_sub(self.claims() + 1)?).ok()?;
        self.order.route.compose.get(index)
    }

    pub(super) fn claimer(&self) -> Option<&Name> {
        self.order.route.claim.first()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(claim: &[&str], compose: &[&str]) -> Create {
        let order = serde_json::json!({
            "flavor": "f", "shape": {}, "erase": "none", "hostname": "web", "ssh_keys": [], "user_data": null, "metadata": {},
            "networks": {}, "image": {"name": "i", "backends": {}},
            "route": {"claim": claim, "compose": compose, "enroll": compose, "deploy": ["ironic-1"]},
        });
        Create::of(serde_json::from_value(order).expect("an order"))
    }

    fn rounds(create: &Create, kind: FaultKind) -> Vec<u32> {
        let fault = Fault::new(kind, "it failed");
        std::iter::successors(Some(1), |round| create.again(*round, &fault)).take(10).collect()
    }

    #[test]
    fn a_composed_flavor_goes_on_only_for_want_of_room() {
        let create = ordered(&[], &["pod-a", "pod-b"]);
        assert_eq!(rounds(&create, FaultKind::Capacity), [1, 2]);
        assert_eq!(rounds(&create, FaultKind::Broken), [1]);
        assert_eq!(create.composer(2).map(Name::as_str), Some("pod-b"));
    }

    #[test]
    fn a_preset_flavor_tries_three_nodes_and_then_composes_where_it_may() {
        let only = ordered(&["ironic-1"], &[]);
        assert_eq!(rounds(&only, FaultKind::Broken), [1, 2, 3]);
        assert_eq!(rounds(&only, FaultKind::Capacity), [1]);
        let both = ordered(&["ironic-1"], &["pod-a"]);
        assert_eq!(rounds(&both, FaultKind::Broken), [1, 2, 3, 4]);
        assert_eq!(rounds(&both, FaultKind::Capacity), [1, 4]);
        assert_eq!(both.composer(4).map(Name::as_str), Some("pod-a"));
        assert_eq!(both.composer(3), None);
    }

    #[test]
    fn a_wrong_request_and_a_cancelled_one_are_not_tried_again() {
        let both = ordered(&["ironic-1"], &["pod-a"]);
        assert_eq!(rounds(&both, FaultKind::Rejected), [1]);
        assert_eq!(rounds(&both, FaultKind::Cancelled), [1]);
    }
}
