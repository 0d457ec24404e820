//! The simulator's own HTTP: the ledger, the log, the switches, the clock and the settings. No switch ever strikes it.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::call::{Answer, Call};
use crate::faults::Fault;
use crate::ledger::Ledger;
use crate::options::Dialect;
use crate::wire::Answering;
use crate::world::World;

/// Answers one request. An error is `{"error": sentence}`.
pub(crate) fn answer(world: Arc<World>, call: Call) -> Answering {
    Box::pin(async move { Some(route(&world, &call).unwrap_or_else(|sentence| error(&sentence))) })
}

fn route(world: &World, call: &Call) -> Result<Answer, String> {
    match (&call.method, call.segments().as_slice()) {
        (&Method::GET, ["ledger"]) => Ok(ok(&Ledger::of(&world.state()))),
        (&Method::GET, ["log"]) => {
            let after =
                call.parameter("after").map_or(Ok(0), str::parse).map_err(|_| "after is a number".to_owned())?;
            Ok(ok(&json!({"entries": world.log.after(after)})))
        }
        (&Method::GET, ["faults"]) => Ok(ok(&json!({"faults": world.faults.list()}))),
        (&Method::PUT, ["faults"]) => {
            world.faults.add(read::<Fault>(call)?);
            Ok(ok(&json!({"faults": world.faults.list()})))
        }
        (&Method::DELETE, ["faults"]) => {
            world.faults.clear();
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        }
        (&Method::GET, ["clock"]) => Ok(ok(&json!({"now_ms": world.clock.now_ms()}))),
        (&Method::PUT, ["clock"]) => {
            world.clock.advance(read::<Advance>(call)?.advance_ms);
            Ok(ok(&json!({"now_ms": world.clock.now_ms()})))
        }
        (&Method::PUT, ["outage"]) => {
            world.outage.begin(&world.clock, read::<Away>(call)?.ms);
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        }
        (&Method::PUT, ["settings"]) => {
            read::<Settings>(call)?.apply(world);
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        }
        _ => Err(format!("no such thing here: {} {}", call.method, call.path)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Away {
    ms: u64,
}

/// What can be changed while it runs; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `2017` or `release`.
    pub valence: Option<Dialect>,
    /// Of every BMC and the pod manager; Ironic's nodes keep the one they were given.
    pub bmc_password: Option<String>,
    pub inspect_fails: Option<bool>,
    /// `USER:PASSWORD`; empty: no authentication.
    pub http_basic: Option<String>,
}

impl Settings {
    pub(crate) fn apply(self, world: &World) {
        let mut state = world.state();
        let settings = &mut state.settings;
        settings.dialect = self.valence.unwrap_or(settings.dialect);
        settings.inspect_fails = self.inspect_fails.unwrap_or(settings.inspect_fails);
        if let Some(password) = self.bmc_password {
            settings.bmc_password = password;
        }
        if let Some(credentials) = self.http_basic {
            settings.http_basic = Some(credentials).filter(|credentials| !credentials.is_empty());
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(call: &Call) -> Result<T, String> {
    serde_json::from_slice(&call.body).map_err(|error| error.to_string())
}

fn ok(body: &impl Serialize) -> Answer {
    match serde_json::to_value(body) {
        Ok(body) => Answer::json(StatusCode::OK, &body),
        Err(failed) => error(&failed.to_string()),
    }
}

fn error(sentence: &str) -> Answer {
    Answer::json(StatusCode::BAD_REQUEST, &Value::from_iter([("error", sentence)]))
}
