//! A driver as shipped: what its manifest says. The manifest is a custom section of the component, readable before compiling.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::Invalid;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `[a-z][a-z0-9-]{0,62}`.
    pub name: String,
    /// Three numbers with dots.
    pub version: String,
    pub vendor: String,
    pub description: String,
    /// JSON Schema of a backend's settings.
    pub settings: Json,
    /// Checkpoint formats that it reads; the first is the one it writes.
    #[serde(default)]
    pub checkpoints: Vec<String>,
    /// Verbs of which one operation at a time may run per backend, from first call to done.
    #[serde(default)]
    pub exclusive: Vec<String>,
    #[serde(default)]
    pub endpoints: BTreeMap<String, EndpointNeed>,
    #[serde(default)]
    pub places: Vec<Place>,
    /// Wall time asked for, by verb. Unit: milliseconds.
    #[serde(default)]
    pub wall_ms: BTreeMap<String, u64>,
    /// By verb: the exchange that the gate must have seen in the call that answered done.
    #[serde(default)]
    pub proofs: BTreeMap<String, Proof>,
}

/// A far side that the driver wants to speak to. The key is the authority in the guest's requests, `[a-z][a-z0-9-]{0,30}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointNeed {
    pub description: String,
    /// What the operator may bind: `none`, `basic`.
    #[serde(default)]
    pub auth: Vec<String>,
    #[serde(default = "yes")]
    pub required: bool,
}

/// Where the gate may put a value in the guest's request, once the operator granted it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    pub name: String,
    pub endpoint: String,
    pub methods: Vec<String>,
    /// `*` stands for one segment; the query is not looked at.
    pub path: String,
    /// Into the request's JSON body; the string there must be exactly the placeholder.
    pub pointer: String,
    pub value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Value {
    #[serde(rename = "access.address")]
    AccessAddress,
    #[serde(rename = "access.username")]
    AccessUsername,
    #[serde(rename = "access.password")]
    AccessPassword,
}

impl Value {
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::AccessAddress => "{{access.address}}",
            Self::AccessUsername => "{{access.username}}",
            Self::AccessPassword => "{{access.password}}",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    pub endpoint: String,
    pub method: String,
    pub path: String,
    pub status: Vec<u16>,
}

impl Manifest {
    /// The name of the custom section.
    pub const SECTION: &str = "moganite:manifest";
    /// Bytes of it, at most.
    pub const MAX: usize = 256 * 1024;

    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        if bytes.len() > Self::MAX {
            return Err(Invalid::new("manifest", "at most 256 KiB"));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|e| Invalid::new("manifest", e.to_string()))?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), Invalid> {
        super::Name::parse("name", &self.name)?;
        let numbers: Vec<_> = self.version.split('.').collect();
        if numbers.len() != 3 || numbers.iter().any(|n| n.parse::<u32>().is_err()) {
            return Err(Invalid::new("version", "three numbers with dots, such as 0.1.0"));
        }
        if let Some(bad) = self.endpoints.keys().find(|name| !is_endpoint(name)) {
            return Err(Invalid::new("endpoints", format!("{bad:?} is no endpoint name: [a-z][a-z0-9-]{{0,30}}")));
        }
        for need in self.endpoints.values() {
            if let Some(bad) = need.auth.iter().find(|auth| !matches!(auth.as_str(), "none" | "basic")) {
                return Err(Invalid::new("endpoints.auth", format!("{bad:?} is neither none nor basic")));
            }
        }
        let named = self.places.iter().map(|p| &p.endpoint).chain(self.proofs.values().map(|p| &p.endpoint));
        for endpoint in named {
            if !self.endpoints.contains_key(endpoint) {
                return Err(Invalid::new("endpoint", format!("{endpoint:?} is not among the manifest's endpoints")));
            }
        }
        if let Some(bad) = self.places.iter().find(|p| !p.pointer.starts_with('/')) {
            return Err(Invalid::new("places.pointer", format!("{:?} is no JSON pointer", bad.pointer)));
        }
        Ok(())
    }

    /// `name@version`, for people and for the user agent.
    pub fn title(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    pub fn is_exclusive(&self, verb: &str) -> bool {
        self.exclusive.iter().any(|v| v == verb)
    }

    /// The settings' schema as an object, for showing.
    pub fn schema(&self) -> Map<String, Json> {
        self.settings.as_object().cloned().unwrap_or_default()
    }
}

fn is_endpoint(name: &str) -> bool {
    name.len() <= 31
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(change: impl FnOnce(&mut Json)) -> Result<Manifest, Invalid> {
        let mut value = serde_json::json!({
            "name": "ironic", "version": "0.1.0", "vendor": "moganite", "description": "speaks to Ironic",
            "settings": {"type": "object"}, "endpoints": {"ironic": {"description": "its API", "auth": ["none", "basic"]}}
        });
        change(&mut value);
        Manifest::parse(value.to_string().as_bytes())
    }

    #[test]
    fn a_proof_at_an_unknown_endpoint_is_refused() {
        assert!(manifest(|_| ()).is_ok());
        let bad = manifest(|m| {
            m["proofs"] =
                serde_json::json!({"release": {"endpoint": "pod", "method": "GET", "path": "/", "status": [404]}})
        });
        assert_eq!(bad.map_err(|e| e.field), Err("endpoint".into()));
    }

    #[test]
    fn an_unknown_field_is_refused_and_not_ignored() {
        assert!(manifest(|m| m["sockets"] = serde_json::json!(true)).is_err());
    }
}
