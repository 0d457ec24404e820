//! A start of a service to which three plugins are bound and that has none of them compiled.

use anyhow::{Result, ensure};
use scenarios::{Http, Stack, binary};
use serde_json::json;

use super::figures;
use crate::clock::{Moment, pause};
use crate::figures::Figures;
use crate::serve::Serve;

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
    // Not as the scenarios start it, who lend each other what is compiled.
    let serve = Serve::start(&binary("moganite")?, &state, &scenarios::plugins())?;
    let api = Http::to(&serve.url)?;
    let listens = begun.seconds();
    let (mut said, mut last) = (0.0, 0);
    let ready = loop {
        let answer = api.get("/readyz").await?;
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
    drop(serve);
    drop(folder);
    Ok(figures([("ready_s", ready), ("listens_s", listens), ("said_compiling", said)]))
}
