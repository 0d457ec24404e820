//! Why something did not happen, by what can be done about it.

use serde::{Deserialize, Serialize};

use super::Cause;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub kind: FaultKind,
    /// One sentence for people; no secret in it.
    pub message: String,
    /// When to try again, where the far side said so. Unit: milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u64>,
    /// What ended the driver's call, where the host did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// It may work when it is tried again.
    Retry,
    /// This request can never work here.
    Rejected,
    /// Not now, not here: another backend might.
    Capacity,
    /// Something that is not ours stands in the way.
    Conflict,
    /// A person must look.
    Broken,
    /// It took longer than its budget.
    Overdue,
    /// The machine is not what was asked for, or not the one it claims to be.
    Mismatch,
    /// A user asked to stop.
    Cancelled,
    /// An operator stopped the plugin: it goes on when it may be called again, or another one takes over.
    Stopped,
}

impl Fault {
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), after_ms: None, cause: None }
    }

    #[must_use]
    pub fn by(self, cause: Cause) -> Self {
        Self { cause: Some(cause), ..self }
    }
}
