//! Time, memory, stack, log and size of answers: what a call may use, and that the host stands afterwards.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use moganite::config::Sandbox;
use moganite::driver::Doing;
use moganite::model::{FaultKind, Mark};
use serde_json::{Value, json};

use crate::rig::{Rig, call, echo, logged, packed, shape};

async fn misbehaving() -> Rig {
    Rig::of("misbehave").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_without_end_ends_at_its_cpu_time_and_the_next_call_works() {
    let sandbox = Sandbox { slots: 2, cpu: std::time::Duration::from_millis(100), ..Sandbox::default() };
    let rig = Rig::with(packed("misbehave"), sandbox, echo).await;
    let fault = rig.fault("spin").await;
    assert!(fault.starts_with("Broken") && fault.contains("more than 100 ms of CPU time"), "{fault}");
    assert!(matches!(rig.compose(json!({})).await.result, Ok(Doing::Done(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_without_end_leaves_the_thread_to_others() {
    let rig = misbehaving().await;
    let (spinning, behaving) = (rig.composer(json!({ "case": "spin" })).await, rig.composer(json!({})).await);
    let spin = tokio::spawn(async move { spinning.compose(call(), &Mark("mg-a-1".into()), &shape()).await });
    for _ in 0..20 {
        assert!(behaving.compose(call(), &Mark("mg-a-2".into()), &shape()).await.result.is_ok());
    }
    assert!(!spin.is_finished());
    assert!(spin.await.unwrap().result.is_err());
}

/// The threads of this process that calls go to which compute long: nanoseconds of CPU by thread, and the nice value of each.
fn slow_lane() -> BTreeMap<OsString, (u64, String)> {
    let mut threads = BTreeMap::new();
    for thread in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        // It may end while it is looked at.
        let file = |name: &str| std::fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        if file("comm").trim() == "slow-lane" {
            let cpu = file("schedstat").split(' ').next().and_then(|cpu| cpu.parse().ok()).unwrap_or(0);
            let nice =
                file("stat").rsplit(')').next().and_then(|fields| fields.split_whitespace().nth(16).map(str::to_owned));
            threads.insert(thread.file_name(), (cpu, nice.unwrap_or_default()));
        }
    }
    threads
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_computes_long_does_so_at_a_lower_priority() {
    let rig = misbehaving().await;
    let before = slow_lane();
    assert!(rig.fault("spin").await.contains("of CPU time"));
    let after = slow_lane();
    let took = after.iter().map(|(thread, (cpu, _))| cpu - before.get(thread).map_or(0, |(cpu, _)| *cpu).min(*cpu));
    assert!(took.sum::<u64>() > 100_000_000, "{before:?} {after:?}");
    assert!(after.values().any(|(_, nice)| nice == "19"), "{after:?}");
}

#[tokio::test]
async fn the_deepest_json_that_is_read_at_all_fits_on_the_stack_that_drivers_are_built_with() {
    let answered = misbehaving().await.compose(json!({ "case": "deepest-json" })).await.result.unwrap();
    assert!(matches!(answered, Doing::Done(node) if node.facts["levels"] == 127));
}

#[tokio::test]
async fn memory_without_end_ends_at_its_limit() {
    let fault = misbehaving().await.fault("grow").await;
    assert!(fault.starts_with("Broken") && fault.contains("bytes of memory") && fault.contains("67108864"), "{fault}");
}

#[tokio::test]
async fn a_panic_is_quoted_and_a_stack_that_ends_is_named() {
    let rig = misbehaving().await;
    let fault = rig.fault("panic").await;
    assert!(fault.starts_with("Broken") && fault.contains("this driver panics, as it was told to"), "{fault}");
    assert!(fault.contains("; in ") && fault.contains("driver_misbehave::case::act"), "{fault}");
    let fault = rig.fault("overflow").await;
    assert!(fault.starts_with("Broken") && fault.contains("stack"), "{fault}");
}

#[tokio::test]
async fn a_call_that_sleeps_ends_at_its_wall_time_and_may_be_tried_again() {
    let sandbox = Sandbox { slots: 1, wall: Duration::from_millis(200), ..Sandbox::default() };
    let rig = Rig::with(packed("misbehave"), sandbox, echo).await;
    let sleeper = rig.composer(json!({ "case": "sleep" })).await;
    let (mark, shape) = (Mark("mg-a-1".into()), shape());
    // With one slot the second waits for the first, and that counts too.
    let (first, second) = tokio::join!(sleeper.compose(call(), &mark, &shape), sleeper.compose(call(), &mark, &shape));
    for answer in [first, second] {
        let fault = answer.result.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Retry);
        assert!(fault.message.contains("200 ms"), "{}", fault.message);
    }
}

#[tokio::test]
async fn a_driver_breaks_by_what_no_driver_may_do_and_not_by_what_it_says_or_waits_for() {
    let sandbox = Sandbox { slots: 1, wall: Duration::from_millis(500), ..Sandbox::default() };
    let rig = Rig::with(packed("misbehave"), sandbox, echo).await;
    for (case, broke) in [("panic", true), ("huge-facts", true), ("env", false), ("sleep", false), ("none", false)] {
        assert_eq!(rig.compose(json!({ "case": case })).await.broke, broke, "{case}");
    }
}

#[tokio::test]
async fn answers_out_of_bounds_are_refused_and_notes_are_cut() {
    let rig = misbehaving().await;
    for (case, field) in [("huge-checkpoint", "checkpoint"), ("huge-facts", "facts"), ("bad-json-facts", "facts")] {
        let fault = rig.fault(case).await;
        assert!(fault.starts_with("Broken") && fault.contains(&format!("{field}: ")), "{case}: {fault}");
    }
    match rig.compose(json!({ "case": "huge-note" })).await.result {
        Ok(Doing::Pending(pause)) => assert!(pause.note.chars().count() <= 501),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_flood_of_log_lines_is_cut_and_cannot_forge_a_record() {
    let rig = misbehaving().await;
    let (_guard, logged) = logged();
    assert!(matches!(rig.compose(json!({ "case": "log-flood" })).await.result, Ok(Doing::Done(_))));
    let lines: Vec<Value> = logged().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<&Value> = lines.iter().filter(|line| line["target"] == "driver").collect();
    assert_eq!(said.len(), 65);
    for line in &said {
        assert_eq!((&line["fields"]["backend"], &line["fields"]["operation"]), (&json!("tested"), &json!("op-1")));
        let text = line["fields"]["said"].as_str().unwrap();
        assert!(text.len() < 1_000 && !text.contains(char::is_control), "{text}");
    }
    assert_eq!(said[64]["fields"]["said"], "9936 more lines were dropped: a call has 64");
}

#[tokio::test]
async fn there_is_no_environment_no_file_and_no_socket() {
    let fault = misbehaving().await.fault("env").await;
    assert!(fault.contains("0 environment variables; 0 arguments"), "{fault}");
    assert!(fault.matches(": denied").count() == 4 && !fault.contains("reached"), "{fault}");
}
