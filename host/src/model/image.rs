//! What a user may put on a node: a name, and what each backend calls it. A user never gives a URL.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Name;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    pub name: Name,
    /// By deploying backend: the object that its driver gets, such as `{"boot_iso": "http://..."}`.
    pub backends: BTreeMap<Name, Map<String, Value>>,
}
