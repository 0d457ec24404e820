//! Ironic's record of a node, as far as this driver reads it, and its provision states. Pure: no request is sent here.

use moganite_driver::mark;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::fmt;

/// The fields of [`Record`], for `?fields=`. An unknown one is a 500 in a list and a 400 for a single node (Ironic 39.0.0, seen on the
/// wire), so all are of microversion 1.86.
pub(crate) const FIELDS: &str = "uuid,name,driver,driver_info,extra,instance_info,instance_uuid,properties,provision_state,\
                                 target_provision_state,power_state,target_power_state,last_error,reservation,maintenance,\
                                 automated_clean,owner,conductor_group,resource_class,traits,retired,\
                                 retired_reason,maintenance_reason";

/// What a look at many nodes asks for: less than a quarter of a whole record.
pub(crate) const LOOKED_AT: &str = "uuid,name,provision_state,power_state,last_error,maintenance";

/// One node. Everything that Ironic answers as null is none or empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    pub(crate) uuid: String,
    pub(crate) name: Option<String>,
    pub(crate) driver: Option<String>,
    pub(crate) driver_info: Option<Map<String, Value>>,
    pub(crate) extra: Option<Map<String, Value>>,
    pub(crate) instance_info: Option<Map<String, Value>>,
    pub(crate) instance_uuid: Option<String>,
    pub(crate) properties: Option<Map<String, Value>>,
    pub(crate) provision_state: State,
    pub(crate) target_provision_state: Option<String>,
    pub(crate) power_state: Option<String>,
    pub(crate) target_power_state: Option<String>,
    pub(crate) last_error: Option<String>,
    pub(crate) reservation: Option<String>,
    pub(crate) maintenance: Option<bool>,
    pub(crate) automated_clean: Option<bool>,
    pub(crate) owner: Option<String>,
    pub(crate) conductor_group: Option<String>,
    pub(crate) resource_class: Option<String>,
    pub(crate) traits: Option<Vec<String>>,
    pub(crate) retired: Option<bool>,
    pub(crate) retired_reason: Option<String>,
    pub(crate) maintenance_reason: Option<String>,
}

/// A provision state. Source: `ironic/common/states.py` of 39.0.0; those that this driver takes no way out of are `Other`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub(crate) enum State {
    #[default]
    Enroll,
    Verifying,
    Manageable,
    Inspecting,
    InspectWait,
    InspectFailed,
    Cleaning,
    CleanWait,
    CleanFailed,
    Available,
    Deploying,
    DeployWait,
    DeployFailed,
    Active,
    Deleting,
    Error,
    AdoptFailed,
    Other(String),
}

/// Each state with Ironic's word for it.
const STATES: [(State, &str); 17] = [
    (State::Enroll, "enroll"),
    (State::Verifying, "verifying"),
    (State::Manageable, "manageable"),
    (State::Inspecting, "inspecting"),
    (State::InspectWait, "inspect wait"),
    (State::InspectFailed, "inspect failed"),
    (State::Cleaning, "cleaning"),
    (State::CleanWait, "clean wait"),
    (State::CleanFailed, "clean failed"),
    (State::Available, "available"),
    (State::Deploying, "deploying"),
    (State::DeployWait, "wait call-back"),
    (State::DeployFailed, "deploy failed"),
    (State::Active, "active"),
    (State::Deleting, "deleting"),
    (State::Error, "error"),
    (State::AdoptFailed, "adopt failed"),
];

impl Record {
    /// Whether Ironic is at work on it. The state changes 50 to 200 ms before the lock is released, and a verb sent in between is
    /// refused with 409 (Ironic 39.0.0, seen on the wire): so a state counts only on an unlocked node.
    pub(crate) fn is_locked(&self) -> bool {
        self.reservation.is_some()
    }

    /// Whether only time changes what is read: locked, in transition, or waiting for an agent.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_locked() || self.provision_state.is_moving()
    }

    /// The mark of the enrolment that made the node, if this driver did: uuid, name and extra must agree.
    pub(crate) fn enrolled_as(&self) -> Option<&str> {
        let mark = text(&self.extra, "moganite_mark")?;
        (self.name.as_deref() == Some(mark) && self.uuid == mark::uuid(mark).to_string()).then_some(mark)
    }

    /// The mark of the deployment that has the node. Its instance_uuid must agree: it is made from this mark, or on a claimed node from
    /// the claim's. An undeploy empties both.
    pub(crate) fn deployed_as(&self) -> Option<&str> {
        let mark = text(&self.instance_info, "moganite_mark")?;
        let made_from = text(&self.instance_info, "moganite_claim").unwrap_or(mark);
        (self.instance_uuid.as_deref() == Some(mark::uuid(made_from).to_string().as_str())).then_some(mark)
    }

    /// The mark in `instance_info`, whoever has the node.
    pub(crate) fn mark(&self) -> Option<&str> {
        text(&self.instance_info, "moganite_mark")
    }

    /// What an allocation wrote into `instance_info`, as it stands there.
    pub(crate) fn allocated_traits(&self) -> Map<String, Value> {
        let of = |(key, value): (&String, &Value)| (key == "traits").then(|| (key.clone(), value.clone()));
        self.instance_info.iter().flatten().filter_map(of).collect()
    }

    pub(crate) fn system_path(&self) -> Option<&str> {
        text(&self.driver_info, "redfish_system_id")
    }

    /// A number in `properties`, which Ironic keeps as a number or as its text.
    pub(crate) fn property(&self, name: &str) -> Option<u64> {
        let value = self.properties.as_ref()?.get(name)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }

    pub(crate) fn is_on(&self) -> bool {
        self.power_state.as_deref() == Some("power on")
    }

    pub(crate) fn is_off(&self) -> bool {
        self.power_state.as_deref() == Some("power off")
    }
}

impl State {
    pub(crate) fn is_moving(&self) -> bool {
        matches!(
            self,
            Self::Verifying
                | Self::Inspecting
                | Self::InspectWait
                | Self::Cleaning
                | Self::CleanWait
                | Self::Deploying
                | Self::DeployWait
                | Self::Deleting
        )
    }
}

impl From<String> for State {
    fn from(word: String) -> Self {
        STATES.iter().find(|(_, known)| *known == word).map_or(Self::Other(word), |(state, _)| state.clone())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = STATES.iter().find(|(state, _)| state == self);
        match (self, word) {
            (Self::Other(word), _) => f.write_str(word),
            (_, Some((_, word))) => f.write_str(word),
            _ => write!(f, "{self:?}"),
        }
    }
}

fn text<'a>(object: &'a Option<Map<String, Value>>, key: &str) -> Option<&'a str> {
    object.as_ref()?.get(key)?.as_str()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn record(value: Value) -> Record {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn every_state_is_said_as_ironic_says_it() {
        for (state, word) in STATES {
            assert_eq!(State::from(word.to_owned()), state);
            assert_eq!(state.to_string(), word);
        }
        assert_eq!(State::from("service hold".to_owned()).to_string(), "service hold");
    }

    #[test]
    fn a_state_reached_but_still_locked_is_busy() {
        let locked = json!({ "provision_state": "manageable", "reservation": "host" });
        assert!(record(locked).is_busy());
        assert!(!record(json!({ "provision_state": "manageable", "reservation": null })).is_busy());
    }

    #[test]
    fn only_a_node_whose_uuid_name_and_extra_agree_is_ours() {
        let uuid = mark::uuid("mg-a-1").to_string();
        let ours = json!({ "uuid": uuid, "name": "mg-a-1", "extra": { "moganite_mark": "mg-a-1" } });
        assert_eq!(record(ours.clone()).enrolled_as(), Some("mg-a-1"));
        for (field, value) in [("uuid", json!("another")), ("name", json!("another")), ("extra", json!({}))] {
            let mut other = ours.clone();
            other[field] = value;
            assert_eq!(record(other).enrolled_as(), None, "{field}");
        }
    }

    #[test]
    fn a_deployment_on_a_claimed_node_bears_the_claim_s_uuid() {
        let deployed = |made_from: &str, info: Value| {
            let instance = mark::uuid(made_from).to_string();
            record(json!({ "instance_uuid": instance, "instance_info": info })).deployed_as().map(str::to_owned)
        };
        let plain = json!({ "moganite_mark": "mg-a-2" });
        let claimed = json!({ "moganite_mark": "mg-a-2", "moganite_claim": "mg-a-1" });
        assert_eq!(deployed("mg-a-2", plain.clone()).as_deref(), Some("mg-a-2"));
        assert_eq!(deployed("mg-a-1", claimed.clone()).as_deref(), Some("mg-a-2"));
        assert_eq!(deployed("mg-a-1", plain), None);
        assert_eq!(deployed("mg-a-2", claimed), None);
    }

    #[test]
    fn properties_are_read_as_numbers_or_texts() {
        let node = record(json!({ "properties": { "cpus": 8, "memory_mb": "16384", "local_gb": null } }));
        assert_eq!(node.property("cpus"), Some(8));
        assert_eq!(node.property("memory_mb"), Some(16_384));
        assert_eq!(node.property("local_gb"), None);
    }
}
