//! Adopting a server that somebody deployed by hand: whatever goes wrong, nothing changes its machine, and what is let go is in Ironic as
//! it was before. Section numbers are of the contract that was written down from Ironic 39.0.0.

use crate::far::{Did, Run, WRONG, Wrong, image};
use moganite_driver::{Deployed, Erase, Fault, Presence};
use moganite_sim::Kind;
use serde_json::{Value, json};

const CLAIM: &str = "mg-site-1";
const DEPLOY: &str = "mg-site-2";

/// No verb, no power action, no deletion of a node: whatever was sent, the machine did not hear of it.
fn assert_nothing_touched_the_machine(run: &Run, since: u64, when: &str) {
    let asked = run.asked_since(since);
    let touches = |request: &&String| {
        request.contains("/states/") && request.starts_with("PUT")
            || request.starts_with("DELETE /v1/nodes/") && !request.ends_with("/maintenance")
            || request.contains("/management/")
            || request.contains("/vifs")
    };
    let touching: Vec<_> = asked.iter().filter(touches).collect();
    assert!(touching.is_empty(), "{when}: {touching:?}");
    assert_eq!(run.runs(), ["1"], "{when}");
    assert_eq!(run.data(), ["1"], "{when}");
    assert_eq!(run.alarms(), Vec::<String>::new(), "{when}");
}

#[test]
fn a_running_server_is_taken_as_it_runs_and_erased_when_it_is_deleted_at_last() {
    let run = Run::with_servers(2).set_up(json!({ "erases": "quick" }));
    run.patch(&Run::node_of(1), "automated_clean", json!(true));
    run.running(1);
    let since = run.requests();
    let claimed = run.adopt(CLAIM, "rack-1");
    let node = claimed.answer.as_ref().unwrap();
    assert_eq!(node.handle, Run::node_of(1));
    assert!(node.facts.contains("\"adopted\":true"), "{}", node.facts);
    assert!(node.identity.serial.is_some() && !node.parts.is_empty());
    let deployed = run.take_over(DEPLOY, &node.handle);
    assert_eq!(deployed.answer.as_ref().unwrap().handle, node.handle);
    assert_nothing_touched_the_machine(&run, since, "adopted");
    // Section 8: the node's instance is the allocation's uuid.
    assert_eq!(run.node(&node.handle)["instance_uuid"], run.allocations()[0]["uuid"]);
    assert_eq!(run.listed_claims("site"), [CLAIM]);
    assert!(matches!(run.find_deployed(run.deployment(DEPLOY, &deployed)), Presence::Present(_)));
    // Both again under the same marks, as after a crash.
    assert_eq!(run.adopt(CLAIM, "rack-1").answer.unwrap().handle, node.handle);
    assert!(run.take_over(DEPLOY, &node.handle).answer.is_ok());
    assert!(matches!(run.unclaim(CLAIM, &claimed), Err(Fault::Retry(_))), "unclaimed while it is deployed");

    let receipt: Value = serde_json::from_str(&run.undeploy(DEPLOY, &deployed, Erase::Quick).unwrap()).unwrap();
    assert_eq!(receipt["erased"], "quick");
    run.unclaim(CLAIM, &claimed).unwrap();
    run.assert_all_free("adopted and deleted");
    assert_eq!(run.data(), Vec::<String>::new());
}

#[test]
fn what_is_let_go_after_any_step_is_as_it_was_and_runs_on() {
    for (traits, steps) in [(false, 1), (false, 2), (true, 2)] {
        let run = Run::with_servers(1);
        let mut before = run.running(1);
        let node = Run::node_of(1);
        if traits {
            run.patch(&node, "instance_info/traits", json!(["CUSTOM_A"]));
            before = run.shown(&node);
        }
        let since = run.requests();
        let claimed = run.adopt(CLAIM, &node);
        assert!(claimed.answer.is_ok(), "{:?}", claimed.answer);
        let deployed = (steps > 1).then(|| run.take_over(DEPLOY, &node));
        run.let_go((CLAIM, &claimed), deployed.as_ref().map(|did| (DEPLOY, did))).unwrap();
        let mut after = run.shown(&node);
        if traits {
            // The allocation has replaced them, and nobody knows what they were.
            after["instance_info"]["traits"] = before["instance_info"]["traits"].clone();
        }
        assert_eq!(after, before);
        assert_eq!(run.allocations().len(), 0);
        assert_nothing_touched_the_machine(&run, since, "let go");
    }
}

#[test]
fn whichever_request_is_lost_the_machine_hears_of_nothing_and_letting_go_ends() {
    let on = |method, path, kind| Wrong { method, path, kind, ms: Some(200), ..WRONG };
    let mut cases = Vec::new();
    for kind in [Kind::LostAnswer, Kind::LateCompletion, Kind::Drop, Kind::Refuse, Kind::Garbage, Kind::Locked] {
        cases.push(on("POST", "/v1/allocations", kind));
        cases.push(on("PATCH", "/v1/nodes/*", kind));
        cases.push(on("PUT", "/v1/nodes/*/maintenance", kind));
        cases.push(on("DELETE", "/v1/nodes/*/maintenance", kind));
        cases.push(on("DELETE", "/v1/allocations/*", kind));
        cases.push(on("GET", "/v1/nodes/*", kind));
    }
    for wrong in cases {
        let what = format!("{wrong:?}");
        let run = Run::with_servers(1);
        let before = run.running(1);
        let node = Run::node_of(1);
        let since = run.requests();
        run.set(wrong);
        let claimed = run.adopt(CLAIM, &node);
        assert!(claimed.answer.is_ok(), "{what}: {:?}", claimed.answer);
        let deployed = run.take_over(DEPLOY, &node);
        assert!(deployed.answer.is_ok(), "{what}: {:?}", deployed.answer);
        run.let_go((CLAIM, &claimed), Some((DEPLOY, &deployed))).unwrap_or_else(|fault| panic!("{what}: {fault:?}"));
        assert_eq!(run.shown(&node), before, "{what}");
        assert_eq!(run.allocations().len(), 0, "{what}");
        assert_nothing_touched_the_machine(&run, since, &what);
    }
}

#[test]
fn an_adoption_given_up_with_its_request_on_the_way_leaves_nothing() {
    for calls in 1..4 {
        let run = Run::with_servers(1);
        let before = run.running(1);
        let since = run.requests();
        run.set(Wrong { method: "POST", path: "/v1/allocations", kind: Kind::LateCompletion, ms: Some(200), ..WRONG });
        let did = run.adopt_for(CLAIM, &Run::node_of(1), calls);
        run.let_go((CLAIM, &did), None).unwrap();
        run.pause(600);
        assert_eq!(run.shown(&Run::node_of(1)), before, "given up after {calls} calls");
        assert_eq!(run.allocations().len(), 0);
        assert_nothing_touched_the_machine(&run, since, "given up");
    }
}

#[test]
fn a_deployment_whose_take_over_was_never_answered_is_never_torn_down() {
    let run = Run::with_servers(1);
    let before = run.running(1);
    let since = run.requests();
    let claimed = run.adopt(CLAIM, &Run::node_of(1));
    let mut deployed = run.take_over(DEPLOY, &Run::node_of(1));
    deployed.answer = Err(Fault::Broken("lost".into()));
    // Also where nobody says that it is let go: without a handle it never was ours.
    run.undeploy(DEPLOY, &deployed, Erase::Full).unwrap();
    run.let_go((CLAIM, &claimed), None).unwrap();
    assert_eq!(run.shown(&Run::node_of(1)), before);
    assert_nothing_touched_the_machine(&run, since, "never answered");
}

#[test]
fn a_take_over_that_came_late_and_is_found_by_its_mark_alone_is_never_torn_down() {
    let run = Run::with_servers(1);
    let before = run.running(1);
    let since = run.requests();
    let claimed = run.adopt(CLAIM, &Run::node_of(1));
    let deployed = run.take_over(DEPLOY, &Run::node_of(1)).answer.unwrap();
    // As a sweep finds it: the handle, and nothing that anybody stored.
    let found = Did { answer: Ok(Deployed { facts: "{}".into(), ..deployed }), trail: None };
    run.undeploy(DEPLOY, &found, Erase::Full).unwrap();
    run.let_go((CLAIM, &claimed), None).unwrap();
    assert_eq!(run.shown(&Run::node_of(1)), before);
    assert_nothing_touched_the_machine(&run, since, "came late");
}

#[test]
fn a_server_that_is_somebody_s_or_does_not_run_is_refused_and_left_alone() {
    type Change = fn(&Run, &str);
    let cases: [(Change, &str); 6] = [
        (|run, node| run.patch(node, "instance_uuid", json!("22222222-0000-4000-8000-000000000001")), "taken by"),
        (|run, _| drop(run.adopt("mg-other-1", "rack-1").answer.unwrap()), "taken by"),
        (|run, node| run.patch(node, "instance_info/moganite_mark", json!("mg-other-9")), "mg-other-9"),
        (|run, node| run.patch(node, "maintenance", json!(true)), "maintenance"),
        (|run, node| run.patch(node, "retired", json!(true)), "retired"),
        (|run, node| run.bring(node, "deleted"), "only an active one"),
    ];
    for (change, why) in cases {
        let run = Run::with_servers(1);
        run.running(1);
        let node = Run::node_of(1);
        change(&run, &node);
        let (before, allocations) = (run.shown(&node), run.allocations());
        let since = run.requests();
        let refused = run.adopt(CLAIM, &node);
        let Err(Fault::Conflict(said)) = &refused.answer else { panic!("{why}: {:?}", refused.answer) };
        assert!(said.contains(why), "{said}");
        run.let_go((CLAIM, &refused), None).unwrap();
        assert_eq!((run.shown(&node), run.allocations()), (before, allocations), "{why}");
        assert!(run.asked_since(since).iter().all(|request| request.starts_with("GET")), "{why}");
    }
    let run = Run::with_servers(1);
    assert!(matches!(run.adopt(CLAIM, "rack-9").answer, Err(Fault::Rejected(_))));
}

#[test]
fn somebody_who_is_quicker_keeps_the_server() {
    let run = Run::with_servers(1);
    run.running(1);
    let node = Run::node_of(1);
    // The intent is stored; before the request is sent somebody else has it.
    let intended = run.adopt_for(CLAIM, &node, 1);
    let theirs = run.adopt("mg-other-1", &node);
    assert!(theirs.answer.is_ok());
    let before = run.shown(&node);
    let refused = run.adopt(CLAIM, &node);
    assert!(matches!(&refused.answer, Err(Fault::Conflict(_))), "{:?}", refused.answer);
    run.let_go((CLAIM, &intended), None).unwrap();
    assert_eq!(run.shown(&node), before);
    assert_eq!(run.allocations().len(), 1);
}

#[test]
fn only_what_was_claimed_so_is_taken_over_and_nothing_is_written_on_what_runs() {
    let run = Run::with_servers(2);
    run.running(1);
    let (running, free) = (Run::node_of(1), Run::node_of(2));
    let adopted = run.adopt(CLAIM, &running);
    assert!(adopted.answer.is_ok());
    let since = run.requests();
    let written = run.deploy(DEPLOY, &running, &image());
    assert!(matches!(written.answer, Err(Fault::Conflict(_))), "{:?}", written.answer);
    assert_nothing_touched_the_machine(&run, since, "an order with an image");
    let claimed = run.claim("mg-site-3", &[]);
    assert_eq!(claimed.answer.as_ref().unwrap().handle, free);
    let refused = run.take_over("mg-site-4", &free);
    assert!(matches!(&refused.answer, Err(Fault::Rejected(why)) if why.contains("adopted")), "{:?}", refused.answer);
}
