//! The command line, for operators, users and vendors. `serve` runs the service; everything else speaks to one over HTTP.

mod apply;
mod backend;
mod backup;
mod catalog;
mod client;
mod debt;
mod export;
mod file;
mod flow;
mod follow;
mod freeze;
mod holding;
mod instance;
mod output;
mod plugin;
mod quarantine;
mod quota;
mod receipt;
mod reconcile;
mod restore;
mod secret;
mod serve;
mod site;
mod sweep;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use client::{At, Client};
use output::Format;

/// One service in front of all of your bare metal.
#[derive(Parser)]
#[command(name = "moganite", version, about, propagate_version = true)]
pub struct Arguments {
    #[command(flatten)]
    at: At,
    /// How answers are printed.
    #[arg(short = 'o', long, global = true, value_enum, default_value = "table")]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the service.
    Serve(serve::Options),
    /// What users order: create, adopt, list, show, power, rebuild, delete.
    #[command(subcommand)]
    Instance(instance::Command),
    /// The shapes that may be ordered.
    #[command(subcommand)]
    Flavor(catalog::Command),
    /// What may be put on a node.
    #[command(subcommand)]
    Image(catalog::Command),
    /// What an instance may be connected to.
    #[command(subcommand)]
    Network(catalog::Command),
    /// Far-side services, each bound to a driver.
    #[command(subcommand)]
    Backend(backend::Command),
    /// Drivers as shipped: one file each.
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Values that only the gate uses.
    #[command(subcommand)]
    Secret(secret::Command),
    /// Who may ask.
    #[command(subcommand)]
    Token(token::Command),
    /// What is done, and what it waits for.
    #[command(subcommand)]
    Flow(flow::Command),
    /// What a flow gave back, with its proof; or an instance by its id, also one that is gone.
    Receipt { id: String },
    /// What was taken from backends: the list of what is owed.
    #[command(subcommand)]
    Holding(holding::Command),
    /// What is owed to backends, and what to do about it.
    #[command(subcommand)]
    Debt(debt::Command),
    /// Stops every flow, and every request that changes something, in one call.
    Freeze(freeze::Reason),
    /// Lets everything go on.
    Unfreeze(freeze::Reason),
    /// What persons decided, newest first.
    Audit,
    /// The machines under instances.
    #[command(subcommand)]
    Node(holding::Nodes),
    /// Nodes that failed, and are left alone until you looked at them.
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    /// Looks for what backends have of ours that no holding knows, and the other way round.
    Sweep(sweep::Options),
    /// What sweeps found and nobody holds.
    #[command(subcommand)]
    Orphan(sweep::Orphans),
    /// After a restore: what differs between this database and the far sides, and what is to become of it.
    Reconcile(reconcile::Options),
    /// How many instances each project may have.
    #[command(subcommand)]
    Quota(quota::Command),
    /// Brings the service to what a document says: quotas, networks, images, backends, flavors.
    Apply(apply::Options),
    /// Prints the site as a document for `apply`.
    Export,
    /// What answers, as what you are known to it, and whether something holds all flows back.
    Status,
    /// Copies the whole state of a running service into one file: database, plugins and, unless told otherwise, the secrets' key.
    Backup(backup::Options),
    /// Makes a state folder from a backup's file.
    Restore(restore::Options),
    /// Compiles a component; `serve` calls it in a process of its own.
    #[command(hide = true)]
    CompilePlugin { input: PathBuf, output: PathBuf },
}

/// Why a command failed, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
struct Failed {
    what: String,
    to_do: Option<String>,
}

/// Runs the command; what failed is one line on stderr, what to do about it the next.
pub fn run(arguments: Arguments) -> ExitCode {
    match dispatch(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            if let Some(to_do) = error.downcast_ref::<Failed>().and_then(|failed| failed.to_do.as_ref()) {
                eprintln!("to do: {to_do}");
            }
            ExitCode::FAILURE
        }
    }
}

fn dispatch(Arguments { at, format: output, command }: Arguments) -> anyhow::Result<()> {
    // Neither begins with a runtime: one compiles and ends, the other first gives up what its threads are not to have.
    let command = match command {
        Command::CompilePlugin { input, output } => return crate::driver::compile_child(&input, &output),
        Command::Serve(options) => return serve::run(&options),
        command => command,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = || Client::new(&at);
        match command {
            Command::Instance(command) => command.run(&client()?, output).await,
            Command::Flavor(command) => command.run(&client()?, output, catalog::FLAVORS).await,
            Command::Image(command) => command.run(&client()?, output, catalog::IMAGES).await,
            Command::Network(command) => command.run(&client()?, output, catalog::NETWORKS).await,
            Command::Backend(command) => command.run(&client()?, output).await,
            Command::Plugin(command) => command.run(client, output).await,
            Command::Secret(command) => command.run(&client()?, output).await,
            Command::Token(command) => command.run(&client()?, output).await,
            Command::Flow(command) => command.run(&client()?, output).await,
            Command::Receipt { id } => receipt::run(&id, &client()?, output).await,
            Command::Holding(command) => command.run(&client()?, output).await,
            Command::Debt(command) => command.run(&client()?, output).await,
            Command::Freeze(reason) => freeze::freeze(reason, &client()?, output).await,
            Command::Unfreeze(reason) => freeze::unfreeze(reason, &client()?, output).await,
            Command::Audit => freeze::audit(&client()?, output).await,
            Command::Node(command) => command.run(&client()?, output).await,
            Command::Quarantine(command) => command.run(&client()?, output).await,
            Command::Sweep(options) => options.run(&client()?, output).await,
            Command::Orphan(command) => command.run(&client()?, output).await,
            Command::Reconcile(options) => options.run(&client()?, output).await,
            Command::Quota(command) => command.run(&client()?, output).await,
            Command::Apply(options) => apply::run(options, &client()?, output).await,
            Command::Export => export::run(&client()?, output).await,
            Command::Status => {
                output.one(&client()?.get("/v1").await?);
                Ok(())
            }
            Command::Backup(options) => backup::run(options, &client()?, output).await,
            Command::Restore(options) => restore::run(&options, output),
            Command::Serve(_) | Command::CompilePlugin { .. } => Ok(()),
        }
    })
}

impl Failed {
    fn new(what: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self { what: what.into(), to_do: Some(to_do.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_has_no_contradiction() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }
}
