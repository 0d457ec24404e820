//! What outlives a call: a checkpoint as a serde value, stored by the host and handed back with the next call. A verb
//! never sleeps; it answers [`wait`] (far side at work, ask again) or [`intent`] (store this, then call me again at
//! once to do what cannot be repeated).

use crate::{DeployDoing, Fault, NodeDoing, Pause, Undoing, fault};
use serde::Serialize;
use std::time::Duration;

/// Source of both limits: `checkpoint` and `pause` in `wit/driver.wit`.
const LARGEST_CHECKPOINT: usize = 65_536;
const LONGEST_NOTE: usize = 500;

/// Call again after so long, with this step. `note` is one sentence for people: what is waited for.
///
/// Answers whichever pending the verb has: `return wait(&step, Duration::from_secs(5), "the node is being assembled")`.
pub fn wait<D: From<Pause>>(step: &impl Serialize, after: Duration, note: impl Into<String>) -> Result<D, Fault> {
    pause(step, after, note).map(D::from)
}

/// Store this step and call again at once. What follows it may be cut and repeated, but never forgotten.
pub fn intent<D: From<Pause>>(step: &impl Serialize, note: impl Into<String>) -> Result<D, Fault> {
    wait(step, Duration::ZERO, note)
}

/// The pause itself, for a driver that sets `percent`.
pub fn pause(step: &impl Serialize, after: Duration, note: impl Into<String>) -> Result<Pause, Fault> {
    let checkpoint = serde_json::to_vec(step)
        .map_err(|error| fault::broken(format!("the checkpoint cannot be written: {error}")))?;
    if checkpoint.len() > LARGEST_CHECKPOINT {
        return Err(fault::broken(format!(
            "the checkpoint has {} bytes, more than {LARGEST_CHECKPOINT}",
            checkpoint.len()
        )));
    }
    let mut note = note.into();
    shorten(&mut note, LONGEST_NOTE);
    let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    Ok(Pause { checkpoint, after, percent: None, note })
}

impl From<Pause> for NodeDoing {
    fn from(pause: Pause) -> Self {
        Self::Pending(pause)
    }
}

impl From<Pause> for DeployDoing {
    fn from(pause: Pause) -> Self {
        Self::Pending(pause)
    }
}

impl From<Pause> for Undoing {
    fn from(pause: Pause) -> Self {
        Self::Pending(pause)
    }
}

/// Cuts a text to so many characters, with an ellipsis as the last one.
pub(crate) fn shorten(text: &mut String, longest: usize) {
    if let Some((cut, _)) = text.char_indices().nth(longest.saturating_sub(1))
        && text[cut..].chars().nth(1).is_some()
    {
        text.truncate(cut);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_checkpoint_over_the_limit_is_a_fault_and_not_a_refused_call() {
        let refused = pause(&"x".repeat(LARGEST_CHECKPOINT), Duration::ZERO, "");
        assert!(matches!(refused, Err(Fault::Broken(_))));
    }

    #[test]
    fn a_long_note_is_cut_at_a_character() {
        let kept = pause(&1, Duration::from_secs(2), "ä".repeat(501)).unwrap();
        assert_eq!(kept.note.chars().count(), 500);
        assert!(kept.note.ends_with("ä…"));
        assert_eq!(pause(&1, Duration::ZERO, "ä".repeat(500)).unwrap().note, "ä".repeat(500));
        assert_eq!(kept.after, 2_000);
    }
}
