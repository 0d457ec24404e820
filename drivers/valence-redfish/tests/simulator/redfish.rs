//! Composing by resource blocks: what is asked for comes and goes back, and for each fault a create and a release, after which the ledger
//! has nothing of ours: no system, no reservation, no alarm.

use crate::far::{MARK, Wrong};
use crate::rig::{Rig, each, want};
use moganite_driver::{Erase, Fault, PartKind, Presence, testing};
use moganite_sim::{Kind, Options, Side};
use serde_json::{Value, json};

fn on(method: &'static str, path: &'static str, kind: Kind) -> Wrong {
    Wrong { method, path, side: Side::Podm, kind, ms: Some(300), times: 1, skip: 0 }
}

fn deed(kind: Kind) -> Wrong {
    on("", "", kind)
}

#[test]
fn a_node_with_a_disk_is_what_was_asked_for_and_goes_back() {
    let rig = Rig::start(Options::default());
    let node = rig.compose(&want(4, 8_192, &[60])).unwrap();
    let total = |kind| node.parts.iter().filter(|part| part.kind == kind).map(|part| part.size).sum::<u64>();
    // The smaller blocks, and of the drives the smallest that is large enough.
    assert_eq!((total(PartKind::Cpu), total(PartKind::Memory), total(PartKind::Disk)), (4, 8_192, 100));
    assert_eq!(node.identity.macs.len(), 2);
    let access = node.access.clone().unwrap();
    assert_eq!((access.path.as_str(), access.protocol.as_str()), (node.handle.as_str(), "redfish"));

    let held = rig.ledger().pod.held;
    assert_eq!((held[0].name.as_str(), held[0].blocks.len()), (MARK, 2));
    assert_eq!(node.identity.system_uuid.as_ref(), Some(&held[0].uuid));
    let serials: Vec<_> = node.parts.iter().filter_map(|part| part.serial.clone()).collect();
    assert_eq!(serials, held[0].disks);
    assert_eq!(rig.listed(), [MARK]);
    assert!(matches!(rig.find(Some(&node)), Presence::Present(held) if held.handle == node.handle));

    let receipt = rig.release(Some(&node), Erase::Full).unwrap();
    assert_eq!(
        (&receipt["erased"], &receipt["method"], &receipt["disks"]),
        (&json!("full"), &json!("Drive.SecureErase"), &json!(serials))
    );
    rig.assert_nothing_is_left("a plain release");
    assert_eq!(rig.find(Some(&node)), Presence::Absent);
    assert!(rig.listed().is_empty());
    rig.release(Some(&node), Erase::Full).unwrap();
}

#[test]
fn whatever_goes_wrong_with_a_compose_it_ends_with_a_node_and_nothing_else_is_taken() {
    let post = |kind| on("POST", "/redfish/v1/Systems", kind);
    let reserve = |kind| on("PATCH", "/redfish/v1/CompositionService/ResourceBlocks/*", kind);
    let cases = [
        post(Kind::LostAnswer),
        post(Kind::LateCompletion),
        post(Kind::Drop),
        post(Kind::Garbage),
        post(Kind::Delay),
        post(Kind::Refuse),
        post(Kind::ErrorBody),
        reserve(Kind::LostAnswer),
        reserve(Kind::LateCompletion),
        reserve(Kind::Drop),
        reserve(Kind::Refuse),
        reserve(Kind::Garbage),
        on("GET", "/redfish/v1/CompositionService/**", Kind::Garbage),
        on("GET", "/redfish/v1/Systems/*", Kind::Drop),
        deed(Kind::FullPool),
        deed(Kind::AssemblyFails),
        deed(Kind::StuckAssembling),
        deed(Kind::ReserveLost),
        deed(Kind::NoLocation),
        deed(Kind::BodyOnly),
        deed(Kind::AsTask),
    ];
    each(cases, |wrong| {
        let what = format!("{wrong:?}");
        let rig = Rig::start(Options::default());
        rig.wrong(&wrong);
        let node = rig.compose(&want(4, 8_192, &[60])).unwrap_or_else(|fault| panic!("{what}: {fault:?}"));
        assert_eq!(rig.ledger().pod.held.len(), 1, "{what}");
        assert_eq!(rig.ledger().pod.reserved, Vec::<String>::new(), "{what}");
        rig.release(Some(&node), Erase::None).unwrap_or_else(|fault| panic!("{what}: {fault:?}"));
        rig.assert_nothing_is_left(&what);
    });
}

#[test]
fn a_compose_that_cannot_succeed_ends_with_its_reason_and_nothing_is_taken() {
    let forever = |wrong: Wrong| Wrong { times: 0, ..wrong };
    let post = |kind| forever(on("POST", "/redfish/v1/Systems", kind));
    let cases = [
        forever(deed(Kind::FullPool)),
        forever(deed(Kind::AssemblyFails)),
        forever(deed(Kind::StuckAssembling)),
        post(Kind::Refuse),
        post(Kind::ErrorBody),
        post(Kind::Drop),
    ];
    each(cases, |wrong| {
        let what = format!("{wrong:?}");
        let rig = Rig::start(Options::default());
        rig.wrong(&wrong);
        let refused = rig.compose(&want(4, 8_192, &[60]));
        assert!(matches!(refused, Err(Fault::Capacity(_))), "{what}: {refused:?}");
        rig.assert_nothing_is_left(&what);
        rig.sim.clear_faults();
        rig.release(None, Erase::Quick).unwrap_or_else(|fault| panic!("{what}: {fault:?}"));
        assert_eq!(rig.find(None), Presence::Absent, "{what}");
    });
}

#[test]
fn whatever_goes_wrong_with_a_release_it_ends_and_nothing_stays_behind() {
    let delete = |kind| on("DELETE", "/redfish/v1/Systems/*", kind);
    let free = |kind| on("PATCH", "/redfish/v1/CompositionService/ResourceBlocks/*", kind);
    let erase = |kind| on("POST", "/redfish/v1/CompositionService/**", kind);
    let cases = [
        delete(Kind::LostAnswer),
        delete(Kind::LateCompletion),
        delete(Kind::Drop),
        delete(Kind::Refuse),
        delete(Kind::Garbage),
        delete(Kind::ErrorBody),
        free(Kind::LostAnswer),
        free(Kind::Drop),
        free(Kind::Refuse),
        erase(Kind::LostAnswer),
        erase(Kind::LateCompletion),
        erase(Kind::Drop),
        erase(Kind::Refuse),
        deed(Kind::KeepOnRelease),
        deed(Kind::AsTask),
        deed(Kind::EraseFails),
    ];
    each(cases, |wrong| {
        let what = format!("{wrong:?}");
        let rig = Rig::start(Options::default());
        let node = rig.compose(&want(4, 8_192, &[60])).unwrap();
        rig.leave_data(&node);
        rig.wrong(&wrong);
        let receipt = rig.release(Some(&node), Erase::Quick).unwrap_or_else(|fault| panic!("{what}: {fault:?}"));
        assert_eq!(receipt["erased"], "full", "{what}: {receipt}");
        rig.assert_nothing_is_left(&what);
        assert!(rig.ledger().machines.data.is_empty(), "{what}");
        assert_eq!(rig.find(Some(&node)), Presence::Absent, "{what}");
    });
}

#[test]
fn a_host_that_dies_after_every_call_composes_once_and_releases_all() {
    let rig = Rig::start(Options::default());
    let node = rig.compose_dying(&want(8, 16_384, &[60, 40])).unwrap();
    assert_eq!(rig.ledger().pod.made, 1);
    rig.leave_data(&node);
    let receipt = rig.release_dying(Some(&node), Erase::Quick).unwrap();
    assert_eq!(receipt["disks"].as_array().map(Vec::len), Some(2));
    rig.assert_nothing_is_left("a host that dies");
    assert!(rig.ledger().machines.data.is_empty());
}

#[test]
fn a_release_after_a_compose_that_was_cut_anywhere_leaves_nothing() {
    let shape = want(4, 8_192, &[60]);
    let ended = each(1..=12, |calls| {
        let rig = Rig::start(Options::default());
        let mut left = calls;
        let is_composed = rig.compose_for(&shape, &mut left);
        // What the host knows then: the last checkpoint, and no answer.
        rig.release(None, Erase::Quick).unwrap_or_else(|fault| panic!("after {calls} calls: {fault:?}"));
        rig.assert_nothing_is_left(&format!("after {calls} calls"));
        // By the trail alone the request may be on its way for so long.
        testing::set_now(moganite_driver::now() + std::time::Duration::from_secs(30));
        assert_eq!(rig.find(None), Presence::Absent);
        is_composed
    });
    assert!(!ended[3] && ended[11], "{ended:?}");
}

#[test]
fn a_block_in_two_systems_is_for_a_person_to_decide() {
    let rig = Rig::start(Options::default());
    rig.wrong(&deed(Kind::DoubleCompose));
    let refused = rig.compose(&want(4, 8_192, &[]));
    assert!(matches!(&refused, Err(Fault::Conflict(said)) if said.contains("at once")), "{refused:?}");
    let stranger = rig.ledger().pod.foreign[0].clone();
    let refused = rig.release(None, Erase::Quick);
    assert!(matches!(&refused, Err(Fault::Conflict(_))), "{refused:?}");
    assert_eq!((rig.ledger().pod.held.len(), rig.ledger().pod.foreign.len()), (1, 1));

    // The person decides for us, which the simulator calls an alarm of its own.
    rig.person("DELETE", &format!("/redfish/v1/Systems/{}", stranger.system), Value::Null);
    let alarms = rig.ledger().alarms.len();
    rig.release(None, Erase::Quick).unwrap();
    assert_eq!((rig.ledger().pod.held.len(), rig.ledger().alarms.len()), (0, alarms));
}

#[test]
fn a_block_that_fails_after_the_release_is_told_of_and_freed_once_it_is_repaired() {
    let rig = Rig::start(Options::default());
    let node = rig.compose(&want(4, 8_192, &[60])).unwrap();
    rig.fault(json!({"kind": "block-failed", "ms": 500}));
    let refused = rig.release_once(Some(&node), Erase::None);
    assert!(matches!(&refused, Err(Fault::Broken(said)) if said.contains("repair it")), "{refused:?}");
    assert_eq!(rig.ledger().pod.reserved.len(), 1, "the failed one stays ours");
    rig.host.pass(std::time::Duration::from_millis(500));
    rig.release(Some(&node), Erase::None).unwrap();
    rig.assert_nothing_is_left("a repair");
}

#[test]
fn a_service_that_never_takes_apart_is_told_of() {
    let rig = Rig::start(Options::default());
    let node = rig.compose(&want(4, 8_192, &[])).unwrap();
    rig.wrong(&Wrong { times: 0, ..deed(Kind::KeepOnRelease) });
    let refused = rig.release_once(Some(&node), Erase::None);
    assert!(matches!(&refused, Err(Fault::Broken(said)) if said.contains("did nothing")), "{refused:?}");
}

#[test]
fn a_large_pool_is_read_in_calls_that_keep_to_their_requests() {
    let rig = Rig::start(Options { blocks: 40, systems: 70, ..Options::default() });
    let node = rig.compose(&want(24, 40_000, &[100, 60, 60, 60])).unwrap();
    assert_eq!(rig.listed(), [MARK]);
    rig.release(Some(&node), Erase::Full).unwrap();
    rig.assert_nothing_is_left("a large pool");
}

#[test]
fn a_mark_that_is_there_already_is_adopted_with_its_blocks() {
    let rig = Rig::start(Options::default());
    let shape = want(4, 8_192, &[60]);
    let node = rig.compose(&shape).unwrap();
    rig.trail.replace(None);
    let again = rig.compose(&shape).unwrap();
    assert_eq!((again.handle, rig.ledger().pod.made), (node.handle.clone(), 1));
    assert_eq!(again.parts.len(), node.parts.len());
}
