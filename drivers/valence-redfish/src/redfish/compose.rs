//! Compose, step by step: look for the mark, read the blocks, choose, write the choice down, reserve, ask once, see that each block is in
//! our system and in no other. What never happens is a second request while an earlier one may still take effect.

use super::Far;
use super::plan::MOST_BLOCKS;
use super::service::{COMPOSITION, SYSTEMS, Seen, links};
use super::step::{Clear, Plan, Settle, Step};
use super::survey::Survey;
use super::want::Want;
use crate::now_ms;
use crate::step::after;
use moganite_driver::{Answer, Context, Fault, NodeDoing, Shape, fault, info, intent};

/// Choices of one operation. More would only repeat the same failure; another backend may do better.
pub(super) const MOST_TRIES: u32 = 3;
/// Systems whose paths are kept to tell a new one.
const MOST_SEEN: usize = 400;
/// Requests that choosing needs: the zones, and what is in each.
const CHOOSING: u32 = 22;

pub(super) struct Composing<'a> {
    pub(super) far: &'a Far,
    pub(super) mark: &'a str,
    want: Want,
}

pub(crate) fn compose(cx: &Context, far: &Far, mark: &str, want: &Shape) -> Answer<NodeDoing> {
    let this = Composing { far, mark, want: Want::of(want)? };
    match cx.resume::<Step>()? {
        None => this.begin(),
        Some(Step::Looking { after }) => this.look_through(after),
        Some(Step::Surveying(survey)) => this.survey(survey),
        Some(Step::Reserving { plan, at }) => this.reserve(plan, at, cx.attempt > 1),
        Some(Step::Asking { plan, since_ms }) if cx.attempt == 1 => this.ask(plan, since_ms),
        // An earlier try of this step may have asked, at the latest now.
        Some(Step::Asking { plan, .. }) => {
            let quiet_ms = after(now_ms(), far.settle);
            this.settle(Settle { plan, quiet_ms, refusal: None }, "an earlier try may have asked")
        }
        Some(Step::Following { plan, monitor, since_ms }) => this.follow(plan, monitor, since_ms),
        Some(Step::Settling(settling)) => this.settle(settling, "no answer came"),
        Some(Step::Checking { plan, system, since_ms }) => this.check(plan, system, since_ms),
        Some(Step::Clearing(clearing)) => this.clear(clearing),
    }
}

impl Composing<'_> {
    fn begin(&self) -> Answer<NodeDoing> {
        let Some(Seen { body, .. }) = self.far.service.read(COMPOSITION)? else {
            return Err(fault::rejected(format!("this service has no {COMPOSITION}: it cannot compose")));
        };
        if body["ServiceEnabled"] == false {
            return Err(fault::capacity("the composition service is switched off (ServiceEnabled is false)"));
        }
        self.look_through(None)
    }

    /// A system that bears the mark already is adopted, with its blocks.
    fn look_through(&self, after: Option<String>) -> Answer<NodeDoing> {
        let systems = self.far.service.members(SYSTEMS)?;
        let mut behind = after.clone();
        for path in systems.iter().filter(|path| after.as_ref().is_none_or(|after| *path > after)) {
            if self.far.service.left() == 0 {
                return intent(&Step::Looking { after: behind }, "looking through the systems for the mark");
            }
            if let Some(ours) = self.far.ours_at(path, self.mark, None)? {
                info!("{path} is {} already", self.mark);
                return self.survey(Survey::of_system(path, links(&ours.seen.body["Links"]["ResourceBlocks"])));
            }
            behind = Some(path.clone());
        }
        let seen = (systems.len() <= MOST_SEEN).then_some(systems);
        self.survey(Survey { tries: 1, seen, ..Survey::default() })
    }

    pub(super) fn survey(&self, mut survey: Survey) -> Answer<NodeDoing> {
        let is_read = survey.advance(self.far)?;
        let note = format!("reading the resource blocks: {} looked at", survey.known);
        if !is_read {
            return intent(&Step::Surveying(survey), note);
        }
        if let Some(system) = survey.of {
            let plan = Plan { blocks: survey.blocks, tries: survey.tries, ..Plan::default() };
            return self.check(plan, system, now_ms());
        }
        if self.far.service.left() < CHOOSING {
            return intent(&Step::Surveying(survey), note);
        }
        let blocks = survey.choose(self.far, &self.want)?;
        debug_assert!(blocks.len() <= MOST_BLOCKS);
        let plan = Plan { blocks, tries: survey.tries, wording: 0, seen: survey.seen };
        let note = format!("about to reserve {}", names(&plan));
        intent(&Step::Reserving { plan, at: 0 }, note)
    }

    /// Gives back what was taken; then chooses again where that may help and was not tried too often, or ends with the fault.
    pub(super) fn give_back(&self, plan: Plan, system: Option<String>, fault: Fault, again: bool) -> Answer<NodeDoing> {
        let again = again && plan.tries < MOST_TRIES;
        let note = format!("{}; giving back what was taken", fault::sentence(&fault));
        let clearing = Clear { plan, system, monitor: None, since_ms: now_ms(), fault, again };
        intent(&Step::Clearing(clearing), note)
    }
}

/// The blocks, for people.
pub(super) fn names(plan: &Plan) -> String {
    plan.blocks.iter().map(super::block::Block::name).collect::<Vec<_>>().join(", ")
}
