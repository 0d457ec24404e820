//! The service itself, with the feature `failpoints`: it dies where it is told.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    moganite::cli::run(moganite::cli::Arguments::parse())
}
