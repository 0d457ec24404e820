//! An operator's limits of one backend: each ends a call that runs into it, and names itself.

use axum::response::{IntoResponse, Response};
use moganite::config::Sandbox;
use moganite::driver::Doing;
use moganite::model::{Cause, Fault, Limits, Mark, Revision};
use serde_json::json;

use crate::rig::{Got, Rig, call, name, packed, shape};

fn two_thousand_bytes(_: &Got) -> Response {
    "x".repeat(2_000).into_response()
}

async fn rig() -> Rig {
    Rig::with(packed("misbehave"), Sandbox { slots: 4, ..Sandbox::default() }, two_thousand_bytes).await
}

/// What composing in this case ended with under these limits.
async fn ended(rig: &Rig, case: &str, limits: Limits) -> Result<(), Fault> {
    let revision = Revision { limits, ..rig.revision("tested", json!({ "case": case })) };
    let answer = rig.bound(revision).await.compose(call(), &Mark("mg-a-1".into()), &shape()).await;
    answer.result.map(|doing| assert!(matches!(doing, Doing::Done(_))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_limit_of_a_backend_ends_the_call_and_names_itself() {
    let rig = rig().await;
    let usual = Limits::default;
    for (case, limits, cause) in [
        ("spin", Limits { cpu_ms: Some(50), ..usual() }, Cause::LimitCpu),
        ("sleep", Limits { wall_ms: Some(150), ..usual() }, Cause::LimitWall),
        ("grow", Limits { memory_mib: Some(4), ..usual() }, Cause::LimitMemory),
        ("none", Limits { table_elements: Some(2), ..usual() }, Cause::LimitTables),
        ("log-flood", Limits { host_bytes: Some(5_000), ..usual() }, Cause::LimitHostBytes),
        ("request-flood", Limits { requests: Some(3), ..usual() }, Cause::LimitRequests),
        ("request-flood", Limits { bytes_in: Some(5_000), ..usual() }, Cause::LimitBytesIn),
        ("echo-secret", Limits { bytes_out: Some(20), ..usual() }, Cause::LimitBytesOut),
        ("huge-note", Limits { text_bytes: Some(1), ..usual() }, Cause::BadClaim),
        ("huge-facts", usual(), Cause::BadClaim),
        ("foreign-host", usual(), Cause::Denied),
        ("panic", usual(), Cause::Trap),
        ("overflow", usual(), Cause::Trap),
    ] {
        let fault = ended(&rig, case, limits).await.expect_err(case);
        assert_eq!(fault.cause, Some(cause), "{case}: {}", fault.message);
        assert!(fault.message.contains(cause.as_str()), "{case}: {}", fault.message);
    }
    let count = |cause: Cause| rig.drivers.ended().get(&((name("tested"), rig.label()), cause.as_str())).copied();
    assert_eq!((count(Cause::LimitCpu), count(Cause::BadClaim), count(Cause::Trap)), (Some(1), Some(2), Some(2)));
    assert_eq!(count(Cause::NoProof), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stays_within_its_limits_is_not_ended() {
    let rig = rig().await;
    ended(
        &rig,
        "echo-secret",
        Limits { bytes_out: Some(64), bytes_in: Some(2_000), requests: Some(1), ..Limits::default() },
    )
    .await
    .unwrap();
    ended(&rig, "none", Limits { memory_mib: Some(4), cpu_ms: Some(1_000), ..Limits::default() }).await.unwrap();
    let more = Limits { requests: Some(80), ..Limits::default() };
    let fault = ended(&rig, "request-flood", more).await.unwrap_err();
    assert!(fault.message.starts_with("80 of 1000 requests were answered"), "{}", fault.message);
    // The driver's own words.
    assert_eq!(ended(&rig, "env", Limits::default()).await.unwrap_err().cause, None);
    let said = rig.drivers.ended()[&((name("tested"), rig.label()), "said")];
    assert_eq!((said, rig.drivers.ended()[&((name("tested"), rig.label()), "answered")]), (1, 2));
}
