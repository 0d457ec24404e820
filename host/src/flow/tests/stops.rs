//! What persons stop stands still, with its clocks.

use super::*;

fn by() -> By {
    By::checked("ann", "a switch is exchanged").unwrap()
}

fn line() -> Event {
    Event {
        seq: 0,
        at: 0,
        task: String::new(),
        direction: Direction::Execute,
        round: 0,
        attempt: 0,
        kind: EventKind::Paused,
        note: "stopped".into(),
        backend: None,
        plugin: None,
        exchanges: Vec::new(),
        given_back: None,
        evidence: None,
    }
}

async fn pause(bench: &Bench, stop: Stop) {
    let pause = Pause { stop, by: by(), at: bench.clock.now() };
    bench.store.write(Lane::Interactive, pause).await.unwrap();
}

async fn resume(bench: &Bench, stop: Stop) {
    let resume = Resume { stop, by: by(), at: bench.clock.now() };
    bench.store.write(Lane::Interactive, resume).await.unwrap();
}

/// A wait of an hour, with the first look at it.
async fn waiting(bench: &Bench) -> (Service, FlowId, Flow) {
    let hour = Duration::from_secs(3600);
    let wait = Outcome::Pending { checkpoint: vec![1], after: hour, percent: None, note: "a disk spins".into() };
    bench.answers(0, [wait]);
    let (_, flow) = bench.create().await;
    let service = bench.serve();
    let row = bench.until(flow, |flow| flow.checkpoint.is_some()).await;
    (service, flow, row)
}

#[tokio::test]
async fn a_paused_flow_is_not_called_and_keeps_the_time_that_it_had_left() {
    let bench = Bench::new();
    let (_service, flow, before) = waiting(&bench).await;
    pause(&bench, Stop::Flow(flow, line())).await;
    bench.clock.advance(Duration::from_secs(7200));
    assert_eq!(bench.store.due_flows(bench.clock.now(), 10, &[]).await.unwrap(), []);
    resume(&bench, Stop::Flow(flow, line())).await;
    let after = bench.store.flow(flow).await.unwrap().unwrap();
    assert_eq!(after.wake, before.wake.map(|wake| wake + 7_200_000), "the hour that it waits is still to come");
    assert_eq!(after.task_since, before.task_since + 7_200_000, "and its budget was not used up");
    bench.clock.advance(Duration::from_secs(3600));
    bench.until(flow, |flow| flow.position.phase == Phase::Done).await;
    let audit: Vec<_> = bench.store.audit(None, 10).await.unwrap().into_iter().map(|line| line.verb).collect();
    assert_eq!(audit, ["flow.resume", "flow.pause"]);
}

#[tokio::test]
async fn stops_that_overlap_count_once() {
    let bench = Bench::new();
    bench.store.site(bench.site.clone()).await.unwrap();
    let (_service, flow, before) = waiting(&bench).await;
    let minute = Duration::from_secs(60);
    bench.store.write(Lane::Interactive, Freeze { by: by(), at: bench.clock.now() }).await.unwrap();
    bench.clock.advance(minute);
    pause(&bench, Stop::Flow(flow, line())).await;
    bench.clock.advance(minute);
    bench.store.write(Lane::Interactive, Thaw { by: by(), at: bench.clock.now() }).await.unwrap();
    assert_eq!(bench.store.flow(flow).await.unwrap().unwrap().wake, before.wake, "it is still paused");
    bench.clock.advance(minute);
    resume(&bench, Stop::Flow(flow, line())).await;
    let after = bench.store.flow(flow).await.unwrap().unwrap();
    assert_eq!(after.wake, before.wake.map(|wake| wake + 180_000));
}

#[tokio::test]
async fn nothing_is_due_while_the_service_is_frozen() {
    let bench = Bench::new();
    bench.store.site(bench.site.clone()).await.unwrap();
    bench.store.write(Lane::Interactive, Freeze { by: by(), at: bench.clock.now() }).await.unwrap();
    let (_, flow) = bench.create().await;
    let _service = bench.serve();
    assert_eq!(bench.store.due_flows(bench.clock.now(), 10, &[]).await.unwrap(), []);
    assert!(bench.store.standing().await.unwrap().is_read_only());
    bench.store.write(Lane::Interactive, Thaw { by: by(), at: bench.clock.now() }).await.unwrap();
    bench.until(flow, |flow| flow.position.phase == Phase::Done).await;
    assert_eq!(bench.calls().len(), 4);
}

#[tokio::test]
async fn a_backend_that_is_full_or_paused_keeps_no_place_from_others() {
    let mut bench = Bench::new();
    bind(&bench, &[]).await;
    let (_, other) = bench.create().await;
    bench.tasks[0].takes = Some(name("pod-a"));
    let (_, flow) = bench.create().await;
    let due = |full: Vec<Name>| {
        let (store, now) = (bench.store.clone(), bench.clock.now());
        async move { store.due_flows(now, 10, &full).await.unwrap().into_iter().map(|flow| flow.id).collect::<Vec<_>>() }
    };
    assert_eq!(due(vec![]).await, [other, flow]);
    assert_eq!(due(vec![name("pod-a")]).await, [other]);
    pause(&bench, Stop::Backend(name("pod-a"))).await;
    assert_eq!(due(vec![]).await, [other]);
    resume(&bench, Stop::Backend(name("pod-a"))).await;
    assert_eq!(due(vec![]).await, [other, flow]);
}
