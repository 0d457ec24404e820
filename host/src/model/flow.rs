//! The record of a flow: where it stands, and what people read about it.

use serde::{Deserialize, Serialize};

use super::{Exchange, Fault, FlowId, GivenBack, InstanceId, Millis, Name};

/// Where a flow stands. `advance` maps one of these to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub phase: Phase,
    /// Index into the flow's list.
    pub task: usize,
    /// Tries of this task since its last stored checkpoint, from 1.
    pub attempt: u32,
    /// From 1.
    pub round: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Forward,
    Backward,
    /// Only a person moves it on.
    NeedsOperator,
    Done,
    Reverted,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
            Self::NeedsOperator => "needs-operator",
            Self::Done => "done",
            Self::Reverted => "reverted",
        }
    }

    pub fn is_ended(self) -> bool {
        matches!(self, Self::Done | Self::Reverted)
    }

    pub fn runs(self) -> bool {
        matches!(self, Self::Forward | Self::Backward)
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    #[default]
    Execute,
    Revert,
}

impl Direction {
    fn is_execute(&self) -> bool {
        *self == Self::Execute
    }
}

/// How a flow rests or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Done,
    Reverted,
    NeedsOperator,
}

/// A flow's row. The row is the truth, the events are history for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    pub id: FlowId,
    /// Where the store keeps it; 0 before it did.
    pub row: i64,
    pub kind: String,
    pub version: u32,
    pub project: Name,
    pub instance: InstanceId,
    pub position: Position,
    /// Only the runner moves it.
    pub revision: i64,
    /// The flow's typed state, as JSON.
    pub state: Vec<u8>,
    /// What the current task last answered in pending.
    pub checkpoint: Option<Vec<u8>>,
    /// When the current task of this round and direction began.
    pub task_since: Millis,
    /// When it is due; none while it waits for another flow or for a person.
    pub wake: Option<Millis>,
    /// Looks at many machines tell when its wait ends: then it is due sooner.
    pub shown: bool,
    /// A wish: set by users, looked at between calls.
    pub cancel: bool,
    /// Why it turned round; the first cause, kept to the end.
    pub fault: Option<Fault>,
    pub progress: Progress,
    /// `<backend>/<verb>` while the current task may run only one at a time there.
    pub exclusive: Option<String>,
    /// When it took its place in the line there; 0 once its turn has begun.
    pub place: Option<Millis>,
    /// It becomes due when that flow ended.
    pub follows: Option<FlowId>,
    /// Which backend the current task calls.
    pub backend: Option<Name>,
    /// A wish: an operator stopped it, its clocks stand.
    pub paused: Option<Paused>,
    pub created_at: Millis,
    pub updated_at: Millis,
}

/// Since when, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    pub at: Millis,
    pub why: String,
}

/// What it waits for, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// One sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// Which backend the current task calls, and with which plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// How long the current task may take; none until its first call said so, and where the service's own holds. Milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_ms: Option<i64>,
}

/// One line of a timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// From 1, without gaps within a flow. The store counts it, in a column.
    #[serde(skip)]
    pub seq: i64,
    #[serde(skip)]
    pub at: Millis,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub task: String,
    #[serde(default, skip_serializing_if = "Direction::is_execute")]
    pub direction: Direction,
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub round: u32,
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub attempt: u32,
    pub kind: EventKind,
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// What the gate saw in this call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exchanges: Vec<Exchange>,
    /// This call settled a holding: what the receipt says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_back: Option<GivenBack>,
    /// What a done rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// What stands behind something done, the strongest that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// The gate saw the exchange that the plugin's manifest names.
    Gate,
    /// A second driver sees the machine as well.
    Witness,
    /// It is reported by the driver only.
    Driver,
}

fn first() -> u32 {
    1
}

fn is_first(number: &u32) -> bool {
    *number == 1
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    Created,
    Done,
    Pending,
    Retry,
    Failed,
    CancelAsked,
    NeedsOperator,
    Paused,
    /// An operator let it go on.
    Resumed,
    /// An operator took the place of a task.
    Skipped,
    HandedOver,
    Abandoned,
    Ended,
}
