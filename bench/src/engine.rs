//! `bench engine`: every measurement once a round, next to each other, so that what else the machine does hits all of them alike.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::child::start;
use crate::clock::Moment;
use crate::figures::{Figures, Rounds};
use crate::goals::{GOALS, asked, judge, tell};
use crate::process::pressure;
use crate::taskflow::TaskFlow;

/// Unfinished flows that a new process finds.
const UNFINISHED: usize = 100_000;

struct Plan {
    rounds: usize,
    /// Of one measurement of a rate.
    seconds: f64,
    /// Finished flows beside the unfinished.
    finished: usize,
    parked: usize,
}

const FULL: Plan = Plan { rounds: 5, seconds: 2.0, finished: 1_000_000, parked: 1_000_000 };
const QUICK: Plan = Plan { rounds: 3, seconds: 1.0, finished: 100_000, parked: 100_000 };

pub(crate) fn run(flags: &[&str]) -> Result<ExitCode> {
    let (quick, goals) = asked(flags, &GOALS)?;
    let plan = if quick { QUICK } else { FULL };
    let needs: BTreeSet<&str> = goals.iter().flat_map(|goal| goal.needs).copied().collect();
    let mut bench = Bench::prepare(plan, needs)?;
    for round in 1..=bench.plan.rounds {
        bench.round(round)?;
    }
    tell(bench.plan.rounds, &bench.rounds);
    println!("\ngoals, each by the median of {} rounds:", bench.plan.rounds);
    let missed = judge(&goals, &bench.rounds);
    std::fs::remove_dir_all(&bench.folder).ok();
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Bench {
    plan: Plan,
    /// The measurements that the goals need.
    needs: BTreeSet<&'static str>,
    folder: PathBuf,
    taskflow: Option<TaskFlow>,
    rounds: Rounds,
}

impl Bench {
    /// Fills the folders that every round starts from.
    fn prepare(plan: Plan, needs: BTreeSet<&'static str>) -> Result<Self> {
        let kept = std::env::current_exe()?.parent().and_then(Path::parent).context("a target folder")?.join("bench");
        let folder = kept.join(format!("run-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let peer = needs.iter().any(|need| need.starts_with("taskflow"));
        let taskflow = peer.then(|| TaskFlow::prepare(&kept)).transpose()?;
        let bench = Self { plan, needs, folder, taskflow, rounds: Rounds::default() };
        bench.fill("recover", UNFINISHED, 0, 0)?;
        bench.fill("recover-beside", UNFINISHED, bench.plan.finished, 0)?;
        bench.fill("park", 0, 0, bench.plan.parked)?;
        bench.fill("park-none", 0, 0, 0)?;
        Ok(bench)
    }

    fn fill(&self, name: &str, unfinished: usize, finished: usize, parked: usize) -> Result<()> {
        if !self.needs.contains(name) {
            return Ok(());
        }
        let settings = [("unfinished", unfinished), ("finished", finished), ("parked", parked)];
        let figures = start("fill", &self.folder.join(name), &settings.map(|(name, n)| (name, n.to_string())), true)?;
        let seconds = figures.get("seconds").copied().unwrap_or_default();
        println!("filled {name}: {unfinished} unfinished, {finished} finished, {parked} parked, {seconds:.0} s");
        Ok(())
    }

    fn round(&mut self, round: usize) -> Result<()> {
        let seconds = || ("seconds", self.plan.seconds.to_string());
        let rates = [
            ("commit", "commit", vec![seconds()]),
            ("raw-1", "raw", vec![seconds(), ("batch", "1".into())]),
            ("alone", "alone", vec![seconds()]),
            ("raw-64", "raw", vec![seconds(), ("batch", "64".into())]),
            ("flows-64", "flows", vec![seconds(), ("at_once", "64".into())]),
            ("raw-512", "raw", vec![seconds(), ("batch", "512".into())]),
            ("flows-1000", "flows", vec![seconds(), ("at_once", "1000".into())]),
            ("raw-1024", "raw", vec![seconds(), ("batch", "1024".into())]),
            ("flows-10000", "flows", vec![seconds(), ("at_once", "10000".into())]),
        ];
        let (begun, waited) = (Moment::now(), pressure());
        let all = self.needs.len() > 6;
        for (name, child, settings) in rates {
            if self.needs.contains(name) || (all && name.starts_with("raw")) {
                let folder = self.folder.join("fresh");
                let figures = start(child, &folder, &settings, false)?;
                std::fs::remove_dir_all(&folder)?;
                self.rounds.add(name, figures);
            }
        }
        self.round_of_taskflow()?;
        self.round_of_folders(round)?;
        let pressure = (pressure() - waited) / begun.seconds() / 1e4;
        self.rounds.add("machine", Figures::from([("pressure_percent".into(), pressure)]));
        eprintln!(
            "bench: round {round} of {}: {:.0} s, CPU pressure {pressure:.0} %",
            self.plan.rounds,
            begun.seconds()
        );
        Ok(())
    }

    fn round_of_taskflow(&mut self) -> Result<()> {
        let Some(taskflow) = &self.taskflow else { return Ok(()) };
        for backend in ["sqlite", "memory"] {
            let folder = self.folder.join("fresh");
            let figures = taskflow.run(backend, &folder, self.plan.seconds)?;
            std::fs::remove_dir_all(&folder)?;
            self.rounds.add(&format!("taskflow-{backend}"), figures);
        }
        Ok(())
    }

    fn round_of_folders(&mut self, round: usize) -> Result<()> {
        // In turn the first: what one leaves for the disk to write is in the way of the next.
        let mut names = ["recover", "recover-beside"];
        names.rotate_left(round % 2);
        for name in names {
            if self.needs.contains(name) {
                // What ran to its end cannot be recovered once more.
                let to_the_end = round == self.plan.rounds && name == "recover";
                let settings = [("to_the_end", to_the_end.to_string())];
                let figures = start("recover", &self.folder.join(name), &settings, true)?;
                self.rounds.add(name, figures);
            }
        }
        for (name, flows) in [("park-none", 0), ("park", self.plan.parked)] {
            if self.needs.contains(name) {
                let mut figures = start("park", &self.folder.join(name), &[], false)?;
                figures.insert("flows".into(), flows as f64);
                self.rounds.add(name, figures);
            }
        }
        Ok(())
    }
}
