//! A cancel while a call is in flight, at every request of it: the answer that comes afterwards is in the timeline all the same.

use std::time::Duration;

use moganite::model::{Event, EventKind, FlowId};
use moganite_sim::{Entry, Fault, Kind};
use serde_json::json;

use crate::begin::Beginning;
use crate::play::{clean, until_ended};
use crate::truth;
use crate::world::World;

/// How long a far side keeps an answer: longer than any run.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// Each request of this flow is answered only after a user asked to delete the instance. Answers how many there were.
pub(crate) fn every_request(world: &mut World, beginning: &Beginning) -> Result<usize, String> {
    let mut n = 0;
    while one(world, beginning, n)
        .map_err(|why| format!("{} of {}, request {n}: {why}", beginning.kind, beginning.of))?
    {
        n += 1;
    }
    Ok(n)
}

/// False: the flow has no such request.
fn one(world: &mut World, beginning: &Beginning, skip: usize) -> Result<bool, String> {
    let before = beginning.prepare(world)?;
    let seen = world.sim.log_after(0).last().map_or(0, |entry| entry.n);
    // Half of them are held before the far side did anything, half after.
    let kind = if skip.is_multiple_of(2) { "slow-answer" } else { "delay" };
    let ms = u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX);
    let fault: Fault = serde_json::from_value(json!({"kind": kind, "skip": skip, "ms": ms})).unwrap();
    world.sim.fault(fault);
    let id = beginning.start(world, before)?;
    let (instance, _) = world.run("a look", world.store().instance(None, id))?.unwrap().unwrap();
    let held = world.until_either(until_ended(world.store(), id), async || is_held(world, kind_of(kind)))?;
    if !held {
        world.sim.clear_faults();
        clean(world, id)?;
        return Ok(false);
    }
    world.stand(true);
    // The one that is held, and what it may have asked of another far side: that may be answered before.
    let open: Vec<_> = world.sim.log_after(seen).into_iter().filter(|entry| entry.status.is_none()).collect();
    let request = open.last();
    let deleted = world.run("delete", world.lifecycle().delete(None, id))?;
    deleted.map_err(|error| format!("the delete was refused: {error}"))?;
    // It may still be at work, and begin to wait with the answer only then.
    let is_open = |n: u64| world.sim.log_after(n - 1).first().is_some_and(|entry| entry.status.is_none());
    let answered = async || !open.iter().any(|entry| is_open(entry.n));
    let moves = async {
        while !answered().await {
            world.sim.advance(ms);
            tokio::task::yield_now().await;
        }
    };
    world.run("the answer that was kept", moves)?;
    world.stand(false);
    world.run("the flows", until_ended(world.store(), id))?;
    world.sim.clear_faults();
    let events = world.run("its timeline", world.store().events(instance.flow, 0))?.unwrap();
    is_told(&events, request, instance.flow)?;
    truth::of(world, id)?;
    clean(world, id)?;
    Ok(true)
}

fn is_held(world: &World, kind: Kind) -> bool {
    world.sim.faults().iter().any(|fault| fault.kind == kind && fault.fired > 0)
}

fn kind_of(kind: &str) -> Kind {
    serde_json::from_value(json!(kind)).unwrap()
}

/// After the wish there is a line of the call that was in flight, with the exchange that was held, answered.
fn is_told(events: &[Event], request: Option<&Entry>, flow: FlowId) -> Result<(), String> {
    let asked = events.iter().position(|event| event.kind == EventKind::CancelAsked);
    // A delete is not cancelled by a second one.
    let after = asked.map_or(events, |at| &events[at + 1..]);
    let Some(request) = request else { return Err("no request stood still".into()) };
    // What Valence and Ironic ask the pod manager is no request of ours: then the one that waits for it is.
    let inner = request.user_agent.as_deref().is_some_and(|agent| agent == "valence" || agent == "ironic");
    let told = after.iter().flat_map(|event| &event.exchanges).any(|seen| {
        let path = seen.path.split('?').next().unwrap_or_default();
        inner && seen.status.is_some()
            || seen.method == request.method && request.path.ends_with(path) && seen.status.is_some()
    });
    if told {
        return Ok(());
    }
    let lines: Vec<_> = after.iter().map(|event| format!("{} {:?}", event.task, event.kind)).collect();
    Err(format!("{} {} is not in the timeline of {flow} after the wish: {lines:?}", request.method, request.path))
}
