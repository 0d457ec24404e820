//! A backend as an operator writes it and as it is shown: the wire's shape of the model's revision.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::reason::unsaid;
use crate::lifecycle::{Granting, Requests};
use crate::model::{
    Access, Ask, Auth, Budgets, Digest, Endpoint, Grant, Limits, Name, Projects, Revision, RevisionId, SweepPolicy, Tls,
};

/// What an operator writes.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Binding)]
#[serde(deny_unknown_fields)]
pub(super) struct BindingBody {
    /// A plugin's digest, the first digits of it, its name, or name@version.
    #[serde(alias = "digest")]
    pub(super) plugin: String,
    /// As the plugin's schema has them.
    #[serde(default)]
    pub(super) settings: Map<String, Value>,
    /// By the names of the manifest's endpoints.
    #[serde(default)]
    pub(super) endpoints: BTreeMap<String, EndpointBody>,
    /// How the machines that this backend makes are managed.
    pub(super) access: Option<AccessBody>,
    /// Places of the manifest where the gate may put its values: an access, a secret, a session.
    #[serde(default)]
    pub(super) grants: Vec<GrantBody>,
    /// `report` (usual): orphans there are told. `release`: those that came late are given back by themselves, as far as the brake lets it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) sweep: SweepPolicy,
    /// Seconds that verbs may take here before they are overdue, where the flavor says nothing: compose, release, claim, unclaim, enroll,
    /// refresh, unenroll, deploy, undeploy, set-power.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, u64>)]
    pub(super) budgets: Budgets,
    /// What one call may use and how hard endpoints are leaned on, otherwise than usual: `cpu_ms`, `wall_ms`, `memory_mib`, `requests`,
    /// `bytes_out`, `bytes_in`, `at_once`, `per_second` and more; a value out of range is refused with the range.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(super) limits: Limits,
    /// Whose instances may be made here; left out: everybody's. What was ordered before goes on.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub(super) projects: Projects,
    /// Requests that the plugin may send, each with endpoint, methods and a path pattern, within what its manifest asks for. Left out:
    /// all that it asks for.
    #[schema(value_type = Option<Vec<Object>>)]
    pub(super) requests: Option<Vec<Ask>>,
    /// What the plugin asks for beyond the revision before, each line as `asks_more` of the refusal has it.
    #[serde(default)]
    pub(super) grant: Vec<String>,
    /// One line for the audit log, which keeps what is granted.
    #[serde(default = "unsaid")]
    pub(super) reason: String,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Endpoint)]
#[serde(deny_unknown_fields)]
pub(super) struct EndpointBody {
    /// http or https, host, port, path; no query, no user.
    url: String,
    /// `"none"`, or `{"basic": {"username": "...", "password_secret": "..."}}`.
    #[serde(default)]
    #[schema(value_type = Value)]
    auth: Auth,
    /// `{"ca": "PEM", "pin": "sha256:..."}`: certificates trusted here in place of the system's; the one certificate that is taken.
    #[serde(default)]
    #[schema(value_type = Object)]
    tls: Tls,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Access)]
#[serde(deny_unknown_fields)]
pub(super) struct AccessBody {
    /// As the enrolling side reaches it.
    address: String,
    username: String,
    #[schema(value_type = String)]
    password_secret: Name,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Grant)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantBody {
    place: String,
    /// The backend whose access goes there, where the place is for an access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    of: Option<Name>,
    /// The secret that goes there, where the place is for a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    secret: Option<Name>,
}

impl BindingBody {
    /// Its id is given by the store, what is granted by the lifecycle.
    pub(super) fn into_revision(self, backend: Name, digest: Digest) -> (Revision, Granting) {
        let requests = self.requests.map_or(Requests::All, Requests::Only);
        let revision = Revision {
            id: RevisionId(0),
            backend,
            digest,
            settings: self.settings,
            endpoints: self.endpoints.into_iter().map(|(name, endpoint)| (name, endpoint.into())).collect(),
            access: self.access.map(Access::from),
            grants: self.grants.into_iter().map(Grant::from).collect(),
            sweep: self.sweep,
            budgets: self.budgets,
            projects: self.projects,
            granted: None,
            limits: self.limits,
        };
        (revision, Granting { requests, more: self.grant })
    }
}

impl From<EndpointBody> for Endpoint {
    fn from(EndpointBody { url, auth, tls }: EndpointBody) -> Self {
        Self { url, auth, tls }
    }
}

impl From<Endpoint> for EndpointBody {
    fn from(Endpoint { url, auth, tls }: Endpoint) -> Self {
        Self { url, auth, tls }
    }
}

impl From<AccessBody> for Access {
    fn from(AccessBody { address, username, password_secret }: AccessBody) -> Self {
        Self { address, username, password_secret }
    }
}

impl From<Access> for AccessBody {
    fn from(Access { address, username, password_secret }: Access) -> Self {
        Self { address, username, password_secret }
    }
}

impl From<GrantBody> for Grant {
    fn from(GrantBody { place, of, secret }: GrantBody) -> Self {
        Self { place, of, secret }
    }
}

impl From<Grant> for GrantBody {
    fn from(Grant { place, of, secret }: Grant) -> Self {
        Self { place, of, secret }
    }
}
