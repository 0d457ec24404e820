//! What outlives a call, format `cloudboot-1`. An entering request whose answer was lost may still take effect, and CloudBoot would
//! overwrite whatever is there by then; so an intent with its time is stored before each, and nothing else is sent to that server before
//! the request is seen or can no longer appear.

use crate::discovered::Inventory;
use crate::enter::Entry;
use crate::far::left_ms;
use crate::settings::Settings;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A request is sent only while its intent is younger than this; an older one is renewed first. So the time in the intent bounds the
/// time of the request, whatever happened to the host in between.
pub(crate) const FRESH_MS: u64 = 15_000;

/// Between two looks at what may still appear.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// Entered rows that are sent for one operation.
pub(crate) const TRIES: u32 = 3;

/// The checkpoint of a claim, and the trail of its holding.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Claiming {
    pub(crate) entry: Entry,
    /// What CloudBoot forgets with a delete.
    pub(crate) inventory: Inventory,
    /// When the intent was stored, in milliseconds since 1970.
    pub(crate) since_ms: u64,
    pub(crate) stage: ClaimStage,
    /// Whether the request of this intent may have been sent without an answer.
    #[serde(default)]
    pub(crate) doubtful: bool,
    /// Servers that were tried before, and why they were left.
    pub(crate) left: Vec<(String, String)>,
    /// Renewed intents, then answers of the BMC that were no proof.
    #[serde(default)]
    pub(crate) looks: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ClaimStage {
    /// Stored before the request.
    Entering,
    /// It bears our mark: it is cancelled and turned off.
    Parking,
    /// Parked; in a moment it is looked at again.
    Settling,
    /// It cannot be turned off, and is given back.
    Returning,
}

/// The checkpoint of a deploy, and the trail of its holding.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Deploying {
    pub(crate) entry: Entry,
    /// As CloudBoot writes it, for the answer.
    pub(crate) network: String,
    pub(crate) inventory: Inventory,
    pub(crate) since_ms: u64,
    pub(crate) stage: DeployStage,
    /// As in a claim.
    #[serde(default)]
    pub(crate) doubtful: bool,
    /// Entering requests first, then starts from the network; from 1.
    pub(crate) tries: u32,
    #[serde(default)]
    pub(crate) looks: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DeployStage {
    /// Stored before the request.
    Entering,
    /// Entered; the machine is about to be started from the network.
    Starting,
    /// It was started then.
    Installing { started_ms: u64 },
    /// CloudBoot says that it is installed.
    Confirming,
}

impl Claiming {
    /// When to look again at a row that may still appear or change by itself; none: it cannot.
    pub(crate) fn unsettled(&self, settings: &Settings) -> Option<Duration> {
        (self.stage == ClaimStage::Entering).then(|| settling(self.since_ms, settings)).flatten()
    }
}

impl Deploying {
    /// The same of a deploy.
    pub(crate) fn unsettled(&self, settings: &Settings) -> Option<Duration> {
        (self.stage == DeployStage::Entering).then(|| settling(self.since_ms, settings)).flatten()
    }

    /// Whether the installer may have written the disks: it may have been started.
    pub(crate) fn is_begun(&self) -> bool {
        self.stage != DeployStage::Entering
    }
}

/// Whether the intent is too old to be acted on.
pub(crate) fn is_stale(since_ms: u64) -> bool {
    left_ms(since_ms, FRESH_MS).is_none()
}

fn settling(since_ms: u64, settings: &Settings) -> Option<Duration> {
    left_ms(since_ms, FRESH_MS + settings.settle_ms).map(|left| Duration::from_millis(left).min(LONGEST_LOOK))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::enter::Template;
    use serde_json::json;

    #[test]
    fn a_checkpoint_of_the_format_cloudboot_1_is_read_for_ever() {
        let template = json!({ "id": 1, "name": "centos" });
        let entry = json!({
            "sn": "S", "hostname": "h", "ip": "10.9.0.5", "network": 1, "os": template, "system": template, "hardware": null,
            "marks": { "claim": "mg-a-1", "deploy": "mg-a-2" },
        });
        let claiming = json!({
            "entry": entry, "inventory": { "report": {}, "user_id": 0 }, "since_ms": 7, "stage": "settling", "left": [["T", "away"]],
        });
        let claiming: Claiming = serde_json::from_value(claiming).unwrap();
        assert_eq!((claiming.stage, claiming.left.len()), (ClaimStage::Settling, 1));
        let deploying = json!({
            "entry": entry, "network": "10.9.0.0/24", "inventory": {}, "since_ms": 7, "stage": { "installing": { "started_ms": 9 } },
            "tries": 1,
        });
        let deploying: Deploying = serde_json::from_value(deploying).unwrap();
        assert!(deploying.is_begun());
        assert_eq!(deploying.entry.marks.text(), "mg-a-1.mg-a-2");
    }

    #[test]
    fn a_request_can_appear_until_its_intent_and_the_settling_are_over() {
        moganite_driver::testing::set_now(Duration::from_millis(20_000));
        let settings = Settings { settle_ms: 10_000, ..Settings::default() };
        let deploying = |since_ms| Deploying {
            entry: Entry {
                sn: String::new(),
                hostname: String::new(),
                ip: String::new(),
                network: 0,
                os: Template::default(),
                system: Template::default(),
                hardware: None,
                marks: crate::device::Marks::of_claim("mg-a-1"),
            },
            network: String::new(),
            inventory: Inventory::default(),
            since_ms,
            stage: DeployStage::Entering,
            doubtful: false,
            tries: 1,
            looks: 0,
        };
        assert_eq!(deploying(0).unsettled(&settings), Some(Duration::from_secs(5)));
        assert!(is_stale(0) && !is_stale(6_000));
        moganite_driver::testing::set_now(Duration::from_millis(25_000));
        assert_eq!(deploying(0).unsettled(&settings), None);
    }
}
