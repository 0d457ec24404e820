//! The binary: starts the simulator, prints its addresses as one line of JSON, and runs until its standard input closes.

use std::io::{self, Write};

use clap::Parser;
use moganite_sim::{Options, Sim};

#[tokio::main]
async fn main() -> io::Result<()> {
    let sim = Sim::start(Options::parse()).await?;
    let mut out = io::stdout();
    writeln!(out, "{}", serde_json::to_string(sim.addresses())?)?;
    out.flush()?;

    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    Ok(())
}
