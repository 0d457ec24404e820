//! The driver against the project's simulator, without the sandbox: a whole life, and for each fault of CloudBoot and its servers a create and
//! a delete, which must both end, and then the simulator's own ledger, which must hold nothing of ours. `simulator/far.rs` is the way
//! between the two.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

#[path = "simulator/far.rs"]
mod far;

use far::{CLAIM, DEPLOY, Loss, Run, WRONG, Wrong, order, shape};
use moganite_driver::{Driver, Erase, Fault, Order, PartKind, Power, PowerWish, Presence, Shape};
use moganite_sim::{Kind, Options};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Cases that go on at once. Each waits most of its time.
const LIVES: usize = 16;

#[test]
fn a_server_is_lent_installed_and_given_back() {
    let run = Run::start();
    let node = run.claim().unwrap();
    let total = |kind| node.parts.iter().filter(|part| part.kind == kind).map(|part| part.size).sum::<u64>();
    assert_eq!((total(PartKind::Cpu), total(PartKind::Memory), total(PartKind::Disk)), (8, 16_384, 100));
    assert_eq!(node.identity.serial.as_deref(), Some(node.handle.as_str()));
    assert_eq!(node.identity.macs.len(), 2);
    let held = run.ledger().cloudboot.held;
    assert_eq!((held[0].asset.as_str(), held[0].status.as_str()), (CLAIM, "failure"));
    assert!(!run.ledger().cloudboot.idle.contains(&node.handle), "a lent server is off");
    assert!(matches!(run.find_claim(Some(&node)), Presence::Present(_)));

    let deployed = run.deploy(&node).unwrap();
    let ledger = run.ledger().cloudboot;
    assert_eq!(ledger.running, std::slice::from_ref(&node.handle));
    assert_eq!((ledger.held[0].hostname.as_str(), ledger.held[0].status.as_str()), ("web-1", "success"));
    assert_eq!(ledger.data[0].owner, format!("{CLAIM}.{DEPLOY}"));
    let addresses: Value = serde_json::from_str(&deployed.addresses).unwrap();
    assert!(addresses["10.9.0.0/24"][0].as_str().unwrap().starts_with("10.9.0."), "{addresses}");
    assert_eq!(run.listed(), (vec![CLAIM.to_owned()], vec![DEPLOY.to_owned()]));
    assert!(matches!(run.find_deployment(Some(&deployed)), Presence::Present(_)));
    let seen = run.observe(&["nobody", &node.handle]);
    assert_eq!((seen.len(), seen[0].power, seen[0].state.as_str()), (1, Power::Unknown, "success"));

    let receipt = run.undeploy(Some(&deployed), Erase::None).unwrap();
    assert_eq!(receipt["erased"], "none");
    assert!(run.ledger().cloudboot.running.is_empty());
    assert_eq!(run.find_deployment(Some(&deployed)), Presence::Absent);
    run.unclaim(Some(&node)).unwrap();
    assert_eq!(run.find_claim(Some(&node)), Presence::Absent);
    run.assert_nothing_is_held("a plain life");
    assert_eq!((run.ledger().cloudboot.made, run.ledger().cloudboot.given_back), (1, 1));
    assert_eq!(run.listed(), (vec![], vec![]));
    assert_eq!(run.asked("/user/login").len(), 1, "one login for all of it");
}

#[test]
fn whatever_is_undone_is_undone_once_more_without_harm() {
    let run = Run::start();
    let node = run.claim().unwrap();
    let deployed = run.deploy(&node).unwrap();
    for _ in 0..2 {
        run.undeploy(Some(&deployed), Erase::None).unwrap();
    }
    for _ in 0..2 {
        run.unclaim(Some(&node)).unwrap();
    }
    run.undeploy(None, Erase::None).unwrap();
    run.assert_nothing_is_held("everything twice");
    assert_eq!(run.ledger().cloudboot.given_back, 1);
}

#[test]
fn whatever_goes_wrong_with_a_claim_nothing_stays_behind() {
    let on = |path, kind| Wrong { path, kind, ms: Some(300), times: 1, ..WRONG };
    let import = |kind| on("device/importDeviceForOpenApi", kind);
    let cases = [
        import(Kind::LostAnswer),
        import(Kind::LateCompletion),
        import(Kind::Drop),
        import(Kind::Garbage),
        import(Kind::Delay),
        import(Kind::Refuse),
        on("device/batchCancelInstall", Kind::LostAnswer),
        on("device/batchCancelInstall", Kind::Refuse),
        on("device/batchPowerOff", Kind::LostAnswer),
        on("device/batchPowerOff", Kind::Delay),
        on("device/getDeviceBySn", Kind::Garbage),
        on("device/scan/list", Kind::Drop),
        on("user/login", Kind::Drop),
        on("", Kind::ClaimedTwice),
        on("", Kind::PowerIgnored),
        Wrong { times: 4, ..on("", Kind::BmcAway) },
    ];
    each(&cases, |wrong| {
        let what = format!("{wrong:?}");
        let run = Run::start();
        run.set(wrong);
        let node = run.claim().unwrap_or_else(|fault| panic!("{what}: {fault:?}"));
        let ours = run.ledger().cloudboot.held.into_iter().filter(|device| device.asset == CLAIM).count();
        assert_eq!(ours, 1, "{what}");
        run.unclaim(Some(&node)).unwrap_or_else(|fault| panic!("{what}: {fault:?}"));
        run.assert_nothing_is_held(&what);
        assert_eq!(run.find_claim(None), Presence::Absent, "{what}");
    });
}

#[test]
fn a_server_that_two_claim_at_once_is_left_to_the_other_and_not_touched() {
    let run = Run::start();
    run.set(&Wrong { path: "", kind: Kind::ClaimedTwice, ms: None, times: 1, ..WRONG });
    assert_eq!(run.claim().unwrap().handle, "CB002");
    let held = run.ledger().cloudboot.held;
    let owners: Vec<_> = held.iter().map(|device| (device.sn.as_str(), device.asset.as_str())).collect();
    assert_eq!(owners, [("CB001", "somebody-elses"), ("CB002", CLAIM)]);
    let touched = run.asked("/batchPowerOff").into_iter().chain(run.asked("/batchCancelInstall"));
    assert!(touched.map(|body| body[0].to_string()).all(|item| !item.contains("CB001") && !item.contains("\"ID\":5")));
}

#[test]
fn a_claim_that_was_cut_off_is_undone_without_a_handle() {
    for kind in [Kind::LostAnswer, Kind::LateCompletion, Kind::Drop] {
        let run = Run::start();
        run.set(&Wrong { path: "device/importDeviceForOpenApi", kind, ms: Some(300), times: 1, ..WRONG });
        // The host stored the intent, called once more, and never again.
        run.claim_once_and_cut();
        run.unclaim(None).unwrap_or_else(|fault| panic!("{kind:?}: {fault:?}"));
        run.assert_nothing_is_held(&format!("{kind:?}"));
        assert_eq!(run.find_claim(None), Presence::Absent, "{kind:?}");
    }
}

#[test]
fn whatever_goes_wrong_with_a_deploy_it_ends_and_nothing_stays_behind() {
    let on = |path, kind| Wrong { path, kind, ms: Some(300), times: 1, ..WRONG };
    let import = |kind| on("device/importDeviceForOpenApi", kind);
    let cases = [
        (import(Kind::LostAnswer), true),
        (import(Kind::LateCompletion), true),
        (import(Kind::Drop), true),
        (import(Kind::Garbage), true),
        (import(Kind::Refuse), true),
        (Wrong { times: 0, ..import(Kind::Refuse) }, false),
        (import(Kind::ClaimedTwice), false),
        (on("device/batchStartFromPxe", Kind::LostAnswer), true),
        (on("device/batchStartFromPxe", Kind::Drop), true),
        (on("device/batchStartFromPxe", Kind::Refuse), true),
        (on("device/batchStartFromPxe", Kind::Delay), true),
        (on("device/getDeviceBySn", Kind::LostAnswer), true),
        (on("device/batchPowerOn", Kind::Garbage), true),
        (on("", Kind::PowerIgnored), true),
        (on("", Kind::BmcAway), true),
        (on("", Kind::InstallFails), false),
        (on("", Kind::InstallStuck), false),
        (Wrong { ms: None, ..on("", Kind::InstallStuck) }, false),
    ];
    each(&cases, |(wrong, succeeds)| {
        let what = format!("{wrong:?}");
        let run = Run::start();
        let node = run.claim().unwrap();
        run.set(wrong);
        let deployed = run.deploy(&node);
        assert_eq!(deployed.is_ok(), *succeeds, "{what}: {deployed:?}");
        run.sim.clear_faults();
        run.undeploy(deployed.as_ref().ok(), Erase::None).unwrap_or_else(|fault| panic!("{what}: {fault:?}"));
        run.unclaim(Some(&node)).unwrap_or_else(|fault| panic!("{what}: {fault:?}"));
        run.assert_nothing_is_held(&what);
        assert_eq!(run.find_deployment(None), Presence::Absent, "{what}");
    });
}

#[test]
fn a_life_whose_every_exchange_is_lost_once_ends_with_nothing_left() {
    let whole = {
        let run = Run::start();
        live(&run, "without a loss");
        run.exchanges()
    };
    assert!(whole > 40, "{whole}");
    let losses: Vec<Loss> = (0..whole)
        .flat_map(|at| [(false, false), (true, false), (false, true), (true, true)].map(|how| (at, how)))
        .map(|(at, (done, given_up))| Loss { at, done, given_up })
        .collect();
    each(&losses, |loss| {
        let run = Run::start();
        run.lose(*loss);
        live(&run, &format!("{loss:?}"));
    });
}

/// Every case, some at once.
fn each<T: Sync>(cases: &[T], case: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..LIVES {
            scope.spawn(|| {
                while let Some(one) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    case(one);
                }
            });
        }
    });
}

/// A create and its delete; what fails is undone without a handle.
fn live(run: &Run, what: &str) {
    let node = run.claim().ok();
    let deployed = node.as_ref().map(|node| run.deploy(node));
    let undo = |undone: &dyn Fn() -> Result<Value, Fault>| {
        // An undo that was given up is called again by a person.
        undone().or_else(|_| undone()).unwrap_or_else(|fault| panic!("{what}: {fault:?}"));
    };
    if let Some(deployed) = &deployed {
        undo(&|| run.undeploy(deployed.as_ref().ok(), Erase::None));
    }
    undo(&|| run.unclaim(node.as_ref()));
    run.assert_nothing_is_held(what);
    assert_eq!((run.find_claim(None), run.find_deployment(None)), (Presence::Absent, Presence::Absent), "{what}");
}

#[test]
fn an_install_that_fails_tells_the_reason_that_the_server_reported() {
    let run = Run::start();
    let node = run.claim().unwrap();
    run.set(&Wrong { path: "", kind: Kind::InstallFails, ms: None, times: 1, ..WRONG });
    let failed = run.deploy(&node);
    assert!(matches!(&failed, Err(Fault::Broken(why)) if why.contains("分区失败")), "{failed:?}");
}

#[test]
fn whatever_goes_wrong_with_an_undo_it_ends_and_nothing_stays_behind() {
    let on = |path, kind| Wrong { path, kind, ms: Some(300), times: 1, ..WRONG };
    let cases = [
        on("device/batchPowerOff", Kind::LostAnswer),
        on("device/batchPowerOff", Kind::Refuse),
        on("device/batchReInstall", Kind::LostAnswer),
        on("device/batchReInstall", Kind::Drop),
        on("device/batchCancelInstall", Kind::LostAnswer),
        on("device/batchUpdate", Kind::LostAnswer),
        on("device/batchUpdate", Kind::Garbage),
        on("device/batchUpdate", Kind::Refuse),
        on("device/batchDelete", Kind::LostAnswer),
        on("device/batchDelete", Kind::Drop),
        on("device/batchDelete", Kind::Refuse),
        on("device/batchDelete", Kind::Garbage),
        on("report/deviceProductInfo", Kind::LostAnswer),
        on("report/deviceProductInfo", Kind::Drop),
        on("report/deviceProductInfo", Kind::Refuse),
        on("", Kind::PowerIgnored),
        Wrong { times: 5, ..on("", Kind::BmcAway) },
    ];
    each(&cases, |wrong| {
        let what = format!("{wrong:?}");
        let run = Run::start();
        let node = run.claim().unwrap();
        let deployed = run.deploy(&node).unwrap();
        run.set(wrong);
        run.undeploy(Some(&deployed), Erase::None).unwrap_or_else(|fault| panic!("{what}: {fault:?}"));
        run.unclaim(Some(&node)).unwrap_or_else(|fault| panic!("{what}: {fault:?}"));
        run.assert_nothing_is_held(&what);
    });
}

#[test]
fn an_erasure_is_never_promised_and_the_machine_is_brought_down_all_the_same() {
    let run = Run::start();
    let node = run.claim().unwrap();
    let deployed = run.deploy(&node).unwrap();
    for _ in 0..2 {
        let refused = run.undeploy(Some(&deployed), Erase::Quick);
        assert!(matches!(&refused, Err(Fault::Broken(why)) if why.contains("cannot erase")), "{refused:?}");
        assert!(run.ledger().cloudboot.running.is_empty());
    }
    assert!(matches!(run.find_deployment(Some(&deployed)), Presence::Present(_)), "it is still owed");
    let refused = run.unclaim(Some(&node));
    assert!(matches!(&refused, Err(Fault::Conflict(why)) if why.contains("undeploy it first")), "{refused:?}");
    run.undeploy(Some(&deployed), Erase::None).unwrap();
    run.unclaim(Some(&node)).unwrap();
    run.assert_nothing_is_held("with the erasure written off");
}

#[test]
fn a_deployment_that_never_began_owes_no_erasure() {
    let run = Run::start();
    let node = run.claim().unwrap();
    let bad = Order { image: json!({ "os": "windows", "system": 1 }).to_string(), ..order(&node) };
    assert!(matches!(run.deploy_so(&bad), Err(Fault::Rejected(why)) if why.contains("centos6u7-x86_64")));
    run.undeploy(None, Erase::Full).unwrap();
    run.unclaim(Some(&node)).unwrap();
    run.assert_nothing_is_held("a refused order");
}

#[test]
fn what_cloudboot_does_not_check_is_checked_before_anything_is_entered() {
    let run = Run::start();
    let node = run.claim().unwrap();
    let networks = |networks: Value| Order { networks: networks.to_string(), ..order(&node) };
    let image = |image: Value| Order { image: image.to_string(), ..order(&node) };
    for (word, order) in [
        ("osConfig", image(json!({ "os": 55, "system": 1 }))),
        ("systemConfig", image(json!({ "os": 1, "system": 77 }))),
        ("hardware", image(json!({ "os": 1, "system": 1, "hardware": "HP-DL380" }))),
        ("no network", networks(json!({ "network": "10.77.0.0/24" }))),
        ("10.9.1.0/29", networks(json!({ "network": "10.9.0.0/24", "ip": "10.9.1.3" }))),
        ("gateway", networks(json!({ "network": "10.9.1.0/29", "ip": "10.9.1.1" }))),
        ("never sent", Order { hostname: "a;reboot".into(), ..order(&node) }),
        ("ssh keys", Order { ssh_keys: vec!["k".into()], ..order(&node) }),
    ] {
        let refused = run.deploy_so(&order);
        assert!(matches!(&refused, Err(Fault::Rejected(why)) if why.contains(word)), "{word}: {refused:?}");
    }
    assert_eq!(run.asked("/importDeviceForOpenApi").len(), 1, "the claim's alone");
    let given = networks(json!({ "network": "10.9.1.0/29", "ip": "10.9.1.3" }));
    let deployed = run.deploy_so(&given).unwrap();
    assert_eq!(deployed.addresses, r#"{"10.9.1.0/29":["10.9.1.3"]}"#);
}

#[test]
fn a_pool_is_lent_to_its_last_server_and_each_only_once() {
    let run = Run::with(Options { cloudboot_systems: 2, ..Options::default() }, json!({}));
    let claim = |mark: &str| run.claim_as(mark, &RefCell::default(), &shape(), &[]);
    let (one, two) = (claim("mg-s-11").unwrap(), claim("mg-s-12").unwrap());
    assert_ne!(one.handle, two.handle);
    assert!(matches!(claim("mg-s-13"), Err(Fault::Capacity(_))));
    assert_eq!(run.ledger().cloudboot.held.len(), 2);
}

#[test]
fn only_what_fits_and_is_not_excluded_is_lent() {
    let run = Run::with(Options { cloudboot_systems: 2, ..Options::default() }, json!({}));
    let claim = |want: &Shape, exclude: &[&str]| run.claim_as(CLAIM, &RefCell::default(), want, exclude);
    for want in [
        Shape { cores: 9, ..shape() },
        Shape { memory_mib: 16_385, ..shape() },
        Shape { disks_gib: vec![50, 50], ..shape() },
        Shape { class: Some("HP-DL380".into()), ..shape() },
        Shape { properties: r#"{"node":"CB009"}"#.into(), ..shape() },
    ] {
        assert!(matches!(claim(&want, &[]), Err(Fault::Capacity(_))), "{want:?}");
    }
    assert!(matches!(claim(&shape(), &["CB001", "cb002"]), Err(Fault::Capacity(_))));
    assert_eq!(run.ledger().cloudboot.made, 0);
    let chosen = Shape { properties: r#"{"node":"CB002"}"#.into(), class: Some("Dell-R730".into()), ..shape() };
    assert_eq!(claim(&chosen, &[]).unwrap().handle, "CB002");
}

#[test]
fn a_server_whose_bmc_never_answers_is_not_lent_and_goes_back_to_the_pool() {
    let wrong = json!({ "bmc": { "username": "admin", "nodes": { "CB001": { "login": 2 } } } });
    let run = Run::with(Options::default(), wrong);
    let node = run.claim().unwrap();
    assert_eq!(node.handle, "CB002");
    run.unclaim(Some(&node)).unwrap();
    run.assert_nothing_is_held("a BMC with another password");
    assert_eq!(run.ledger().cloudboot.made, 2);
}

#[test]
fn a_token_that_cloudboot_forgot_is_fetched_anew_and_nothing_is_done_twice() {
    let run = Run::start();
    let node = run.claim().unwrap();
    for session in [None, Some("0BC6")] {
        run.forget_the_session(session);
        run.set_power(&node.handle, PowerWish::Off).unwrap();
    }
    assert_eq!(run.asked("/user/login").len(), 3);
    run.unclaim(Some(&node)).unwrap();
    run.assert_nothing_is_held("two lost sessions");
}

#[test]
fn power_goes_on_off_and_round_and_soft_actions_are_refused() {
    let run = Run::start();
    let node = run.claim().unwrap();
    let deployed = run.deploy(&node).unwrap();
    let runs = || {
        run.pass(Duration::from_millis(200));
        run.ledger().cloudboot.running == [node.handle.clone()]
    };
    run.set_power(&node.handle, PowerWish::Off).unwrap();
    assert!(!runs());
    run.set_power(&node.handle, PowerWish::On).unwrap();
    assert!(runs());
    run.set_power(&node.handle, PowerWish::Reboot).unwrap();
    assert!(runs());
    assert!(run.asked("/batchReStart").is_empty(), "it cannot be repeated");
    assert!(matches!(run.set_power(&node.handle, PowerWish::SoftOff), Err(Fault::Rejected(_))));
    run.undeploy(Some(&deployed), Erase::None).unwrap();
    run.unclaim(Some(&node)).unwrap();
    run.assert_nothing_is_held("a life with power actions");
}

#[test]
fn a_lent_server_is_deployed_again_after_an_undeploy() {
    let run = Run::start();
    let node = run.claim().unwrap();
    let first = run.deploy(&node).unwrap();
    run.undeploy(Some(&first), Erase::None).unwrap();
    let second = run.deploy_again(&node).unwrap();
    assert_eq!(run.ledger().cloudboot.running, std::slice::from_ref(&node.handle));
    run.undeploy(Some(&second), Erase::None).unwrap();
    run.unclaim(Some(&node)).unwrap();
    run.assert_nothing_is_held("two deployments");
}

#[test]
fn a_device_that_somebody_deleted_while_it_ran_is_turned_off_and_back_in_the_pool() {
    let run = Run::start();
    let node = run.claim().unwrap();
    let deployed = run.deploy(&node).unwrap();
    run.delete_behind_our_back(&node);
    run.undeploy(Some(&deployed), Erase::None).unwrap();
    run.unclaim(Some(&node)).unwrap();
    let ledger = run.ledger();
    assert!(ledger.cloudboot.running.is_empty() && ledger.cloudboot.lost.is_empty(), "{:?}", ledger.cloudboot);
    assert!(ledger.cloudboot.held.is_empty());
}

#[test]
fn probe_tells_the_version_and_what_is_wrong_with_the_settings() {
    let run = Run::with(Options::default(), json!({ "network": "10.77.0.0/24", "username": "nobody" }));
    let said: Value = serde_json::from_str(&driver_cloudboot::CloudBoot::probe(run.context()).unwrap()).unwrap();
    assert_eq!(said["version"], "v1.5");
    let problems = said["problems"].to_string();
    assert!(problems.contains("cannot log in") && problems.contains("10.77.0.0/24"), "{problems}");
    let run = Run::start();
    let said: Value = serde_json::from_str(&driver_cloudboot::CloudBoot::probe(run.context()).unwrap()).unwrap();
    assert_eq!((&said["problems"], &said["abilities"]["erase"]), (&json!([]), &json!(["none"])));
}
