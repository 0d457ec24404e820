//! How fast the engine is, beside what this machine could do and beside TaskFlow: `cargo xtask bench engine`.
//!
//! `engine.rs` says what is measured and in which order; each measurement is a child process of its own (`child.rs`) with a fresh
//! folder, so that its CPU time, its memory and what it writes are its own. `goals.rs` judges the medians. Absolute rates say
//! little about a shared machine: the goals are ratios of figures that were taken next to each other.

mod child;
mod clock;
#[cfg(feature = "driver")]
mod driver;
mod engine;
mod figures;
mod goals;
#[cfg(feature = "life")]
mod life;
mod process;
mod raw;
mod recovery;
mod running;
#[cfg(any(feature = "driver", feature = "life"))]
mod serve;
mod taskflow;
mod work;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
bench engine [--quick] [--only GOAL]...   measures the engine and judges it by its goals; 1 when one is missed
bench driver [--quick]                    the same of a driver's call in the sandbox; in a build with the feature `driver`
bench life [--quick] [--only GOAL]...     the same of whole lives; in a build with the feature `life`
bench child NAME [KEY=VALUE]...           one measurement alone, as `engine` starts it";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run(&arguments).unwrap_or_else(|error| {
        eprintln!("bench: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(arguments: &[&str]) -> Result<ExitCode> {
    match arguments {
        ["engine", flags @ ..] => engine::run(flags),
        #[cfg(feature = "driver")]
        ["driver", flags @ ..] => driver::run(flags),
        #[cfg(feature = "life")]
        ["life", flags @ ..] => life::run(flags),
        ["child", name, settings @ ..] => child::run(name, settings).map(|()| ExitCode::SUCCESS),
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        other => bail!("unknown command `{}`\n\n{HELP}", other.join(" ")),
    }
}
