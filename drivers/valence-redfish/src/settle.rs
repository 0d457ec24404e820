//! After a request that did not answer with a node: what bears the mark now, and can more come? Only when nothing can
//! is a node without a record touched, or the request repeated.

use crate::answer::Asked;
use crate::compose::Composing;
use crate::now_ms;
use crate::podm::{Hint, PodNode};
use crate::step::{Ask, Clear, Place, Settle, Step};
use moganite_driver::{Answer, Fault, NodeDoing, fault, info, wait};
use std::time::Duration;

/// Requests of one operation. More would only repeat the same failure; another backend may do better.
const MOST_TRIES: u32 = 3;

impl Composing<'_> {
    pub(crate) fn settle(&self, settling: Settle, why: &str) -> Answer<NodeDoing> {
        if let Some(record) = self.record()? {
            info!("Valence has a record of {} after all", self.mark);
            return self.made(&record);
        }
        if now_ms() < settling.quiet_ms {
            return self.wait_for_quiet(settling, why);
        }
        match self.orphan(&settling)? {
            Some(orphan) => self.adopt(orphan, settling),
            None => self.ask_again(settling),
        }
    }

    /// A late node should be noticed soon, so the first looks are close together.
    pub(crate) fn wait_for_quiet(&self, settling: Settle, why: &str) -> Answer<NodeDoing> {
        let left = Duration::from_millis(settling.quiet_ms.saturating_sub(now_ms()));
        let age = self.far.settle.saturating_sub(left);
        let again = (age / 4).clamp(Duration::from_millis(500), Duration::from_secs(15)).min(left);
        let note = format!("{why}; Valence may still be at work, for {} s at most", left.as_secs());
        wait(&Step::Settling(settling), again, note)
    }

    fn orphan(&self, settling: &Settle) -> Result<Option<PodNode>, Fault> {
        let Some(podm) = &self.far.podm else { return Ok(None) };
        let hint = Hint { index: None, seen: Some(&settling.ask.seen) };
        Ok(podm.orphans(self.mark, &self.far.valence.records()?, hint)?.into_iter().next())
    }

    /// The pod manager has a node of ours that Valence has no record of.
    fn adopt(&self, orphan: PodNode, settling: Settle) -> Answer<NodeDoing> {
        let PodNode { index, uuid, state, .. } = orphan;
        let clear = |cause| {
            let place = Place { index: Some(index.clone()), podm_uuid: uuid, ..Place::default() };
            self.give_back(Clear { since_ms: now_ms(), place, cause })
        };
        match state.as_deref() {
            Some("Assembled") => match self.far.valence.manage(&index, self.mark) {
                Asked::Made(record) => self.made(&record),
                // A stale record holds the index (409): Valence cannot have this node any more.
                Asked::Refused { fault, .. } => {
                    clear(format!("Valence does not take node {index} of the pod manager: {}", fault::sentence(&fault)))
                }
                Asked::Unknown(why) => wait(&Step::Settling(settling), Duration::from_secs(2), why),
            },
            Some("Allocated" | "Failed") => {
                clear(format!("node {index} of the pod manager ended {}", state.unwrap_or_default()))
            }
            _ => {
                let note = format!("node {index} of the pod manager is {}", state.as_deref().unwrap_or("in no state"));
                wait(&Step::Settling(settling), Duration::from_secs(5), note)
            }
        }
    }

    fn ask_again(&self, settling: Settle) -> Answer<NodeDoing> {
        let Settle { ask, cause, .. } = settling;
        match cause {
            Some(cause) if !cause.passing || ask.tries >= MOST_TRIES => Err(cause.fault),
            None if ask.tries >= MOST_TRIES => {
                Err(fault::capacity(format!("Valence took {} requests and made nothing", ask.tries)))
            }
            _ => {
                let tries = ask.tries + 1;
                let again = Step::Asking(Ask { since_ms: now_ms(), tries, ..ask });
                let note = format!("Valence made nothing; request {tries} of {MOST_TRIES} comes next");
                wait(&again, Duration::from_secs(3) * (tries - 1), note)
            }
        }
    }
}
