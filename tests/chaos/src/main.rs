//! `cargo xtask test --chaos`: the real service, built to die at a chosen place, dies at each of them; then the far sides' own ledger
//! is asked what is left. Read `scenario.rs` for what is lived through, `life.rs` for one run, `truth.rs` for what is asked.

mod lane;
mod life;
mod plan;
mod point;
mod scenario;
mod spoiled;
mod tally;
mod truth;

use std::collections::VecDeque;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use clap::Parser;
use scenarios::stopwatch;
use tokio::task::LocalSet;

use crate::lane::Lane;
use crate::plan::Surveyed;
use crate::scenario::{Far, Run, Scenario};
use crate::tally::Tally;

/// Lets the service die at every place, and asks what is left behind.
#[derive(Debug, Clone, Parser)]
struct Options {
    /// Chooses the order of the runs, second deaths and faults.
    #[arg(long, default_value_t = 4711)]
    seed: u64,
    /// No run is begun after so long; those under way end.
    #[arg(long, default_value_t = 4)]
    minutes: u64,
    /// Every place, however long it takes.
    #[arg(long)]
    all: bool,
    /// This run alone, as a failure named it: `composed/create@17,3+outage`. May be repeated.
    #[arg(long, value_name = "RUN")]
    run: Vec<Run>,
    /// Services side by side.
    #[arg(long, default_value_t = 2)]
    lanes: usize,
}

/// What the lanes share.
struct Shared {
    queue: Mutex<VecDeque<Run>>,
    tally: Mutex<Tally>,
    surveyed: Mutex<Vec<Surveyed>>,
    made: Mutex<usize>,
    seconds: Box<dyn Fn() -> f64>,
}

/// Further than any life goes.
const NEVER: u64 = u64::MAX;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("the harness broke: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<bool> {
    let shared = Rc::new(Shared {
        queue: Mutex::default(),
        tally: Mutex::default(),
        surveyed: Mutex::default(),
        made: Mutex::default(),
        seconds: Box::new(stopwatch()),
    });
    if options.run.is_empty() {
        println!("seed {}; each scenario once, to see where it can die", options.seed);
        let alive = |scenario| Run { scenario, deaths: vec![NEVER], far: Far::Well };
        work(&shared, &options, Scenario::all().into_iter().map(alive).collect()).await?;
        let mut surveyed = std::mem::take(&mut *lock(&shared.surveyed));
        surveyed.sort_by_key(|surveyed| surveyed.scenario);
        let runs = plan::plan(&surveyed, options.seed);
        println!(
            "{} points, {} runs to make; {:.0} s so far",
            lock(&shared.tally).points(),
            runs.len(),
            (shared.seconds)()
        );
        work(&shared, &options, runs).await?;
        let (runs, wrong) = spoiled::all().await?;
        println!("a database that is full, read-only or locked: {runs} runs, {} wrong", wrong.len());
        for line in &wrong {
            println!("WRONG, a database that is {line}");
        }
        let mut tally = lock(&shared.tally);
        tally.runs += runs - wrong.len();
        wrong.iter().for_each(|_| tally.broken());
    } else {
        work(&shared, &options, options.run.clone()).await?;
    }
    let tally = lock(&shared.tally);
    println!("\n{}\n", tally.table());
    let ended: Vec<_> = tally.ended.iter().map(|(state, n)| format!("{state} {n}")).collect();
    println!(
        "died {} times at {} of the points; ended {}; {:.0} s; seed {}",
        tally.deaths,
        tally.died_at(),
        ended.join(", "),
        (shared.seconds)(),
        options.seed
    );
    println!("{}", tally.last_line());
    Ok(tally.wrong() == 0)
}

/// Makes these runs on as many lanes as there are, until they or the time are at an end.
async fn work(shared: &Rc<Shared>, options: &Options, runs: Vec<Run>) -> Result<()> {
    *lock(&shared.queue) = runs.into();
    let local = LocalSet::new();
    let lanes: Vec<_> =
        (0..options.lanes).map(|_| local.spawn_local(on_one_lane(shared.clone(), options.clone()))).collect();
    local.await;
    for lane in lanes {
        lane.await??;
    }
    Ok(())
}

async fn on_one_lane(shared: Rc<Shared>, options: Options) -> Result<()> {
    let bounded = !options.all && options.run.is_empty();
    let mut lane = None;
    loop {
        let over = bounded && (shared.seconds)() > 60.0 * options.minutes as f64;
        let Some(run) = lock(&shared.queue).pop_front().filter(|_| !over) else { return Ok(()) };
        let world = match lane.take() {
            Some(world) => world,
            None => Lane::open().await?,
        };
        lane = one(&shared, world, &run).await;
    }
}

/// One run, counted; the world is given back unless something is wrong with it now.
async fn one(shared: &Shared, mut lane: Lane, run: &Run) -> Option<Lane> {
    let number = {
        let mut made = lock(&shared.made);
        *made += 1;
        *made
    };
    let seen = life::live(&mut lane, run, number).await;
    let mut tally = lock(&shared.tally);
    let good = match &seen {
        Ok(seen) if run.deaths == [NEVER] => {
            tally.count(run.scenario, &seen.reached);
            lock(&shared.surveyed).push(Surveyed { scenario: run.scenario, reached: seen.reached.clone() });
            tally.add(run, seen);
            seen.is_good()
        }
        Ok(seen) => {
            tally.add(run, seen);
            seen.is_good()
        }
        Err(_) => {
            tally.broken();
            false
        }
    };
    if !good {
        println!("{}", complaint(run, &seen));
    }
    if tally.runs.is_multiple_of(20) {
        let (runs, points) = (tally.runs, tally.died_at());
        println!("{runs} runs, died at {points} points, {} wrong, {:.0} s", tally.wrong(), (shared.seconds)());
    }
    good.then_some(lane)
}

/// What, where, and how to see it again.
fn complaint(run: &Run, seen: &Result<life::Seen>) -> String {
    let mut lines = vec![format!("WRONG in {run}; again: cargo xtask test --chaos --run {run}")];
    match seen {
        Ok(seen) => {
            lines.extend(seen.died.iter().map(|point| format!("  died at {point}")));
            lines.push(format!("  ended {}", seen.ended));
            let lists = [("left behind", &seen.left), ("alarm", &seen.alarms), ("untrue", &seen.untrue)];
            lines
                .extend(lists.iter().flat_map(|(word, list)| list.iter().map(move |line| format!("  {word}: {line}"))));
        }
        Err(error) => lines.push(format!("  it could not be made: {error:#}")),
    }
    lines.join("\n")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
