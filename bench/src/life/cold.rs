//! A start of a service to which three plugins are bound and that has none of them compiled.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use scenarios::{Http, Stack, binary};
use serde_json::json;

use super::figures;
use crate::clock::{Moment, pause};
use crate::figures::Figures;

/// Between two questions whether it is ready. Seconds.
const ASK_EVERY: f64 = 0.02;

pub(super) async fn measure() -> Result<Figures> {
    let stack = Stack::start().await?;
    stack.cloudboot(&json!({})).await?;
    let Stack { service, folder, sim: _sim, .. } = stack;
    let state = service.state.clone();
    service.kill().await?;
    std::fs::remove_dir_all(state.join("compiled"))?;
    let begun = Moment::now();
    let mut serve = Serve::start(&state)?;
    let listens = begun.seconds();
    let (mut said, mut last) = (0.0, 0);
    let ready = loop {
        let answer = serve.api.get("/readyz").await?;
        let compiling = answer.body["compiling"].as_array().map_or(0, Vec::len);
        if answer.status == 503 && compiling > 0 && answer.body["named"] == 3 && compiling != last {
            said += 1.0;
            last = compiling;
        }
        if answer.status == 200 {
            ensure!(answer.body["refused"] == json!([]), "a plugin will not run: {}", answer.body);
            break begun.seconds();
        }
        ensure!(begun.seconds() < 180.0, "not ready after three minutes: {}", answer.body);
        pause(ASK_EVERY).await;
    };
    serve.end()?;
    drop(folder);
    Ok(figures([("ready_s", ready), ("listens_s", listens), ("said_compiling", said)]))
}

/// Not as the scenarios start it, who lend each other what is compiled.
struct Serve {
    child: Child,
    api: Http,
}

impl Serve {
    fn start(state: &Path) -> Result<Self> {
        let mut child = Command::new(binary("moganite")?)
            .args(["serve", "--listen", "127.0.0.1:0", "--state"])
            .arg(state)
            .arg("--plugins")
            .arg(scenarios::plugins())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output")?).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on ").context("it does not listen")?;
        Ok(Self { api: Http::to(address)?, child })
    }

    fn end(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // Fails when it was ended already.
        self.end().ok();
    }
}
