//! Ironic's records. A node is a document, which holds what clients may set, and beside it what only the conductor sets.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::state::Provision;

#[derive(Default)]
pub(crate) struct Store {
    /// In the order of creation.
    pub(crate) nodes: Vec<Node>,
    pub(crate) ports: Vec<Port>,
    pub(super) allocations: Vec<Allocation>,
    pub(crate) made: u64,
    pub(crate) given_back: u64,
}

pub(crate) struct Node {
    pub(crate) uuid: String,
    /// What clients may set, every key present, null or empty when not set.
    pub(super) document: Map<String, Value>,
    pub(crate) provision: Provision,
    pub(super) target: Option<Provision>,
    /// Whether the conductor holds its lock.
    pub(super) locked: bool,
    pub(super) last_error: Option<String>,
    /// None until a first look at the machine.
    pub(super) power_on: Option<bool>,
    pub(super) target_power: Option<&'static str>,
    pub(super) maintenance: bool,
    pub(super) maintenance_reason: Option<String>,
    /// Why the conductor itself put it into maintenance.
    pub(super) fault: Option<&'static str>,
    /// Whether the clean steps that were sent last erase anything.
    pub(super) erases_by_hand: bool,
    /// What the last inspection saw.
    pub(super) inventory: Option<Value>,
    pub(super) traits: BTreeSet<String>,
    pub(super) history: Vec<Event>,
    pub(super) boot_device: Option<(String, bool)>,
    pub(super) created_at: String,
    pub(super) updated_at: Option<String>,
    pub(super) provision_updated_at: Option<String>,
}

pub(crate) struct Port {
    pub(crate) uuid: String,
    pub(crate) node: String,
    pub(crate) address: String,
    pub(super) extra: Value,
    pub(super) created_at: String,
}

pub(super) struct Event {
    pub(super) uuid: String,
    pub(super) created_at: String,
    pub(super) severity: &'static str,
    pub(super) event_type: &'static str,
    pub(super) event: String,
}

#[derive(Clone)]
pub(super) struct Allocation {
    pub(super) uuid: String,
    pub(super) name: Option<String>,
    pub(super) resource_class: String,
    pub(super) traits: Vec<String>,
    pub(super) candidates: Vec<String>,
    pub(super) extra: Value,
    pub(super) state: &'static str,
    pub(super) node: Option<String>,
    pub(super) last_error: Option<String>,
    pub(super) created_at: String,
}

impl Store {
    /// By uuid, in its exact case, or by name.
    pub(super) fn node(&self, key: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.is(key))
    }

    pub(super) fn node_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.is(key))
    }

    /// The uuid of a node that refers to this system of the pod.
    pub(crate) fn node_of_system(&self, system: &str) -> Option<&str> {
        self.nodes.iter().find(|node| node.system() == Some(system)).map(|node| node.uuid.as_str())
    }

    /// Removes the node, its ports and its history.
    pub(super) fn remove_node(&mut self, uuid: &str) {
        self.nodes.retain(|node| node.uuid != uuid);
        self.ports.retain(|port| port.node != uuid);
        self.given_back += 1;
    }
}

impl Node {
    fn is(&self, key: &str) -> bool {
        self.uuid == key || self.name() == Some(key)
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.text("name")
    }

    /// Its name, or its uuid without one: whose data is on its disks.
    pub(super) fn owner_mark(&self) -> String {
        self.name().unwrap_or(&self.uuid).to_owned()
    }

    pub(crate) fn instance_uuid(&self) -> Option<&str> {
        self.text("instance_uuid")
    }

    /// The last segment of its Redfish path.
    pub(crate) fn system(&self) -> Option<&str> {
        self.document["driver_info"]["redfish_system_id"].as_str()?.trim_end_matches('/').rsplit('/').next()
    }

    pub(super) fn is_redfish(&self) -> bool {
        self.text("driver") == Some("redfish")
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.document.get(key).and_then(Value::as_str)
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.document.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Cleaning erases unless the node says no; the conductor's default is yes.
    pub(super) fn cleans(&self) -> bool {
        self.document.get("automated_clean").and_then(Value::as_bool).unwrap_or(true)
    }

    /// Whether a transition is under way that forbids a PATCH; the failed states keep a target and allow it.
    pub(super) fn target_is_open(&self) -> bool {
        use Provision::{AdoptFailed, CleanFailed, DeployFailed, Error, InspectFailed, Inspecting, Verifying};
        let allowed = [DeployFailed, Inspecting, InspectFailed, CleanFailed, Error, Verifying, AdoptFailed];
        !self.maintenance && self.target.is_some() && !allowed.contains(&self.provision)
    }

    /// What undeploying empties.
    pub(super) fn forget_instance(&mut self) {
        self.document.insert("instance_info".to_owned(), json!({}));
        self.document.insert("instance_uuid".to_owned(), Value::Null);
    }
}
