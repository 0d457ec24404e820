//! Every flow in the code under trouble: fail at every task, repeat every call, die at every commit, cancel at every call.
//!
//! The service, real components and the simulators run in this process on clocks moved by hand. No flow is named but in `begin.rs`.
//! Compiled with the feature `testing` alone: `cargo xtask test` runs it, or `cargo test -p moganite --features testing --test checks`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod begin;
mod bench;
mod bind;
#[path = "../shared/compiled.rs"]
mod compiled;
mod guards;
mod held;
mod outage;
mod plans;
mod play;
mod suite;
mod switches;
mod truth;
mod world;

use std::sync::{PoisonError, RwLock};

/// Whoever takes a protection away is alone in this process.
static ALONE: RwLock<()> = RwLock::new(());

#[test]
fn whatever_goes_wrong_nothing_is_left_behind_and_every_state_is_true() {
    let _beside = ALONE.read().unwrap_or_else(PoisonError::into_inner);
    let only = std::env::var("MOGANITE_CHECKS").unwrap_or_default();
    let only: Vec<_> = only.split(',').filter(|word| !word.is_empty()).collect();
    let told = suite::whole(&only);
    for (flow, runs) in &told.runs {
        println!("{runs:>6}  {flow}");
    }
    let all: usize = told.runs.values().sum();
    println!("{all:>6}  runs in all, {} of them met no trouble, {} went wrong", told.missed, told.wrong.len());
    assert!(told.wrong.is_empty(), "\n{}", told.wrong.join("\n"));
    assert!(told.missed * 10 <= all, "the trouble of {} of {all} runs never came", told.missed);
}

#[test]
fn a_cancel_during_a_call_loses_no_answer() {
    let _beside = ALONE.read().unwrap_or_else(PoisonError::into_inner);
    let mut world = world::World::new();
    let mut wrong = Vec::new();
    for beginning in begin::of(&world.lifecycle().book().kinds()) {
        if !beginning.is_a_create() {
            continue;
        }
        match held::every_request(&mut world, &beginning) {
            Ok(requests) => println!("{requests:>6}  requests of {}", suite::title(&beginning)),
            Err(why) => {
                println!("WRONG {why}");
                wrong.push(why);
                world = world::World::new();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_is_deleted_while_a_backend_is_gone_is_owed_and_settles_when_it_is_back() {
    let _beside = ALONE.read().unwrap_or_else(PoisonError::into_inner);
    println!("{}", outage::of_an_hour().unwrap());
}

#[test]
fn whatever_protection_is_taken_away_is_missed() {
    let _alone = ALONE.write().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(switches::untouched(), Vec::<String>::new(), "with every protection in force");
    let all = switches::each();
    let caught = all.iter().filter(|it| it.by.is_some()).count();
    println!("caught {caught} of {}", all.len());
    let missed: Vec<_> = all.iter().filter(|it| it.by.is_none()).map(|it| it.switch).collect();
    assert!(missed.is_empty(), "nothing notices when these are taken away: {missed:?}");
}
