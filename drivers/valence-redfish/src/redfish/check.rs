//! After the answer: is the system ours, made of the blocks that we chose, and is each of them in no other? The DMTF's emulator composes a
//! composed block again, and a reservation stops nobody, so this is seen and not believed.

use super::block::standing;
use super::compose::{Composing, names};
use super::look::uuid_of;
use super::node;
use super::service::links;
use super::step::{Plan, Step};
use crate::{next_look, now_ms};
use moganite_driver::{Answer, Fault, NodeDoing, fault, intent, wait};
use std::collections::BTreeSet;
use std::time::Duration;

/// Requests that a check needs beside one for each block.
const BESIDE: usize = 6;

/// How far one composition is.
enum Sight {
    Whole,
    NotYet(String),
    Failed(String),
}

impl Composing<'_> {
    pub(super) fn check(&self, plan: Plan, system: String, since_ms: u64) -> Answer<NodeDoing> {
        if (self.far.service.left() as usize) < plan.blocks.len() + BESIDE {
            return intent(&Step::Checking { plan, system, since_ms }, "the system is there; looking at its blocks");
        }
        let Some(seen) = self.far.service.read(&system)? else {
            return Err(fault::conflict(format!("somebody took {system} apart while it was composed")));
        };
        if seen.body["Name"] != self.mark {
            return Err(fault::conflict(format!("{system} is not ours: its name is {}", seen.body["Name"])));
        }
        let told: BTreeSet<String> = links(&seen.body["Links"]["ResourceBlocks"]).into_iter().collect();
        let chosen: BTreeSet<String> = plan.blocks.iter().map(|block| block.path.clone()).collect();
        if !told.is_empty() && told != chosen {
            return Err(fault::conflict(format!("{system} is made of other blocks than {}", names(&plan))));
        }
        match self.sight(&plan, &system)? {
            Sight::Whole => {
                let uuid = uuid_of(&seen);
                node::node(self.far, &system, uuid, &seen, plan.blocks).map(NodeDoing::Done)
            }
            Sight::Failed(why) => self.give_back(plan, Some(system), fault::capacity(why), true),
            Sight::NotYet(what) => {
                let age = Duration::from_millis(now_ms().saturating_sub(since_ms));
                if age >= self.far.gone_within && !what.ends_with("Composing") {
                    let why = format!(
                        "{system} was made {} s ago, and {what}: this service composes nothing, or keeps no links from blocks to systems \
                         (then set back_links to absent)",
                        age.as_secs()
                    );
                    return self.give_back(plan, Some(system), fault::rejected(why), false);
                }
                let again = next_look(since_ms, Duration::from_secs(5));
                wait(&Step::Checking { plan, system, since_ms }, again, what)
            }
        }
    }

    fn sight(&self, plan: &Plan, system: &str) -> Result<Sight, Fault> {
        let mut not_yet = None;
        for block in &plan.blocks {
            let name = block.name();
            let Some(found) = standing(&self.far.service, &block.path)? else {
                return Ok(Sight::Failed(format!("block {name} vanished")));
            };
            if let Some(stranger) = found.stranger(system) {
                return Err(fault::conflict(format!(
                    "block {name} is in {system} and in {stranger} at once: a person must decide whose it is"
                )));
            }
            if found.state == "Failed" {
                return Ok(Sight::Failed(format!("block {name} failed while it was composed")));
            }
            let is_in = found.state.starts_with("Composed") && found.systems.iter().any(|path| path == system);
            if self.far.has_back_links && !is_in {
                not_yet = Some(format!("block {name} is {}", found.state));
            }
        }
        Ok(not_yet.map_or(Sight::Whole, Sight::NotYet))
    }
}
