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
    assert_eq!(bench.store.due_flows(bench.clock.now(), 10, &[], &[]).await.unwrap(), []);
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
    assert_eq!(bench.store.due_flows(bench.clock.now(), 10, &[], &[]).await.unwrap(), []);
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
        async move {
            store.due_flows(now, 10, &full, &[]).await.unwrap().into_iter().map(|flow| flow.id).collect::<Vec<_>>()
        }
    };
    assert_eq!(due(vec![]).await, [other, flow]);
    assert_eq!(due(vec![name("pod-a")]).await, [other]);
    pause(&bench, Stop::Backend(name("pod-a"))).await;
    assert_eq!(due(vec![]).await, [other]);
    resume(&bench, Stop::Backend(name("pod-a"))).await;
    assert_eq!(due(vec![]).await, [other, flow]);
}

/// A flow that waits an hour for `pod-a`, whose plugin is called by [`bind`].
async fn calling(bench: &mut Bench) -> (Service, FlowId, Flow) {
    bind(bench, &[]).await;
    bench.tasks[0].takes = Some(name("pod-a"));
    waiting(bench).await
}

async fn stop(bench: &Bench, digest: &Digest, how: PluginStop) {
    let stop = StopPlugin { digest: digest.clone(), how, by: by(), at: bench.clock.now() };
    bench.store.write(Lane::Interactive, stop).await.unwrap();
}

async fn let_go_on(bench: &Bench, digest: &Digest, how: PluginStop) {
    let go_on = LetGoOn { digest: digest.clone(), how, by: by(), at: bench.clock.now() };
    bench.store.write(Lane::Interactive, go_on).await.unwrap();
}

#[tokio::test]
async fn a_flow_whose_plugin_is_stopped_is_not_called_until_every_stop_of_it_ended() {
    let (mut bench, plugin) = (Bench::new(), Digest::of(b"plugin"));
    let (_service, flow, before) = calling(&mut bench).await;
    stop(&bench, &plugin, PluginStop::Disabled).await;
    stop(&bench, &Digest::of(b"another"), PluginStop::Denied).await;
    stop(&bench, &plugin, PluginStop::Denied).await;
    bench.clock.advance(Duration::from_secs(7200));
    assert_eq!(bench.store.due_flows(bench.clock.now(), 10, &[], &[]).await.unwrap(), []);
    let obstacles = bench.store.obstacles(std::slice::from_ref(&before)).await.unwrap();
    assert_eq!(obstacles.stopped.get(&flow).map(|it| it.digest.clone()), Some(plugin.clone()));
    let_go_on(&bench, &plugin, PluginStop::Disabled).await;
    assert_eq!(bench.store.due_flows(bench.clock.now(), 10, &[], &[]).await.unwrap(), [], "it is still denied");
    let_go_on(&bench, &plugin, PluginStop::Denied).await;
    let after = bench.store.flow(flow).await.unwrap().unwrap();
    assert_eq!(after.wake, before.wake.map(|wake| wake + 7_200_000), "the hour that it waits is still to come");
    assert_eq!(after.task_since, before.task_since + 7_200_000, "and its budget was not used up");
    bench.clock.advance(Duration::from_secs(3600));
    bench.until(flow, |flow| flow.position.phase == Phase::Done).await;
    let again = LetGoOn { digest: plugin, how: PluginStop::Denied, by: by(), at: 0 };
    assert!(matches!(bench.store.write(Lane::Interactive, again).await, Err(Error::Refused(_))));
}

#[tokio::test]
async fn a_flow_that_is_cancelled_turns_round_without_a_call_of_its_stopped_plugin() {
    let mut bench = Bench::new();
    let (_service, flow, _) = calling(&mut bench).await;
    let (calls, row) = (bench.calls(), bench.store.flow(flow).await.unwrap().unwrap());
    stop(&bench, &Digest::of(b"plugin"), PluginStop::Disabled).await;
    let kind = (FlowId::fresh(), "test", 1);
    let (delete, event, effects) =
        first(&bench.book(), &bench.site, kind, (name("default"), row.instance), row.state, bench.clock.now());
    let cancelled = event.clone();
    let delete = DeleteInstance { instance: row.instance, flow: delete, event, cancelled, effects };
    bench.store.write(Lane::Interactive, delete).await.unwrap();
    let turned = bench.until(flow, |flow| flow.position.phase == Phase::Reverted).await;
    assert_eq!(turned.fault.map(|fault| fault.kind), Some(FaultKind::Cancelled));
    assert_eq!(bench.calls()[calls.len()..], ["one back"]);
}

#[tokio::test]
async fn another_plugin_takes_over_what_waits_for_a_stopped_one_as_a_try_that_is_not_the_first() {
    let mut bench = Bench::new();
    let (_service, flow, _) = calling(&mut bench).await;
    let newest = bench.store.newest_revision(&name("pod-a")).await.unwrap().unwrap();
    let after = newest.id;
    let revision = Revision { digest: Digest::of(b"another"), ..newest };
    let write = WriteRevision { revision, exclusive: Vec::new(), after: Some(after), at: 1 };
    let to = bench.store.write(Lane::Interactive, write).await.unwrap();
    let take = || TakeOverWaiting { flow, to, event: line(), by: by() };
    let refused = bench.store.write(Lane::Interactive, take()).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "its plugin is not stopped");
    stop(&bench, &Digest::of(b"plugin"), PluginStop::Disabled).await;
    bench.store.write(Lane::Interactive, take()).await.unwrap();
    let done = bench.until(flow, |flow| flow.position.phase == Phase::Done).await;
    assert!(bench.calls().contains(&"one 2".to_owned()), "{:?}", bench.calls());
    let filter = HoldingFilter { instance: Some(done.instance), ..HoldingFilter::default() };
    assert_eq!(bench.store.holdings(filter).await.unwrap()[0].revision, to);
}
