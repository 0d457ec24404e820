//! What a compose keeps between calls, format `redfish-1`. The service has no idempotency key and a reservation bears no name, so the blocks
//! are written down before the first of them is reserved: they, and the system's name, are what an interrupted request is known by.

use super::block::Block;
use super::survey::Survey;
use moganite_driver::Fault;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A request is sent only while its intent is younger than this; an older one is renewed first. So the time in the intent bounds the time
/// of the request, whatever happened to the host in between.
pub(crate) const FRESH: Duration = Duration::from_secs(15);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub(crate) enum Step {
    /// Going through the systems for one that bears the mark, behind this one.
    Looking { after: Option<String> },
    /// Reading the blocks, to choose among them or to know those of a system that exists.
    Surveying(Survey),
    /// Reserving the plan's blocks, from the one at `at` on.
    Reserving { plan: Plan, at: usize },
    /// Stored before the POST. With a first attempt the POST was never sent; with a later one it may have been.
    Asking { plan: Plan, since_ms: u64 },
    /// Answered 202: what the task monitor says is the answer.
    Following { plan: Plan, monitor: String, since_ms: u64 },
    /// The POST was sent and did not answer with a system.
    Settling(Settle),
    /// The system is there; whether its blocks are in it, and in no other, is being seen.
    Checking { plan: Plan, system: String, since_ms: u64 },
    /// What was taken is being given back.
    Clearing(Clear),
}

/// The blocks, and how often they were asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) blocks: Vec<Block>,
    /// Choices of this operation, this one included.
    pub(crate) tries: u32,
    /// How much the request says beside what the standard wants: see `ask.rs`.
    pub(crate) wording: u8,
    /// The systems before the request; none when they are too many to keep.
    pub(crate) seen: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settle {
    pub(crate) plan: Plan,
    /// From when on nothing can appear by itself, in milliseconds since 1970. 0: already, since the service did answer.
    pub(crate) quiet_ms: u64,
    /// What it answered, when it answered; without it nobody knows.
    pub(crate) refusal: Option<Refusal>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) fault: Fault,
    pub(crate) hope: Hope,
}

/// What may help after a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Hope {
    /// The same request in other words.
    OtherWords,
    /// Other blocks, or the same later.
    OtherBlocks,
    None,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Clear {
    /// Its blocks are those that we reserved.
    pub(crate) plan: Plan,
    pub(crate) system: Option<String>,
    /// Of the task that takes it apart.
    pub(crate) monitor: Option<String>,
    pub(crate) since_ms: u64,
    /// How it ends.
    pub(crate) fault: Fault,
    /// Choose again in place of the fault.
    pub(crate) again: bool,
}

impl Step {
    /// From when on nothing of this operation can appear by itself, in milliseconds since 1970. 0: already.
    pub(crate) fn quiet_ms(&self, settle: Duration) -> u64 {
        match self {
            Self::Asking { since_ms, .. } => crate::step::after(*since_ms, FRESH + settle),
            Self::Following { since_ms, .. } => crate::step::after(*since_ms, settle),
            Self::Settling(settling) => settling.quiet_ms,
            _ => 0,
        }
    }

    /// The blocks that were taken, or perhaps taken.
    pub(crate) fn into_plan(self) -> Option<Plan> {
        match self {
            Self::Looking { .. } | Self::Surveying(_) => None,
            Self::Reserving { plan, .. }
            | Self::Asking { plan, .. }
            | Self::Following { plan, .. }
            | Self::Checking { plan, .. }
            | Self::Settling(Settle { plan, .. })
            | Self::Clearing(Clear { plan, .. }) => Some(plan),
        }
    }

    pub(crate) fn system(&self) -> Option<&str> {
        match self {
            Self::Checking { system, .. } => Some(system),
            Self::Clearing(clear) => clear.system.as_deref(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_checkpoint_of_the_format_redfish_1_is_read_for_ever() {
        let block = json!({ "path": "/redfish/v1/CompositionService/ResourceBlocks/C1" });
        let plan = json!({ "blocks": [block], "tries": 1, "wording": 0, "seen": null });
        let step: Step = serde_json::from_value(json!({ "step": "asking", "plan": plan, "since_ms": 7 })).unwrap();
        assert_eq!(step.quiet_ms(Duration::from_secs(1)), 7 + 16_000);
        assert_eq!(step.into_plan().unwrap().blocks[0].name(), "C1");
    }
}
