//! `cargo xtask test --hostile`: the real service on simulators, with a driver that does what no driver may, one case after the other,
//! while honest drivers work beside it. `cases/` has what is tried, `honest.rs` who works meanwhile, `canary.rs` what must never be seen.

mod canary;
mod case;
mod cases;
mod count;
mod far;
mod honest;
mod made;
mod world;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use scenarios::stopwatch;
use tokio::task::LocalSet;

use crate::case::{Case, cut};
use crate::count::{Count, Counts, During};
use crate::honest::Honest;
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
    /// Of others' calls, half took no longer, and none. Unit: milliseconds.
    calls: (f64, f64),
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
    let honest = Honest::spawn(world.api())?;
    // Until the first of everything was compiled, mapped and cached.
    world.rest(Duration::from_secs(3)).await;
    world.read_log()?;
    let before = world.memory()?;
    println!("{} cases; {:.0} s to start", cases.len(), seconds());

    let (mut verdicts, mut crashes) = (Vec::new(), 0);
    for (number, case) in cases.iter().enumerate() {
        let (began, lives) = (seconds(), honest.lives());
        honest.during(During::Case(number));
        let ended = case.run(&world).await;
        honest.during(During::Between);
        let (took, lives) = (seconds() - began, honest.lives() - lives);
        let ended = match (ended, world.tidy().await, world.read_log()) {
            (Ok(ended), Ok(()), Ok(())) => Ok(ended),
            (Err(error), ..) => Err(format!("{error:#}")),
            (_, Err(error), _) => Err(format!("not cleared: {error:#}")),
            (.., Err(error)) => Err(format!("{error:#}")),
        };
        world.got();
        let calls = honest.last();
        let verdict = Verdict { name: case.name.clone(), row: case.row, seconds: took, lives, calls, ended };
        println!("{}", verdict.line());
        verdicts.push(verdict);
        if world.stack.service.has_ended()? {
            crashes += 1;
            println!("the service has ended: no further case is made");
            break;
        }
        honest.during(During::Quiet);
        world.ask_on(Duration::from_secs_f64(took).clamp(QUIET.0, QUIET.1)).await?;
    }
    let (counts, failed) = honest.end()?;
    let left = if crashes == 0 { world.stack.sim.left_behind().await? } else { Vec::new() };
    let after = world.memory().unwrap_or(0);
    // What it says at its end is said too.
    world.stack.service.end().await?;
    world.canaries.scan_files(world.stack.folder.path());
    Ok(tell(&verdicts, &counts, [failed, left, world.canaries.seen()], (before, after), crashes, seconds()))
}

/// The last lines; true when all is well.
fn tell(
    verdicts: &[Verdict],
    counts: &Counts,
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
    tell_of_others(verdicts, counts);
    println!("memory of the host: {before} KiB before, {after} KiB after; {seconds:.0} s");
    let failed = failed.len() + left.len();
    println!(
        "cases {}, host crashes {crashes}, other flows failed {failed}, secrets seen {}",
        verdicts.len(),
        seen.len()
    );
    wrong.is_empty() && crashes == 0 && failed == 0 && seen.is_empty()
}

/// Who waited in which row, and the two goals.
fn tell_of_others(verdicts: &[Verdict], counts: &Counts) {
    let (quiet, under) = (counts.quiet(), counts.of_cases(|_| true));
    println!("others            seconds  lives/s  creates: p50     p99  calls    p50    p99    max");
    let line = |what: &str, count: &Count| {
        let [half, most] = [0.5, 0.99].map(|part| count.create(part));
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|part| count.call(part));
        let (seconds, rate, calls) = (count.seconds, count.rate(), count.calls.len());
        println!(
            "{what:<18}{seconds:>7.1} {rate:>8.2} {half:>10.0} ms {most:>4.0} ms {calls:>6} {p50:>6.1} {p99:>6.1} {max:>6.1} ms"
        );
    };
    line("nothing attacks", quiet);
    line("attacked", &under);
    let rows: BTreeSet<&str> = verdicts.iter().map(|verdict| verdict.row).collect();
    for row in rows {
        let of_row = counts.of_cases(|number| verdicts.get(number).is_some_and(|verdict| verdict.row == row));
        line(&cut(row, 16), &of_row);
    }
    let goal = |name: &str, value: f64, holds: bool| {
        println!("goal: {name}: {value:.2} x, {}", if holds { "holds" } else { "missed" });
    };
    let finished = under.rate() / quiet.rate().max(0.001);
    goal("lives finished while attacked, of those without, at least 0.8", finished, finished >= 0.8);
    let slower = under.call(0.99) / quiet.call(0.99).max(0.1);
    goal("p99 of others' calls while attacked, to that without, at most 1.5", slower, slower <= 1.5);
}

impl Verdict {
    fn line(&self) -> String {
        let (word, ended) = match &self.ended {
            Ok(ended) => ("holds", ended),
            Err(error) => ("WRONG", error),
        };
        let Self { name, row, seconds, lives, calls: (half, most), .. } = self;
        format!(
            "{word} {seconds:>5.1} s {lives:>3} lives, calls {half:>3.0} to {most:>3.0} ms  {name}  [{row}]  {}",
            cut(ended, 110)
        )
    }
}
