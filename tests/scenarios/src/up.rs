//! `cargo xtask up`: the service on simulators, left running on loopback to be tried by hand. Ends at Ctrl-C and leaves nothing.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context, Result};
use scenarios::{Options, Stack, binary};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

/// Slow enough to be seen: what a newcomer waits for.
const SIM: [&str; 4] = ["--assemble-ms", "1500", "--deploy-ms", "1500"];

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("it broke off: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let mut told = Told::listen()?;
    say(
        "starting the simulators and the service; the drivers are compiled when they are new, which takes some seconds",
    );
    let stack = tokio::select! {
        stack = Stack::with(Options { sim: &SIM, ..Options::default() }) => stack?,
        // Dropped half way: its children end with it.
        () = told.ended() => return Ok(()),
    };
    let token = json!({"name": "up", "project": "default", "role": "operator"});
    let token = stack.service.api.post("/v1/tokens", &token).await?.ok()?;
    say(&welcome(&stack, token["token"].as_str().context("a token without text")?)?);
    told.ended().await;
    say("\nending");
    let Stack { sim, service, folder, .. } = stack;
    service.kill().await?;
    drop(sim);
    folder.close().context("removing the folder")
}

fn welcome(stack: &Stack, token: &str) -> Result<String> {
    let programs = binary("moganite")?;
    let programs = programs.parent().context("a program in no folder")?.display();
    let (api, folder) = (stack.service.api.base(), stack.folder.path().display());
    Ok(format!(
        "\
moganite is up, on simulators of Valence, its pod manager and an Ironic.

address  {api}
token    {token}
folder   {folder}  (state and logs; removed at the end)

Tell another terminal where it is:

  export PATH='{programs}':\"$PATH\"
  export MOGANITE_API={api} MOGANITE_TOKEN={token}

and try, one after the other:

  moganite instance create web-1 --flavor small --image cirros --wait
  moganite instance list
  moganite flow show web-1
  moganite backend test ironic-1
  moganite instance delete web-1 --wait

Ctrl-C here ends it."
    ))
}

/// The ways in which a terminal, or who started this, ends it.
struct Told([tokio::signal::unix::Signal; 3]);

impl Told {
    fn listen() -> Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    async fn ended(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
            _ = hangup.recv() => (),
        }
    }
}

/// A terminal that is gone is no reason to leave children behind.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).ok();
}
