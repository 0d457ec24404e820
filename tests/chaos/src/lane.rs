//! One world with one service on it, in which run follows run: the simulators outlive every death, and so does the state folder.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use scenarios::{Http, Options, Patience, Program, Stack};
use serde_json::{Value, json};

use crate::point::{self, Point};

pub(crate) struct Lane {
    pub(crate) stack: Stack,
    /// What the next start is told to die at, and where it writes how far it came.
    log: PathBuf,
    starts: u64,
    /// The service that runs is one that will die.
    armed: bool,
    /// Alarms of runs before.
    alarms: usize,
}

/// Small, so that a life takes a second; the same ways of waiting as ever.
const PATIENCE: Patience = Patience {
    longest_wait: Duration::from_millis(100),
    backoff: Duration::from_millis(20),
    attempts: 40,
    revert_attempts: 60,
    // What looks by itself stays out of it.
    observe_every: Duration::from_secs(24 * 3600),
};
/// Pre-set servers, as systems of the pool that composing does not come to.
const PRESET: std::ops::Range<u32> = 5..9;
const SIM: [&str; 8] = ["--cloudboot-systems", "4", "--deploy-ms", "60", "--step-ms", "20", "--lock-ms", "10"];

impl Lane {
    pub(crate) async fn open() -> Result<Self> {
        let program = Program { name: "moganite-failpoints", environment: Vec::new() };
        let options = Options {
            sim: &SIM,
            patience: PATIENCE,
            program,
            valence: json!({"settle_s": 1, "gone_within_s": 1}),
            ..Options::default()
        };
        let stack = Stack::with(options).await.context("starting simulators and service")?;
        stack.redfish().await?;
        stack.cloudboot(&json!({})).await?;
        stack.preset(PRESET).await?;
        stack.put_preset_flavor("gold", false).await?;
        Ok(Self { log: stack.folder.path().join("places-0"), stack, starts: 0, armed: false, alarms: 0 })
    }

    pub(crate) fn api(&self) -> &Http {
        &self.stack.service.api
    }

    /// Ends the service and starts it again, to die at this place if one is given. False: it died before it was ready.
    pub(crate) async fn start(&mut self, die_at: Option<u64>) -> Result<bool> {
        self.starts += 1;
        self.armed = die_at.is_some();
        self.log = self.stack.folder.path().join(format!("places-{}", self.starts));
        let mut environment = vec![("MOGANITE_DIE_LOG", self.log.display().to_string())];
        environment.extend(die_at.map(|at| ("MOGANITE_DIE_AT", at.to_string())));
        match self.stack.again(environment).await {
            Ok(()) => Ok(true),
            Err(_) if self.died_at(die_at)?.is_some() => Ok(false),
            Err(error) => Err(error.context("starting the service again")),
        }
    }

    /// The same, to live, with these variables more.
    pub(crate) async fn start_with(&mut self, environment: Vec<(&'static str, String)>) -> Result<()> {
        self.armed = true;
        self.stack.again(environment).await
    }

    /// From now on a service runs that lives.
    pub(crate) async fn disarm(&mut self) -> Result<()> {
        if self.armed {
            self.start(None).await?;
        }
        Ok(())
    }

    /// The places that the present service, or the last, reached.
    pub(crate) fn places(&self) -> Result<Vec<Point>> {
        point::read(&self.log)
    }

    /// Where it died, if it came as far.
    pub(crate) fn died_at(&self, die_at: Option<u64>) -> Result<Option<Point>> {
        let at = die_at.and_then(|at| usize::try_from(at).ok()).and_then(|at| at.checked_sub(1));
        at.and_then(|at| self.places().map(|places| places.get(at).cloned()).transpose()).transpose()
    }

    /// The alarms since this was asked last.
    pub(crate) async fn new_alarms(&mut self) -> Result<Vec<String>> {
        let ledger = self.stack.sim.ledger().await?;
        let all: Vec<String> = texts(&ledger["alarms"]);
        let new = all.iter().skip(self.alarms).cloned().collect();
        self.alarms = all.len();
        Ok(new)
    }

    /// Nodes that failed are machines of the next run.
    pub(crate) async fn clear_quarantine(&self) -> Result<()> {
        let list = self.api().get("/v1/quarantine").await?.ok()?;
        for node in list["items"].as_array().into_iter().flatten() {
            let (backend, handle) = (node["backend"].as_str(), node["handle"].as_str());
            let path = backend.zip(handle).map(|(backend, handle)| format!("/v1/quarantine/{backend}/{handle}"));
            self.api().delete(&path.context("a node without name in quarantine")?).await?.ok()?;
        }
        Ok(())
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
