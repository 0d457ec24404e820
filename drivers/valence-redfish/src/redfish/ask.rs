//! The one request that composes, and what follows one that did not answer with a system. The system's Name is the mark.
//!
//! The standard wants Name and Links.ResourceBlocks. The DMTF's emulator wants Id beside them, Sunfish a path and a type; a strict service
//! refuses both. So the standard's words come first, and others only after a refusal that asks for more.

use super::answer::{self, Asked, Monitored};
use super::compose::{Composing, names};
use super::known::Known;
use super::service::{SYSTEMS, to_links};
use super::step::{FRESH, Hope, Plan, Refusal, Settle, Step};
use crate::step::after;
use crate::{next_look, now_ms};
use moganite_driver::{Answer, Fault, NodeDoing, fault, intent, wait};
use serde_json::{Value, json};
use std::time::Duration;

/// The last of the wordings.
const LAST_WORDING: u8 = 2;

impl Composing<'_> {
    /// The one place that asks. An intent that grew old is renewed first, so that its time bounds the request's.
    pub(super) fn ask(&self, plan: Plan, since_ms: u64) -> Answer<NodeDoing> {
        if now_ms() >= after(since_ms, FRESH) {
            let note = format!("about to compose {}", names(&plan));
            return intent(&Step::Asking { plan, since_ms: now_ms() }, note);
        }
        let asked = match self.far.service.post(SYSTEMS, &self.body(&plan)) {
            Ok(reply) => answer::judge(&reply),
            Err(Fault::Retry((why, _))) => Asked::Unknown(why),
            Err(fault) => Asked::Refused(Refusal { fault, hope: Hope::None }),
        };
        self.answered(plan, asked)
    }

    pub(super) fn follow(&self, plan: Plan, monitor: String, since_ms: u64) -> Answer<NodeDoing> {
        let refused = |why| Asked::Refused(Refusal { fault: fault::capacity(why), hope: Hope::OtherBlocks });
        let asked = match answer::monitored(self.far.service.get(&monitor)?)? {
            Monitored::Running => {
                let again = next_look(since_ms, Duration::from_secs(10));
                return wait(&Step::Following { plan, monitor, since_ms }, again, "the service is composing");
            }
            Monitored::Ended(Some(reply)) => answer::judge(&reply),
            Monitored::Ended(None) => Asked::MadeSome,
            Monitored::Failed(why) => refused(why),
            Monitored::Forgotten => Asked::Unknown(format!("the service forgot {monitor}")),
        };
        match asked {
            Asked::Accepted(_) => Err(fault::retry(format!("{monitor} answered another task"))),
            asked => self.answered(plan, asked),
        }
    }

    fn answered(&self, plan: Plan, asked: Asked) -> Answer<NodeDoing> {
        let late = after(now_ms(), self.far.settle);
        match asked {
            Asked::Made(system) => self.check(plan, system, now_ms()),
            Asked::Accepted(monitor) => {
                let step = Step::Following { plan, monitor, since_ms: now_ms() };
                wait(&step, Duration::from_millis(500), "the service is composing")
            }
            Asked::Refused(refusal) => {
                let settling = Step::Settling(Settle { plan, quiet_ms: 0, refusal: Some(refusal) });
                intent(&settling, "the service refused; looking for what is left")
            }
            Asked::MadeSome => {
                let settling = Step::Settling(Settle { plan, quiet_ms: late, refusal: None });
                intent(&settling, "the service made a system and does not say which; looking for it")
            }
            Asked::Unknown(why) => self.wait_for_quiet(Settle { plan, quiet_ms: late, refusal: None }, &why),
        }
    }

    pub(super) fn settle(&self, settling: Settle, why: &str) -> Answer<NodeDoing> {
        if let Some(ours) = self.far.look(self.mark, &Known::of_plan(&settling.plan))? {
            return self.check(settling.plan, ours.path, now_ms());
        }
        if now_ms() < settling.quiet_ms {
            return self.wait_for_quiet(settling, why);
        }
        let Settle { plan, refusal, .. } = settling;
        match refusal {
            Some(Refusal { hope: Hope::OtherWords, .. }) if plan.wording < LAST_WORDING => {
                let plan = Plan { wording: plan.wording + 1, ..plan };
                intent(&Step::Asking { plan, since_ms: now_ms() }, "asking again in other words")
            }
            Some(Refusal { fault, hope }) => self.give_back(plan, None, fault, hope != Hope::None),
            None => {
                let fault = fault::capacity(format!("the service took {} requests and made nothing", plan.tries));
                self.give_back(plan, None, fault, true)
            }
        }
    }

    /// A late system should be noticed soon, so the first looks are close together.
    fn wait_for_quiet(&self, settling: Settle, why: &str) -> Answer<NodeDoing> {
        let left = Duration::from_millis(settling.quiet_ms.saturating_sub(now_ms()));
        let age = self.far.settle.saturating_sub(left);
        let again = (age / 4).clamp(Duration::from_millis(500), Duration::from_secs(15)).min(left);
        let note = format!("{why}; the service may still be at work, for {} s at most", left.as_secs());
        wait(&Step::Settling(settling), again, note)
    }

    fn body(&self, plan: &Plan) -> Value {
        let blocks = to_links(plan.blocks.iter().map(|block| &block.path));
        let mut body = json!({ "Name": self.mark, "Links": { "ResourceBlocks": blocks } });
        match plan.wording {
            0 => {}
            1 => body["Id"] = json!(self.mark),
            _ => {
                body["Id"] = json!(self.mark);
                body["@odata.id"] = json!(format!("{SYSTEMS}/{}", self.mark));
                body["@odata.type"] = json!("#ComputerSystem.v1_20_0.ComputerSystem");
            }
        }
        body
    }
}
