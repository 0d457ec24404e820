//! Release: off, erased to the level, taken apart, every block seen unused, every reservation ended; in this order, so that what cannot be
//! erased is never given back. Each stage is repeatable, and a system that is not ours by name and uuid is never touched.

use super::Far;
use super::block::{Block, standing};
use super::decompose::{self, Gone};
use super::erase::{self, State, Target};
use super::known::Known;
use super::look::Ours;
use super::service::{links, path_of, status};
use super::survey::Survey;
use crate::release::give_up_late_within;
use crate::{next_look, now_ms};
use moganite_driver::{Answer, Context, Erase, Fault, Holding, Undoing, fault, intent, wait, warn};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

/// What a release keeps between calls.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Releasing {
    pub(super) stage: Stage,
    /// When the stage began, in milliseconds since 1970.
    pub(super) since_ms: u64,
    pub(super) system: Option<String>,
    /// Those that are not free yet.
    pub(super) blocks: Vec<Block>,
    pub(super) targets: Vec<Target>,
    pub(super) notes: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Stage {
    /// Finding it, and switching it off.
    #[default]
    Finding,
    /// Nobody knew its blocks.
    Reading(Survey),
    Erasing,
    Deleting {
        monitor: Option<String>,
    },
    Freeing,
}

pub(super) struct Release<'a> {
    cx: &'a Context,
    pub(super) far: &'a Far,
    pub(super) what: &'a Holding,
    pub(super) level: Erase,
    pub(super) known: Known,
}

pub(crate) fn release(cx: &Context, far: &Far, what: &Holding, level: Erase) -> Answer<Undoing> {
    let known = Known::of(what, far.settle)?;
    let this = Release { cx, far, what, level, known };
    let state: Releasing = cx.resume()?.unwrap_or_else(|| Releasing { since_ms: now_ms(), ..Releasing::default() });
    match &state.stage {
        Stage::Finding => this.find(state),
        Stage::Reading(survey) => this.read(survey.clone(), state),
        Stage::Erasing => this.erase(state),
        Stage::Deleting { monitor } => this.delete(monitor.clone(), state),
        Stage::Freeing => this.free(state),
    }
}

impl Release<'_> {
    fn find(&self, state: Releasing) -> Answer<Undoing> {
        let known_blocks = self.known.plan.as_ref().map(|plan| plan.blocks.clone()).unwrap_or_default();
        let Some(ours) = self.far.look(&self.what.mark, &self.known)? else {
            let left = Duration::from_millis(self.known.quiet_ms.saturating_sub(now_ms()));
            if self.known.system.is_none() && !left.is_zero() {
                let note = format!("an earlier compose request may still take effect, for {} s", left.as_secs());
                return wait(&state, left.min(Duration::from_secs(15)), note);
            }
            return self.was_gone(Releasing { blocks: known_blocks, ..state });
        };
        if let Some(pending) = self.switch_off(&ours, &state)? {
            return Ok(pending);
        }
        let state = Releasing { system: Some(ours.path.clone()), blocks: known_blocks, ..state };
        let told = links(&ours.seen.body["Links"]["ResourceBlocks"]);
        let is_known: BTreeSet<&String> = state.blocks.iter().map(|block| &block.path).collect();
        if !told.is_empty() && told.iter().collect::<BTreeSet<_>>() != is_known {
            let survey = Survey::of_system(&ours.path, told);
            return intent(&Releasing { stage: Stage::Reading(survey), ..state }, "reading the blocks of the system");
        }
        self.begin_erasing(state)
    }

    /// Nothing bears the mark. Its blocks may still be reserved, and hold data of ours where nobody erased them.
    fn was_gone(&self, mut state: Releasing) -> Answer<Undoing> {
        if self.known.system.is_none() || self.level == Erase::None {
            return self.next(Stage::Freeing, state);
        }
        state.notes.push("the system was gone already".into());
        let mut ours = Vec::new();
        for block in &state.blocks {
            let found = standing(&self.far.service, &block.path)?;
            // The reservation is what is left of our right to it.
            if found.is_some_and(|found| found.is_unused() && found.is_reserved) {
                ours.push(block.clone());
            }
        }
        state.targets = erase::targets(&ours);
        let stage = if state.targets.is_empty() { Stage::Freeing } else { Stage::Erasing };
        self.next(stage, state)
    }

    /// A machine that runs writes on. None: it is off, or says nothing of it.
    fn switch_off(&self, ours: &Ours, state: &Releasing) -> Result<Option<Undoing>, Fault> {
        let power = ours.seen.body["PowerState"].as_str().unwrap_or_default();
        let reset = ours.seen.body["Actions"]["#ComputerSystem.Reset"]["target"].as_str().and_then(path_of);
        let Some(reset) = reset.filter(|_| matches!(power, "On" | "PoweringOn" | "PoweringOff")) else {
            return Ok(None);
        };
        let what = format!("{} is still {power}", ours.path);
        give_up_late_within(self.far.gone_within, state.since_ms, &what)?;
        if power != "PoweringOff" {
            let reply = self.far.service.post(&reset, &json!({ "ResetType": "ForceOff" }))?;
            if status(&reply) >= 300 {
                warn!("{what}: {}", reply.sentence());
            }
        }
        wait(state, Duration::from_millis(500), what).map(Some)
    }

    fn read(&self, mut survey: Survey, state: Releasing) -> Answer<Undoing> {
        if !survey.advance(self.far)? {
            return intent(&Releasing { stage: Stage::Reading(survey), ..state }, "reading the blocks of the system");
        }
        let state = Releasing { blocks: survey.blocks, stage: Stage::Finding, ..state };
        self.begin_erasing(state)
    }

    /// A block that is in another system too is that one's as well: taking ours apart would free it under the other.
    fn begin_erasing(&self, mut state: Releasing) -> Answer<Undoing> {
        let system = state.system.clone().unwrap_or_default();
        for block in &state.blocks {
            let found = standing(&self.far.service, &block.path)?.unwrap_or_default();
            if let Some(stranger) = found.stranger(&system) {
                return Err(fault::conflict(format!(
                    "block {} is in {system} and in {stranger} at once: a person must decide whose it is",
                    block.name()
                )));
            }
        }
        if self.level != Erase::None {
            state.targets = erase::targets(&state.blocks);
        }
        let deleting = Stage::Deleting { monitor: None };
        let stage = if state.targets.is_empty() { deleting } else { Stage::Erasing };
        self.next(stage, state)
    }

    fn erase(&self, mut state: Releasing) -> Answer<Undoing> {
        if self.cx.attempt > 1 {
            erase::begin_again(&mut state.targets);
        }
        if !erase::look(self.far, &mut state.targets, self.level)? {
            return intent(&state, "looking at how the disks can be erased");
        }
        let named = |wanted: &dyn Fn(&State) -> bool| {
            let names = state.targets.iter().filter(|target| wanted(&target.state)).map(|target| target.name.as_str());
            names.collect::<Vec<_>>().join(", ")
        };
        let unable = named(&|target| *target == State::Unable);
        if !unable.is_empty() {
            return Err(fault::broken(format!(
                "the disks {unable} cannot be erased to the level {} here, so the node is not given back",
                word(self.level)
            )));
        }
        let failed = state.targets.iter().find_map(|target| match &target.state {
            State::Failed(why) => Some(format!("disk {} could not be erased: {why}", target.name)),
            _ => None,
        });
        if let Some(why) = failed {
            return Err(fault::broken(format!("{why}; the node is not given back")));
        }
        erase::advance(self.far, &mut state.targets)?;
        if state.targets.iter().any(|target| matches!(target.state, State::Failed(_))) {
            // Stored, so that a person's retry erases again and nothing before it does.
            return intent(&state, "a disk could not be erased");
        }
        let left = state.targets.iter().filter(|target| !matches!(target.state, State::Done | State::OnDetach)).count();
        if left > 0 {
            let note = format!("erasing {left} of {} disks", state.targets.len());
            let again = next_look(state.since_ms, Duration::from_secs(60));
            return wait(&state, again, note);
        }
        match state.system {
            Some(_) => self.next(Stage::Deleting { monitor: None }, state),
            None => self.next(Stage::Freeing, state),
        }
    }

    fn delete(&self, mut monitor: Option<String>, state: Releasing) -> Answer<Undoing> {
        let system = state.system.clone().unwrap_or_default();
        let uuid = self.known.uuid.as_deref();
        let gone = decompose::step(self.far, &system, &self.what.mark, uuid, &mut monitor)?;
        let again = next_look(state.since_ms, Duration::from_secs(5));
        let state = Releasing { stage: Stage::Deleting { monitor }, ..state };
        match gone {
            Gone::Yes => self.next(Stage::Freeing, state),
            Gone::Busy(what) => wait(&state, again, what),
            Gone::Held(what) => {
                give_up_late_within(self.far.gone_within, state.since_ms, &what)?;
                wait(&state, again, what)
            }
        }
    }

    /// A stored stage is never gone back from, and each has a whole call's requests.
    fn next(&self, stage: Stage, state: Releasing) -> Answer<Undoing> {
        let note = match stage {
            Stage::Erasing => "erasing the disks",
            Stage::Deleting { .. } => "taking the system apart",
            _ => "giving the blocks back",
        };
        intent(&Releasing { stage, since_ms: now_ms(), ..state }, note)
    }
}

pub(super) fn word(level: Erase) -> &'static str {
    match level {
        Erase::None => "none",
        Erase::Quick => "quick",
        Erase::Full => "full",
    }
}
