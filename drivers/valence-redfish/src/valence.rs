//! Valence's REST, v1: the requests that this driver sends. `answer.rs` judges what comes back.

use crate::answer::{self, Asked, Deleted};
use moganite_driver::{Endpoint, Fault, fault};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) struct Valence {
    endpoint: Endpoint,
    pub(crate) podm_id: Option<String>,
}

/// Valence's record of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) uuid: String,
    pub(crate) index: String,
    pub(crate) name: String,
}

/// A node in full: Valence reads it from the pod manager while it answers. The release's has no `node_state` and no
/// `metadata`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Detail {
    pub(crate) name: String,
    pub(crate) index: String,
    pub(crate) node_state: Option<String>,
    pub(crate) computer_system: Value,
    pub(crate) metadata: Value,
    pub(crate) mac_address: Option<String>,
    pub(crate) serial_number: Option<String>,
}

impl Valence {
    pub(crate) fn at(endpoint: Endpoint, podm_id: Option<String>) -> Self {
        Self { endpoint, podm_id }
    }

    pub(crate) fn is_release(&self) -> bool {
        self.podm_id.is_some()
    }

    pub(crate) fn versions(&self) -> Result<Value, Fault> {
        self.endpoint.get("/")?.success()?.json()
    }

    /// All records. A bare array, order unstable, no pages; a filter that one record lacks is answered 500, so none is
    /// sent.
    pub(crate) fn records(&self) -> Result<Vec<Record>, Fault> {
        self.endpoint.get("/v1/nodes")?.success()?.json()
    }

    /// None when Valence or its pod manager does not know it.
    pub(crate) fn detail(&self, uuid: &str) -> Result<Option<Detail>, Fault> {
        let reply = self.endpoint.get(&format!("/v1/nodes/{uuid}"))?;
        if reply.status == 404 {
            return Ok(None);
        }
        let reply = reply.success()?;
        if answer::is_error(&reply) {
            return Err(fault::retry(reply.sentence()));
        }
        reply.json().map(Some)
    }

    /// Not idempotent: repeated, it makes a second node of the same name.
    pub(crate) fn compose(&self, mark: &str, properties: Value) -> Asked {
        let mut body = json!({ "name": mark, "description": "made by moganite", "properties": properties });
        self.add_podm_id(&mut body);
        self.ask("/v1/nodes", &body, mark)
    }

    /// Makes a record for a node that the pod manager has already.
    pub(crate) fn manage(&self, index: &str, mark: &str) -> Asked {
        let mut body = json!({ "node_index": index });
        self.add_podm_id(&mut body);
        self.ask("/v1/nodes/manage", &body, mark)
    }

    pub(crate) fn delete(&self, uuid: &str) -> Result<Deleted, Fault> {
        answer::deleted(&self.endpoint.delete(&format!("/v1/nodes/{uuid}"))?)
    }

    /// Whether the pod manager's driver is the release's Redfish driver, which has empty bodies: it answers `null`
    /// where others answer a list. The pod manager's record would say it too, but shows a password.
    pub(crate) fn composes_nothing(&self) -> Result<bool, Fault> {
        let Some(podm_id) = &self.podm_id else {
            return Ok(false);
        };
        // This Valence reads the body of a GET.
        let body = json!({ "podm_id": podm_id }).to_string().into_bytes();
        let reply = self.endpoint.send("GET", "/v1/systems", Some(body))?;
        Ok(reply.is_success() && reply.text().trim() == "null")
    }

    /// The release's pooled devices that belong to a node.
    pub(crate) fn devices_of(&self, index: &str) -> Result<Vec<Value>, Fault> {
        let devices: Vec<Value> = self.endpoint.get("/v1/devices")?.success()?.json()?;
        Ok(devices.into_iter().filter(|device| device["node_id"] == index).collect())
    }

    fn ask(&self, path: &str, body: &Value, mark: &str) -> Asked {
        match self.endpoint.post(path, body) {
            Ok(reply) => answer::judge(&reply, mark, self.is_release()),
            Err(Fault::Retry((sentence, _))) => Asked::Unknown(sentence),
            Err(fault) => Asked::Refused { fault, passing: false },
        }
    }

    fn add_podm_id(&self, body: &mut Value) {
        if let Some(podm_id) = &self.podm_id {
            body["podm_id"] = podm_id.clone().into();
        }
    }
}
