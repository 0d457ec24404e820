//! The binary: parses its arguments and runs one command.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    moganite::cli::run(moganite::cli::Arguments::parse())
}
