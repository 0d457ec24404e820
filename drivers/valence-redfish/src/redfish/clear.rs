//! The way back of a compose that failed: its system, if there is one, is taken apart, and its reservations end. A fault of `capacity` is
//! true only once nothing is held. Nothing is erased: nothing of ours was ever written.

use super::compose::Composing;
use super::decompose::{self, Gone};
use super::free::{self, Freed, free};
use super::known::Known;
use super::step::{Clear, Plan, Step};
use super::survey::Survey;
use crate::next_look;
use crate::release::give_up_late_within;
use moganite_driver::{Answer, NodeDoing, fault, intent, wait, warn};
use std::time::Duration;

impl Composing<'_> {
    pub(super) fn clear(&self, mut clear: Clear) -> Answer<NodeDoing> {
        let since_ms = clear.since_ms;
        let late = |what: &str| give_up_late_within(self.far.gone_within, since_ms, what);
        let again = next_look(since_ms, Duration::from_secs(5));
        if clear.system.is_none() {
            let known = Known::of_plan(&clear.plan);
            clear.system = self.far.look(self.mark, &known)?.map(|ours| ours.path);
        }
        if let Some(system) = clear.system.clone() {
            match decompose::step(self.far, &system, self.mark, None, &mut clear.monitor)? {
                Gone::Yes => {}
                Gone::Busy(what) => return wait(&Step::Clearing(clear), again, what),
                Gone::Held(what) => {
                    late(&what)?;
                    return wait(&Step::Clearing(clear), again, what);
                }
            }
        }
        while let Some(block) = clear.plan.blocks.first() {
            if self.far.service.left() < free::REQUESTS {
                return intent(&Step::Clearing(clear), "giving the blocks back");
            }
            match free(self.far, block, clear.system.as_deref())? {
                Freed::Yes => {}
                Freed::Theirs(note) => warn!("{note}"),
                Freed::Failed(what) => {
                    return Err(fault::broken(format!("{what} after {}", fault::sentence(&clear.fault))));
                }
                Freed::NotYet(what) => {
                    late(&what)?;
                    return wait(&Step::Clearing(clear), again, what);
                }
            }
            clear.plan.blocks.remove(0);
        }
        if !clear.again {
            return Err(clear.fault);
        }
        let Plan { tries, seen, .. } = clear.plan;
        let survey = Survey { tries: tries + 1, seen, ..Survey::default() };
        let note = format!("{}; choosing again", fault::sentence(&clear.fault));
        wait(&Step::Surveying(survey), Duration::from_secs(u64::from(tries)), note)
    }
}
