//! Services that are not as the standard has them: what the DMTF's emulator and Sunfish do otherwise is borne, and where a service composes
//! nothing that is found out.

use crate::far::MARK;
use crate::rig::{Rig, want};
use moganite_driver::{Erase, Fault, Presence};
use moganite_sim::{Options, RedfishDialect};
use serde_json::{Value, json};

fn rig(redfish_dialect: RedfishDialect) -> Rig {
    Rig::start(Options { redfish_dialect, ..Options::default() })
}

#[test]
fn sunfish_gets_its_path_and_type_after_it_fell_over_the_standards_words() {
    let rig = rig(RedfishDialect::Sunfish);
    let node = rig.compose(&want(4, 8_192, &[60])).unwrap();
    assert_eq!(node.handle, format!("/redfish/v1/Systems/{MARK}"));
    rig.leave_data(&node);
    let receipt = rig.release(Some(&node), Erase::Quick).unwrap();
    assert_eq!(receipt["erased"], "full");
    rig.assert_nothing_is_left("Sunfish");
    assert!(rig.ledger().machines.data.is_empty());
}

#[test]
fn the_routine_of_the_dmtfs_emulator_composes_and_has_no_uuid_to_tell() {
    let rig = rig(RedfishDialect::DmtfRoutine);
    let node = rig.compose(&want(4, 8_192, &[60])).unwrap();
    assert_eq!(node.identity.system_uuid, None);
    // Its drives have no actions.
    assert!(matches!(rig.release_once(Some(&node), Erase::Quick), Err(Fault::Broken(_))));
    rig.release(Some(&node), Erase::None).unwrap();
    rig.assert_nothing_is_left("the routine");
}

#[test]
fn the_emulator_as_shipped_is_found_to_compose_nothing() {
    let rig = rig(RedfishDialect::DmtfEmulator);
    let refused = rig.compose(&want(4, 8_192, &[60]));
    assert!(matches!(&refused, Err(Fault::Rejected(said)) if said.contains("composes nothing")), "{refused:?}");
    rig.assert_nothing_is_left("a service that composes nothing");
}

#[test]
fn without_back_links_the_systems_own_word_counts() {
    let rig = rig(RedfishDialect::DmtfEmulator);
    rig.set("back_links", "absent");
    let node = rig.compose(&want(4, 8_192, &[60])).unwrap();
    assert_eq!((rig.ledger().pod.made, rig.listed()), (1, vec![MARK.to_owned()]));
    rig.release_dying(Some(&node), Erase::None).unwrap();
    rig.assert_nothing_is_left("the emulator as shipped");
}

#[test]
fn a_path_that_a_stranger_has_now_is_left_alone() {
    let rig = rig(RedfishDialect::DmtfEmulator);
    rig.set("back_links", "absent");
    let node = rig.compose(&want(4, 8_192, &[])).unwrap();
    let stranger = json!({"Id": MARK, "Name": "somebody-elses", "Links": {"ResourceBlocks": []}});
    rig.person("POST", "/redfish/v1/Systems", stranger);
    assert_eq!(rig.find(Some(&node)), Presence::Absent);
    let receipt = rig.release(Some(&node), Erase::Quick).unwrap();
    assert!(receipt["note"].as_str().unwrap().contains("gone already"), "{receipt}");
    assert_eq!(rig.person("GET", &node.handle, Value::Null)["Name"], "somebody-elses");
}
