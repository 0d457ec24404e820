//! The driver against the project's simulator, without the sandbox: for each fault of the far sides a create and a
//! release, which must both end, and then the simulator's own ledger, which must hold nothing of ours.
//! `simulator/far.rs` is the way between the two.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

#[path = "simulator/erasing.rs"]
mod erasing;
#[path = "simulator/far.rs"]
mod far;
#[path = "simulator/habits.rs"]
mod habits;
#[path = "simulator/others.rs"]
mod others;
#[path = "simulator/redfish.rs"]
mod redfish;
#[path = "simulator/refusals.rs"]
mod refusals;
#[path = "simulator/rig.rs"]
mod rig;

use far::{Run, Wrong};
use moganite_driver::{Fault, Presence};
use moganite_sim::{Dialect, Kind, Options, Side};

/// What a compose that met a fault may end with.
#[derive(Clone, Copy, Debug)]
enum Ends {
    WithANode,
    WithCapacity,
}

#[test]
fn a_node_is_what_was_asked_for_and_goes_back() {
    let run = Run::start(Options { systems: 2, ..Options::default() });
    let node = run.compose().unwrap();
    let total = |kind| node.parts.iter().filter(|part| part.kind == kind).map(|part| part.size).sum::<u64>();
    assert_eq!(total(moganite_driver::PartKind::Cpu), 8);
    assert_eq!(total(moganite_driver::PartKind::Memory), 16_384);
    assert_eq!(node.identity.macs.len(), 2);
    assert!(node.identity.system_uuid.is_some() && node.identity.serial.is_some());
    let access = node.access.clone().unwrap();
    assert!(access.path.starts_with("/redfish/v1/Systems/"), "{access:?}");
    assert_eq!(run.listed(), [far::MARK]);
    assert!(matches!(run.find(Some(&node)), Presence::Present(_)));

    run.release(Some(&node)).unwrap();
    run.assert_nothing_is_held("a plain release");
    assert_eq!(run.find(Some(&node)), Presence::Absent);
    assert!(run.listed().is_empty());
}

#[test]
fn whatever_goes_wrong_with_a_compose_nothing_stays_behind() {
    let post =
        |kind| Wrong { method: "POST", path: "/v1/nodes", side: Side::Valence, kind, ms: Some(300), times: 1, skip: 0 };
    let podm = |kind, ms| Wrong { method: "", path: "", side: Side::Podm, kind, ms, times: 1, skip: 0 };
    let cases = [
        (post(Kind::LostAnswer), Ends::WithANode),
        (post(Kind::LateCompletion), Ends::WithANode),
        (post(Kind::Drop), Ends::WithANode),
        (post(Kind::Garbage), Ends::WithANode),
        (post(Kind::Delay), Ends::WithANode),
        (post(Kind::Refuse), Ends::WithCapacity),
        (post(Kind::ErrorBody), Ends::WithCapacity),
        (podm(Kind::FullPool, None), Ends::WithCapacity),
        (podm(Kind::AssemblyFails, None), Ends::WithCapacity),
        (podm(Kind::StuckAssembling, Some(300)), Ends::WithCapacity),
    ];
    for (wrong, ends) in cases {
        let what = format!("{wrong:?}");
        let run = Run::start(Options { systems: 2, ..Options::default() });
        run.set(wrong);
        let composed = run.compose();
        match (ends, &composed) {
            (Ends::WithANode, Ok(_)) | (Ends::WithCapacity, Err(Fault::Capacity(_))) => {}
            _ => panic!("{what}: {composed:?}"),
        }
        run.assert_at_most_one_is_held(&what);
        run.release(composed.as_ref().ok()).unwrap_or_else(|fault| panic!("{what}: {fault:?}"));
        run.assert_nothing_is_held(&what);
    }
}

#[test]
fn whatever_goes_wrong_with_a_release_it_ends_and_nothing_stays_behind() {
    let delete = |kind| Wrong {
        method: "DELETE",
        path: "/v1/nodes/*",
        side: Side::Valence,
        kind,
        ms: Some(300),
        times: 1,
        skip: 0,
    };
    let podm = |kind| Wrong { method: "", path: "", side: Side::Podm, kind, ms: None, times: 1, skip: 0 };
    for wrong in [
        delete(Kind::LostAnswer),
        delete(Kind::LateCompletion),
        delete(Kind::Drop),
        delete(Kind::Refuse),
        delete(Kind::Garbage),
        delete(Kind::ErrorBody),
        podm(Kind::KeepOnRelease),
        podm(Kind::IndexReused),
        podm(Kind::RecordStuck),
    ] {
        let what = format!("{wrong:?}");
        // The list asks nothing of single nodes, so it cannot tell that a record leads to a stranger; find can.
        let stale = usize::from(wrong.kind == Kind::IndexReused);
        let run = Run::start(Options { systems: 2, ..Options::default() });
        let node = run.compose().unwrap();
        run.set(wrong);
        run.release(Some(&node)).unwrap_or_else(|fault| panic!("{what}: {fault:?}"));
        run.assert_nothing_is_held(&what);
        assert_eq!(run.find(Some(&node)), Presence::Absent, "{what}");
        assert_eq!(run.listed().len(), stale, "{what}");
    }
}

#[test]
fn a_pod_manager_that_never_gives_back_is_told_of() {
    let run = Run::start(Options::default());
    let node = run.compose().unwrap();
    run.set(Wrong { method: "", path: "", side: Side::Podm, kind: Kind::KeepOnRelease, ms: None, times: 0, skip: 0 });
    let refused = run.release(Some(&node));
    assert!(matches!(&refused, Err(Fault::Broken(said)) if said.contains("did nothing")), "{refused:?}");
}

#[test]
fn the_release_of_valence_is_refused_in_words() {
    let run = Run::start(Options { valence: Dialect::Release, ..Options::default() });
    let Err(Fault::Rejected(said)) = run.compose() else { panic!() };
    assert!(said.contains("podm_id"), "{said}");
    let run = run.with_podm_id();
    let Err(Fault::Rejected(said)) = run.compose() else { panic!() };
    assert!(said.contains("composes nothing"), "{said}");
    run.assert_nothing_is_held("a refusal");
}
