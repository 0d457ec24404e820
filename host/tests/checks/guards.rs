//! What each guarded statement refuses. With its guard taken away every one of these fails: `switches.rs` sees to it.

use moganite::model::{Digest, InstanceId, InstanceState, Phase, PluginStop, RevisionId};
use moganite::store::{
    Created, Deleting, Effect, Error, Freeze, HoldingFilter, InstanceChange, Lane, Pause, RetryFlow, Stop, StopPlugin,
    WriteOff,
};
use moganite::switch::Guard;

use crate::bench::Bench;
use crate::bind::{by, name};

/// Fails when the guard does not hold.
pub(crate) async fn holds(guard: Guard) -> Result<(), String> {
    match guard {
        Guard::Revision => a_step_from_an_old_revision_is_refused().await,
        Guard::Handle => another_instances_handle_is_refused().await,
        Guard::Identity => another_instances_machine_is_refused().await,
        Guard::Rests => only_a_flow_that_rests_is_retried().await,
        Guard::OneFlow => a_second_flow_on_an_instance_is_refused().await,
        Guard::Startable => no_flow_starts_on_what_is_being_deleted().await,
        Guard::DeletedOnce => a_second_delete_is_the_first().await,
        Guard::NotGone => what_is_gone_is_not_deleted().await,
        Guard::StaysDeleting => a_create_that_ends_does_not_undelete().await,
        Guard::Idempotency => the_same_key_creates_once().await,
        Guard::SameRequest => a_key_with_another_request_is_refused().await,
        Guard::Newest => an_old_binding_does_not_overwrite_a_new_one().await,
        Guard::Turn => at_an_exclusive_backend_only_the_first_is_due().await,
        Guard::Follows => a_delete_waits_for_the_create_to_end().await,
        Guard::PausedFlow => what_is_stopped_is_not_due(Stopped::Flow).await,
        Guard::PausedBackend => what_is_stopped_is_not_due(Stopped::Backend).await,
        Guard::StoppedPlugin => what_is_stopped_is_not_due(Stopped::Plugin).await,
        Guard::Breaker => a_plugin_that_broke_too_often_is_not_called().await,
        Guard::Frozen => what_is_stopped_is_not_due(Stopped::All).await,
        Guard::Owed => only_a_debt_is_written_off().await,
    }
}

async fn a_step_from_an_old_revision_is_refused() -> Result<(), String> {
    let bench = Bench::new().await;
    let (_, flow) = bench.create().await;
    let old = bench.flow(flow).await;
    bench.step_from(&old, Phase::Forward, Vec::new()).await.unwrap();
    refused(bench.step_from(&old, Phase::Forward, Vec::new()).await, |error| matches!(error, Error::Conflict(_)))
}

async fn another_instances_handle_is_refused() -> Result<(), String> {
    let bench = Bench::new().await;
    let ((_, one), (_, two)) = (bench.create().await, bench.create().await);
    bench.step(one, Phase::Forward, vec![bench.made(one, "n1", "S1")]).await.unwrap();
    let taken = bench.step(two, Phase::Forward, vec![bench.made(two, "n1", "S2")]).await;
    refused(taken, |error| matches!(error, Error::Owned(why) if why.contains("n1")))
}

async fn another_instances_machine_is_refused() -> Result<(), String> {
    let bench = Bench::new().await;
    let ((_, one), (_, two)) = (bench.create().await, bench.create().await);
    bench.step(one, Phase::Forward, vec![bench.made(one, "n1", "S1")]).await.unwrap();
    let taken = bench.step(two, Phase::Forward, vec![bench.made(two, "n2", "S1")]).await;
    refused(taken, |error| matches!(error, Error::Owned(why) if why.contains("S1")))
}

async fn only_a_flow_that_rests_is_retried() -> Result<(), String> {
    let bench = Bench::new().await;
    let (_, flow) = bench.create().await;
    let retry = RetryFlow { flow, phase: Phase::Backward, event: bench.event(), by: by() };
    refused(bench.store.write(Lane::Interactive, retry).await, is_refusal)
}

async fn a_second_flow_on_an_instance_is_refused() -> Result<(), String> {
    let bench = Bench::new().await;
    let (id, flow) = bench.create().await;
    bench.step(flow, Phase::Done, vec![active(id)]).await.unwrap();
    bench.start(id).await.unwrap();
    refused(bench.start(id).await, is_refusal)
}

async fn no_flow_starts_on_what_is_being_deleted() -> Result<(), String> {
    let bench = Bench::new().await;
    let (id, flow) = bench.create().await;
    bench.step(flow, Phase::Done, vec![active(id)]).await.unwrap();
    bench.delete(id).await.unwrap();
    let (deleting, _) = bench.store.instance(None, id).await.unwrap().unwrap();
    bench.step(deleting.flow, Phase::Done, Vec::new()).await.unwrap();
    refused(bench.start(id).await, is_refusal)
}

async fn a_second_delete_is_the_first() -> Result<(), String> {
    let bench = Bench::new().await;
    let (id, _) = bench.create().await;
    bench.delete(id).await.unwrap();
    match bench.delete(id).await {
        Ok(Deleting::Already(_)) => Ok(()),
        other => Err(format!("a second delete was {other:?}")),
    }
}

async fn what_is_gone_is_not_deleted() -> Result<(), String> {
    let bench = Bench::new().await;
    let (id, flow) = bench.create().await;
    let gone = InstanceChange { gone: true, ..InstanceChange::of(id) };
    bench.step(flow, Phase::Done, vec![Effect::Instance(gone)]).await.unwrap();
    refused(bench.delete(id).await, is_refusal)
}

async fn a_create_that_ends_does_not_undelete() -> Result<(), String> {
    let bench = Bench::new().await;
    let (id, flow) = bench.create().await;
    bench.delete(id).await.unwrap();
    bench.step(flow, Phase::Done, vec![active(id)]).await.unwrap();
    let (instance, _) = bench.store.instance(None, id).await.unwrap().unwrap();
    let is = instance.state;
    if is == InstanceState::Deleting { Ok(()) } else { Err(format!("it is {is:?} again")) }
}

async fn the_same_key_creates_once() -> Result<(), String> {
    let bench = Bench::new().await;
    let key = Some(("key".to_owned(), b"request".to_vec()));
    let (first, _, _) = bench.create_with(key.clone()).await.unwrap();
    match bench.create_with(key).await {
        Ok((_, _, Created::Before(before))) if before == first => Ok(()),
        other => Err(format!("the second was {:?}", other.map(|(_, _, created)| created))),
    }
}

async fn a_key_with_another_request_is_refused() -> Result<(), String> {
    let bench = Bench::new().await;
    bench.create_with(Some(("key".to_owned(), b"request".to_vec()))).await.unwrap();
    match bench.create_with(Some(("key".to_owned(), b"another".to_vec()))).await {
        Ok((_, _, Created::KeyReused)) => Ok(()),
        other => Err(format!("the second was {:?}", other.map(|(_, _, created)| created))),
    }
}

async fn an_old_binding_does_not_overwrite_a_new_one() -> Result<(), String> {
    let bench = Bench::new().await;
    let first = bench.store.newest_revision(&name("pod-a")).await.unwrap().unwrap().id;
    let second = bench.write_revision(Some(first)).await.unwrap();
    assert_eq!(second, RevisionId(first.0 + 1));
    refused(bench.write_revision(Some(first)).await, |error| matches!(error, Error::Conflict(_)))
}

async fn at_an_exclusive_backend_only_the_first_is_due() -> Result<(), String> {
    let bench = Bench::new().await;
    let ((_, first), _) = (bench.create().await, bench.create().await);
    let due = bench.due().await;
    if due == [first] { Ok(()) } else { Err(format!("{} are due", due.len())) }
}

async fn a_delete_waits_for_the_create_to_end() -> Result<(), String> {
    let bench = Bench::new().await;
    let (id, create) = bench.create().await;
    bench.delete(id).await.unwrap();
    let (instance, _) = bench.store.instance(None, id).await.unwrap().unwrap();
    let delete = bench.flow(instance.flow).await;
    if delete.wake.is_some() || delete.follows != Some(create) {
        return Err("the delete is due while the create runs".into());
    }
    bench.step(create, Phase::Reverted, Vec::new()).await.unwrap();
    let woken = bench.flow(delete.id).await.wake.is_some();
    if woken { Ok(()) } else { Err("the delete is not due after the create ended".into()) }
}

#[derive(Clone, Copy)]
enum Stopped {
    Flow,
    Backend,
    Plugin,
    All,
}

async fn what_is_stopped_is_not_due(stopped: Stopped) -> Result<(), String> {
    let bench = Bench::new().await;
    let (_, flow) = bench.create().await;
    let (at, store) = (bench.now, &bench.store);
    let pause = |stop| Pause { stop, by: by(), at };
    match stopped {
        Stopped::Flow => store.write(Lane::Interactive, pause(Stop::Flow(flow, bench.event()))).await.unwrap(),
        Stopped::Backend => store.write(Lane::Interactive, pause(Stop::Backend(name("pod-a")))).await.unwrap(),
        Stopped::Plugin => {
            let stop = StopPlugin { digest: Digest::of(b"plugin"), how: PluginStop::Disabled, by: by(), at };
            store.write(Lane::Interactive, stop).await.unwrap();
        }
        Stopped::All => store.write(Lane::Interactive, Freeze { by: by(), at }).await.unwrap(),
    }
    if bench.due().await.is_empty() { Ok(()) } else { Err("it is due".into()) }
}

async fn a_plugin_that_broke_too_often_is_not_called() -> Result<(), String> {
    let bench = Bench::new().await;
    for _ in 0..5 {
        let (_, flow) = bench.create().await;
        let broke = Effect::Called { revision: RevisionId(1), broke: Some("it crashed".into()) };
        bench.step(flow, Phase::Done, vec![broke]).await.unwrap();
    }
    bench.create().await;
    if bench.due().await.is_empty() { Ok(()) } else { Err("it is due".into()) }
}

async fn only_a_debt_is_written_off() -> Result<(), String> {
    let bench = Bench::new().await;
    let (id, _) = bench.create().await;
    let filter = HoldingFilter { instance: Some(id), ..HoldingFilter::default() };
    let holding = bench.store.holdings(filter).await.unwrap().remove(0).id;
    let write_off = WriteOff { holding, event: bench.event(), by: by() };
    refused(bench.store.write(Lane::Interactive, write_off).await, is_refusal)
}

fn active(id: InstanceId) -> Effect {
    let change = InstanceChange { state: Some(InstanceState::Active), ..InstanceChange::of(id) };
    Effect::Instance(change)
}

fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Refused(_))
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>, as_wanted: impl Fn(&Error) -> bool) -> Result<(), String> {
    match result {
        Err(error) if as_wanted(&error) => Ok(()),
        other => Err(format!("it was not refused as it should be: {other:?}")),
    }
}
