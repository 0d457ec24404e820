//! HTTP through the gate: whom a driver reaches, what it may send, what it gets to see, and what is written down of it.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use moganite::config::Sandbox;
use moganite::driver::{Call, Doing, pack};
use moganite::model::{Ask, Asks, Auth, Granted, Mark, Revision};
use serde_json::json;

use crate::rig::{Got, PASSWORD, Rig, call, echo, logged, name, packed, shape};

async fn misbehaving() -> Rig {
    Rig::of("misbehave").await
}

#[tokio::test]
async fn a_driver_reaches_no_host_but_its_endpoint() {
    let rig = misbehaving().await;
    for case in ["foreign-host", "userinfo", "set-authorization"] {
        let fault = rig.fault(case).await;
        assert!(!fault.contains("reached") && !fault.contains("failed"), "{case}: {fault}");
        assert!(fault.contains("denied"), "{case}: {fault}");
    }
    assert!(rig.far.got().is_empty(), "{:?}", rig.far.got());
}

#[tokio::test]
async fn a_request_that_the_manifest_does_not_ask_for_is_never_sent() {
    let rig = misbehaving().await;
    let fault = rig.fault("unasked").await;
    assert!(!fault.contains("reached") && !fault.contains("failed"), "{fault}");
    assert_eq!(fault.matches(": denied").count(), 4, "{fault}");
    assert!(fault.contains("the plugin's manifest does not ask for it"), "{fault}");
    assert!(rig.far.got().is_empty(), "{:?}", rig.far.got());
    let denied = rig.drivers.denied();
    let denied = &denied[&(name("tested"), rig.label())];
    assert_eq!(denied.count, 4);
    assert!(denied.last[0].starts_with("DELETE http://far/keep: "), "{denied:?}");
}

#[tokio::test]
async fn a_request_that_the_operator_did_not_grant_is_never_sent() {
    let rig = misbehaving().await;
    let asks = Asks::of(&rig.plugin.manifest);
    let compose = async |granted: Option<Vec<Ask>>| {
        let revision = Revision {
            granted: Some(Granted { asks: asks.clone(), requests: granted }),
            ..rig.revision("tested", json!({ "case": "echo-secret" }))
        };
        rig.bound(revision).await.compose(call(), &Mark("mg-a-1".into()), &shape()).await.result
    };
    let ask =
        |method: &str, path: &str| Ask { endpoint: "far".into(), methods: vec![method.into()], path: path.into() };
    for narrow in [vec![], vec![ask("GET", "/**")], vec![ask("POST", "/keep/*")], vec![ask("POST", "/kee")]] {
        let fault = compose(Some(narrow.clone())).await.unwrap_err().message;
        assert!(fault.contains("the operator of the backend did not grant it"), "{narrow:?}: {fault}");
    }
    assert!(rig.far.got().is_empty(), "{:?}", rig.far.got());
    for wide in [None, Some(vec![ask("GET", "/x"), ask("POST", "/keep")]), Some(vec![ask("POST", "/*")])] {
        assert!(compose(wide.clone()).await.is_ok(), "{wide:?}");
    }
    assert_eq!(rig.far.got().len(), 3);
}

#[tokio::test]
async fn a_revision_from_before_plugins_asked_sends_what_its_endpoints_take() {
    let rig = misbehaving().await;
    let revision = Revision { granted: None, ..rig.revision("tested", json!({ "case": "unasked" })) };
    let answer = rig.bound(revision).await.compose(call(), &Mark("mg-a-1".into()), &shape()).await;
    assert_eq!(answer.result.unwrap_err().message.matches(": reached").count(), 4);
}

#[tokio::test]
async fn a_placeholder_out_of_place_is_never_sent() {
    let rig = misbehaving().await;
    for case in ["placeholder-in-path", "placeholder-elsewhere"] {
        let fault = rig.fault(case).await;
        assert!(fault.contains("denied") && !fault.contains("reached"), "{case}: {fault}");
    }
    assert!(rig.far.got().is_empty(), "{:?}", rig.far.got());
}

#[tokio::test]
async fn the_far_side_gets_the_secret_and_the_driver_only_its_placeholder() {
    let rig = misbehaving().await;
    let (_guard, logged) = logged();
    let answer = rig.compose(json!({ "case": "echo-secret" })).await;
    let got = rig.far.got();
    assert_eq!(got[0].body, json!({ "password": PASSWORD }).to_string());
    assert_eq!(got[0].headers["content-length"], got[0].body.len().to_string());
    let Ok(Doing::Done(node)) = answer.result else { panic!("{:?}", answer.result) };
    let seen = serde_json::to_string(&node.facts).unwrap();
    assert!(seen.contains("{{access.password}}"), "{seen}");
    assert!(!seen.contains("c4nary"), "{seen}");
    assert!(!format!("{:?}", answer.exchanges).contains("c4nary"));
    assert!(logged().contains("the far side said") && !logged().contains("c4nary"), "{}", logged());
}

#[tokio::test]
async fn without_a_grant_or_an_access_the_placeholder_is_denied() {
    let rig = misbehaving().await;
    let mark = Mark("mg-a-1".into());
    let ungranted = rig
        .bound(moganite::model::Revision { grants: Vec::new(), ..rig.revision("x", json!({ "case": "echo-secret" })) })
        .await;
    let nobody = rig.composer(json!({ "case": "echo-secret" })).await;
    for answer in [
        ungranted.compose(call(), &mark, &shape()).await,
        nobody.compose(Call { access_of: None, ..call() }, &mark, &shape()).await,
        nobody.compose(Call { access_of: Some(name("other")), ..call() }, &mark, &shape()).await,
    ] {
        let fault = answer.result.unwrap_err();
        assert!(fault.message.contains("the gate denied POST http://far/keep"), "{}", fault.message);
    }
    assert!(rig.far.got().is_empty());
}

#[tokio::test]
async fn the_gate_adds_authentication_and_says_who_asks() {
    let rig = misbehaving().await;
    rig.put_secret("api", "hunter2hunter2").await;
    let mut revision = rig.revision("x", json!({ "case": "echo-secret" }));
    revision.endpoints.get_mut("far").unwrap().auth =
        Auth::Basic { username: "u".into(), password_secret: name("api") };
    rig.bound(revision).await.compose(call(), &Mark("mg-a-1".into()), &shape()).await.result.unwrap();
    let got = rig.far.got();
    assert_eq!(got[0].line, "POST /base/keep");
    assert_eq!(got[0].headers["authorization"], "Basic dTpodW50ZXIyaHVudGVyMg==");
    let agent = got[0].headers["user-agent"].to_str().unwrap();
    assert!(
        agent.starts_with("moganite/") && agent.contains("misbehave@") && agent.ends_with(rig.plugin.digest.short())
    );
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_its_foreign_target_is_not_shown() {
    fn away(_: &Got) -> Response {
        (StatusCode::TEMPORARY_REDIRECT, [("location", "http://127.0.0.1:1/steal"), ("set-cookie", "s=1")])
            .into_response()
    }
    let rig = Rig::with(packed("misbehave"), Sandbox { slots: 1, ..Sandbox::default() }, away).await;
    let answer = rig.compose(json!({ "case": "echo-secret" })).await;
    assert_eq!(rig.far.got().len(), 1);
    assert_eq!(answer.exchanges[0].status, Some(307));
    let Ok(Doing::Done(node)) = answer.result else { panic!("{:?}", answer.result) };
    let seen = serde_json::to_string(&node.facts).unwrap();
    assert!(!seen.contains("steal") && !seen.contains("cookie"), "{seen}");
}

#[tokio::test]
async fn requests_and_answers_are_bounded_and_written_down() {
    fn large(got: &Got) -> Response {
        if got.line.ends_with("/keep") { "x".repeat(5 << 20).into_response() } else { echo(got) }
    }
    let rig = Rig::with(packed("misbehave"), Sandbox { slots: 1, ..Sandbox::default() }, large).await;
    let flood = rig.compose(json!({ "case": "request-flood" })).await;
    assert!(flood.result.unwrap_err().message.contains("64 of 1000 requests were answered"));
    assert_eq!((flood.exchanges.len(), rig.far.got().len()), (64, 64));
    let first = &flood.exchanges[0];
    assert_eq!((first.method.as_str(), first.path.as_str(), first.status), ("GET", "/0", Some(200)));
    assert_eq!(first.body_sha256.as_deref(), Some(crate::rig::digest_of("").hex()));

    let answer = rig.compose(json!({ "case": "echo-secret" })).await;
    assert!(answer.result.is_err());
    assert_eq!((answer.exchanges[0].status, answer.exchanges[0].body_sha256.as_ref()), (Some(200), None));
}

#[tokio::test]
async fn a_denied_request_is_written_down_without_a_status() {
    let answer = misbehaving().await.compose(json!({ "case": "foreign-host" })).await;
    let first = &answer.exchanges[0];
    assert_eq!((first.endpoint.as_str(), first.path.as_str(), first.status), ("metadata.internal", "/", None));
}

#[tokio::test]
async fn done_without_the_exchange_that_proves_it_is_not_believed() {
    let manifest = r#"
        name = "liar"
        version = "0.1.0"
        vendor = "moganite"
        description = "says done"
        [settings]
        type = "object"
        [endpoints.far]
        description = "asked for the proof"
        [[requests]]
        endpoint = "far"
        methods = ["GET", "POST"]
        path = "/**"
        [proofs.compose]
        endpoint = "far"
        method = "POST"
        path = "/*"
        status = [200]
    "#;
    let liar = pack(&packed("misbehave"), manifest, ".".as_ref()).unwrap();
    let rig = Rig::with(liar, Sandbox { slots: 1, ..Sandbox::default() }, echo).await;
    let fault = rig.fault("none").await;
    assert!(fault.starts_with("Broken") && fault.contains("said done without the exchange that proves it"), "{fault}");
    assert!(fault.contains("POST http://far/* answering [200]"), "{fault}");
    // Pending is no done, and wants no proof.
    assert!(matches!(rig.compose(json!({ "case": "always-pending" })).await.result, Ok(Doing::Pending(_))));
}
