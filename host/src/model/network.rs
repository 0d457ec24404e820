//! What a user may connect an instance to: a name, and what each backend calls it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Name;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    pub name: Name,
    /// By backend: the object that its driver gets. The objects of several networks are laid over each other.
    pub backends: BTreeMap<Name, Map<String, Value>>,
}
