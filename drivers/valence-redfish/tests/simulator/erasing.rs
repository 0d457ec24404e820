//! Data: what release promises of the disks, in each way in which a service can erase, and in none.

use crate::rig::{Rig, want};
use moganite_driver::{Erase, Fault, Holding, Presence};
use moganite_sim::{DriveErase, Options};
use serde_json::{Value, json};

fn filled(drive_erase: DriveErase) -> (Rig, moganite_driver::Node) {
    let rig = Rig::start(Options { drive_erase, ..Options::default() });
    let node = rig.compose(&want(4, 8_192, &[60])).unwrap();
    rig.leave_data(&node);
    (rig, node)
}

fn has_data(rig: &Rig) -> bool {
    !rig.ledger().machines.data.is_empty()
}

#[test]
fn the_next_tenant_finds_nothing_on_the_disk() {
    let (rig, node) = filled(DriveErase::Secure);
    let disks = rig.ledger().pod.held[0].disks.clone();
    let receipt = rig.release(Some(&node), Erase::Quick).unwrap();
    assert_eq!((&receipt["erased"], &receipt["disks"]), (&json!("full"), &json!(disks)));
    rig.trail.replace(None);
    rig.compose(&want(4, 8_192, &[60])).unwrap();
    assert_eq!(rig.ledger().pod.held[0].disks, disks, "the same disk again");
    assert!(!has_data(&rig));
}

#[test]
fn with_erase_none_the_data_stays_and_the_receipt_says_so() {
    let (rig, node) = filled(DriveErase::None);
    let receipt = rig.release(Some(&node), Erase::None).unwrap();
    assert_eq!((&receipt["erased"], &receipt["disks"]), (&json!("none"), &json!([])));
    rig.assert_nothing_is_left("erase none");
    assert!(has_data(&rig));
}

#[test]
fn an_erasing_that_fails_keeps_the_node_until_a_person_tries_again() {
    let (rig, node) = filled(DriveErase::Secure);
    rig.fault(json!({"kind": "erase-fails"}));
    let refused = rig.release_once(Some(&node), Erase::Quick);
    let serial = rig.ledger().pod.held[0].disks[0].clone();
    assert!(matches!(&refused, Err(Fault::Broken(said)) if said.contains(&serial)), "{refused:?}");
    assert!(has_data(&rig));
    assert!(matches!(rig.find(Some(&node)), Presence::Present(_)));
    rig.release(Some(&node), Erase::Quick).unwrap();
    rig.assert_nothing_is_left("a second try");
    assert!(!has_data(&rig));
}

#[test]
fn what_cannot_be_erased_is_not_given_back() {
    for (way, level) in [(DriveErase::None, Erase::Quick), (DriveErase::OnDetach, Erase::Full)] {
        let (rig, node) = filled(way);
        let refused = rig.release_once(Some(&node), level);
        assert!(
            matches!(&refused, Err(Fault::Broken(said)) if said.contains("not given back")),
            "{way:?}: {refused:?}"
        );
        assert_eq!(rig.ledger().pod.held.len(), 1, "{way:?}");
    }
}

#[test]
fn rsds_erase_on_detach_reaches_quick() {
    let (rig, node) = filled(DriveErase::OnDetach);
    let receipt = rig.release(Some(&node), Erase::Quick).unwrap();
    assert_eq!((&receipt["erased"], &receipt["method"]), (&json!("quick"), &json!("EraseOnDetach of RSD")));
    rig.assert_nothing_is_left("erasing on detach");
    assert!(!has_data(&rig));
}

#[test]
fn a_disk_that_was_not_erased_on_detach_stays_reserved() {
    let (rig, node) = filled(DriveErase::OnDetach);
    rig.fault(json!({"kind": "erase-fails"}));
    let refused = rig.release_once(Some(&node), Erase::Quick);
    assert!(matches!(&refused, Err(Fault::Broken(said)) if said.contains("stays reserved")), "{refused:?}");
    assert_eq!(rig.ledger().pod.reserved.len(), 1, "its block, and no other");
    assert!(has_data(&rig));
}

#[test]
fn a_system_that_somebody_took_apart_is_erased_where_its_blocks_are_still_ours() {
    let (rig, node) = filled(DriveErase::Secure);
    rig.person("DELETE", &node.handle, Value::Null);
    let receipt = rig.release(Some(&node), Erase::Quick).unwrap();
    assert_eq!(receipt["erased"], "full");
    assert!(receipt["note"].as_str().unwrap().contains("gone already"), "{receipt}");
    rig.assert_nothing_is_left("somebody else's release");
    assert!(!has_data(&rig));
}

#[test]
fn a_running_machine_is_switched_off_first() {
    let (rig, node) = filled(DriveErase::Secure);
    rig.person("POST", &format!("{}/Actions/ComputerSystem.Reset", node.handle), json!({"ResetType": "On"}));
    rig.release(Some(&node), Erase::Quick).unwrap();
    rig.assert_nothing_is_left("a running machine");
}

#[test]
fn a_node_of_which_only_the_handle_is_known_is_erased_and_given_back() {
    let (rig, node) = filled(DriveErase::Secure);
    let listed = Holding { facts: "{}".into(), trail: None, ..rig.holding(Some(&node)) };
    let receipt = rig.release_of(&listed, Erase::Quick).unwrap();
    assert_eq!(receipt["disks"].as_array().map(Vec::len), Some(1));
    rig.assert_nothing_is_left("a release by handle");
    assert!(!has_data(&rig));
}

#[test]
fn probe_tells_what_the_pieces_can_be_asked_for_and_how_far_they_are_erased() {
    for (way, levels) in [
        (DriveErase::Secure, json!(["none", "quick", "full"])),
        (DriveErase::OnDetach, json!(["none", "quick"])),
        (DriveErase::None, json!(["none"])),
    ] {
        let rig = Rig::start(Options { drive_erase: way, ..Options::default() });
        let told = rig.probe();
        assert_eq!(told["problems"], json!([]), "{told}");
        assert_eq!(told["abilities"]["shape"], json!(["cpu", "disk", "memory", "nic"]));
        assert_eq!(told["abilities"]["erase"], levels, "{way:?}");
    }
    let rig = Rig::start(Options { blocks: 0, ..Options::default() });
    assert!(rig.probe()["problems"][0].as_str().unwrap().contains("no resource blocks"));
}
