//! A backend is away for an hour of hand-moved time, and users delete meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use moganite::config::Flows;
use moganite::model::{InstanceId, InstanceState};
use moganite_sim::{Entry, Side};
use serde_json::json;

use crate::begin::create;
use crate::play::until_ended;
use crate::truth;
use crate::world::World;

const INSTANCES: usize = 30;

/// The hand moves in steps: what is due in one is called in it.
const STEP: Duration = Duration::from_secs(5);

/// What was seen, in one line.
pub(crate) fn of_an_hour() -> Result<String, String> {
    let usual = Flows { backoff_max: Duration::from_secs(5), ..Flows::default() };
    let bound = usual.at_once_per_backend;
    let world = World::with(48, usual);
    let ids = active(&world)?;

    world.stand(true);
    let away = json!({"side": "ironic", "kind": "drop", "times": 0});
    world.sim.fault(serde_json::from_value(away).unwrap());
    let before = last(&world);
    world.sim.most_at_once(Side::Ironic);
    for id in &ids {
        world.run("delete", world.lifecycle().delete(None, *id))?.map_err(|error| format!("refused: {error}"))?;
    }
    for _ in 0..(3600 / STEP.as_secs()) {
        world.step(STEP)?;
    }
    let debts = world.run("the ledger", world.store().debts())?.unwrap();
    let owed = ids.iter().filter(|id| debts.iter().any(|debt| debt.holding.instance == **id)).count();
    if owed != INSTANCES {
        return Err(format!("{owed} of {INSTANCES} are on the ledger after an hour"));
    }
    for id in &ids {
        let (instance, gone) = world.run("a look", world.store().instance(None, *id))?.unwrap().unwrap();
        if gone || instance.state != InstanceState::Deleting {
            return Err(format!(
                "{id} says that it is {:?}, gone: {gone}, and nobody saw its machine off",
                instance.state
            ));
        }
    }
    let asked = world.sim.log_after(before);

    // It is back, and slow: requests that are sent at the same time are seen at the same time.
    world.sim.clear_faults();
    let slow = json!({"side": "ironic", "kind": "delay", "ms": 500, "times": 0});
    world.sim.fault(serde_json::from_value(slow).unwrap());
    let back = last(&world);
    let began = world.clock.now();
    world.stand(false);
    for id in &ids {
        if let Some(rests) = world.run("a delete", until_ended(world.store(), *id))? {
            return Err(format!("{rests} needs an operator"));
        }
    }
    let took = (world.clock.now() - began) / 1000;
    truth::nothing_left(&world)?;
    let most = world.sim.most_at_once(Side::Ironic);
    if most > bound {
        return Err(format!("{most} requests were open at once, of at most {bound}"));
    }
    let away = busiest(&asked);
    let after = busiest(&world.sim.log_after(back));
    Ok(format!(
        "{INSTANCES} deletes while it was away: {} requests in that hour, {away} in the busiest {} s; all settled {took} s after it was \
         back, {after} requests in the busiest {} s; at most {most} at once",
        of_ironic(&asked).count(),
        STEP.as_secs(),
        STEP.as_secs(),
    ))
}

fn active(world: &World) -> Result<Vec<InstanceId>, String> {
    let ids: Vec<_> = (0..INSTANCES).map(|_| create(world, "small", "cirros")).collect::<Result<_, _>>()?;
    for id in &ids {
        world.run("a create", until_ended(world.store(), *id))?;
        let (instance, _) = world.run("a look", world.store().instance(None, *id))?.unwrap().unwrap();
        if instance.state != InstanceState::Active {
            return Err(format!("an instance is {:?}: {:?}", instance.state, instance.reason));
        }
    }
    Ok(ids)
}

fn last(world: &World) -> u64 {
    world.sim.log_after(0).last().map_or(0, |entry| entry.n)
}

fn of_ironic(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(|entry| entry.side == Side::Ironic)
}

/// Requests of the step that had most.
fn busiest(entries: &[Entry]) -> usize {
    let mut by_step: BTreeMap<u128, usize> = BTreeMap::new();
    for entry in of_ironic(entries) {
        *by_step.entry(u128::from(entry.at_ms) / STEP.as_millis()).or_default() += 1;
    }
    by_step.values().copied().max().unwrap_or_default()
}
