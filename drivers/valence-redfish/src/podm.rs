//! The pod manager, through the proxy at Valence's root (`/Nodes`, `/Systems`: not under /v1). It is the second
//! opinion: Valence's record may be stale, and a node's index is given again after a delete, so only the pod manager's
//! own UUID and Name tell whose a node is. Shapes are those of Intel RSD's ComposedNode.

use crate::valence::Record;
use moganite_driver::{Endpoint, Fault, fault};
use serde::Deserialize;
use serde_json::Value;

/// The host bounds the requests of a call (32 by default); a scan leaves room for the rest of it.
const LONGEST_SCAN: usize = 20;

pub(crate) struct Podm {
    endpoint: Endpoint,
}

/// A composed node as the pod manager has it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct PodNode {
    #[serde(skip)]
    pub(crate) index: String,
    #[serde(rename = "Name")]
    pub(crate) name: String,
    #[serde(rename = "UUID")]
    pub(crate) uuid: Option<String>,
    /// Allocating, Allocated, Assembling, Assembled or Failed.
    #[serde(rename = "ComposedNodeState")]
    pub(crate) state: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct System {
    #[serde(rename = "UUID")]
    pub(crate) uuid: Option<String>,
    #[serde(rename = "SerialNumber")]
    pub(crate) serial: Option<String>,
}

/// Where a node of ours can be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hint<'a> {
    pub(crate) index: Option<&'a str>,
    /// The pod manager's nodes before we asked for ours.
    pub(crate) seen: Option<&'a [String]>,
}

impl Podm {
    pub(crate) fn behind(endpoint: Endpoint) -> Self {
        Self { endpoint }
    }

    /// The indexes of all its nodes: the last segment of each member's link.
    pub(crate) fn indexes(&self) -> Result<Vec<String>, Fault> {
        let nodes: Value = self.endpoint.get("/Nodes")?.success()?.json()?;
        let members = nodes["Members"]
            .as_array()
            .ok_or_else(|| fault::retry("the pod manager behind Valence's proxy answered /Nodes without Members"))?;
        let index =
            |member: &Value| Some(member["@odata.id"].as_str()?.trim_end_matches('/').rsplit('/').next()?.to_owned());
        Ok(members.iter().filter_map(index).collect())
    }

    pub(crate) fn node(&self, index: &str) -> Result<Option<PodNode>, Fault> {
        let reply = self.endpoint.get(&format!("/Nodes/{index}"))?;
        if reply.status == 404 {
            return Ok(None);
        }
        let node: PodNode = reply.success()?.json()?;
        Ok(Some(PodNode { index: index.to_owned(), ..node }))
    }

    /// The nodes that bear the mark though no record of Valence leads to them.
    ///
    /// One request a node, so only where ours can be: at the index that is known; else among what came after our
    /// intent; else among what Valence does not know.
    pub(crate) fn orphans(&self, mark: &str, records: &[Record], hint: Hint<'_>) -> Result<Vec<PodNode>, Fault> {
        if let Some(index) = hint.index {
            return Ok(self.node(index)?.into_iter().filter(|node| node.name == mark).collect());
        }
        let mut indexes = self.indexes()?;
        if let Some(seen) = hint.seen {
            indexes.retain(|index| !seen.contains(index));
        }
        if hint.seen.is_none() || indexes.len() > LONGEST_SCAN {
            indexes.retain(|index| !records.iter().any(|record| record.index == *index));
        }
        if indexes.len() > LONGEST_SCAN {
            return Err(fault::broken(format!(
                "the pod manager has {} nodes that Valence does not know, too many to look through for {mark}",
                indexes.len()
            )));
        }
        let mut found = Vec::new();
        for index in indexes {
            found.extend(self.node(&index)?.filter(|node| node.name == mark));
        }
        Ok(found)
    }

    /// Of a node that was just seen to be ours. False: not now; the pod manager takes it from Allocated, Assembled and
    /// Failed only. Whether it is gone is seen by looking again.
    pub(crate) fn delete(&self, index: &str) -> Result<bool, Fault> {
        let reply = self.endpoint.delete(&format!("/Nodes/{index}"))?;
        match reply.status {
            404 => Ok(true),
            409 => Ok(false),
            _ => reply.success().map(|_| true),
        }
    }

    /// The computer system of a node by its link; none where the proxy does not show it.
    pub(crate) fn system(&self, link: &str) -> Result<Option<System>, Fault> {
        let Some(at) = link.find("/Systems/") else {
            return Ok(None);
        };
        let reply = self.endpoint.get(&link[at..])?;
        Ok(if reply.is_success() { reply.json().ok() } else { None })
    }
}

impl PodNode {
    /// Ours by name, and by uuid where it is known from before.
    pub(crate) fn is_ours(&self, mark: &str, podm_uuid: Option<&str>) -> bool {
        self.name == mark && (podm_uuid.is_none() || self.uuid.as_deref() == podm_uuid)
    }
}
