//! What persons decided.

use super::{Invalid, Millis};

/// Who decides, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    pub who: String,
    pub reason: String,
}

impl By {
    /// A reason is one line of 1 to 500 characters.
    pub fn checked(who: impl Into<String>, reason: impl Into<String>) -> Result<Self, Invalid> {
        let (who, reason) = (who.into(), reason.into());
        if reason.trim().is_empty() || reason.chars().count() > 500 || reason.chars().any(char::is_control) {
            return Err(Invalid::new("reason", "one line of 1 to 500 characters: the audit log keeps it"));
        }
        Ok(Self { who, reason })
    }
}

/// One decision, kept for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    pub n: i64,
    pub at: Millis,
    pub who: String,
    /// Such as `flow.skip`.
    pub verb: String,
    /// What it was decided of.
    pub subject: String,
    pub reason: String,
}
