//! `moganite backend test`: what an operator sees of a backend that works, and of one that does not.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

use scenarios::{Http, Stack};
use serde_json::{Value, json};

/// Exit code and answer.
fn tested(stack: &Stack, backend: &str) -> (Option<i32>, Value) {
    let mut command = Command::new(scenarios::binary("moganite").unwrap());
    let words = ["-o", "json", "backend", "test", backend];
    let output = command.args(words).env("MOGANITE_API", stack.service.api.base()).output().unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

/// `what: state` of each check.
fn lines(answer: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |check: &Value| format!("{}: {}", text(&check["what"]), text(&check["state"]));
    answer["checks"].as_array().unwrap().iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_works_passes_and_one_that_is_gone_says_what_to_do() {
    let stack = Stack::start().await.unwrap();
    let (code, answer) = tested(&stack, "ironic-1");
    assert_eq!((code, &answer["ok"]), (Some(0), &json!(true)), "{answer}");
    let found = lines(&answer);
    for wanted in ["plugin: ok", "endpoint ironic: ok", "login: ok", "version: ok", "abilities: ok"] {
        assert!(found.contains(&wanted.to_owned()), "{wanted}: {answer}");
    }
    assert_eq!(tested(&stack, "pod-a").1["ok"], true);

    // Another port, where nobody listens.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let shown = stack.service.api.get("/v1/backends/ironic-1").await.unwrap().ok().unwrap();
    let mut binding = json!({"plugin": shown["digest"]});
    for field in ["settings", "endpoints", "grants"] {
        binding[field] = shown[field].clone();
    }
    binding["endpoints"]["ironic"]["url"] = json!(format!("http://{closed}"));
    stack.service.api.put("/v1/backends/gone", &binding).await.unwrap().ok().unwrap();
    let (code, answer) = tested(&stack, "gone");
    assert_eq!((code, &answer["ok"]), (Some(1), &json!(false)), "{answer}");
    assert_eq!(lines(&answer), ["plugin: ok", "endpoint ironic: failed"]);
    let check = &answer["checks"][1];
    assert!(check["said"].as_str().unwrap().contains(&closed.to_string()), "{check}");
    assert!(check["to_do"].as_str().unwrap().contains("look whether the service runs"), "{check}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_out_of_range_is_refused_with_the_range_and_one_within_is_shown() {
    let stack = Stack::start().await.unwrap();
    let api = &stack.service.api;
    let now = api.get("/v1/backends/ironic-1").await.unwrap().ok().unwrap();
    assert_eq!(now["limits"], json!({}));
    let put = async |limits: Value| {
        let part = |field: &str| now[field].clone();
        let body = json!({"plugin": part("digest"), "settings": part("settings"), "endpoints": part("endpoints"),
            "access": part("access"), "grants": part("grants"), "limits": limits});
        Http::to(api.base()).unwrap().always("if-match", "*").put("/v1/backends/ironic-1", &body).await.unwrap()
    };
    for (limits, words) in [
        (json!({"cpu_ms": 0}), "limits.cpu_ms: 10 to 60000, not 0"),
        (json!({"at_once": 65}), "limits.at_once: 1 to 64, not 65"),
        (json!({"cpu": 100}), "unknown field `cpu`"),
    ] {
        let refused = put(limits).await;
        assert_eq!((refused.status, &refused.body["code"]), (422, &json!("invalid-field")), "{refused:?}");
        assert!(refused.body["detail"].as_str().unwrap().contains(words), "{refused:?}");
    }
    let written = put(json!({"at_once": 1, "wall_ms": 60_000})).await.ok().unwrap();
    assert_eq!(written["limits"], json!({"at_once": 1, "wall_ms": 60_000}));
    assert_eq!(tested(&stack, "ironic-1").0, Some(0));
    let metrics = api.text("/metrics").await.unwrap();
    assert!(metrics.contains("moganite_driver_calls_ended_total{backend=\"ironic-1\""), "{metrics}");
}
