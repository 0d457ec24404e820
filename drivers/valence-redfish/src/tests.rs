//! What a lost answer, a refusal and a stale record lead to. Each test ends with the question what the pod manager
//! still holds.

#![allow(clippy::unwrap_used)]

use crate::ValenceRedfish;
use crate::fake::{Host, MARK, SETTINGS, Wrong, find, held, world};
use moganite_driver::{Compose, Fault, NodeDoing, Presence, testing};
use std::time::Duration;

#[test]
fn a_node_is_composed_once_and_released() {
    let world = world(None);
    let node = Host::new().compose().unwrap();
    assert_eq!(node.handle, "valence-2");
    assert_eq!(node.identity.system_uuid.as_deref(), Some("system-1"));
    assert_eq!(node.access.as_ref().unwrap().path, "/redfish/v1/Systems/1");
    assert!(matches!(find(&held(&node)), Ok(Presence::Present(_))));

    let receipt = Host::new().release(&held(&node)).unwrap();
    assert_eq!(receipt["note"], serde_json::Value::Null);
    assert_eq!((world.borrow().posts, world.borrow().nodes_of(MARK)), (1, 0));
    assert_eq!(find(&held(&node)), Ok(Presence::Absent));
    Host::new().release(&held(&node)).unwrap();
}

#[test]
fn an_answer_that_was_lost_is_found_and_not_asked_for_again() {
    for wrong in [Wrong::LostAnswer, Wrong::Late] {
        let world = world(Some(wrong));
        Host::new().compose().unwrap();
        assert_eq!((world.borrow().posts, world.borrow().nodes_of(MARK)), (1, 1), "{wrong:?}");
    }
}

#[test]
fn a_call_that_was_cut_after_its_request_does_not_repeat_it() {
    let world = world(None);
    let mut host = Host::new();
    host.compose_once().unwrap();
    let intent = host.cx.clone();
    host.compose_once().unwrap();
    // The host died before it stored the answer.
    host.cx = intent;
    host.cx.attempt = 2;
    host.compose().unwrap();
    assert_eq!((world.borrow().posts, world.borrow().nodes_of(MARK)), (1, 1));
}

#[test]
fn a_request_without_any_trace_is_repeated_only_after_the_quiet_deadline() {
    let world = world(None);
    let mut host = Host::new();
    host.compose_once().unwrap();
    host.cx.attempt = 2;
    host.compose().unwrap();
    assert!(host.waited >= Duration::from_secs(100), "{:?}", host.waited);
    assert_eq!((world.borrow().posts, world.borrow().nodes_of(MARK)), (1, 1));
}

#[test]
fn an_old_intent_is_renewed_before_it_is_acted_on() {
    let world = world(None);
    let mut host = Host::new();
    host.compose_once().unwrap();
    testing::set_now(moganite_driver::now() + Duration::from_secs(3_600));
    assert!(matches!(host.compose_once(), Ok(NodeDoing::Pending(pause)) if pause.after == 0));
    assert_eq!(world.borrow().posts, 0);
    host.compose().unwrap();
}

#[test]
fn a_full_pool_and_a_200_with_an_error_are_capacity_and_leave_nothing() {
    for wrong in [Wrong::Full, Wrong::ErrorBody, Wrong::Fails] {
        let world = world(Some(wrong));
        let mut host = Host::new();
        assert!(matches!(host.compose(), Err(Fault::Capacity(_))), "{wrong:?}");
        assert!(host.waited < Duration::from_secs(5), "{wrong:?}: {:?}", host.waited);
        assert_eq!(world.borrow().nodes_of(MARK), 0, "{wrong:?}");
        // Valence did answer, so its revert need not wait.
        assert_eq!(find(&host.lost()), Ok(Presence::Absent), "{wrong:?}");
        let mut release = Host::new();
        release.release(&host.lost()).unwrap();
        assert_eq!(release.waited, Duration::ZERO, "{wrong:?}");
    }
}

#[test]
fn a_node_without_a_record_is_adopted() {
    let world = world(Some(Wrong::NoRecord));
    let node = Host::new().compose().unwrap();
    assert_eq!(node.handle, "managed-2");
    assert_eq!((world.borrow().posts, world.borrow().nodes_of(MARK)), (1, 1));
}

#[test]
fn a_node_without_a_record_is_listed_and_released_by_its_mark() {
    let world = world(None);
    world.borrow_mut().add(MARK, "Assembled");
    world.borrow_mut().records.pop();
    let page = ValenceRedfish::list(testing::context(SETTINGS), "a".into(), None).unwrap();
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items[0].handle, "podm:2");

    let mut listed = Host::new().lost();
    listed.handle = Some(page.items[0].handle.clone());
    Host::new().release(&listed).unwrap();
    assert_eq!(world.borrow().nodes_of(MARK), 0);
}

#[test]
fn while_a_request_may_still_take_effect_nothing_is_called_absent_or_released() {
    let world = world(Some(Wrong::Late));
    let mut host = Host::new();
    host.compose_once().unwrap();
    host.compose_once().unwrap();
    let lost = host.lost();
    assert!(matches!(find(&lost), Ok(Presence::Unsettled(_))));
    let mut release = Host::new();
    release.release(&lost).unwrap();
    assert_eq!(world.borrow().nodes_of(MARK), 0, "the late node was given back");
}

#[test]
fn an_index_that_another_node_has_now_is_left_alone() {
    let world = world(None);
    let node = Host::new().compose().unwrap();
    // Deleted at the pod manager by somebody, who got the index for a node of another name.
    let stranger = ("2".to_owned(), "podm-9".to_owned(), "a stranger's".to_owned(), "Assembled".to_owned());
    world.borrow_mut().nodes.retain(|(index, ..)| index != "2");
    world.borrow_mut().nodes.push(stranger.clone());

    assert_eq!(find(&held(&node)), Ok(Presence::Absent));
    let receipt = Host::new().release(&held(&node)).unwrap();
    assert!(receipt["note"].as_str().unwrap().contains("stale"), "{receipt}");
    assert!(world.borrow().nodes.contains(&stranger));
}

#[test]
fn the_same_index_and_name_with_another_uuid_is_left_alone() {
    let world = world(None);
    let node = Host::new().compose().unwrap();
    world.borrow_mut().nodes[1].1 = "podm-9".into();
    let receipt = Host::new().release(&held(&node)).unwrap();
    assert!(receipt["note"].as_str().unwrap().contains("left alone"), "{receipt}");
    assert_eq!(world.borrow().nodes_of(MARK), 1);
}

#[test]
fn a_record_that_valence_cannot_remove_is_released_with_a_note() {
    let world = world(None);
    let node = Host::new().compose().unwrap();
    world.borrow_mut().nodes.retain(|(index, ..)| index != "2");
    let receipt = Host::new().release(&held(&node)).unwrap();
    assert!(receipt["note"].as_str().unwrap().contains("only its database can"), "{receipt}");
}

#[test]
fn a_release_that_was_answered_and_did_nothing_is_noticed() {
    let world = world(None);
    let node = Host::new().compose().unwrap();
    world.borrow_mut().wrong = Some(Wrong::Keeps);
    let mut host = Host::new();
    let refused = host.release(&held(&node));
    assert!(matches!(&refused, Err(Fault::Broken(said)) if said.contains("did nothing")), "{refused:?}");
    assert!(host.waited >= Duration::from_secs(30));
    assert_eq!(world.borrow().nodes_of(MARK), 1);
}
