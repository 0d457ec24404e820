//! `moganite serve` in a process of its own, on a state folder that outlives it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use canary::{Canaries, Watch};
use serde_json::Value;

use crate::clock::until;
use crate::compiled;
use crate::http::Http;
use crate::process::{Process, binary, said_beside};
use crate::stack::BMC_PASSWORD;

pub struct Service {
    process: Process,
    pub api: Http,
    pub state: PathBuf,
    /// What must be in nothing that it says or writes: looked for in every answer, and in its folder and all that it said when this is dropped.
    pub canaries: Arc<Canaries>,
    _watch: Watch,
}

/// How long the service waits: short here, and always the same way of waiting.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub longest_wait: Duration,
    pub backoff: Duration,
    pub attempts: u32,
    pub revert_attempts: u32,
    /// From one look at the active instances to the next.
    pub observe_every: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            longest_wait: Duration::from_millis(250),
            backoff: Duration::from_millis(50),
            attempts: 20,
            revert_attempts: 40,
            observe_every: Duration::from_secs(60),
        }
    }
}

impl Patience {
    /// As `serve` has it when nobody says anything; for measurements.
    pub fn usual() -> Self {
        Self {
            longest_wait: Duration::from_secs(3600),
            backoff: Duration::from_secs(1),
            attempts: 8,
            revert_attempts: 160,
            observe_every: Duration::from_secs(60),
        }
    }
}

/// Which program is the service, and what its environment has beside ours.
#[derive(Debug, Clone)]
pub struct Program {
    pub name: &'static str,
    pub environment: Vec<(&'static str, String)>,
}

impl Default for Program {
    fn default() -> Self {
        Self { name: "moganite", environment: Vec::new() }
    }
}

impl Service {
    pub async fn start(state: &Path, plugins: &Path, patience: Patience) -> Result<Self> {
        Self::start_as(&Program::default(), state, plugins, patience, &[]).await
    }

    /// With more words on the command line.
    pub async fn start_with(state: &Path, plugins: &Path, patience: Patience, more: &[&str]) -> Result<Self> {
        Self::start_as(&Program::default(), state, plugins, patience, more).await
    }

    /// Starts and waits until every plugin that it was given is compiled or refused.
    pub async fn start_as(
        program: &Program,
        state: &Path,
        plugins: &Path,
        patience: Patience,
        more: &[&str],
    ) -> Result<Self> {
        let mut words = vec![
            "serve".to_owned(),
            "--state".to_owned(),
            state.display().to_string(),
            "--plugins".to_owned(),
            plugins.display().to_string(),
            "--listen".to_owned(),
            "127.0.0.1:0".to_owned(),
            format!("--longest-wait-ms={}", patience.longest_wait.as_millis()),
            format!("--backoff-ms={}", patience.backoff.as_millis()),
            format!("--attempts={}", patience.attempts),
            format!("--revert-attempts={}", patience.revert_attempts),
            format!("--observe-every-ms={}", patience.observe_every.as_millis()),
        ];
        words.extend(more.iter().map(ToString::to_string));
        // As `serve` would make it; here it is there already.
        std::fs::set_permissions(state, std::fs::Permissions::from_mode(0o700))?;
        compiled::lend(state)?;
        let log = state.join("../service.log");
        let mut process = Process::spawn(&binary(program.name)?, &words, &program.environment, &log)?;
        let line = process.line().await?;
        let address =
            line.strip_prefix("listening on ").with_context(|| format!("an unexpected first line: {line}"))?;
        let canaries = Arc::new(Canaries::of(&[("the BMC's password", BMC_PASSWORD)]));
        let watch = Watch { canaries: canaries.clone(), over: vec![state.to_owned(), said_beside(&log), log] };
        let api = Http::to(address)?.watched(canaries.clone());
        let service = Self { api, process, state: state.to_owned(), canaries, _watch: watch };
        service.until_plugins_are_ready().await?;
        compiled::keep(state)?;
        Ok(service)
    }

    pub fn pid(&self) -> Option<u32> {
        self.process.child.id()
    }

    /// True once the process is dead, whoever ended it.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.process.child.try_wait()?.is_some())
    }

    /// As a power cut would: no handler runs.
    pub async fn kill(mut self) -> Result<()> {
        self.end().await
    }

    /// The same in place; nothing when it is dead already.
    pub async fn end(&mut self) -> Result<()> {
        if self.has_ended()? {
            return Ok(());
        }
        self.process.kill().await.context("kill -9 of the service")
    }

    /// The newest digest of a plugin by this name.
    pub async fn digest(&self, plugin: &str) -> Result<String> {
        let plugins = self.api.get("/v1/plugins").await?.ok()?;
        let items = plugins["items"].as_array().cloned().unwrap_or_default();
        let found = items.iter().rev().find(|item| item["name"] == plugin);
        let digest = found.and_then(|item| item["digest"].as_str()).map(str::to_owned);
        digest.with_context(|| format!("no plugin {plugin}: {plugins}"))
    }

    /// The instance when it is what `is` says.
    pub async fn instance(&self, id: &str, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        until(&format!("instance {id}: {what}"), Duration::from_secs(60), async || {
            let answer = self.api.get(&format!("/v1/instances/{id}")).await?;
            Ok(Some(answer.body).filter(|body| is(body)))
        })
        .await
    }

    pub async fn instance_in(&self, id: &str, state: &str) -> Result<Value> {
        self.instance(id, state, |instance| instance["state"] == state).await
    }

    /// Gone, and no flow of it runs any more: it may be gone while something is still owed.
    pub async fn instance_gone(&self, id: &str) -> Result<()> {
        until(&format!("instance {id} gone"), Duration::from_secs(60), async || {
            let answer = self.api.get(&format!("/v1/instances/{id}")).await?;
            Ok((answer.status == 404 && self.running_flows(id).await?.is_empty()).then_some(()))
        })
        .await
    }

    /// The flows of an instance that have not ended and rest for nobody.
    pub async fn running_flows(&self, instance: &str) -> Result<Vec<Value>> {
        let flows = self.api.get("/v1/flows?limit=1000").await?.ok()?;
        let mut flows = flows["items"].as_array().cloned().unwrap_or_default();
        let runs = |flow: &Value| matches!(flow["phase"].as_str(), Some("forward" | "backward"));
        flows.retain(|flow| flow["instance"] == instance && runs(flow));
        Ok(flows)
    }

    /// The flow when it is what `is` says, with its timeline.
    pub async fn flow(&self, id: &str, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        until(&format!("flow {id}: {what}"), Duration::from_secs(60), async || {
            let flow = self.api.get(&format!("/v1/flows/{id}")).await?.ok()?;
            Ok(Some(flow).filter(|flow| is(flow)))
        })
        .await
    }

    async fn until_plugins_are_ready(&self) -> Result<()> {
        until("the plugins to be compiled", Duration::from_secs(180), async || {
            let plugins = self.api.get("/v1/plugins").await?.ok()?;
            let items = plugins["items"].as_array().cloned().unwrap_or_default();
            let settled = !items.is_empty() && items.iter().all(|item| item["state"] != "compiling");
            Ok(settled.then_some(()))
        })
        .await
    }
}
