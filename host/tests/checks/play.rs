//! One flow under one plan of trouble, from its beginning to an empty ledger.

use moganite::flow::testing::{Act, Ended, Moment};
use moganite::lifecycle::Error;
use moganite::model::{Flow, FlowId, InstanceId, Phase};
use moganite::store::{ClearQuarantine, Lane, Store};

use crate::begin::Beginning;
use crate::bind::{self, by};
use crate::truth;
use crate::world::World;

/// What goes wrong in one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) acts: Vec<(Moment, Act)>,
    pub(crate) every: Option<Act>,
    pub(crate) at_hold: AtHold,
}

/// What happens while a call stands still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AtHold {
    /// The service dies and lives again.
    #[default]
    Die,
    /// A user deletes the instance; where it is gone already, that is what it is told.
    Delete,
}

/// What a run that went well tells.
pub(crate) struct Played {
    pub(crate) seen: Vec<(Moment, Ended)>,
    /// Acts whose moment never came.
    pub(crate) missed: Vec<(Moment, Act)>,
}

/// How often a person asks one run's flows to try again.
const RETRIES: u32 = 6;

pub(crate) fn play(world: &mut World, beginning: &Beginning, plan: &Plan) -> Result<Played, String> {
    let before = beginning.prepare(world)?;
    match plan.every {
        Some(act) => world.stage.arm_every(beginning.kind, act),
        None => world.stage.arm(beginning.kind, plan.acts.clone()),
    }
    let id = beginning.start(world, before)?;
    let ended = to_the_end(world, id, plan.at_hold);
    let seen = world.stage.seen();
    let missed = world.stage.disarm();
    world.stage.release();
    ended?;
    truth::of(world, id)?;
    clean(world, id)?;
    Ok(Played { seen, missed })
}

/// Deletes it where it is not gone, and asks what is left.
pub(crate) fn clean(world: &mut World, id: InstanceId) -> Result<(), String> {
    let (_, gone) = world.run("a look", world.store().instance(None, id))?.unwrap().unwrap();
    if !gone {
        world.run("the last delete", world.lifecycle().delete(None, id))?.map_err(|error| error.to_string())?;
        to_the_end(world, id, AtHold::Die)?;
    }
    truth::of(world, id)?;
    for node in world.run("quarantine", world.store().quarantine())?.unwrap() {
        let clear = ClearQuarantine { backend: node.backend, handle: node.handle };
        world.run("clearing", world.store().write(Lane::Interactive, clear))?.unwrap();
    }
    truth::nothing_left(world)?;
    bind::undeploy_by_hand(world);
    Ok(())
}

enum Next {
    Held,
    Ended,
    Rests(FlowId),
}

/// Until every flow of the instance ended; a person asks those that rest to try again.
pub(crate) fn to_the_end(world: &mut World, id: InstanceId, at_hold: AtHold) -> Result<(), String> {
    let mut retries = 0;
    loop {
        let next = world.run("a flow", async {
            tokio::select! {
                _ = world.stage.until_held() => Next::Held,
                rests = until_ended(world.store(), id) => rests.map_or(Next::Ended, Next::Rests),
            }
        });
        match next.map_err(|hangs| format!("{hangs}: {}", where_it_stands(world, id)))? {
            Next::Ended => return Ok(()),
            Next::Held if at_hold == AtHold::Die => world.die(),
            Next::Held => {
                let deleted = world.run("delete", world.lifecycle().delete(None, id))?;
                world.stage.release();
                match deleted {
                    Ok(_) | Err(Error::Refused { code: "instance-gone", .. }) => (),
                    Err(error) => return Err(format!("a delete was refused: {error}")),
                }
            }
            Next::Rests(flow) if retries < RETRIES => {
                retries += 1;
                let retried = world.run("retry", world.lifecycle().retry(flow, by()))?;
                retried.map_err(|error| format!("a retry was refused: {error}"))?;
            }
            Next::Rests(_) => return Err(format!("it rests for ever: {}", where_it_stands(world, id))),
        }
    }
}

/// Returns when every flow of this instance ended, or when one waits for a person.
pub(crate) async fn until_ended(store: &Store, id: InstanceId) -> Option<FlowId> {
    let mut changes = store.watch_flows();
    loop {
        let flows = flows_of(store, id).await;
        if let Some(rests) = flows.iter().find(|flow| flow.position.phase == Phase::NeedsOperator) {
            return Some(rests.id);
        }
        if flows.iter().all(|flow| flow.position.phase.is_ended()) {
            return None;
        }
        // Lagging behind is as good as one more look.
        changes.recv().await.ok();
    }
}

pub(crate) async fn flows_of(store: &Store, id: InstanceId) -> Vec<Flow> {
    let newest = store.flows(None, None, 100).await.unwrap();
    newest.into_iter().filter(|flow| flow.instance == id).collect()
}

fn where_it_stands(world: &World, id: InstanceId) -> String {
    let flows = world.run("a look", flows_of(world.store(), id)).unwrap_or_default();
    let flows = flows.iter().filter(|flow| !flow.position.phase.is_ended());
    let line = |flow: &Flow| {
        let position = flow.position;
        format!(
            "{} {} task {} round {} attempt {} wake {:?} (now {}): {}; {}",
            flow.kind,
            position.phase.as_str(),
            position.task,
            position.round,
            position.attempt,
            flow.wake,
            world.clock.now(),
            flow.progress.note,
            flow.fault.as_ref().map_or("", |fault| &fault.message),
        )
    };
    flows.map(line).collect::<Vec<_>>().join(" | ")
}
