//! `bench driver`: what one call in the sandbox costs, beside the other ways to run a vendor's code.
//!
//! Every call here is of one verb that does nothing: `enroll` of tests/misbehave, which answers the node that it got, about 1 KiB
//! each way. `rig.rs` has the host's own way; `bare.rs` the same component without the host's limits, gate and checks; `peers.rs` a
//! native call, a helper process over a pipe, and an HTTP sidecar.

mod bare;
mod peers;
mod rig;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::child::{Settings, start};
use crate::clock::Moment;
use crate::figures::{Figures, Rounds, quantile};
use crate::goals::{Goal, at_least, at_most, judge, tell};
use crate::process::pressure;

const GOALS: [Goal; 9] = [
    Goal {
        number: 1,
        name: "beside a pipe",
        needs: &["call", "pipe"],
        parts: |of| {
            vec![at_most("x a message to a helper process, p50", 1.0, of.ratio(("call", "p50_us"), ("pipe", "p50_us")))]
        },
    },
    Goal {
        number: 2,
        name: "beside HTTP",
        needs: &["call", "sidecar"],
        parts: |of| {
            vec![at_most("x a loopback HTTP sidecar, p50", 0.5, of.ratio(("call", "p50_us"), ("sidecar", "p50_us")))]
        },
    },
    Goal {
        number: 3,
        name: "beside bare",
        needs: &["call", "bare"],
        parts: |of| vec![at_most("x the bare component, p50", 1.3, of.ratio(("call", "p50_us"), ("bare", "p50_us")))],
    },
    Goal {
        number: 4,
        name: "two threads",
        needs: &["rate-1", "rate-2"],
        parts: |of| vec![at_least("x the calls of one", 1.3, of.ratio(("rate-2", "per_s"), ("rate-1", "per_s")))],
    },
    Goal {
        number: 5,
        name: "in flight",
        needs: &["waiting"],
        parts: |of| vec![at_most("KiB a call that waits on HTTP, of 1,000", 130.0, of.median("waiting", "kib_each"))],
    },
    Goal {
        number: 6,
        name: "loaded",
        needs: &["loaded"],
        parts: |of| vec![at_most("MiB an idle driver after its first call", 1.0, of.median("loaded", "mib_each"))],
    },
    Goal {
        number: 7,
        name: "kill",
        needs: &["kill"],
        parts: |of| vec![at_most("ms until `loop {}` with 50 ms of CPU ended", 75.0, of.median("kill", "p50_ms"))],
    },
    Goal {
        number: 8,
        name: "start",
        needs: &["start"],
        parts: |of| {
            vec![at_most(
                "ms from start to ready, three plugins compiled before",
                150.0,
                of.median("start", "ready_ms"),
            )]
        },
    },
    Goal {
        number: 9,
        name: "swap",
        needs: &["swap"],
        parts: |of| {
            vec![
                at_most("calls that failed while their plugin was swapped 100 times", 0.0, of.median("swap", "failed")),
                at_most(
                    "x the p99 of a call before",
                    1.5,
                    of.ratio(("swap", "during_p99_us"), ("swap", "before_p99_us")),
                ),
            ]
        },
    },
];

/// In this order once a round: what is compared stands next to what it is compared with.
const MEASURED: [&str; 12] =
    ["native", "pipe", "call", "bare", "sidecar", "rate-1", "rate-2", "waiting", "loaded", "kill", "start", "swap"];

pub(crate) fn run(flags: &[&str]) -> Result<ExitCode> {
    let (rounds, seconds) = match flags {
        [] => (5, 2.0),
        ["--quick"] => (3, 0.5),
        other => bail!("unknown flag {}: --quick", other.join(" ")),
    };
    let kept = std::env::current_exe()?.parent().and_then(Path::parent).context("a target folder")?.join("bench");
    let folder = kept.join(format!("driver-{}", std::process::id()));
    let mut all = Rounds::default();
    for round in 1..=rounds {
        let (begun, waited) = (Moment::now(), pressure());
        for name in MEASURED {
            let settings =
                [("seconds", seconds.to_string()), ("compiled", kept.join("compiled").display().to_string())];
            let figures = start(name, &folder, &settings, false)?;
            std::fs::remove_dir_all(&folder)?;
            all.add(name, figures);
        }
        let pressure = (pressure() - waited) / begun.seconds() / 1e4;
        all.add("machine", Figures::from([("pressure_percent".into(), pressure)]));
        eprintln!("bench: round {round} of {rounds}: {:.0} s, CPU pressure {pressure:.0} %", begun.seconds());
    }
    tell(rounds, &all);
    println!("\ngoals, each by the median of {rounds} rounds:");
    let goals: Vec<_> = GOALS.iter().collect();
    let missed = judge(&goals, &all);
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One measurement, in the process that was started for it.
pub(crate) fn measure(name: &str, folder: &Path, settings: &Settings<'_>) -> Result<Figures> {
    let seconds: f64 = settings.get("seconds")?;
    let compiled: String = settings.get("compiled")?;
    let place = rig::Place { state: folder, compiled: Path::new(&compiled) };
    let threads = if name == "rate-1" { 1 } else { 2 };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    match name {
        "native" => Ok(peers::native(seconds)),
        "pipe" => peers::pipe(seconds),
        "pipe-helper" => peers::help(),
        "sidecar" => runtime.block_on(peers::sidecar(seconds)),
        "sidecar-helper" => runtime.block_on(peers::serve()),
        "bare" => runtime.block_on(bare::calls(seconds)),
        "call" => runtime.block_on(rig::calls(place, seconds)),
        "rate-1" | "rate-2" => runtime.block_on(rig::rate(place, threads, seconds)),
        "waiting" => runtime.block_on(rig::waiting(place)),
        "loaded" => runtime.block_on(rig::loaded(place)),
        "kill" => runtime.block_on(rig::kill(place)),
        "swap" => runtime.block_on(rig::swap(place, seconds)),
        "start" => runtime.block_on(rig::start(place)),
        other => bail!("no measurement is called {other}"),
    }
}

/// Of calls, in microseconds each.
fn spread(each: Vec<f64>) -> Figures {
    let calls = each.len() as f64;
    Figures::from([
        ("p50_us".into(), quantile(each.clone(), 0.5)),
        ("p99_us".into(), quantile(each, 0.99)),
        ("calls".into(), calls),
    ])
}
