//! Claims: for each fault of Ironic a claim and an unclaim, which must both end, and then Ironic's own lists, on which nothing of ours
//! may stand. Section numbers are of the contract that was written down from Ironic 39.0.0.

use crate::far::{self, Run, WRONG, Wrong, image, shape};
use moganite_driver::{Erase, Fault, NodeDoing, PartKind, Presence, Shape};
use moganite_sim::Kind;
use serde_json::json;
use std::collections::BTreeSet;

const CLAIM: &str = "mg-site-1";
const DEPLOY: &str = "mg-site-2";

/// What a claim that met a fault may end with.
#[derive(Clone, Copy, Debug)]
enum Ends {
    WithANode,
    WithCapacity,
}

#[test]
fn a_claimed_node_says_what_it_is_and_goes_back() {
    let run = Run::with_servers(1);
    let did = run.claim(CLAIM, &[]);
    let node = did.answer.as_ref().unwrap();
    assert_eq!(node.handle, Run::node_of(1));
    assert_eq!(node.place.as_deref(), Some("rack-1"));
    assert!(node.identity.serial.is_some() && node.identity.system_uuid.is_some());
    assert!(node.identity.macs.contains(&"52:54:00:00:00:01".to_owned()));
    let total = |kind| node.parts.iter().filter(|part| part.kind == kind).map(|part| part.size).sum::<u64>();
    assert_eq!([PartKind::Cpu, PartKind::Memory, PartKind::Disk].map(total), [8, 16_384, 100]);
    assert_eq!(run.listed_claims("site"), [CLAIM]);
    assert_eq!(run.listed_claims("sit"), Vec::<String>::new());
    assert!(matches!(run.find_claimed(CLAIM, None), Presence::Present(held) if held.handle == node.handle));

    // Again under the same mark: the same node.
    assert_eq!(run.claim(CLAIM, &[]).answer.unwrap().handle, node.handle);
    // Another mark, the pool being empty.
    assert!(
        matches!(run.claim("mg-site-9", &[]).answer, Err(Fault::Capacity(why)) if why.contains("no available nodes"))
    );

    run.unclaim(CLAIM, &did).unwrap();
    run.assert_all_free("a plain unclaim");
    assert_eq!(run.find_claimed(CLAIM, None), Presence::Absent);
    run.unclaim(CLAIM, &did).unwrap();
}

#[test]
fn whatever_goes_wrong_with_a_claim_nothing_stays_claimed() {
    let post = |kind| Wrong { method: "POST", path: "/v1/allocations", kind, ms: Some(300), times: 1, ..WRONG };
    let get = |kind| Wrong { method: "GET", path: "/v1/allocations/*", kind, ms: Some(300), times: 2, ..WRONG };
    let delete = |kind| Wrong { method: "DELETE", path: "/v1/allocations/*", kind, ms: Some(300), times: 1, ..WRONG };
    let deed = |kind, ms, times| Wrong { method: "", path: "", kind, ms, times, ..WRONG };
    let cases = [
        // Section 10: a lost answer is read again, never resent blindly.
        (vec![post(Kind::LostAnswer)], Ends::WithANode),
        (vec![post(Kind::LateCompletion)], Ends::WithANode),
        (vec![post(Kind::Drop)], Ends::WithANode),
        (vec![post(Kind::Garbage)], Ends::WithANode),
        (vec![post(Kind::Delay)], Ends::WithANode),
        // Section 9: an Ironic on sqlite answers 503 under load.
        (vec![post(Kind::Refuse)], Ends::WithANode),
        (vec![get(Kind::Refuse)], Ends::WithANode),
        (vec![get(Kind::Garbage)], Ends::WithANode),
        // Section 8: one stayed `allocating` for over 20 s: bound the wait, delete, ask again.
        (vec![deed(Kind::StuckAllocating, None, 1)], Ends::WithANode),
        (vec![deed(Kind::StuckAllocating, Some(200), 1)], Ends::WithANode),
        (vec![deed(Kind::StuckAllocating, None, 0)], Ends::WithCapacity),
        (vec![deed(Kind::StuckAllocating, None, 1), delete(Kind::LostAnswer)], Ends::WithANode),
        (vec![deed(Kind::StuckAllocating, None, 1), delete(Kind::LateCompletion)], Ends::WithANode),
        // Section 8: three of eight ended in `error`, `could not reserve any of 4 suitable nodes`. Failed ones stay until deleted.
        (vec![deed(Kind::AllocationContended, None, 1)], Ends::WithANode),
        (vec![deed(Kind::AllocationContended, None, 0)], Ends::WithCapacity),
        (vec![deed(Kind::AllocationContended, None, 0), delete(Kind::Drop)], Ends::WithCapacity),
    ];
    for (wrong, ends) in cases {
        let what = format!("{wrong:?}");
        let run = Run::with_servers(2);
        wrong.into_iter().for_each(|wrong| run.set(wrong));
        let did = run.claim(CLAIM, &[]);
        match (ends, &did.answer) {
            (Ends::WithANode, Ok(_)) | (Ends::WithCapacity, Err(Fault::Capacity(_))) => {}
            (_, answer) => panic!("{what}: {answer:?}"),
        }
        if let Ends::WithCapacity = ends {
            // Capacity says that nothing was taken: it must be so before the unclaim.
            run.assert_all_free(&what);
        }
        run.unclaim(CLAIM, &did).unwrap_or_else(|fault| panic!("{what}: {fault:?}"));
        run.assert_all_free(&what);
    }
}

#[test]
fn a_claim_given_up_after_any_call_leaves_nothing() {
    for calls in 1..4 {
        let run = Run::with_servers(1);
        // The request is on its way when its sender gives up.
        run.set(Wrong {
            method: "POST",
            path: "/v1/allocations",
            kind: Kind::LateCompletion,
            ms: Some(200),
            times: 1,
            ..WRONG
        });
        let (mut trail, mut attempt) = (None, 1);
        for _ in 0..calls {
            match run.claim_once(CLAIM, trail.clone(), attempt) {
                Ok(NodeDoing::Pending(pause)) => (trail, attempt) = (Some(pause.checkpoint), 1),
                _ => attempt += 1,
            }
        }
        if calls == 2 {
            assert!(matches!(run.find_claimed(CLAIM, trail.clone()), Presence::Unsettled(_)));
        }
        let did = far::Did { answer: Err(Fault::Broken(String::new())), trail };
        run.unclaim(CLAIM, &did).unwrap();
        run.assert_all_free(&format!("given up after {calls} calls"));
    }
}

#[test]
fn whatever_goes_wrong_with_an_unclaim_it_ends_and_nothing_stays_behind() {
    let delete = |kind| Wrong { method: "DELETE", path: "/v1/allocations/*", kind, ms: Some(300), times: 1, ..WRONG };
    let get = |kind| Wrong { method: "GET", path: "/v1/allocations/*", kind, ms: Some(300), times: 1, ..WRONG };
    for wrong in [
        delete(Kind::LostAnswer),
        delete(Kind::LateCompletion),
        delete(Kind::Drop),
        delete(Kind::Refuse),
        delete(Kind::Garbage),
        get(Kind::Refuse),
        get(Kind::Drop),
    ] {
        let what = format!("{wrong:?}");
        let run = Run::with_servers(1);
        let did = run.claim(CLAIM, &[]);
        run.set(wrong);
        run.unclaim(CLAIM, &did).unwrap_or_else(|fault| panic!("{what}: {fault:?}"));
        run.assert_all_free(&what);
    }
}

#[test]
fn four_claims_get_four_nodes_and_the_fifth_gets_none() {
    let run = Run::with_servers(4);
    let dids: Vec<_> = (1..=5).map(|n| run.claim(&format!("mg-site-{n}"), &[])).collect();
    let nodes: BTreeSet<_> = dids.iter().filter_map(|did| did.answer.as_ref().ok().map(|node| &node.handle)).collect();
    assert_eq!(nodes.len(), 4);
    assert!(matches!(&dids[4].answer, Err(Fault::Capacity(_))));
    for (n, did) in dids.iter().enumerate() {
        run.unclaim(&format!("mg-site-{}", n + 1), did).unwrap();
    }
    run.assert_all_free("five claims");
}

#[test]
fn an_excluded_a_smaller_and_an_unready_node_are_no_candidates() {
    let run = Run::with_servers(4);
    run.patch(&Run::node_of(2), "maintenance", json!(true));
    run.patch(&Run::node_of(3), "resource_class", json!("silver"));
    let fourth = Run::node_of(4);
    assert_eq!(run.ironic("PUT", &format!("/v1/nodes/{fourth}/traits/CUSTOM_FAST"), &json!(null)).0, 204);
    let claimed = |want: Shape, exclude: &[&str]| {
        let did = run.claim_shape(CLAIM, want, exclude);
        run.unclaim(CLAIM, &did).unwrap();
        did.answer.map(|node| node.handle)
    };
    let all = [1, 2, 3].map(Run::node_of);
    assert_eq!(claimed(shape(), &[&all[0]]), Ok(fourth.clone()));
    assert_eq!(claimed(Shape { traits: vec!["CUSTOM_FAST".into()], ..shape() }, &[]), Ok(fourth.clone()));
    let nobody = claimed(Shape { traits: vec!["CUSTOM_FAST".into()], ..shape() }, &["rack-4"]);
    assert!(matches!(&nobody, Err(Fault::Capacity(why)) if why.contains("excluded")), "{nobody:?}");
    // What an inspection saw counts, and a size that is wanted must be known.
    assert!(claimed(Shape { cores: 8, memory_mib: 16_384, disks_gib: vec![100], ..shape() }, &[]).is_ok());
    for want in [
        Shape { cores: 9, ..shape() },
        Shape { memory_mib: 16_385, ..shape() },
        Shape { disks_gib: vec![101], ..shape() },
        Shape { disks_gib: vec![50, 50], ..shape() },
        Shape { class: Some("platinum".into()), ..shape() },
    ] {
        let refused = claimed(want.clone(), &[]);
        assert!(matches!(refused, Err(Fault::Capacity(_))), "{want:?}: {refused:?}");
    }
    // An operator's choice is the only candidate, by uuid or by name.
    let only = |id: &str| Shape { properties: json!({ "node": id }).to_string(), ..shape() };
    assert_eq!(claimed(only("rack-4"), &[]), Ok(fourth.clone()));
    assert_eq!(claimed(only(&all[0]), &[]), Ok(all[0].clone()));
    assert!(matches!(claimed(only("rack-2"), &[]), Err(Fault::Capacity(why)) if why.contains("maintenance")));
    assert!(matches!(claimed(only("rack-4"), &["rack-4"]), Err(Fault::Capacity(_))));
    assert!(matches!(claimed(only("rack-99"), &[]), Err(Fault::Rejected(_))));
    run.assert_all_free("choices");
}

#[test]
fn a_deployment_uses_the_claim_s_instance_and_undoing_both_frees_the_node() {
    let run = Run::with_servers(1);
    let claimed = run.claim(CLAIM, &[]);
    let node = claimed.answer.as_ref().unwrap().handle.clone();
    let instance = run.node(&node)["instance_uuid"].clone();
    let did = run.deploy(DEPLOY, &node, &image());
    assert!(did.answer.is_ok(), "{:?}", did.answer);
    assert_eq!(run.node(&node)["instance_uuid"], instance);
    assert_eq!(run.node(&node)["provision_state"], "active");
    assert!(matches!(run.find_deployed(run.deployment(DEPLOY, &did)), Presence::Present(_)));
    // Found by the mark alone, the answers of both being lost.
    let lost = far::Did { answer: Err(Fault::Broken(String::new())), trail: None };
    assert!(matches!(run.find_deployed(run.deployment(DEPLOY, &lost)), Presence::Present(_)));
    // Not while it is deployed: the deployment is undone first.
    assert!(matches!(run.unclaim(CLAIM, &claimed), Err(Fault::Retry(_))));

    run.undeploy(DEPLOY, &did, Erase::None).unwrap();
    assert_eq!(run.find_deployed(run.deployment(DEPLOY, &did)), Presence::Absent);
    // The undeploy has removed the allocation; the unclaim finds it gone.
    assert_eq!(run.allocations().len(), 0);
    run.unclaim(CLAIM, &claimed).unwrap();
    run.assert_all_free("deployed and back");
}

#[test]
fn a_refused_or_failed_deployment_leaves_no_instance_on_the_claimed_node() {
    for (image, failing) in [(json!({ "kernel": "http://images.example/k" }), false), (image(), true)] {
        let run = Run::with_servers(1);
        let claimed = run.claim(CLAIM, &[]);
        let node = claimed.answer.as_ref().unwrap().handle.clone();
        if failing {
            run.set(Wrong { method: "", path: "", kind: Kind::DeployFails, ms: None, times: 1, ..WRONG });
        }
        let did = run.deploy(DEPLOY, &node, &image);
        assert!(did.answer.is_err());
        run.undeploy(DEPLOY, &did, Erase::None).unwrap();
        // Refused: still claimed, and the image is gone from it.
        assert_eq!(run.node(&node)["instance_uuid"].is_null(), failing);
        assert!(run.node(&node)["instance_info"]["moganite_mark"].is_null());
        run.unclaim(CLAIM, &claimed).unwrap();
        run.assert_all_free("a deployment that failed");
    }
}

#[test]
fn a_node_that_another_site_or_somebody_else_has_is_not_deployed_on() {
    let run = Run::with_servers(1);
    let theirs = run.claim("mg-other-1", &[]);
    let node = theirs.answer.as_ref().unwrap().handle.clone();
    let refused = run.deploy(DEPLOY, &node, &image());
    assert!(matches!(&refused.answer, Err(Fault::Conflict(why)) if why.contains("taken")), "{:?}", refused.answer);
    run.undeploy(DEPLOY, &refused, Erase::None).unwrap();
    assert_eq!(run.allocations().len(), 1);
    assert_eq!(run.node(&node)["instance_uuid"], run.allocations()[0]["uuid"]);
    run.unclaim("mg-other-1", &theirs).unwrap();
    run.assert_all_free("a stranger's claim");
}
