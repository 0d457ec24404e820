//! Every protection is taken away in turn: the checks must miss each of them, or they would not see it fail.

use moganite::driver::PowerWish;
use moganite::flow::testing::{Act, Ended, Moment};
use moganite::model::{Direction, Event, EventKind, InstanceId, Role};
use moganite::switch::{Guard, Switch, Taken, take};

use crate::begin::{Beginning, create, of};
use crate::play::{AtHold, Plan, clean, play, to_the_end, until_ended};
use crate::world::World;
use crate::{guards, suite, truth};

const ROLES: [Role; 4] = [Role::Compose, Role::Claim, Role::Enroll, Role::Deploy];

/// Tasks that take nothing and undo nothing.
const NOTHING_TO_UNDO: [&str; 3] = ["verify", "power", "refresh"];

/// One protection, and what missed it; none: nothing did.
pub(crate) struct Caught {
    pub(crate) switch: Switch,
    pub(crate) by: Option<String>,
}

/// Takes each away in turn.
pub(crate) fn each() -> Vec<Caught> {
    let mut all = Vec::new();
    let caught = |switch, by: Option<String>| {
        println!("{switch:?}: {}", by.as_deref().unwrap_or("NOT CAUGHT"));
        Caught { switch, by }
    };
    for guard in Guard::ALL {
        let switch = Switch::Guard(*guard);
        all.push(caught(switch, guard_missed(*guard)));
    }
    let seen = all_seen();
    let mut tasks: Vec<&'static str> = Vec::new();
    for (moment, _) in seen.iter().flat_map(|(_, seen)| seen) {
        if !tasks.contains(&moment.name) && !NOTHING_TO_UNDO.contains(&moment.name) {
            tasks.push(moment.name);
        }
    }
    for task in tasks {
        all.push(caught(Switch::Revert(task), revert_missed(task, &seen)));
    }
    for role in ROLES {
        all.push(caught(Switch::Undo(role), undo_missed(role)));
        all.push(caught(Switch::Find(role), find_missed(role)));
    }
    all
}

/// Every guard holds, and every driver that lies is found out, as long as nothing is taken away.
pub(crate) fn untouched() -> Vec<String> {
    let mut wrong = Vec::new();
    for guard in Guard::ALL {
        let held = block_on(guards::holds(*guard));
        wrong.extend(held.err().map(|why| format!("{guard:?}: {why}")));
    }
    let mut world = World::new();
    for role in ROLES {
        for (flavor, image) in routes(role) {
            if let Err(why) = a_driver_that_lies(&mut world, role, flavor, image) {
                wrong.push(format!("a driver that lies of {} ({flavor}): {why}", role.as_str()));
                world = World::new();
            }
        }
    }
    wrong
}

fn guard_missed(guard: Guard) -> Option<String> {
    let _taken = take(&[Switch::Guard(guard)]);
    let panicked = "its check broke".to_owned();
    std::panic::catch_unwind(|| block_on(guards::holds(guard))).unwrap_or(Err(panicked)).err()
}

/// Each flow of the book when nothing goes wrong.
fn all_seen() -> Vec<(Beginning, Vec<(Moment, Ended)>)> {
    let mut world = World::new();
    let beginnings = of(&world.lifecycle().book().kinds());
    let seen = beginnings.into_iter().map(|it| {
        let played = play(&mut world, &it, &Plan::default());
        (it, played.unwrap_or_else(|why| panic!("{}: {why}", suite::title(&it))).seen)
    });
    seen.collect()
}

/// It happened and failed: what this task should undo is still there.
fn revert_missed(task: &'static str, seen: &[(Beginning, Vec<(Moment, Ended)>)]) -> Option<String> {
    for (beginning, seen) in seen {
        let Some((last, _)) = seen.iter().rev().find(|(moment, _)| moment.name == task) else { continue };
        let mut world = World::new();
        let _taken = take(&[Switch::Revert(task)]);
        let fails = Plan { acts: vec![(last.clone(), Act::FailAfter)], ..Plan::default() };
        for plan in [fails, Plan::default()] {
            if let Err(why) = play(&mut world, beginning, &plan) {
                return Some(format!("{}: {why}", suite::title(beginning)));
            }
        }
    }
    None
}

/// A delete whose undo of this role settles what it did not do.
fn undo_missed(role: Role) -> Option<String> {
    routes(role).iter().find_map(|(flavor, image)| {
        let mut world = World::new();
        let id = active(&world, flavor, image).unwrap();
        let _taken = take(&[Switch::Undo(role)]);
        world.run("delete", world.lifecycle().delete(None, id)).unwrap().unwrap();
        let ended = to_the_end(&mut world, id, AtHold::Die);
        ended.and_then(|()| truth::of(&world, id)).and_then(|()| truth::nothing_left(&world)).err()
    })
}

/// A driver that says done and does nothing, and nobody who looks.
fn find_missed(role: Role) -> Option<String> {
    routes(role).iter().find_map(|(flavor, image)| {
        let mut world = World::new();
        let _taken = take(&[Switch::Find(role)]);
        a_driver_that_lies(&mut world, role, flavor, image).err()
    })
}

/// It answers that it undid this role and did nothing, twice; then it does what it says.
fn a_driver_that_lies(world: &mut World, role: Role, flavor: &str, image: &str) -> Result<(), String> {
    let id = active(world, flavor, image)?;
    if role == Role::Deploy {
        // A machine that runs is found out in another way.
        world
            .run("power", world.lifecycle().power(None, id, PowerWish::Off, None))?
            .map_err(|error| error.to_string())?;
        world.run("power", until_ended(world.store(), id))?;
    }
    let lies: Taken = take(&[Switch::Honest(role)]);
    let flow = world.run("delete", world.lifecycle().delete(None, id))?.map_err(|error| error.to_string())?;
    world.until_either(until_ended(world.store(), id), async || {
        let events = world.store().events(flow, 0).await.unwrap();
        let tried = |event: &&Event| event.kind == EventKind::Retry && event.direction == Direction::Execute;
        events.iter().filter(tried).count() >= 2
    })?;
    drop(lies);
    to_the_end(world, id, AtHold::Die)?;
    clean(world, id)
}

/// Flavors and images whose instances hold something of this role.
fn routes(role: Role) -> &'static [(&'static str, &'static str)] {
    match role {
        Role::Compose => &[("small", "cirros"), ("with-disk", "cirros")],
        Role::Enroll => &[("small", "cirros")],
        Role::Claim => &[("discovered", "linux"), ("gold", "cirros")],
        Role::Deploy => &[("discovered", "linux"), ("gold", "cirros"), ("small", "cirros")],
    }
}

fn active(world: &World, flavor: &str, image: &str) -> Result<InstanceId, String> {
    let id = create(world, flavor, image)?;
    world.run("the instance that it is about", until_ended(world.store(), id))?;
    Ok(id)
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
