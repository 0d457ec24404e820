//! An operator's limits of one backend: each ends a call that runs into it, and names itself.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::TcpListener;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use moganite::clock::Clock;
use moganite::config::Sandbox;
use moganite::driver::Doing;
use moganite::model::{Cause, Fault, Limits, Mark, Revision};
use serde_json::{Value as Json, json};

use crate::rig::{Got, Rig, call, logged, name, packed, shape};

/// Two thousand bytes in the body, five thousand in a header, a hundred and fifty headers, bytes without end, or a byte now and then.
fn far(got: &Got) -> Response {
    match got.line.rsplit('/').next() {
        Some("endless") => {
            let piece = Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 2_000]));
            Body::from_stream(stream::repeat(piece)).into_response()
        }
        Some("drip") => Body::from_stream(stream::repeat(()).then(drop_by_drop)).into_response(),
        Some("many-headers") => {
            let many =
                (0..150).map(|n| (HeaderName::try_from(format!("x-{n}")).unwrap(), HeaderValue::from_static("x")));
            (many.collect::<HeaderMap>(), "").into_response()
        }
        Some("headers") => ([("x-long", "x".repeat(5_000))], "").into_response(),
        _ => "x".repeat(2_000).into_response(),
    }
}

async fn drop_by_drop(_: ()) -> Result<Bytes, Infallible> {
    let clock = Clock::system();
    clock.until(clock.now() + 40).await;
    Ok(Bytes::from_static(b"."))
}

async fn rig() -> Rig {
    Rig::with(packed("misbehave"), Sandbox { slots: 4, ..Sandbox::default() }, far).await
}

/// What composing ended with under these limits.
async fn ended_as(rig: &Rig, settings: Json, far: &str, limits: Limits) -> Result<(), Fault> {
    let mut revision = Revision { limits, ..rig.revision("tested", settings) };
    revision.endpoints.get_mut("far").unwrap().url = far.to_owned();
    let answer = rig.bound(revision).await.compose(call(), &Mark("mg-a-1".into()), &shape()).await;
    answer.result.map(|doing| assert!(matches!(doing, Doing::Done(_))))
}

async fn ended(rig: &Rig, case: &str, limits: Limits) -> Result<(), Fault> {
    ended_as(rig, json!({ "case": case }), &rig.far.url.clone(), limits).await
}

/// Sends these requests, and says what came of each.
fn asking(requests: Json) -> Json {
    json!({ "case": "requests", "requests": requests })
}

fn get(path: &str) -> Json {
    asking(json!([{ "to": "far", "path": path }]))
}

fn limited(limit: &str, to: u64) -> Limits {
    let limits: Limits = serde_json::from_value(json!({ limit: to })).unwrap();
    limits.check().unwrap();
    limits
}

/// Each limit, how it is run into, and what is said of it. The three that end no call are below.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_limit_of_a_backend_ends_the_call_and_names_itself() {
    let rig = rig().await;
    // Taken by the system and by nobody else: no handshake, no answer.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let (deaf, deaf_tls) = ["http", "https"].map(|scheme| format!("{scheme}://{}", deaf.local_addr().unwrap())).into();
    let far = rig.far.url.clone();
    let case = |case: &str| json!({ "case": case });
    let long = asking(json!([{ "to": "far", "path": "/", "headers": [["x-long", "x".repeat(5_000)]] }]));
    let sent = asking(json!([{ "to": "far", "method": "POST", "path": "/", "body": "x".repeat(2_000) }]));
    let table = [
        ("cpu_ms", 50, case("spin"), &far, Cause::LimitCpu),
        ("wall_ms", 150, case("sleep"), &far, Cause::LimitWall),
        ("memory_mib", 4, case("grow"), &far, Cause::LimitMemory),
        ("table_elements", 100, case("none"), &far, Cause::LimitTables),
        ("host_bytes", 65_536, case("huge-string"), &far, Cause::LimitHostBytes),
        ("resources", 16, case("resource-flood"), &far, Cause::LimitResources),
        ("random_bytes", 64, case("random-flood"), &far, Cause::LimitRandomBytes),
        ("header_bytes", 4_096, long, &far, Cause::LimitHeaderBytes),
        ("header_bytes", 4_096, get("/headers"), &far, Cause::LimitHeaderBytes),
        ("headers", 100, get("/many-headers"), &far, Cause::LimitHeaders),
        ("requests", 3, case("request-flood"), &far, Cause::LimitRequests),
        ("request_bytes", 1_024, case("huge-body"), &far, Cause::LimitRequestBytes),
        ("answer_bytes", 1_024, get("/"), &far, Cause::LimitAnswerBytes),
        ("answer_bytes", 10_000, get("/endless"), &far, Cause::LimitAnswerBytes),
        ("bytes_out", 1_024, sent, &far, Cause::LimitBytesOut),
        ("bytes_in", 5_000, case("request-flood"), &far, Cause::LimitBytesIn),
        ("connect_ms", 100, get("/"), &deaf_tls, Cause::LimitConnect),
        ("first_byte_ms", 100, get("/"), &deaf, Cause::LimitFirstByte),
        ("exchange_ms", 200, get("/drip"), &far, Cause::LimitExchange),
        ("text_bytes", 1_024, case("huge-facts"), &far, Cause::BadClaim),
    ];
    for (limit, to, settings, far, cause) in &table {
        let fault = ended_as(&rig, settings.clone(), far, limited(limit, *to)).await.expect_err(limit);
        assert_eq!(fault.cause, Some(*cause), "{limit}: {}", fault.message);
        assert!(fault.message.contains(cause.as_str()), "{limit}: {}", fault.message);
    }
    let counted = rig.drivers.ended();
    for (limit, .., cause) in &table {
        let times = table.iter().filter(|(.., other)| other == cause).count() as u64;
        assert_eq!(counted.get(&((name("tested"), rig.label()), cause.as_str())), Some(&times), "{limit}");
    }
    let tried: BTreeSet<&str> = table.iter().map(|(limit, ..)| *limit).collect();
    let all: BTreeSet<&str> = Limits::ranges().into_iter().map(|(limit, _)| limit).collect();
    assert_eq!(all.difference(&tried).copied().collect::<Vec<_>>(), ["at_once", "log_lines", "per_second"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stays_within_its_limits_is_not_ended() {
    let rig = rig().await;
    for (settings, limits) in [
        (json!({ "case": "echo-secret" }), json!({"bytes_out": 1_024, "bytes_in": 2_000, "requests": 1})),
        (json!({ "case": "none" }), json!({"memory_mib": 4, "cpu_ms": 1_000, "resources": 16, "random_bytes": 64})),
    ] {
        ended_as(&rig, settings, &rig.far.url.clone(), serde_json::from_value(limits).unwrap()).await.unwrap();
    }
    // What the driver says of it is its own words.
    for (path, limits) in [
        ("/", json!({"answer_bytes": 2_000, "header_bytes": 4_096, "host_bytes": 65_536, "request_bytes": 1_024})),
        ("/headers", json!({"header_bytes": 6_000})),
        ("/many-headers", json!({"headers": 200})),
        ("/", json!({"connect_ms": 10_000, "first_byte_ms": 10_000, "exchange_ms": 10_000, "wall_ms": 30_000})),
    ] {
        let limits = serde_json::from_value(limits).unwrap();
        let fault = ended_as(&rig, get(path), &rig.far.url.clone(), limits).await.unwrap_err();
        assert!(fault.cause.is_none() && fault.message.starts_with("0 reached 200"), "{path}: {}", fault.message);
    }
    let fault = ended(&rig, "request-flood", limited("requests", 80)).await.unwrap_err();
    assert!(fault.message.starts_with("80 of 1000 requests were answered"), "{}", fault.message);
    let count = |word| rig.drivers.ended()[&((name("tested"), rig.label()), word)];
    assert_eq!((count("answered"), count("said"), count(Cause::LimitRequests.as_str())), (2, 4, 1));
}

/// What is over the operator's pace waits, and what it waits is of the call's own time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_over_the_pace_of_its_endpoint_waits_for_its_turn() {
    let rig = rig().await;
    let two = || asking(json!([{ "to": "far", "path": "/" }, { "to": "far", "path": "/" }]));
    let paced = |pace: Json| async {
        let before = rig.far.got().len();
        let fault =
            ended_as(&rig, two(), &rig.far.url.clone(), serde_json::from_value(pace).unwrap()).await.unwrap_err();
        (fault.cause, rig.far.got().len() - before)
    };
    assert_eq!(paced(json!({"per_second": 1, "wall_ms": 500})).await, (Some(Cause::LimitWall), 1));
    assert_eq!(paced(json!({"per_second": 2, "wall_ms": 30_000})).await, (None, 2));

    // Somebody's answer takes as long as he wants.
    for (at_once, other) in [(1, Some(Cause::LimitWall)), (2, None)] {
        let limits = |wall_ms| Limits { at_once: Some(at_once), wall_ms: Some(wall_ms), ..Limits::default() };
        let revision = Revision { limits: limits(30_000), ..rig.revision("slow", get("/drip")) };
        let slow = rig.bound(revision).await;
        let before = rig.far.got().len();
        let slow = tokio::spawn(async move { slow.compose(call(), &Mark("mg-a-2".into()), &shape()).await });
        while rig.far.got().len() == before {
            tokio::task::yield_now().await;
        }
        let fault = ended_as(&rig, get("/"), &rig.far.url.clone(), limits(500)).await.unwrap_err();
        assert_eq!(fault.cause, other, "{at_once}: {}", fault.message);
        slow.abort();
    }
}

#[tokio::test]
async fn lines_of_log_over_the_operators_limit_are_counted_and_not_written() {
    let rig = rig().await;
    let (_guard, logged) = logged();
    ended(&rig, "log-flood", limited("log_lines", 3)).await.unwrap();
    let lines: Vec<Json> = logged().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<&Json> = lines.iter().filter(|line| line["target"] == "driver").collect();
    assert_eq!(said.len(), 4);
    assert_eq!(said[3]["fields"]["said"], "9997 more lines were dropped: a call has 3");
}

#[tokio::test]
async fn what_ends_otherwise_than_at_a_limit_is_called_otherwise() {
    let rig = rig().await;
    for (case, cause) in [
        ("huge-note", None),
        ("foreign-host", Some(Cause::Denied)),
        ("panic", Some(Cause::Trap)),
        ("overflow", Some(Cause::Trap)),
        ("env", None),
    ] {
        let revision = rig.revision("tested", json!({ "case": case }));
        let answer = rig.bound(revision).await.compose(call(), &Mark("mg-a-1".into()), &shape()).await;
        assert_eq!(answer.result.err().and_then(|fault| fault.cause), cause, "{case}");
    }
}
