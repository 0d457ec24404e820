//! What was taken, or may have been taken, from a backend.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Fault, HoldingId, InstanceId, Mark, Millis, Name, Node, OperationId, RevisionId};

/// One thing taken, or perhaps taken. The commit that starts the doing operation inserts it; only the confirmed end of the undo
/// deletes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Holding {
    pub id: HoldingId,
    pub instance: InstanceId,
    pub role: Role,
    pub backend: Name,
    pub revision: RevisionId,
    pub operation: OperationId,
    pub mark: Mark,
    /// None while it is only intended, or when the answer was lost.
    pub handle: Option<String>,
    pub facts: Map<String, Value>,
    /// The doing verb's last checkpoint.
    pub trail: Option<Vec<u8>>,
    /// What the doing verb answered, for the roles that answer a node.
    pub node: Option<Node>,
    pub state: HoldingState,
    /// Why it is still here, when an undo did not end.
    pub fault: Option<Fault>,
    pub since: Millis,
    /// When a read saw its machine off.
    pub off_at: Option<Millis>,
    /// Since when it is owed.
    pub owed_at: Option<Millis>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Compose,
    Claim,
    Enroll,
    Deploy,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compose => "compose",
            Self::Claim => "claim",
            Self::Enroll => "enroll",
            Self::Deploy => "deploy",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldingState {
    /// The doing operation may have taken it.
    Intended,
    /// The doing operation answered.
    Held,
    /// The answer named what another instance has: giving it back could take it from there, so a person looks first.
    Disputed,
}

impl HoldingState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Held => "held",
            Self::Disputed => "disputed",
        }
    }
}

/// One request and its answer, as the gate saw them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    pub at: Millis,
    pub endpoint: String,
    pub method: String,
    /// Path and query as the driver sent them.
    pub path: String,
    /// None: no answer came.
    pub status: Option<u16>,
    /// SHA-256 of the answer's body, hex; none without an answer.
    pub body_sha256: Option<String>,
    /// Bytes of the answer's body.
    pub bytes: u64,
    pub took_ms: u64,
}

/// A node that failed and is not scheduled again until an operator clears it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quarantined {
    pub backend: Name,
    pub handle: String,
    /// Why, the last time.
    pub cause: Fault,
    /// How often it failed.
    pub strikes: u32,
    pub since: Millis,
}
