//! A block goes back: it is seen to be in no system any more, and our reservation of it ends. What is another's by now is left alone.

use super::Far;
use super::block::{Block, standing};
use super::reserve::{Written, write};
use moganite_driver::Fault;

#[derive(Debug, PartialEq)]
pub(super) enum Freed {
    Yes,
    NotYet(String),
    /// The service cannot use it any more; a person must look.
    Failed(String),
    /// For the receipt.
    Theirs(String),
}

/// Requests that one block needs.
pub(super) const REQUESTS: u32 = 4;

/// `system`: ours, of which it was a block.
pub(super) fn free(far: &Far, block: &Block, system: Option<&str>) -> Result<Freed, Fault> {
    let name = block.name();
    for _ in 0..2 {
        let Some(found) = standing(&far.service, &block.path)? else {
            return Ok(Freed::Theirs(format!("block {name} is not there any more")));
        };
        if system.is_some_and(|ours| found.systems.iter().any(|path| path == ours)) {
            return Ok(Freed::NotYet(format!("block {name} still names {}", system.unwrap_or_default())));
        }
        if let Some(stranger) = found.systems.first() {
            return Ok(Freed::Theirs(format!("block {name} is in {stranger} now and was left alone")));
        }
        match found.state.as_str() {
            "Unused" => {}
            "Failed" | "Unavailable" => return Ok(Freed::Failed(format!("block {name} is {}", found.state))),
            state => return Ok(Freed::NotYet(format!("block {name} is still {state}"))),
        }
        if !found.is_reserved || write(&far.service, &block.path, &found, false)? != Written::Changed {
            return Ok(Freed::Yes);
        }
    }
    Ok(Freed::NotYet(format!("block {name} changes while its reservation is to be ended")))
}
