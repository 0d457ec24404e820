//! What one does with this repository, a command each: `cargo xtask`.
//!
//! `workspace.rs` knows where things are and runs cargo; `plugins.rs` makes the drivers into files that the host loads;
//! `fuzz.rs` says how much of the code the fuzzer reaches.

mod fuzz;
mod plugins;
mod workspace;

use std::process::{ExitCode, ExitStatus};

use anyhow::{Result, bail, ensure};

use crate::workspace::{Workspace, say};

const HELP: &str = "\
cargo xtask plugins              build every driver and pack it with its manifest: plugins/NAME.wasm
cargo xtask test                 plugins, programs, then every test that needs nothing but cargo
cargo xtask test --real          the same, then the tests against a real Ironic (Python 3.11 or newer, PyPI)
cargo xtask test --real --only   those alone, as .ci/run does after `cargo xtask test`
cargo xtask test --chaos         the service, built to die, dies at every place; then the far sides are asked what is left behind.
                                 About 4 minutes; --minutes N, --seed N, --all (every place), --run RUN (as a failure names it)
cargo xtask test --hostile       the service with a driver that does what no driver may, over 150 cases, while honest ones work beside it.
                                 About 4 minutes; --only WORD (of a case's name or row), --list
cargo xtask fuzz                 what reads plugin files, manifests, bodies, paths and checkpoints, with input that nobody wrote;
                                 60 s each; --seconds N, --only TARGET
cargo xtask fuzz --coverage      the same with counters, and a table of what was reached: by the corpus alone, or with --seconds N by
                                 a round that goes on from what reached something new; --keep puts that into the corpus
cargo xtask demo                 plugins, programs, then the main job before your eyes, on simulators
cargo xtask up                   plugins, programs, then the service on simulators to try by hand, until Ctrl-C
cargo xtask demo --with-leak     the same with a pod manager that keeps a node: must end with exit code 1
cargo xtask bench engine         the flow engine beside the disk's limit and TaskFlow, judged by its goals: exit code 1 when one
                                 is missed; [--quick] [--only GOAL]... for less
cargo xtask bench driver         a call in the sandbox beside a pipe, a sidecar and the bare component, judged alike; [--quick]
cargo xtask bench life           whole lives beside a real Ironic and the simulators, judged alike; [--quick] [--only GOAL]...
cargo xtask fixture              makes tests/fixtures/state-VERSION anew: flows in every position, for later versions to open;
                                 `--pour`: its rows as they are, into an unreleased schema that was edited, in a second
cargo xtask help                 this text";

/// The service is built for it once more, with trouble in it.
const CHECKS: &[&str] = &[
    "test",
    "--package",
    "moganite",
    "--features",
    "testing",
    "--test",
    "checks",
    "--",
    "--nocapture",
    "--test-threads=2",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run(&arguments).unwrap_or_else(|error| {
        // Without the backtrace: what failed has said why above.
        say(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

fn run(arguments: &[&str]) -> Result<ExitCode> {
    match arguments {
        [] | ["help" | "--help" | "-h"] => println!("{HELP}"),
        ["plugins"] => plugins::make(&Workspace::find()?)?,
        ["test"] => test(&Workspace::find()?)?,
        ["test", "--real"] => {
            let workspace = Workspace::find()?;
            test(&workspace)?;
            test_real(&workspace)?;
        }
        ["test", "--real", "--only"] => {
            let workspace = Workspace::find()?;
            make_everything(&workspace)?;
            test_real(&workspace)?;
        }
        ["test", "--chaos", flags @ ..] => return chaos(&Workspace::find()?, flags),
        ["test", "--hostile", flags @ ..] => return hostile(&Workspace::find()?, flags),
        ["fuzz", flags @ ..] => fuzz::run(&Workspace::find()?, flags)?,
        ["up"] => up(&Workspace::find()?)?,
        ["demo", flags @ ..] => return demo(&Workspace::find()?, flags),
        ["fixture"] => fixture(&Workspace::find()?, &[])?,
        ["fixture", "--pour"] => fixture(&Workspace::find()?, &["--pour"])?,
        ["bench", what @ ..] => return bench(&Workspace::find()?, what),
        other => bail!("unknown command `{}`\n\n{HELP}", other.join(" ")),
    }
    Ok(ExitCode::SUCCESS)
}

fn test(workspace: &Workspace) -> Result<()> {
    make_everything(workspace)?;
    workspace.cargo("run the tests", &["test", "--workspace", "--exclude", "real", "--no-fail-fast"])?;
    workspace.cargo("run every flow under trouble", CHECKS)
}

fn test_real(workspace: &Workspace) -> Result<()> {
    workspace.cargo(
        "run the tests against a real Ironic and Redfish emulator",
        &["test", "--package", "real", "--no-fail-fast"],
    )
}

/// Runs the kill harness with these flags and answers its exit code.
fn chaos(workspace: &Workspace, flags: &[&str]) -> Result<ExitCode> {
    plugins::make(workspace)?;
    workspace.cargo("build the simulators", &["build", "--package", "moganite-sim", "--bins"])?;
    workspace.cargo(
        "build the service that dies, and what kills it",
        &["build", "--package", "chaos", "--features", "failpoints", "--bins"],
    )?;
    Ok(exit_code(workspace.status(&workspace.program("chaos"), flags)?))
}

/// Runs the hostile corpus with these flags and answers its exit code.
fn hostile(workspace: &Workspace, flags: &[&str]) -> Result<ExitCode> {
    make_everything(workspace)?;
    workspace.cargo("build the hostile corpus", &["build", "--package", "hostile"])?;
    Ok(exit_code(workspace.status(&workspace.program("hostile"), flags)?))
}

/// Runs the demo with these flags and answers its exit code.
fn demo(workspace: &Workspace, flags: &[&str]) -> Result<ExitCode> {
    make_everything(workspace)?;
    workspace.cargo("build the demo", &["build", "--package", "scenarios", "--bin", "demo"])?;
    Ok(exit_code(workspace.status(&workspace.program("demo"), flags)?))
}

/// Runs the bench, built for speed, and answers its exit code.
fn bench(workspace: &Workspace, what: &[&str]) -> Result<ExitCode> {
    let build = ["build", "--release", "--package", "bench"];
    let more: &[&str] = match what.first() {
        Some(&"driver") => &["--package", "moganite", "--features", "bench/driver"],
        Some(&"life") => &["--package", "moganite", "--package", "moganite-sim", "--features", "bench/life"],
        _ => &[],
    };
    if !more.is_empty() {
        plugins::make(workspace)?;
    }
    workspace.cargo("build what is measured, for speed", &[&build, more].concat())?;
    Ok(exit_code(workspace.status(&workspace.target.join("release/bench"), what)?))
}

fn exit_code(status: ExitStatus) -> ExitCode {
    // Ended by a signal: no code.
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Takes some minutes: each position is reached by the service itself. With `--pour` a second.
fn fixture(workspace: &Workspace, flags: &[&str]) -> Result<()> {
    if flags.is_empty() {
        make_everything(workspace)?;
    }
    workspace.cargo("build what makes the fixture", &["build", "--package", "scenarios", "--bin", "fixture"])?;
    let folder = workspace.root.join("tests/fixtures").join(concat!("state-", env!("CARGO_PKG_VERSION")));
    let folder = folder.display().to_string();
    let words: Vec<&str> = flags.iter().copied().chain([folder.as_str()]).collect();
    let made = workspace.status(&workspace.program("fixture"), &words)?;
    ensure!(made.success(), "the fixture was not made: {made}");
    Ok(())
}

/// Becomes the program, so that Ctrl-C and its exit code are its own.
fn up(workspace: &Workspace) -> Result<()> {
    make_everything(workspace)?;
    workspace.cargo("build what holds it together", &["build", "--package", "scenarios", "--bin", "up"])?;
    workspace.become_program(&workspace.program("up"))
}

/// What tests and demo start: the packed drivers, the service and the simulators.
fn make_everything(workspace: &Workspace) -> Result<()> {
    plugins::make(workspace)?;
    workspace.cargo(
        "build the service and the simulators",
        &["build", "--package", "moganite", "--package", "moganite-sim", "--bins"],
    )
}
