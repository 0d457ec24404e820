//! Reserving: `CompositionStatus.Reserved` is advice to other clients. Nobody enforces it, it bears no name, and decomposing does not clear
//! it; so the blocks stand in the checkpoint before the first is reserved, and whoever gives the node back clears it.

use super::block::{Standing, standing};
use super::compose::{Composing, names};
use super::service::{Service, status};
use super::step::{Plan, Step};
use crate::now_ms;
use moganite_driver::{Answer, Fault, NodeDoing, fault, info, intent};
use serde_json::json;

/// What became of one reservation, or of its end.
#[derive(Debug, PartialEq)]
pub(super) enum Written {
    Yes,
    /// Somebody wrote in between.
    Changed,
    /// This service does not reserve.
    NotOffered,
}

impl Composing<'_> {
    /// `repeated`: an earlier try may have reserved some of these; then what is reserved is taken for ours.
    pub(super) fn reserve(&self, plan: Plan, mut at: usize, repeated: bool) -> Answer<NodeDoing> {
        while let Some(block) = plan.blocks.get(at) {
            if self.far.service.left() < 4 {
                let note = format!("reserved {at} of {} blocks", plan.blocks.len());
                return intent(&Step::Reserving { plan, at }, note);
            }
            let found = standing(&self.far.service, &block.path)?;
            match found {
                Some(found) if found.is_free() => match write(&self.far.service, &block.path, &found, true)? {
                    Written::Yes => {}
                    // Read again: whoever changed it may have taken it.
                    Written::Changed => continue,
                    Written::NotOffered => {
                        info!("this service takes no reservations");
                        break;
                    }
                },
                Some(found) if repeated && found.is_reserved && found.is_unused() => {}
                _ => {
                    let fault = fault::capacity(format!("somebody took block {} meanwhile", block.name()));
                    let ours = Plan { blocks: plan.blocks[..at].to_vec(), ..plan };
                    return self.give_back(ours, None, fault, true);
                }
            }
            at += 1;
        }
        let note = format!("about to compose {}", names(&plan));
        intent(&Step::Asking { plan, since_ms: now_ms() }, note)
    }
}

/// Writes the reservation of a block that was just read.
pub(super) fn write(service: &Service, path: &str, found: &Standing, reserved: bool) -> Result<Written, Fault> {
    let body = json!({ "CompositionStatus": { "Reserved": reserved } });
    let reply = service.patch(path, found.seen.etag.as_deref(), &body)?;
    match status(&reply) {
        200..300 => Ok(Written::Yes),
        412 => Ok(Written::Changed),
        404 | 405 | 501 => Ok(Written::NotOffered),
        _ => Err(reply.success().err().unwrap_or_else(|| fault::retry("the reservation was not answered"))),
    }
}
