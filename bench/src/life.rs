//! `bench life`: what we add to a life on a real Ironic, how soon we notice that a far side is done, how hard we lean on it, and what
//! the service does when there is no far side to wait for.
//!
//! Each measurement is a process of its own that starts the service, built for speed, as an operator would. `real.rs` is beside a real
//! Ironic and `script.rs` what it is compared with; `many.rs` is on the simulators; `zero.rs` on the driver that talks to nobody;
//! `parked.rs` has many lives that wait; `cold.rs` a start with nothing compiled.

mod cold;
mod lives;
mod many;
mod parked;
mod real;
mod script;
mod zero;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::child::{Settings, start};
use crate::clock::Moment;
use crate::figures::{Figures, Rounds};
use crate::goals::{Goal, asked, at_least, at_most, judge, short, tell};
use crate::process::pressure;

const GOALS: [Goal; 7] = [
    Goal {
        number: 1,
        name: "added",
        needs: &["life-real"],
        parts: |of| {
            let figure = |name| of.median("life-real", name);
            let of_how_many = format!("of {} lives", count(figure("lives")));
            vec![
                at_most(
                    format!("ms added to a life on a real Ironic, median {of_how_many}"),
                    100.0,
                    figure("added_ms"),
                ),
                at_most("% of the script's", 2.0, figure("added_percent")),
                at_most("ms of our CPU each", 30.0, figure("cpu_ms")),
            ]
        },
    },
    Goal {
        number: 2,
        name: "noticed",
        needs: &["life-many"],
        parts: |of| {
            let figure = |name| of.median("life-many", name);
            let after = format!("s from done to known, {} s after it began", count(figure("deploy_s")));
            vec![
                at_most(format!("{after}, p50"), 1.0, figure("noticed_p50_s")),
                at_most("s, p99", 3.0, figure("noticed_p99_s")),
            ]
        },
    },
    Goal {
        number: 3,
        name: "leaning",
        needs: &["life-many"],
        parts: |of| {
            let figure = |name| of.median("life-many", name);
            let what = format!("requests/s, {} nodes in deployment on one simulated Ironic", count(figure("nodes")));
            vec![at_most(what, 5.0, figure("requests_per_s"))]
        },
    },
    Goal {
        number: 4,
        name: "headroom",
        needs: &["life-zero"],
        parts: |of| {
            let figure = |name| of.median("life-zero", name);
            let what = format!("lives/s, {} clients for {} s", count(figure("clients")), count(figure("seconds")));
            vec![at_least(what, 300.0, figure("lives_per_s")), at_most("ms of our CPU each", 5.0, figure("cpu_ms"))]
        },
    },
    Goal {
        number: 5,
        name: "alone",
        needs: &["life-alone"],
        parts: |of| {
            let what = format!("ms, p50 of {} lives one after the other", count(of.median("life-alone", "lives")));
            vec![at_most(what, 20.0, of.median("life-alone", "p50_ms"))]
        },
    },
    Goal {
        number: 6,
        name: "parked",
        needs: &["life-parked"],
        parts: |of| {
            let figure = |name| of.median("life-parked", name);
            vec![
                at_most(format!("MiB with {} lives parked", count(figure("parked"))), 300.0, figure("memory_mib")),
                at_most("x of idle, p99 of reading one instance", 2.0, figure("one_p99_of_idle")),
                at_most("x, of a list of 100", 2.0, figure("list_p99_of_idle")),
            ]
        },
    },
    Goal {
        number: 7,
        name: "cold start",
        needs: &["life-cold"],
        parts: |of| {
            let figure = |name| of.median("life-cold", name);
            vec![
                at_most("s until ready with three plugins and nothing compiled", 10.0, figure("ready_s")),
                at_least("times readiness said how many of them still compile", 1.0, figure("said_compiling")),
            ]
        },
    },
];

/// How much is measured. Of the first figure the usual run, of the second `--quick`.
const SIZES: [(&str, [u32; 2]); 7] = [
    // Lives of ours on the real Ironic, and as many of the script's.
    ("lives", [7, 5]),
    ("nodes", [500, 100]),
    // How long the simulated Ironic deploys, seconds. Long enough that all are in deployment at once.
    ("deploy_s", [240, 60]),
    ("clients", [100, 100]),
    // Of a measurement of a rate.
    ("seconds", [10, 4]),
    ("parked", [10_000, 2_000]),
    // Of reads of one kind.
    ("reads", [2_000, 500]),
];

/// Once a round; what is compared with something takes it along in the same process.
const REPEATED: [&str; 3] = ["life-zero", "life-simulated", "life-alone"];

const ONCE: [&str; 4] = ["life-real", "life-many", "life-parked", "life-cold"];

pub(crate) fn run(flags: &[&str]) -> Result<ExitCode> {
    let (quick, goals) = asked(flags, &GOALS)?;
    let needs: BTreeSet<&str> = goals.iter().flat_map(|goal| goal.needs).copied().collect();
    let settings = SIZES.map(|(name, sizes)| (name, sizes[usize::from(quick)].to_string()));
    let kept = std::env::current_exe()?.parent().and_then(Path::parent).context("a target folder")?.join("bench");
    let folder = kept.join(format!("life-{}", std::process::id()));
    let rounds = if quick { 3 } else { 5 };
    let mut all = Rounds::default();
    for round in 1..=rounds {
        for name in REPEATED.iter().chain(&ONCE) {
            let beside = *name == "life-simulated" && needs.contains("life-zero");
            if !(needs.contains(name) || beside) || (round > 1 && ONCE.contains(name)) {
                continue;
            }
            let (begun, waited) = (Moment::now(), pressure());
            let figures = start(name, &folder, &settings, false)?;
            std::fs::remove_dir_all(&folder)?;
            let pressure = (pressure() - waited) / begun.seconds() / 1e4;
            eprintln!("bench: {name}, round {round}: {:.0} s, CPU pressure {pressure:.0} %", begun.seconds());
            all.add(name, figures);
            all.add("machine", Figures::from([("pressure_percent".into(), pressure)]));
        }
    }
    tell(rounds, &all);
    let size = if quick { ", smaller than they are meant (--quick)" } else { "" };
    println!("\ngoals{size}:");
    let missed = judge(&goals, &all);
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One measurement, in the process that was started for it.
pub(crate) async fn measure(name: &str, folder: &Path, settings: &Settings<'_>) -> Result<Figures> {
    match name {
        "life-real" => real::measure(settings.get("lives")?).await,
        "life-many" => many::measure(settings.get("nodes")?, settings.get("deploy_s")?).await,
        "life-zero" => zero::headroom(folder, settings.get("clients")?, settings.get("seconds")?).await,
        "life-simulated" => many::headroom(settings.get("clients")?, settings.get("seconds")?).await,
        "life-alone" => zero::alone(folder, settings.get("seconds")?).await,
        "life-parked" => parked::measure(folder, settings.get("parked")?, settings.get("reads")?).await,
        "life-cold" => cold::measure().await,
        other => bail!("no measurement is called {other}"),
    }
}

/// A number of things in a goal's line.
fn count(of: Option<f64>) -> String {
    of.map_or("?".into(), short)
}

fn figures<const N: usize>(all: [(&str, f64); N]) -> Figures {
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
