//! All that is known of one composition: the facts that the node answered, or what the last step of the compose left, and the handle.

use super::block::Block;
use super::service::path_of;
use super::step::{Plan, Step};
use moganite_driver::{Fault, Holding, fault};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the node answers, and what release gets back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Facts {
    /// The path of the system.
    pub(crate) system: Option<String>,
    pub(crate) uuid: Option<String>,
    pub(crate) blocks: Vec<Block>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) system: Option<String>,
    pub(crate) uuid: Option<String>,
    /// None: no block was ever taken, or nobody knows which.
    pub(crate) plan: Option<Plan>,
    /// From when on nothing can appear by itself, in milliseconds since 1970.
    pub(crate) quiet_ms: u64,
}

impl Known {
    pub(crate) fn of(what: &Holding, settle: Duration) -> Result<Self, Fault> {
        let other = |_| {
            fault::broken(format!("{} was made in the dialect valence: set dialect back until it is gone", what.mark))
        };
        let facts: Facts = what.facts().map_err(other)?;
        let trail: Option<Step> = what.trail().map_err(other)?;
        let handle = what.handle.as_deref().and_then(path_of);
        let told = trail.as_ref().and_then(Step::system).map(str::to_owned);
        let quiet_ms = trail.as_ref().map_or(0, |step| step.quiet_ms(settle));
        let plan = if facts.blocks.is_empty() {
            trail.and_then(Step::into_plan)
        } else {
            Some(Plan { blocks: facts.blocks, ..Plan::default() })
        };
        Ok(Self { system: handle.or(facts.system).or(told), uuid: facts.uuid, plan, quiet_ms })
    }

    pub(crate) fn of_plan(plan: &Plan) -> Self {
        Self { plan: Some(plan.clone()), ..Self::default() }
    }
}
