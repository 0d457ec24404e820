//! Whole operations against the small Ironic of [`far`], called as the host calls them: checkpoints stored, retries counted, time moved
//! by hand. The same life of a node is led once for each exchange whose answer is lost.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod far;

use crate::Ironic;
use far::{Far, Loss};
use moganite_driver::{
    Access, Answer, Context, Deploy, DeployDoing, Enroll, Erase, Fault, Holding, Identity, Node, NodeDoing, Order,
    Part, PartKind, Pause, PowerWish, Undoing, testing,
};
use serde_json::{Value, json};
use std::time::Duration;

/// Calls after which an operation is taken for endless.
const CALLS: usize = 60;

enum Doing<T> {
    Done(T),
    Pending(Pause),
}

/// Runs an operation to its end. Answers with it the trail: the last checkpoint that was stored.
fn run<T>(settings: &Value, call: impl Fn(Context) -> Answer<Doing<T>>) -> (Result<T, Fault>, Option<Vec<u8>>) {
    let mut cx = testing::context(settings.to_string());
    let mut now = Duration::from_secs(1_000_000);
    for _ in 0..CALLS {
        testing::set_now(now);
        match call(cx.clone()) {
            Ok(Doing::Done(done)) => return (Ok(done), cx.checkpoint),
            Ok(Doing::Pending(pause)) => {
                now += Duration::from_millis(pause.after);
                cx.checkpoint = Some(pause.checkpoint);
                cx.attempt = 1;
            }
            Err(Fault::Retry(_)) => {
                now += Duration::from_secs(2);
                cx.attempt += 1;
            }
            Err(fault) => return (Err(fault), cx.checkpoint),
        }
    }
    panic!("no end after {CALLS} calls");
}

fn enroll(settings: &Value) -> (Result<Node, Fault>, Option<Vec<u8>>) {
    run(settings, |cx| {
        Ok(match <Ironic as Enroll>::enroll(cx, "mg-a-1".into(), made())? {
            NodeDoing::Done(node) => Doing::Done(node),
            NodeDoing::Pending(pause) => Doing::Pending(pause),
        })
    })
}

fn deploy(settings: &Value, node: &str, image: &Value) -> (Result<String, Fault>, Option<Vec<u8>>) {
    let order = Order {
        node: node.into(),
        image: image.to_string(),
        hostname: "web-1".into(),
        user_data: None,
        ssh_keys: Vec::new(),
        networks: "{}".into(),
    };
    run(settings, |cx| {
        Ok(match <Ironic as Deploy>::deploy(cx, "mg-a-2".into(), order.clone())? {
            DeployDoing::Done(deployed) => Doing::Done(deployed.handle),
            DeployDoing::Pending(pause) => Doing::Pending(pause),
        })
    })
}

fn undeploy(settings: &Value, what: &Holding, level: Erase) -> Result<String, Fault> {
    run(settings, |cx| undoing(Ironic::undeploy(cx, what.clone(), level)?)).0
}

fn unenroll(settings: &Value, what: &Holding) -> Result<String, Fault> {
    run(settings, |cx| undoing(Ironic::unenroll(cx, what.clone())?)).0
}

fn undoing(undoing: Undoing) -> Answer<Doing<String>> {
    Ok(match undoing {
        Undoing::Done(receipt) => Doing::Done(receipt),
        Undoing::Pending(pause) => Doing::Pending(pause),
    })
}

fn made() -> Node {
    let part = |kind, size| Part { id: "p".into(), kind, size, serial: None, properties: "{}".into() };
    Node {
        handle: "h".into(),
        identity: Identity { system_uuid: None, serial: None, macs: vec!["52:54:00:00:00:0A".into()] },
        parts: vec![part(PartKind::Cpu, 8), part(PartKind::Memory, 16_384)],
        place: None,
        access: Some(Access {
            protocol: "redfish".into(),
            path: "/redfish/v1/Systems/1".into(),
            properties: "{}".into(),
        }),
        facts: "{}".into(),
    }
}

fn holding(mark: &str, handle: Option<String>, trail: Option<Vec<u8>>) -> Holding {
    Holding { mark: mark.into(), handle, facts: "{}".into(), trail }
}

fn image() -> Value {
    json!({ "boot_iso": "http://images/a.iso" })
}

/// A node's life from enroll to unenroll. Nothing may be left, whichever answer is lost.
fn life(settings: &Value, loss: Option<Loss>) -> Far {
    let far = far::start();
    far.borrow_mut().loss = loss;
    let (node, enrolled) = enroll(settings);
    let node = node.unwrap_or_else(|fault| panic!("{loss:?}: enroll: {fault:?}"));
    assert_eq!(node.identity.macs, ["52:54:00:00:00:0a"]);
    let (active, trail) = deploy(settings, &node.handle, &image());
    assert_eq!(active, Ok(node.handle.clone()), "{loss:?}");
    assert_eq!(far.borrow().nodes[&node.handle]["power_state"], "power on");
    let receipt = undeploy(settings, &holding("mg-a-2", active.ok(), trail), Erase::Quick);
    let receipt = receipt.unwrap_or_else(|fault| panic!("{loss:?}: undeploy: {fault:?}"));
    assert!(receipt.contains("\"erased\":\"quick\""), "{loss:?}: {receipt}");
    assert_eq!(far.borrow().nodes[&node.handle]["power_state"], "power off");
    let gone = unenroll(settings, &holding("mg-a-1", Some(node.handle), enrolled));
    assert!(gone.is_ok(), "{loss:?}: {gone:?}");
    assert!(far.borrow().nodes.is_empty() && far.borrow().ports.is_empty(), "{loss:?}");
    far.take()
}

#[test]
fn a_life_ends_the_same_whichever_answer_is_lost() {
    let settings = json!({ "configdrive": false, "erases": "quick" });
    let exchanges = life(&settings, None).log.len();
    assert!(exchanges > 30, "{exchanges}");
    for at in 0..exchanges {
        life(&settings, Some(Loss::Before(at)));
        life(&settings, Some(Loss::After(at)));
    }
}

#[test]
fn no_verb_is_sent_twice_in_an_undisturbed_life() {
    let log = life(&json!({ "configdrive": false, "erases": "quick" }), None).log;
    let count = |what: &str| log.iter().filter(|line| line.contains(what)).count();
    // manage, inspect, provide, active, deleted
    assert_eq!(count("states/provision"), 5);
    assert_eq!(count("POST /v1/nodes"), 1);
    assert_eq!(count("DELETE"), 1);
    assert_eq!(count("states/power"), 0);
}

#[test]
fn an_enrolment_given_up_at_any_exchange_leaves_nothing() {
    let settings = json!({});
    for at in 0..40 {
        for loss in [Loss::Before(at), Loss::After(at)] {
            let far = far::start();
            far.borrow_mut().loss = Some(loss);
            // The host turns round at the first fault: what was stored so far is the trail, and there is no handle.
            let mut cx = testing::context(settings.to_string());
            testing::set_now(Duration::from_secs(1));
            while let Ok(NodeDoing::Pending(pause)) = <Ironic as Enroll>::enroll(cx.clone(), "mg-a-1".into(), made()) {
                cx.checkpoint = Some(pause.checkpoint);
            }
            let gone = unenroll(&settings, &holding("mg-a-1", None, cx.checkpoint));
            assert!(gone.is_ok(), "{loss:?}: {gone:?}");
            assert!(far.borrow().nodes.is_empty() && far.borrow().ports.is_empty(), "{loss:?}");
        }
    }
}

#[test]
fn only_what_ironic_inspected_is_answered_as_seen() {
    far::start();
    let parts = enroll(&json!({})).0.unwrap().parts;
    let sizes: Vec<_> = parts.iter().map(|part| (part.kind, part.size)).collect();
    assert_eq!(sizes, [(PartKind::Cpu, 8), (PartKind::Memory, 16_384)]);
    far::start();
    assert_eq!(enroll(&json!({ "inspect": false })).0.unwrap().parts, []);
}

#[test]
fn a_verify_that_fails_twice_is_tried_again_and_the_third_failure_tells_its_cause() {
    let far = far::start();
    far.borrow_mut().failing = vec!["manage", "manage"];
    assert!(enroll(&json!({})).0.is_ok());
    let far = far::start();
    far.borrow_mut().failing = vec!["manage", "manage", "manage"];
    let (refused, trail) = enroll(&json!({}));
    assert!(matches!(&refused, Err(Fault::Broken(why)) if why.contains("401")), "{refused:?}");
    assert!(unenroll(&json!({}), &holding("mg-a-1", None, trail)).is_ok());
    assert!(far.borrow().nodes.is_empty());
}

#[test]
fn a_failed_inspection_is_left_through_manage() {
    let far = far::start();
    far.borrow_mut().failing = vec!["inspect"];
    let (refused, trail) = enroll(&json!({}));
    assert!(matches!(refused, Err(Fault::Broken(_))), "{refused:?}");
    assert!(unenroll(&json!({}), &holding("mg-a-1", None, trail)).is_ok());
    assert!(far.borrow().nodes.is_empty());
}

#[test]
fn a_failed_deployment_is_torn_down_and_the_node_is_free() {
    let settings = json!({ "configdrive": false });
    let far = far::start();
    far.borrow_mut().failing = vec!["active"];
    let node = enroll(&settings).0.unwrap().handle;
    let (refused, trail) = deploy(&settings, &node, &image());
    assert!(matches!(refused, Err(Fault::Broken(_))), "{refused:?}");
    assert!(undeploy(&settings, &holding("mg-a-2", None, trail), Erase::None).is_ok());
    assert_eq!(far.borrow().nodes[&node]["instance_uuid"], Value::Null);
    assert_eq!(far.borrow().nodes[&node]["provision_state"], "available");
}

#[test]
fn a_refused_image_gives_the_node_back_and_owes_no_erasure() {
    let settings = json!({ "configdrive": false });
    let far = far::start();
    let node = enroll(&settings).0.unwrap().handle;
    let (refused, trail) = deploy(&settings, &node, &json!({ "kernel": "http://images/k" }));
    assert!(matches!(refused, Err(Fault::Rejected(_)) | Err(Fault::Broken(_))), "{refused:?}");
    let receipt = undeploy(&settings, &holding("mg-a-2", None, trail), Erase::Full);
    assert!(receipt.is_ok_and(|receipt| receipt.contains("never began")));
    assert_eq!(far.borrow().nodes[&node]["instance_uuid"], Value::Null);
}

#[test]
fn a_level_out_of_reach_brings_the_machine_down_before_it_is_refused() {
    let settings = json!({ "configdrive": false });
    let far = far::start();
    let node = enroll(&settings).0.unwrap().handle;
    let (_, trail) = deploy(&settings, &node, &image());
    let refused = undeploy(&settings, &holding("mg-a-2", Some(node.clone()), trail), Erase::Full);
    assert!(matches!(&refused, Err(Fault::Broken(why)) if why.contains("level full")), "{refused:?}");
    assert_eq!(far.borrow().nodes[&node]["power_state"], "power off");
    assert_eq!(far.borrow().nodes[&node]["instance_uuid"], Value::Null);
}

#[test]
fn a_node_outside_of_the_filter_is_never_changed() {
    let far = far::start();
    let node = enroll(&json!({})).0.unwrap().handle;
    far.borrow_mut().log.clear();
    let settings = json!({ "filter": { "resource_class": "ours" }, "resource_class": "ours" });
    assert!(matches!(deploy(&settings, &node, &image()).0, Err(Fault::Conflict(_))));
    let power = run(&settings, |cx| undoing(Ironic::set_power(cx, node.clone(), PowerWish::Off)?)).0;
    assert!(matches!(power, Err(Fault::Conflict(_))));
    assert!(matches!(undeploy(&settings, &holding("mg-a-2", Some(node), None), Erase::None), Err(Fault::Conflict(_))));
    let log = &far.borrow().log;
    assert!(log.iter().all(|line| line.starts_with("GET ")), "{log:?}");
}

#[test]
fn a_teardown_that_failed_is_tried_again() {
    let settings = json!({ "configdrive": false });
    let far = far::start();
    let node = enroll(&settings).0.unwrap().handle;
    let (_, trail) = deploy(&settings, &node, &image());
    far.borrow_mut().failing = vec!["deleted"];
    assert!(undeploy(&settings, &holding("mg-a-2", Some(node), trail), Erase::None).is_ok());
}

#[test]
fn undoing_what_never_was_and_what_is_undone_already_is_done() {
    far::start();
    let settings = json!({ "configdrive": false });
    assert!(undeploy(&settings, &holding("mg-a-2", None, None), Erase::Full).is_ok());
    assert!(unenroll(&settings, &holding("mg-a-1", None, None)).is_ok());
    let node = enroll(&settings).0.unwrap().handle;
    let (_, trail) = deploy(&settings, &node, &image());
    let what = holding("mg-a-2", Some(node.clone()), trail);
    assert!(undeploy(&settings, &what, Erase::None).is_ok());
    assert!(undeploy(&settings, &what, Erase::None).is_ok());
    assert!(unenroll(&settings, &holding("mg-a-1", Some(node), None)).is_ok());
    assert!(undeploy(&settings, &what, Erase::None).is_ok());
}
