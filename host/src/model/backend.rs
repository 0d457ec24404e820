//! One far-side service that an operator bound to a driver.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Budgets, Digest, Granted, Limits, Name, Paused, Projects, RevisionId, SweepPolicy};

/// A backend as its newest revision has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Backend {
    pub name: Name,
    pub revision: Revision,
    /// An operator stopped all flows that call it, their clocks stand.
    pub paused: Option<Paused>,
}

/// Never changed once written: an operation ends on the revision it began with. Secret values are always the current ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    pub id: RevisionId,
    pub backend: Name,
    pub digest: Digest,
    pub settings: Map<String, Value>,
    pub endpoints: BTreeMap<String, Endpoint>,
    pub access: Option<Access>,
    pub grants: Vec<Grant>,
    /// What may be done about orphans there without a person's word.
    pub sweep: SweepPolicy,
    /// How long verbs may take here, where the flavor says nothing.
    pub budgets: Budgets,
    /// What its plugin may do here. None: written before plugins asked, so all that its endpoints take.
    pub granted: Option<Granted>,
    /// What its plugin's calls may use otherwise than usual.
    pub limits: Limits,
    /// Whose instances may be made here. What was ordered before goes on.
    pub projects: Projects,
}

/// Where the name in the driver's requests leads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Origin and prefix: `http` or `https`, host, port, path; no query, no user.
    pub url: String,
    #[serde(default)]
    pub auth: Auth,
    #[serde(default)]
    pub tls: Tls,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Auth {
    #[default]
    None,
    /// The gate adds it to each request; the driver never sees it.
    Basic { username: String, password_secret: Name },
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM certificates trusted for this endpoint in place of the system's.
    pub ca: Option<String>,
    /// `sha256:` and 64 hex digits of the far side's certificate: no other is taken. Alone it is trusted as it is, whoever signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
}

/// How the machines that this backend makes are managed, as the enrolling side reaches them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    pub address: String,
    pub username: String,
    pub password_secret: Name,
}

/// Lets the gate put the value of the manifest's place `place` there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    pub place: String,
    /// For `access.*`: the backend whose access it is.
    #[serde(default)]
    pub of: Option<Name>,
    /// For `secret.*`: the secret.
    #[serde(default)]
    pub secret: Option<Name>,
}
