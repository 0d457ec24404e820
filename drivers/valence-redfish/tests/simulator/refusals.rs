//! What is not taken, and what is said of it.

use crate::rig::{Rig, want};
use moganite_driver::{Erase, Fault, testing};
use moganite_sim::Options;
use serde_json::json;

const BLOCKS: &str = "/redfish/v1/CompositionService/ResourceBlocks";

#[test]
fn what_somebody_reserved_or_composed_is_not_taken_and_stays_as_it_is() {
    let rig = Rig::start(Options { blocks: 2, ..Options::default() });
    rig.person("PATCH", &format!("{BLOCKS}/C2"), json!({"CompositionStatus": {"Reserved": true}}));
    let node = rig.compose(&want(4, 8_192, &[])).unwrap();
    assert_eq!(rig.ledger().pod.held[0].blocks, ["C1"]);
    rig.release(Some(&node), Erase::Quick).unwrap();
    assert_eq!(rig.ledger().pod.reserved, ["C2"]);
}

#[test]
fn what_the_pool_does_not_have_is_capacity_and_what_no_block_tells_of_is_rejected() {
    let rig = Rig::start(Options::default());
    for shape in [want(64, 8_192, &[]), want(4, 8_192, &[5_000]), want(4, 8_192, &[60; 9])] {
        let refused = rig.compose(&shape);
        assert!(matches!(&refused, Err(Fault::Capacity(said)) if said.contains("resource blocks")), "{refused:?}");
        rig.trail.replace(None);
    }
    let refused = rig.compose(&moganite_driver::Shape { traits: vec!["gold".into()], ..want(4, 8_192, &[]) });
    assert!(matches!(&refused, Err(Fault::Rejected(said)) if said.contains("traits")), "{refused:?}");
    assert_eq!(rig.ledger().pod.made, 0);
}

#[test]
fn an_endpoint_that_is_not_bound_is_said_in_words() {
    let rig = Rig::start(Options::default());
    testing::far_side(|request| {
        Err(moganite_driver::fault::broken(format!(
            "{} was denied by the gate: endpoint not allowed",
            request.endpoint
        )))
    });
    let refused = rig.compose(&want(4, 8_192, &[]));
    assert!(matches!(&refused, Err(Fault::Broken(said)) if said.contains("bind it at this backend")), "{refused:?}");
}
