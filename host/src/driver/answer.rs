//! What a call of a driver answers, in the host's own words. Every version of the contract converts into these.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::model::{Exchange, Fault};

/// What the driver said, and what the gate saw meanwhile. The exchanges are there also when the call was cut.
#[derive(Debug)]
pub struct Answer<T> {
    pub result: Result<T, Fault>,
    pub exchanges: Vec<Exchange>,
    /// The driver broke: a trap, a limit, an answer that no driver may give. Not a fault that it says itself.
    pub broke: bool,
    /// Of a done: the exchange that the manifest names as its proof. None where it names none.
    pub proof: Option<Exchange>,
}

#[derive(Debug, PartialEq)]
pub enum Doing<T> {
    Done(T),
    Pending(Pause),
}

/// The verb is to be called again, with this checkpoint.
#[derive(Debug, PartialEq)]
pub struct Pause {
    pub checkpoint: Vec<u8>,
    /// From now, at most a day. Zero: the checkpoint is an intent; store it and call again at once.
    pub after: Duration,
    /// 0 to 100.
    pub percent: Option<u8>,
    /// One line for people, at most 500 characters.
    pub note: String,
}

#[derive(Debug, PartialEq)]
pub enum Presence {
    Present {
        handle: String,
        state: String,
        note: String,
    },
    /// Nothing of this mark exists, and nothing can appear.
    Absent,
    /// An earlier request may still take effect; ask again after so long.
    Unsettled(Duration),
}

/// One page of what bears the site's marks.
#[derive(Debug, PartialEq)]
pub struct Page {
    pub items: Vec<Held>,
    /// For the next call's `after`; none: this was the last page.
    pub next: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub mark: String,
    pub handle: String,
    pub state: String,
    pub note: String,
}

/// What is to be put on a node. What image and networks hold is what the operator registered for this backend.
#[derive(Debug, Clone, PartialEq)]
pub struct DeployOrder {
    /// The handle that enroll or claim answered.
    pub node: String,
    pub image: Map<String, Value>,
    pub hostname: String,
    pub user_data: Option<String>,
    pub ssh_keys: Vec<String>,
    pub networks: Map<String, Value>,
}

#[derive(Debug, PartialEq)]
pub struct Deployed {
    pub handle: String,
    /// By network.
    pub addresses: Map<String, Value>,
    pub facts: Map<String, Value>,
}

/// A node as the deploying side sees it now.
#[derive(Debug, PartialEq)]
pub struct Observed {
    pub handle: String,
    /// None: unknown.
    pub is_on: Option<bool>,
    pub state: String,
    pub note: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PowerWish {
    On,
    Off,
    Reboot,
    SoftOff,
    SoftReboot,
}
