//! The simulators in this process, on a runtime of their own, and their switches.

use moganite_sim::{Fault, Kind, Options, Side, Sim};
use serde_json::json;
use std::ops::Deref;

/// One switch. Empty method and path: the deed itself, or every request of the side.
#[derive(Clone, Debug)]
pub struct Wrong {
    pub side: Side,
    pub method: &'static str,
    pub path: &'static str,
    pub kind: Kind,
    /// Milliseconds.
    pub ms: Option<u64>,
    pub times: u64,
    /// Requests or deeds that it lets through first.
    pub skip: u64,
}

pub struct Sims {
    sim: Sim,
    _runtime: tokio::runtime::Runtime,
}

impl Sims {
    pub fn start(options: Options) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sim = runtime.block_on(Sim::start(options)).unwrap();
        Self { sim, _runtime: runtime }
    }

    pub fn set(&self, wrong: &Wrong) {
        self.set_under("", wrong);
    }

    /// Where paths that are not empty begin with this.
    pub fn set_under(&self, prefix: &str, wrong: &Wrong) {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let switch = json!({ "kind": wrong.kind, "times": wrong.times, "skip": wrong.skip });
        let mut fault: Fault = serde_json::from_value(switch).unwrap();
        fault.side = Some(wrong.side);
        fault.method = text(wrong.method);
        fault.path = text(wrong.path).map(|path| format!("{prefix}{path}"));
        fault.ms = wrong.ms;
        self.sim.fault(fault);
    }
}

impl Deref for Sims {
    type Target = Sim;

    fn deref(&self) -> &Sim {
        &self.sim
    }
}
