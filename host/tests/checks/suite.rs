//! All runs: two worlds at once, a fresh one after a run that went wrong.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use crate::begin::{Beginning, of};
use crate::plans;
use crate::play::{AtHold, Plan, play};
use crate::world::World;

/// Worlds at once.
const WORLDS: usize = 2;

/// How it went.
#[derive(Default)]
pub(crate) struct Told {
    /// By flow: how often it ran.
    pub(crate) runs: BTreeMap<String, usize>,
    /// Acts whose moment never came: a wait was shorter than it had been.
    pub(crate) missed: usize,
    /// What went wrong, with its plan.
    pub(crate) wrong: Vec<String>,
}

/// Plays every flow of the book under every plan. `only`: those whose title has one of these words; empty: all.
pub(crate) fn whole(only: &[&str]) -> Told {
    let told = Mutex::new(Told::default());
    let jobs = Mutex::new(VecDeque::new());
    let beginnings: Vec<_> = {
        let world = World::new();
        let all = of(&world.lifecycle().book().kinds());
        all.into_iter().filter(|it| only.is_empty() || only.iter().any(|word| title(it).contains(word))).collect()
    };
    // First what each of them does when nothing goes wrong: it makes the plans.
    let first = Mutex::new(beginnings.into_iter().collect::<VecDeque<_>>());
    std::thread::scope(|scope| {
        for _ in 0..WORLDS {
            scope.spawn(|| {
                let mut world = World::new();
                while let Some(beginning) = next(&first) {
                    let planned = planned(&mut world, &beginning, &told);
                    jobs.lock().unwrap().extend(planned.into_iter().map(|plan| (beginning, plan)));
                }
            });
        }
    });
    std::thread::scope(|scope| {
        for _ in 0..WORLDS {
            scope.spawn(|| {
                let mut world = World::new();
                while let Some((beginning, plan)) = next(&jobs) {
                    one(&mut world, &beginning, &plan, &told);
                }
            });
        }
    });
    told.into_inner().unwrap()
}

fn planned(world: &mut World, beginning: &Beginning, told: &Mutex<Told>) -> Vec<Plan> {
    let Some(seen) = one(world, beginning, &Plan::default(), told) else { return Vec::new() };
    let mut plans = plans::forward(&seen);
    let fault = plans::at_the_end(&seen);
    if let Some(seen) = one(world, beginning, &fault, told) {
        plans.extend(plans::backward(&fault, &seen));
    }
    plans
}

type Seen = Vec<(moganite::flow::testing::Moment, moganite::flow::testing::Ended)>;

fn one(world: &mut World, beginning: &Beginning, plan: &Plan, told: &Mutex<Told>) -> Option<Seen> {
    // A panic of a check is one more thing that went wrong.
    let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(world, beginning, plan)))
        .unwrap_or_else(|_| Err("the check itself broke; see above".into()));
    let mut told = told.lock().unwrap();
    *told.runs.entry(title(beginning)).or_default() += 1;
    match played {
        Ok(played) => {
            told.missed += usize::from(!played.missed.is_empty());
            Some(played.seen)
        }
        Err(why) => {
            let line = format!("{}, {}: {why}", title(beginning), said(plan));
            eprintln!("WRONG {line}");
            told.wrong.push(line);
            drop(told);
            *world = World::new();
            None
        }
    }
}

fn next<T>(queue: &Mutex<VecDeque<T>>) -> Option<T> {
    queue.lock().unwrap().pop_front()
}

pub(crate) fn title(beginning: &Beginning) -> String {
    format!("{} ({})", beginning.kind, beginning.of)
}

fn said(plan: &Plan) -> String {
    let acts = plan.acts.iter().map(|(moment, act)| {
        format!("{act:?} at call {} of {} {:?} round {}", moment.call, moment.name, moment.direction, moment.round)
    });
    let mut acts: Vec<_> = acts.collect();
    acts.extend(plan.every.map(|act| format!("{act:?} at every call")));
    let then = if plan.at_hold == AtHold::Delete { " (then a delete)" } else { "" };
    format!("{}{then}", if acts.is_empty() { "untroubled".to_owned() } else { acts.join(" and ") })
}
