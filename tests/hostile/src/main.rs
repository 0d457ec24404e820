//! `cargo xtask test --hostile`: the real service on simulators, with a driver that does what no driver may, one case after the other,
//! while honest drivers work beside it. `cases/` has what is tried, `honest.rs` who works meanwhile, `canary.rs` what must never be seen.

mod canary;
mod case;
mod cases;
mod far;
mod honest;
mod made;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use scenarios::stopwatch;
use tokio::task::LocalSet;

use crate::case::{Case, cut};
use crate::honest::{Count, Honest, quantile};
use crate::world::World;

/// Lets a driver do what no driver may, and asks what came of it.
#[derive(Debug, Parser)]
struct Options {
    /// Only the cases with this word in their name or row. May be repeated.
    #[arg(long, value_name = "WORD")]
    only: Vec<String>,
    /// The names of the cases, and nothing more.
    #[arg(long)]
    list: bool,
}

/// What came of one case.
struct Verdict {
    name: String,
    row: &'static str,
    seconds: f64,
    lives: u32,
    ended: Result<String, String>,
}

/// Between two cases, at least and at most.
const QUIET: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(1_200));

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::parse();
    let is_meant = |case: &Case| {
        let words = options.only.iter();
        options.only.is_empty() || words.into_iter().any(|word| case.name.contains(word) || case.row.contains(word))
    };
    let cases: Vec<Case> = cases::all().into_iter().filter(is_meant).collect();
    if options.list {
        cases.iter().for_each(|case| println!("{}: {}", case.row, case.name));
        return ExitCode::SUCCESS;
    }
    match LocalSet::new().run_until(run(&cases)).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("the harness broke: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cases: &[Case]) -> Result<bool> {
    let seconds = stopwatch();
    let mut world = World::start().await?;
    let honest = Honest::spawn(world.api().clone());
    // Until the first of everything was compiled, mapped and cached.
    world.rest(Duration::from_secs(3)).await;
    world.read_log()?;
    let before = world.memory()?;
    println!("{} cases; {:.0} s to start", cases.len(), seconds());

    let (mut verdicts, mut crashes) = (Vec::new(), 0);
    for case in cases {
        let (began, lives) = (seconds(), honest.lives());
        honest.attacked(true);
        let ended = case.run(&world).await;
        honest.attacked(false);
        let (took, lives) = (seconds() - began, honest.lives() - lives);
        let ended = match (ended, world.tidy().await, world.read_log()) {
            (Ok(ended), Ok(()), Ok(())) => Ok(ended),
            (Err(error), ..) => Err(format!("{error:#}")),
            (_, Err(error), _) => Err(format!("not cleared: {error:#}")),
            (.., Err(error)) => Err(format!("{error:#}")),
        };
        world.got();
        let verdict = Verdict { name: case.name.clone(), row: case.row, seconds: took, lives, ended };
        println!("{}", verdict.line());
        verdicts.push(verdict);
        if world.stack.service.has_ended()? {
            crashes += 1;
            println!("the service has ended: no further case is made");
            break;
        }
        world.rest(Duration::from_secs_f64(took).clamp(QUIET.0, QUIET.1)).await;
    }
    let (quiet, under, failed) = honest.end().await;
    let left = if crashes == 0 { world.stack.sim.left_behind().await? } else { Vec::new() };
    world.canaries.scan_files(world.stack.folder.path());
    let after = world.memory().unwrap_or(0);
    Ok(tell(&verdicts, &quiet, &under, [failed, left, world.canaries.seen()], (before, after), crashes, seconds()))
}

/// The last lines; true when all is well.
fn tell(
    verdicts: &[Verdict],
    quiet: &Count,
    under: &Count,
    [failed, left, seen]: [Vec<String>; 3],
    (before, after): (u64, u64),
    crashes: u32,
    seconds: f64,
) -> bool {
    println!();
    for (word, lines) in [("another flow failed", &failed), ("left behind", &left), ("secret seen", &seen)] {
        lines.iter().for_each(|line| println!("{word}: {line}"));
    }
    let wrong: Vec<&Verdict> = verdicts.iter().filter(|verdict| verdict.ended.is_err()).collect();
    for verdict in &wrong {
        println!("does not hold: {}: {}", verdict.name, verdict.ended.as_ref().err().map_or("", String::as_str));
    }
    let ms = |values: &[f64], part: f64| 1_000.0 * quantile(values, part);
    println!("others      {:>9} {:>9}", "quiet", "attacked");
    println!("  seconds   {:>9.1} {:>9.1}", quiet.seconds, under.seconds);
    println!("  lives/s   {:>9.2} {:>9.2}", quiet.rate(), under.rate());
    for (what, part) in [("p50", 0.5), ("p99", 0.99)] {
        println!("  call {what}  {:>6.0} ms {:>6.0} ms", ms(&quiet.calls, part), ms(&under.calls, part));
        println!("  create {what}{:>6.0} ms {:>6.0} ms", ms(&quiet.creates, part), ms(&under.creates, part));
    }
    let goal = |name: &str, value: f64, holds: bool| {
        println!("goal: {name}: {value:.2} x, {}", if holds { "holds" } else { "missed" });
    };
    let finished = under.rate() / quiet.rate().max(0.001);
    goal("lives finished while attacked, of those without, at least 0.8", finished, finished >= 0.8);
    let slower = quantile(&under.calls, 0.99) / quantile(&quiet.calls, 0.99).max(0.000_1);
    goal("p99 of others' calls while attacked, to that without, at most 1.5", slower, slower <= 1.5);
    println!("memory of the host: {before} KiB before, {after} KiB after; {seconds:.0} s");
    let failed = failed.len() + left.len();
    println!(
        "cases {}, host crashes {crashes}, other flows failed {failed}, secrets seen {}",
        verdicts.len(),
        seen.len()
    );
    wrong.is_empty() && crashes == 0 && failed == 0 && seen.is_empty()
}

impl Verdict {
    fn line(&self) -> String {
        let (word, ended) = match &self.ended {
            Ok(ended) => ("holds", ended),
            Err(error) => ("WRONG", error),
        };
        let Self { name, row, seconds, lives, .. } = self;
        format!("{word} {seconds:>5.1} s {lives:>3} lives  {name}  [{row}]  {}", cut(ended, 110))
    }
}
