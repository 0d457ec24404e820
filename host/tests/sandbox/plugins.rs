//! The way of a plugin into the host, and a driver called end to end in every role.

use moganite::driver::{DeployOrder, Doing, PluginState, Presence, pack};
use moganite::model::{
    Erase, FaultKind, Holding, HoldingId, HoldingState, InstanceId, Mark, OperationId, RevisionId, Role, Site,
};
use serde_json::{Map, json};

use crate::rig::{Rig, call, digest_of, echo, name, open, packed, shape};

fn holding(handle: Option<&str>) -> Holding {
    Holding {
        id: HoldingId(1),
        instance: InstanceId::fresh(),
        role: Role::Compose,
        backend: name("tested"),
        revision: RevisionId(1),
        operation: OperationId("op-1".into()),
        mark: Mark("mg-abc123-op-1".into()),
        handle: handle.map(ToOwned::to_owned),
        facts: Map::new(),
        trail: None,
        node: None,
        state: HoldingState::Held,
        fault: None,
        since: 0,
        off_at: None,
        owed_at: None,
    }
}

#[tokio::test]
async fn a_driver_is_called_in_every_role() {
    let rig = Rig::of("driver-from-zero").await;
    assert_eq!(rig.plugin.state, PluginState::Ready);
    assert_eq!(rig.plugin.roles, [Role::Compose, Role::Claim, Role::Enroll, Role::Deploy]);
    let revision = rig.write(rig.revision("tested", json!({}))).await;
    let (mark, site) = (Mark("mg-abc123-op-1".into()), Site::parse("abc123").unwrap());

    let probed = rig.drivers.prober(revision).await.unwrap().probe(call()).await.result.unwrap();
    assert_eq!(probed["problems"], json!([]));

    let composer = rig.drivers.composer(revision).await.unwrap();
    assert!(composer.plugin().starts_with("driver-from-zero@") && composer.plugin().contains(" sha256:"));
    let Ok(Doing::Done(made)) = composer.compose(call(), &mark, &shape()).await.result else { panic!() };
    assert_eq!(made.handle, mark.0);
    assert_eq!(composer.find(call(), &holding(None)).await.result.unwrap(), Presence::Absent);
    assert!(composer.list(call(), &site, None).await.result.unwrap().items.is_empty());

    let enroller = rig.drivers.enroller(revision).await.unwrap();
    let Ok(Doing::Done(enrolled)) = enroller.enroll(call(), &mark, &made).await.result else { panic!() };
    assert_eq!(enrolled.identity, made.identity);

    let deployer = rig.drivers.deployer(revision).await.unwrap();
    let order = DeployOrder {
        node: enrolled.handle.clone(),
        image: Map::new(),
        hostname: "web-1".into(),
        user_data: None,
        ssh_keys: Vec::new(),
        networks: Map::new(),
    };
    let Ok(Doing::Done(deployed)) = deployer.deploy(call(), &mark, &order).await.result else { panic!() };
    let seen = deployer.observe(call(), std::slice::from_ref(&deployed.handle)).await.result.unwrap();
    assert_eq!(seen[0].is_on, None);

    let held = holding(Some(&enrolled.handle));
    let Ok(Doing::Done(erased)) = deployer.undeploy(call(), &held, Erase::Full).await.result else { panic!() };
    assert_eq!(erased["erased"], "full");
    assert!(matches!(enroller.unenroll(call(), &held).await.result, Ok(Doing::Done(_))));
    assert!(matches!(composer.release(call(), &held, Erase::Quick).await.result, Ok(Doing::Done(_))));
}

#[tokio::test]
async fn what_a_driver_finds_comes_through_with_the_handle_it_was_asked_for() {
    let composer = Rig::of("misbehave").await.composer(json!({ "kept": true })).await;
    let found = composer.find(call(), &holding(Some("node-7"))).await.result.unwrap();
    assert!(matches!(found, Presence::Present { handle, .. } if handle == "node-7"));
}

#[tokio::test]
async fn a_machine_is_claimed_and_given_back() {
    let rig = Rig::of("misbehave").await;
    let revision = rig.write(rig.revision("tested", json!({ "kept": true }))).await;
    let (mark, site) = (Mark("mg-abc123-op-1".into()), Site::parse("abc123").unwrap());
    let claimer = rig.drivers.claimer(revision).await.unwrap();
    let Ok(Doing::Done(lent)) = claimer.claim(call(), &mark, &shape(), &[]).await.result else { panic!() };
    assert_eq!(lent.handle, mark.0);
    let excluded = claimer.claim(call(), &mark, &shape(), std::slice::from_ref(&lent.handle)).await;
    assert_eq!(excluded.result.unwrap_err().kind, FaultKind::Capacity);
    assert!(claimer.list(call(), &site, None).await.result.unwrap().items.is_empty());
    let held = holding(Some(&lent.handle));
    assert!(matches!(claimer.find(call(), &held).await.result, Ok(Presence::Present { .. })));
    assert!(matches!(claimer.unclaim(call(), &held).await.result, Ok(Doing::Done(_))));
}

#[tokio::test]
async fn two_roles_of_one_plugin_prove_a_verb_of_one_name_each_in_its_way() {
    let with = async |proofs: &str| {
        let manifest = format!(
            "{MANIFEST}\n[endpoints.far]\ndescription = \"asked\"\n[[requests]]\nendpoint = \"far\"\nmethods = [\"GET\"]\npath = \"/**\"\n{proofs}"
        );
        let bytes = pack(&packed("misbehave"), &manifest, ".".as_ref()).unwrap();
        let rig = Rig::with(bytes, moganite::config::Sandbox { slots: 1, ..Default::default() }, echo).await;
        let revision = rig.write(rig.revision("tested", json!({}))).await;
        let (composer, claimer) =
            (rig.drivers.composer(revision).await.unwrap(), rig.drivers.claimer(revision).await.unwrap());
        let (one, other) = (composer.find(call(), &holding(None)).await, claimer.find(call(), &holding(None)).await);
        (one.result.map_err(|fault| fault.message), other.result.map_err(|fault| fault.message))
    };
    let proof = |verb: &str, path: &str| {
        format!("[proofs.{verb}]\nendpoint = \"far\"\nmethod = \"GET\"\npath = \"{path}\"\nstatus = [200]\n")
    };
    let (composed, claimed) = with(&proof("\"claim.find\"", "/claimed")).await;
    assert_eq!(composed, Ok(Presence::Absent));
    assert!(claimed.is_err_and(|fault| fault.contains("http://far/claimed")));
    let (composed, claimed) = with(&(proof("find", "/found") + &proof("\"claim.find\"", "/claimed"))).await;
    assert!(composed.is_err_and(|fault| fault.contains("http://far/found")));
    assert!(claimed.is_err_and(|fault| fault.contains("http://far/claimed")));
}

#[tokio::test]
async fn a_file_that_is_no_plugin_is_listed_with_its_reason() {
    let rig = Rig::of("driver-from-zero").await;
    let offered = tempfile::tempdir().unwrap();
    std::fs::write(offered.path().join("good.wasm"), packed("driver-from-zero")).unwrap();
    std::fs::write(offered.path().join("script.wasm"), "#!/bin/sh").unwrap();
    std::fs::write(offered.path().join("bare.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
    std::fs::write(offered.path().join("notes.txt"), "no plugin, and not meant to be").unwrap();
    let config = moganite::config::Config { plugins: Some(offered.path().into()), ..rig.config.clone() };
    let again = open(&config, &rig.store).await;
    assert!(again.refused_files().is_empty());
    again.spawn_loading();
    while again.refused_files().is_empty() {
        tokio::task::yield_now().await;
    }
    let refused: Vec<_> = again.refused_files().into_iter().map(|(file, why)| (file, why.code)).collect();
    let expected = [("bare.wasm".to_owned(), "plugin-no-manifest"), ("script.wasm".into(), "plugin-not-a-component")];
    assert_eq!(refused, expected);
    assert_eq!(again.plugins().len(), 1);
}

#[tokio::test]
async fn a_pending_verb_gets_its_checkpoint_back() {
    let rig = Rig::of("driver-from-zero").await;
    let composer = rig.composer(json!({ "pending_ms": 20 })).await;
    let mark = Mark("mg-abc123-op-1".into());
    let Ok(Doing::Pending(pause)) = composer.compose(call(), &mark, &shape()).await.result else { panic!() };
    assert_eq!(pause.after.as_millis(), 20);
    let again = moganite::driver::Call { checkpoint: Some(pause.checkpoint), ..call() };
    assert!(matches!(composer.compose(again, &mark, &shape()).await.result, Ok(Doing::Done(_))));
}

#[tokio::test]
async fn a_restarted_host_has_its_plugins_again_and_waits_for_them_meanwhile() {
    let rig = Rig::of("driver-from-zero").await;
    let revision = rig.write(rig.revision("tested", json!({}))).await;
    let again = open(&rig.config, &rig.store).await;
    assert_eq!(again.composer(revision).await.err().map(|fault| fault.kind), Some(FaultKind::Retry));
    assert!(!again.is_listing(), "nobody told it to");
    again.spawn_loading();
    assert!(again.is_listing(), "it may still come, so the service is not ready");
    let composer = again.composer(revision).await.unwrap();
    assert!(!again.is_listing());
    assert!(composer.compose(call(), &Mark("mg-a-1".into()), &shape()).await.result.is_ok());
}

#[tokio::test]
async fn what_is_no_plugin_is_refused_in_words_and_leaves_nothing() {
    let rig = Rig::of("driver-from-zero").await;
    let good = packed("driver-from-zero");
    let before = rig.drivers.plugins().len();
    for (bytes, code) in [
        (b"hello".to_vec(), "plugin-not-a-component"),
        (b"\0asm\x01\0\0\0".to_vec(), "plugin-not-a-component"),
        (good[..good.len() - 100].to_vec(), "plugin-truncated"),
        (good[..8].to_vec(), "plugin-no-manifest"),
    ] {
        let refusal = rig.drivers.add(bytes.into()).await.unwrap_err();
        assert_eq!(refusal.code, code, "{refusal}");
    }
    // A whole file whose inside is broken fails in the compiling child.
    let mut broken = good.clone();
    let middle = broken.len() / 3;
    broken[middle..middle + 64].fill(0xff);
    assert_eq!(rig.drivers.add(broken.into()).await.unwrap_err().code, "plugin-compile-failed");
    assert_eq!(rig.drivers.plugins().len(), before);
    let kept = std::fs::read_dir(rig.config.state.join("plugins")).unwrap().count();
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn a_revision_without_its_plugin_or_its_role_is_broken() {
    let rig = Rig::of("driver-from-zero").await;
    let mut revision = rig.revision("tested", json!({}));
    revision.digest = digest_of("never added");
    assert_eq!(rig.drivers.check_binding(&revision.digest, &revision).unwrap_err().code, "plugin-unknown");
    let id = rig.write(revision).await;
    // Nothing was listed yet, so it may still come.
    assert_eq!(rig.drivers.composer(id).await.err().map(|fault| fault.kind), Some(FaultKind::Retry));
    assert_eq!(rig.drivers.composer(RevisionId(999)).await.err().map(|fault| fault.kind), Some(FaultKind::Broken));
}

#[tokio::test]
async fn a_copy_that_was_changed_is_not_loaded() {
    let rig = Rig::of("driver-from-zero").await;
    let copy = rig.config.state.join("plugins").join(format!("{}.wasm", rig.plugin.digest.hex()));
    let other = pack(&packed("driver-from-zero"), MANIFEST, ".".as_ref()).unwrap();
    std::fs::remove_file(&copy).unwrap();
    std::fs::write(&copy, other).unwrap();
    let again = open(&rig.config, &rig.store).await;
    again.spawn_loading();
    let revision = rig.write(rig.revision("tested", json!({}))).await;
    let fault = loop {
        match again.composer(revision).await {
            Err(fault) if fault.kind == FaultKind::Retry => tokio::task::yield_now().await,
            Err(fault) => break fault,
            Ok(_) => panic!("loaded what it should not"),
        }
    };
    assert!(fault.message.contains("which is not here"), "{}", fault.message);
}

const MANIFEST: &str = r#"
    name = "other"
    version = "0.1.0"
    vendor = "moganite"
    description = "another one"
    [settings]
    type = "object"
"#;

#[tokio::test]
async fn a_stopped_plugin_is_not_called_a_call_under_way_is_cut_and_others_go_on() {
    let rig = Rig::of("misbehave").await;
    let (sleeper, other) = (rig.composer(json!({ "case": "sleep" })).await, rig.composer(json!({})).await);
    let under_way = tokio::spawn(async move { sleeper.compose(call(), &Mark("mg-a-1".into()), &shape()).await });
    let why = || "is disabled: it loses machines".to_owned();
    rig.drivers.set_stopped([(digest_of("another"), why())].into());
    assert!(matches!(other.compose(call(), &Mark("mg-a-2".into()), &shape()).await.result, Ok(Doing::Done(_))));
    assert!(!under_way.is_finished());
    rig.drivers.set_stopped([(rig.plugin.digest.clone(), why())].into());
    let cut = under_way.await.unwrap().result.unwrap_err();
    assert_eq!(cut.kind, FaultKind::Stopped);
    assert!(cut.message.contains("misbehave@") && cut.message.contains("it loses machines"), "{}", cut.message);
    let revision = rig.store.newest_revision(&name("tested")).await.unwrap().unwrap().id;
    let refused = rig.drivers.composer(revision).await.err().map(|fault| fault.kind);
    assert_eq!(refused, Some(FaultKind::Stopped));
    rig.drivers.set_stopped(std::collections::BTreeMap::new());
    assert!(rig.drivers.composer(revision).await.is_ok());
}
