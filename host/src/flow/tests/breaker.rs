//! A plugin that keeps breaking is left alone, and tried by one flow at a time.

use super::*;

fn broke() -> Outcome {
    Outcome::Fail(Fault::new(FaultKind::Broken, BROKE))
}

/// Flows that call the plugin of `pod-a` first; so many of its calls broke before.
async fn broken(bench: &mut Bench, times: usize) {
    bind(bench, &[]).await;
    bench.tasks[0].takes = Some(name("pod-a"));
    bench.answers(0, std::iter::repeat_n(broke(), times));
    let _service = bench.serve();
    for _ in 0..times {
        let (_, flow) = bench.create().await;
        assert_eq!(bench.until(flow, ended).await.position.phase, Phase::Reverted);
    }
}

async fn creates(bench: &Bench, n: usize) -> Vec<FlowId> {
    let mut flows = Vec::new();
    for _ in 0..n {
        flows.push(bench.create().await.1);
    }
    flows
}

fn first_calls(bench: &Bench) -> usize {
    bench.calls().iter().filter(|call| call.starts_with("one ") && !call.ends_with("back")).count()
}

#[tokio::test]
async fn after_five_broken_calls_one_flow_at_a_time_tries_and_the_others_go_on_when_it_is_whole() {
    let mut bench = Bench::new();
    broken(&mut bench, 5).await;
    let flows = creates(&bench, 3).await;
    // A new run of the service falls upon nothing.
    let _service = bench.serve();
    assert_eq!(bench.store.due_flows(bench.clock.now(), 10, &[], &[]).await.unwrap(), []);
    assert_eq!(first_calls(&bench), 5);

    bench.answers(0, [broke()]);
    bench.clock.advance(Duration::from_secs(15));
    let probe = bench.until(flows[0], |flow| flow.position.attempt == 2).await;
    assert_eq!(probe.position.phase, Phase::Forward, "who tries it for the others does not turn round");
    assert_eq!(first_calls(&bench), 6, "one call alone tried it");
    let seen = bench.store.broken().await.unwrap().remove(0);
    assert_eq!((seen.calls, seen.until), (6, Some(bench.clock.now() + 30_000)));
    let row = bench.store.flow(flows[1]).await.unwrap().unwrap();
    assert_eq!((row.position.attempt, row.revision), (1, 1), "who waits is not touched");

    bench.clock.advance(Duration::from_secs(30));
    for flow in flows {
        assert_eq!(bench.until(flow, ended).await.position.phase, Phase::Done);
    }
    assert_eq!(bench.store.broken().await.unwrap(), []);
}

#[tokio::test]
async fn a_whole_call_between_broken_ones_starts_the_count_anew() {
    let mut bench = Bench::new();
    broken(&mut bench, 4).await;
    let _service = bench.serve();
    let (_, whole) = bench.create().await;
    bench.until(whole, ended).await;
    bench.answers(0, [broke(), Outcome::Done]);
    let (_, breaks) = bench.create().await;
    assert_eq!(bench.until(breaks, ended).await.position.phase, Phase::Reverted);
    let (_, next) = bench.create().await;
    assert_eq!(bench.until(next, ended).await.position.phase, Phase::Done);
}

#[tokio::test]
async fn what_a_driver_reports_itself_opens_nothing() {
    let mut bench = Bench::new();
    bind(&bench, &[]).await;
    bench.tasks[0].takes = Some(name("pod-a"));
    bench.answers(0, std::iter::repeat_n(Outcome::Fail(Fault::new(FaultKind::Broken, "the far side is on fire")), 8));
    let _service = bench.serve();
    for flow in creates(&bench, 8).await {
        bench.until(flow, ended).await;
    }
    assert_eq!(bench.store.broken().await.unwrap(), []);
}

#[tokio::test]
async fn a_flow_whose_time_is_over_turns_round_when_its_try_breaks() {
    let mut bench = Bench::new();
    broken(&mut bench, 5).await;
    bench.tasks[0].budget = Some(Duration::from_secs(60));
    bench.answers(0, [broke()]);
    let (_, flow) = bench.create().await;
    let _service = bench.serve();
    bench.clock.advance(Duration::from_secs(600));
    let turned = bench.until(flow, ended).await;
    assert_eq!(turned.fault.map(|fault| fault.kind), Some(FaultKind::Overdue));
}
