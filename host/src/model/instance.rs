//! What a user asked for, and how far it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Budgets, Erase, Eraser, Erasure, FlowId, Image, InstanceId, Invalid, Millis, Name, Project, Route, Shape};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    pub id: InstanceId,
    pub project: Project,
    pub name: Name,
    pub order: Order,
    pub state: InstanceState,
    /// None until the flow knows; true for a node that was composed for it.
    pub composed: Option<bool>,
    /// Why it is failed, in one sentence.
    pub reason: Option<String>,
    pub addresses: Map<String, Value>,
    /// What verify could not see, such as `disks`.
    pub unverified: Vec<String>,
    /// What the last look at it found wrong, in one sentence. It is never repaired unasked.
    pub degraded: Option<String>,
    /// Somebody asked for it to be off.
    pub off: bool,
    /// The flow that works on it, or worked on it last.
    pub flow: FlowId,
    pub created_at: Millis,
    pub updated_at: Millis,
}

/// What was ordered, frozen at create: flavor and image may change afterwards, this instance does not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub flavor: Name,
    pub shape: Shape,
    pub route: Route,
    pub erase: Erase,
    #[serde(default)]
    pub eraser: Eraser,
    pub image: Image,
    pub hostname: String,
    pub ssh_keys: Vec<String>,
    pub user_data: Option<String>,
    /// The names of the networks that were ordered.
    #[serde(default)]
    pub ordered_networks: Vec<Name>,
    /// By backend: what it calls the networks that were ordered.
    #[serde(default)]
    pub networks: BTreeMap<Name, Map<String, Value>>,
    /// Its machine runs already, and is not ours until the adoption ended well: what is undone before is let go, and the machine runs on.
    #[serde(default)]
    pub adopting: bool,
    pub metadata: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Budgets::is_empty")]
    pub budgets: Budgets,
}

/// `creating -> active | failed`, any `-> deleting -> gone`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    Creating,
    Active,
    Deleting,
    Failed,
}

impl InstanceState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Active => "active",
            Self::Deleting => "deleting",
            Self::Failed => "failed",
        }
    }
}

impl Order {
    /// What a composer is asked for: the shape, and under the property `networks` what it calls the networks that were ordered.
    pub fn shape_for(&self, composer: &Name) -> Shape {
        let mut shape = self.shape.clone();
        if let Some(networks) = self.networks.get(composer) {
            shape.properties.insert("networks".into(), Value::Object(networks.clone()));
        }
        shape
    }

    /// What is claimed: the shape, and for a machine that is taken as it runs the property `adopt`.
    pub fn shape_to_claim(&self) -> Shape {
        let mut shape = self.shape.clone();
        if self.adopting {
            shape.properties.insert("adopt".into(), true.into());
        }
        shape
    }

    /// What this backend is told of the image; of a machine that is taken as it runs, that nothing is to be written.
    pub fn image_for(&self, backend: &Name) -> Map<String, Value> {
        if self.adopting {
            return Map::from_iter([("adopt".to_owned(), true.into())]);
        }
        self.image.backends.get(backend).cloned().unwrap_or_default()
    }

    pub fn erasure(&self) -> Erasure {
        Erasure { level: self.erase, eraser: self.eraser, let_go: self.adopting }
    }

    pub fn check(&self) -> Result<(), Invalid> {
        let host = &self.hostname;
        let letters = host.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if host.is_empty() || host.len() > 63 || !letters || host.starts_with('-') || host.ends_with('-') {
            return Err(Invalid::new("hostname", "1 to 63 characters of a-z, 0-9 and -, not at the ends"));
        }
        if self.ssh_keys.len() > 16 || self.ssh_keys.iter().any(|key| key.len() > 8192 || key.contains(['\n', '\r'])) {
            return Err(Invalid::new("ssh_keys", "at most 16 keys of one line and 8192 bytes each"));
        }
        if self.user_data.as_ref().is_some_and(|data| data.len() > 65_535) {
            return Err(Invalid::new("user_data", "at most 65535 bytes"));
        }
        if self.metadata.len() > 64 || Value::Object(self.metadata.clone()).to_string().len() > 16_384 {
            return Err(Invalid::new("metadata", "at most 64 keys and 16384 bytes"));
        }
        Ok(())
    }
}
