//! Sessions: kept by the gate from a login's answer, put in where the operator granted it, never seen by a driver.

use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use moganite::driver::{Answer, Doing};
use moganite::model::{Grant, Mark, Node, Revision};
use serde_json::{Value, json};

use crate::rig::{Got, LOGIN, Rig, call, logged, name, open, packed, shape};

const TOKEN: &str = "c4nary-t0ken-1";
const SUBJECT: &str = "c4nary/subject=2";

/// Gives a token in the body and one in a header, and repeats both wherever it can.
fn far(got: &Got) -> Response {
    let echo = format!("{} {:?}", got.body, got.headers);
    if got.line.ends_with("/login") {
        let body =
            json!({ "Content": { "AccessToken": TOKEN, "ID": 1 }, "Message": format!("use {TOKEN}"), "echo": echo });
        return (StatusCode::OK, [("x-subject-token", SUBJECT), ("x-note", TOKEN)], body.to_string()).into_response();
    }
    (StatusCode::OK, [("x-auth-token", TOKEN), ("x-note", SUBJECT)], format!("{echo} {TOKEN} {SUBJECT}"))
        .into_response()
}

async fn rig(answer: fn(&Got) -> Response) -> Rig {
    let sandbox = moganite::config::Sandbox { slots: 4, ..moganite::config::Sandbox::default() };
    Rig::with(packed("misbehave"), sandbox, answer).await
}

fn facts(answer: &Answer<Doing<Node>>) -> Value {
    match &answer.result {
        Ok(Doing::Done(node)) => Value::Object(node.facts.clone()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_session_goes_where_it_belongs_and_its_driver_sees_placeholders_alone() {
    let rig = rig(far).await;
    let (_guard, logged) = logged();
    let answer = rig.compose(json!({ "case": "log-in" })).await;
    let seen = facts(&answer);

    let got = rig.far.got();
    let lines: Vec<_> = got.iter().map(|got| got.line.as_str()).collect();
    assert_eq!(lines, ["POST /base/login", "POST /base/jobs/7", "GET /base/jobs/7/state", "GET /base/subject"]);
    assert_eq!(got[0].body, json!({ "users": { "root": { "Password": LOGIN } } }).to_string());
    assert_eq!(got[1].body, json!([{ "AccessToken": TOKEN }, { "AccessToken": TOKEN }]).to_string());
    assert_eq!(got[1].headers["content-length"], got[1].body.len().to_string());
    assert_eq!(got[2].headers["x-auth-token"], TOKEN);
    assert_eq!(got[3].headers["x-subject-token"], SUBJECT);

    let body: Value = serde_json::from_str(seen["login"]["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["Content"], json!({ "AccessToken": "{{session.token}}", "ID": 1 }));
    assert_eq!(body["Message"], "use {{session.token}}");
    assert!(body["echo"].as_str().unwrap().contains("{{secret.password}}"), "{body}");
    let headers = seen["login"]["headers"].as_str().unwrap();
    assert!(headers.contains(r#"("x-subject-token", "{{session.subject}}")"#), "{headers}");
    assert!(headers.contains(r#"("x-note", "{{session.token}}")"#), "{headers}");
    for (what, text) in
        [("facts", seen.to_string()), ("exchanges", format!("{:?}", answer.exchanges)), ("log", logged())]
    {
        assert!(!text.contains("c4nary"), "{what}: {text}");
    }
    assert!(logged().contains("the far side said"), "{}", logged());
}

#[tokio::test]
async fn without_a_session_the_gate_answers_itself_and_sends_nothing() {
    let rig = rig(far).await;
    let answer = rig.compose(json!({ "case": "use-session" })).await;
    let seen = facts(&answer);
    assert_eq!(
        (&seen["header"]["status"], &seen["header"]["body"]),
        (&json!(401), &json!(r#"{"gate":"no session token"}"#))
    );
    assert_eq!((answer.exchanges.len(), answer.exchanges[0].status), (1, Some(401)));
    assert!(rig.far.got().is_empty());
}

#[tokio::test]
async fn a_login_serves_other_calls_and_the_next_start_until_the_backend_is_bound_elsewhere() {
    let rig = rig(far).await;
    let earlier = rig.composer(json!({ "case": "use-session" })).await;
    facts(&rig.compose(json!({ "case": "log-in" })).await);
    let used = earlier.compose(call(), &Mark("mg-a-1".into()), &shape()).await;
    assert_eq!(facts(&used)["header"]["status"], 200);
    assert!(!facts(&used).to_string().contains("c4nary"), "{used:?}");

    let database = std::fs::read(rig.config.state.join("moganite.db")).unwrap();
    let log = std::fs::read(rig.config.state.join("moganite.db-wal")).unwrap();
    for file in [database, log] {
        assert!(!file.windows(TOKEN.len()).any(|bytes| bytes == TOKEN.as_bytes()), "a token in the clear");
    }

    let used_by = async |revision: Revision| {
        let id = rig.write(revision).await;
        let again = open(&rig.config, &rig.store).await;
        again.add(packed("misbehave").into()).await.unwrap();
        let composer = again.composer(id).await.unwrap();
        facts(&composer.compose(call(), &Mark("mg-a-1".into()), &shape()).await)["header"]["status"].clone()
    };
    let same = rig.revision("tested", json!({ "case": "use-session" }));
    assert_eq!(used_by(same.clone()).await, 200);
    let mut elsewhere = same.clone();
    elsewhere.endpoints.get_mut("far").unwrap().url.push_str("/other");
    assert_eq!(used_by(elsewhere).await, 401);
    // Another backend has sessions of its own.
    assert_eq!(used_by(rig.revision("another", json!({ "case": "use-session" }))).await, 401);
}

#[tokio::test]
async fn the_next_login_overwrites_the_session_and_the_old_one_stays_hidden() {
    fn fresh(got: &Got) -> Response {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        if got.line.ends_with("/login") {
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let body = json!({ "Content": { "AccessToken": format!("c4nary-fresh-{n}") } }).to_string();
            return ([("x-subject-token", SUBJECT)], body).into_response();
        }
        "c4nary-fresh-1 c4nary-fresh-2".into_response()
    }
    let rig = rig(fresh).await;
    for n in 1..=2 {
        let seen = facts(&rig.compose(json!({ "case": "log-in" })).await);
        let used = rig.far.got().into_iter().rfind(|got| got.line.ends_with("/state")).unwrap();
        assert_eq!(used.headers["x-auth-token"], format!("c4nary-fresh-{n}"));
        if n == 2 {
            assert_eq!(seen["header"]["body"], "{{session.token}} {{session.token}}");
        }
    }
}

#[tokio::test]
async fn calls_that_log_in_at_once_do_not_harm_each_other() {
    let rig = rig(far).await;
    let composer = rig.composer(json!({ "case": "log-in" })).await;
    let (mark, shape) = (Mark("mg-a-1".into()), shape());
    let (one, other) = tokio::join!(composer.compose(call(), &mark, &shape), composer.compose(call(), &mark, &shape));
    for answer in [one, other] {
        assert_eq!(facts(&answer)["subject"]["status"], 200);
        let told = format!("{answer:?}");
        assert!(!told.contains("c4nary"), "{told}");
    }
}

#[tokio::test]
async fn of_calls_that_need_a_session_at_once_one_logs_in() {
    let rig = rig(far).await;
    let composer = rig.composer(json!({ "case": "log-in-when-asked" })).await;
    let (mark, shape) = (Mark("mg-a-1".into()), shape());
    let calls = (0..4).map(|_| composer.compose(call(), &mark, &shape));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(facts(&answer)["header"]["status"], 200);
    }
    let logins = rig.far.got().iter().filter(|got| got.line.ends_with("/login")).count();
    assert_eq!(logins, 1, "the others waited for what it brought");
}

#[tokio::test]
async fn a_call_that_was_told_to_log_in_and_ends_lets_another_one_do_it() {
    let rig = rig(hung).await;
    let (mark, shape) = (Mark("mg-a-1".into()), shape());
    let hangs = rig.composer(json!({ "case": "asked-and-hangs" })).await;
    let honest = rig.composer(json!({ "case": "log-in-when-asked" })).await;
    {
        let mut hanging = std::pin::pin!(hangs.compose(call(), &mark, &shape));
        tokio::select! {
            answer = &mut hanging => panic!("{answer:?}"),
            () = rig.far.until_got("/hang") => (),
        }
    }
    assert_eq!(facts(&honest.compose(call(), &mark, &shape).await)["header"]["status"], 200);
}

fn hung(got: &Got) -> Response {
    if got.line.ends_with("/hang") {
        let never = futures_util::stream::pending::<Result<axum::body::Bytes, std::convert::Infallible>>();
        return axum::body::Body::from_stream(never).into_response();
    }
    far(got)
}

#[tokio::test]
async fn a_session_out_of_its_place_is_never_sent() {
    let rig = rig(far).await;
    facts(&rig.compose(json!({ "case": "log-in" })).await);
    let before = rig.far.got().len();
    let fault = rig.fault("session-elsewhere").await;
    assert!(!fault.contains("reached") && !fault.contains("failed"), "{fault}");
    assert_eq!(fault.matches(": denied").count(), 12, "{fault}");
    assert_eq!(rig.far.got().len(), before);
}

#[tokio::test]
async fn a_session_that_was_not_granted_is_denied() {
    let rig = rig(far).await;
    facts(&rig.compose(json!({ "case": "log-in" })).await);
    let mut revision = rig.revision("tested", json!({ "case": "use-session" }));
    revision.grants.retain(|grant| grant.place != "token");
    let answer = rig.bound(revision).await.compose(call(), &Mark("mg-a-1".into()), &shape()).await;
    let fault = answer.result.unwrap_err();
    assert!(fault.message.contains("the gate denied GET http://far/jobs/7/state"), "{}", fault.message);
    assert!(fault.message.contains("x-auth-token") && fault.message.contains("granted"), "{}", fault.message);
}

#[tokio::test]
async fn a_secret_out_of_its_characters_is_denied_and_not_told() {
    let rig = rig(far).await;
    rig.put_secret("login", "c4nary\", \"Role\": \"admin").await;
    let answer = rig.compose(json!({ "case": "log-in" })).await;
    let fault = answer.result.unwrap_err().message;
    assert!(fault.contains("login-password has other characters than [A-Za-z0-9-]"), "{fault}");
    assert!(!fault.contains("c4nary"), "{fault}");
    assert!(rig.far.got().is_empty());
}

#[tokio::test]
async fn a_grant_that_does_not_fit_its_place_is_refused() {
    let rig = rig(far).await;
    for (place, of, secret) in [
        ("token", Some("pod-a"), None),
        ("token", None, Some("login")),
        ("login-password", Some("pod-a"), None),
        ("login-password", None, None),
        ("keep-password", None, Some("login")),
    ] {
        let grant = Grant { place: place.into(), of: of.map(name), secret: secret.map(name) };
        let revision = Revision { grants: vec![grant], ..rig.revision("tested", json!({})) };
        let refusal = rig.drivers.check_binding(&rig.plugin.digest, &revision).unwrap_err();
        assert_eq!(refusal.code, "grant-invalid", "{refusal}");
    }
}
