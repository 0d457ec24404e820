//! The end of a release: every block seen unused, every reservation ended, and the receipt.

use super::block::Block;
use super::erase::{self, State, Target};
use super::free::{self, Freed, free};
use super::release::{Release, Releasing, word};
use super::service::SYSTEMS;
use crate::next_look;
use crate::release::give_up_late_within;
use moganite_driver::{Answer, Erase, Fault, Undoing, fault, intent, wait};
use serde_json::json;
use std::time::Duration;

impl Release<'_> {
    /// Ends with the readings that prove it. What was freed is written down before anything else is said: the next client may have it.
    pub(super) fn free(&self, mut state: Releasing) -> Answer<Undoing> {
        let (mut waits, mut failed, mut kept) = (None, None, Vec::new());
        let before = state.blocks.len();
        for block in std::mem::take(&mut state.blocks) {
            if self.far.service.left() < free::REQUESTS + 4 {
                waits = Some("giving the blocks back".to_owned());
                kept.push(block);
                continue;
            }
            if let Some(disk) = self.unerased(&block, &state.targets)? {
                waits = Some(format!("disk {disk} was to be erased on detach and is not; its block stays reserved"));
                kept.push(block);
                continue;
            }
            match free(self.far, &block, state.system.as_deref())? {
                Freed::Yes => continue,
                Freed::Theirs(note) => {
                    state.notes.push(note);
                    continue;
                }
                Freed::NotYet(what) => waits = Some(what),
                Freed::Failed(what) => failed = Some(format!("{what} after the release: repair it, then retry")),
            }
            kept.push(block);
        }
        state.blocks = kept;
        match (failed, waits) {
            _ if state.blocks.len() < before && !state.blocks.is_empty() => {
                intent(&state, "some of the blocks are free")
            }
            (Some(what), _) => Err(fault::broken(what)),
            (None, Some(what)) => {
                give_up_late_within(self.far.gone_within, state.since_ms, &what)?;
                wait(&state, next_look(state.since_ms, Duration::from_secs(5)), what)
            }
            (None, None) => match self.still_listed(&state)? {
                None => Ok(Undoing::Done(self.receipt(&state))),
                Some(what) => {
                    give_up_late_within(self.far.gone_within, state.since_ms, &what)?;
                    wait(&state, next_look(state.since_ms, Duration::from_secs(5)), what)
                }
            },
        }
    }

    /// The last reading, which proves the end: the service's own list of its systems.
    fn still_listed(&self, state: &Releasing) -> Result<Option<String>, Fault> {
        let listed = self.far.service.members(SYSTEMS)?;
        let Some(path) = state.system.as_ref().or(self.known.system.as_ref()).filter(|path| listed.contains(path))
        else {
            return Ok(None);
        };
        let ours = self.far.ours_at(path, &self.what.mark, self.known.uuid.as_deref())?;
        Ok(ours.map(|ours| format!("{} is still there", ours.path)))
    }

    fn unerased(&self, block: &Block, targets: &[Target]) -> Result<Option<String>, Fault> {
        for target in targets.iter().filter(|target| target.block == block.path && target.state == State::OnDetach) {
            if !erase::was_erased(self.far, target)? {
                return Ok(Some(target.name.clone()));
            }
        }
        Ok(None)
    }

    fn receipt(&self, state: &Releasing) -> String {
        let disks: Vec<&str> = state.targets.iter().map(|target| target.name.as_str()).collect();
        let on_detach = state.targets.iter().any(|target| target.state == State::OnDetach);
        let was_gone = state.system.is_none() && self.known.system.is_some();
        let (erased, method) = if self.level == Erase::None {
            ("none", "none was asked for")
        } else if disks.is_empty() && was_gone {
            ("none", "the system was gone already")
        } else if disks.is_empty() {
            (word(self.level), "it had no disks")
        } else if on_detach {
            ("quick", "EraseOnDetach of RSD")
        } else {
            ("full", "Drive.SecureErase")
        };
        let note = (!state.notes.is_empty()).then(|| state.notes.join("; "));
        json!({ "erased": erased, "method": method, "disks": disks, "note": note }).to_string()
    }
}
