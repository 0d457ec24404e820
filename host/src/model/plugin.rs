//! A driver as shipped: what its manifest says. The manifest is a custom section of the component, readable before compiling.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::place::{check_path, is_name};
use super::{Ask, Invalid, Place, Session, Value, covers};

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
    /// What it may send; none of them: nothing.
    #[serde(default)]
    pub requests: Vec<Ask>,
    #[serde(default)]
    pub places: Vec<Place>,
    #[serde(default)]
    pub sessions: Vec<Session>,
    /// Wall time asked for, by verb, or by `role.verb` where two roles have a verb of one name. Unit: milliseconds.
    #[serde(default)]
    pub wall_ms: BTreeMap<String, u64>,
    /// By verb or `role.verb`: the exchange that the gate must have seen in the call that answered done.
    #[serde(default)]
    pub proofs: BTreeMap<String, Proofs>,
    /// By verb of `deploy`: the states in `observe` that only another state ends. While it waits and its node shows one of these, the host looks
    /// at all nodes that are waited for together, and repeats the call when the state is another one.
    #[serde(default)]
    pub shown: BTreeMap<String, Vec<String>>,
    /// Requests that read although they are a POST: they pass also while nothing that changes something may leave the gate.
    #[serde(default)]
    pub reads: Vec<Read>,
}

/// A POST that changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    pub endpoint: String,
    pub path: String,
}

/// One exchange, or several of which any proves it: a driver with two dialects has two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Proofs {
    One(Proof),
    Any(Vec<Proof>),
}

impl Proofs {
    pub fn all(&self) -> &[Proof] {
        match self {
            Self::One(proof) => std::slice::from_ref(proof),
            Self::Any(proofs) => proofs,
        }
    }
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
        if let Some(bad) = self.endpoints.keys().find(|name| !is_name(name)) {
            return Err(Invalid::new("endpoints", format!("{bad:?} is no endpoint name: [a-z][a-z0-9-]{{0,30}}")));
        }
        for need in self.endpoints.values() {
            if let Some(bad) = need.auth.iter().find(|auth| !matches!(auth.as_str(), "none" | "basic")) {
                return Err(Invalid::new("endpoints.auth", format!("{bad:?} is neither none nor basic")));
            }
        }
        self.check_values()?;
        let places = self.places.iter().map(|place| &place.endpoint);
        let sessions = self.sessions.iter().map(|session| &session.endpoint);
        let proofs = self.proofs.values().flat_map(Proofs::all).map(|proof| &proof.endpoint);
        let reads = self.reads.iter().map(|read| &read.endpoint);
        let requests = self.requests.iter().map(|ask| &ask.endpoint);
        for endpoint in requests.chain(places).chain(sessions).chain(proofs).chain(reads) {
            if !self.endpoints.contains_key(endpoint) {
                return Err(Invalid::new("endpoint", format!("{endpoint:?} is not among the manifest's endpoints")));
            }
        }
        for ask in &self.requests {
            ask.check("requests")?;
        }
        for read in &self.reads {
            check_path("reads.path", &read.path, false)?;
        }
        self.check_asked()?;
        for proof in self.proofs.values().flat_map(Proofs::all) {
            check_path("proofs.path", &proof.path, false)?;
            if proof.status.contains(&401) {
                return Err(Invalid::new("proofs.status", "401 proves nothing: the gate answers it too"));
            }
        }
        let verbs =
            self.proofs.keys().map(|key| ("proofs", key)).chain(self.wall_ms.keys().map(|key| ("wall_ms", key)));
        for (field, key) in verbs {
            if !is_verb(key) {
                return Err(Invalid::new(field, format!("{key:?} is neither a verb nor role.verb of the contract")));
            }
        }
        match self.shown.iter().find(|(verb, states)| !can_be_shown(verb, states)) {
            Some((verb, _)) => Err(Invalid::new(
                "shown",
                format!("{verb:?}: deploy, undeploy or set-power, with 1 to 32 states of 1 to 64 bytes"),
            )),
            None => Ok(()),
        }
    }

    /// What could never be sent would never log in, read or prove anything: a slip of the vendor's.
    fn check_asked(&self) -> Result<(), Invalid> {
        let one = |endpoint: &str, method: &str, path: &str| Ask {
            endpoint: endpoint.to_owned(),
            methods: vec![method.to_owned()],
            path: path.to_owned(),
        };
        let sessions = self.sessions.iter().map(|it| ("sessions", one(&it.endpoint, &it.method, &it.path)));
        let reads = self.reads.iter().map(|it| ("reads", one(&it.endpoint, "POST", &it.path)));
        let proofs = self.proofs.values().flat_map(Proofs::all);
        let proofs = proofs.map(|it| ("proofs", one(&it.endpoint, &it.method, &it.path)));
        // Older than requests: said when it is bound.
        let mut all = sessions.chain(reads).chain(proofs).filter(|_| !self.requests.is_empty());
        match all.find(|(_, ask)| !covers(&self.requests, ask)) {
            Some((field, ask)) => Err(Invalid::new(field, format!("{ask} is not among the manifest's requests"))),
            None => Ok(()),
        }
    }

    fn check_values(&self) -> Result<(), Invalid> {
        for session in &self.sessions {
            session.check()?;
        }
        for place in &self.places {
            place.check()?;
            let name = &place.name;
            if self.places.iter().any(|other| other.name == *name && other.value != place.value) {
                return Err(Invalid::new("places", format!("two places are named {name:?} and have two values")));
            }
            if let Value::Session(wanted) = &place.value
                && !self.sessions.iter().any(|session| session.name == *wanted)
            {
                return Err(Invalid::new("places.value", format!("no session of the manifest is named {wanted:?}")));
            }
        }
        Ok(())
    }

    /// `name@version`, for people and for the user agent.
    pub fn title(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// Whether a wait of this verb of `deploy` ends with another state than this one, and not before.
    pub fn shows_wait(&self, verb: &str, state: &str) -> bool {
        self.shown.get(verb).is_some_and(|states| states.iter().any(|held| held == state))
    }

    pub fn is_exclusive(&self, verb: &str) -> bool {
        self.exclusive.iter().any(|v| v == verb)
    }
}

fn can_be_shown(verb: &str, states: &[String]) -> bool {
    matches!(verb, "deploy" | "undeploy" | "set-power")
        && (1..=32).contains(&states.len())
        && states.iter().all(|state| (1..=64).contains(&state.len()))
}

/// `find`, or `enroll.find`.
fn is_verb(key: &str) -> bool {
    const VERBS: [(&str, &[&str]); 5] = [
        ("driver", &["probe"]),
        ("compose", &["compose", "find", "list", "release"]),
        ("claim", &["claim", "find", "list", "unclaim"]),
        ("enroll", &["enroll", "find", "list", "refresh", "unenroll"]),
        ("deploy", &["deploy", "find", "list", "undeploy", "set-power", "observe"]),
    ];
    VERBS.iter().any(|(role, verbs)| match key.split_once('.') {
        Some((named, verb)) => named == *role && verbs.contains(&verb),
        None => verbs.contains(&key),
    })
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
    fn a_read_is_at_an_endpoint_of_the_manifest() {
        let with = |endpoint: &str| {
            let read = serde_json::json!({"endpoint": endpoint, "path": "/v1/nodes/list"});
            manifest(|m| m["reads"] = serde_json::json!([read])).map(|m| m.reads.len()).map_err(|e| e.field)
        };
        assert_eq!((with("ironic"), with("pod")), (Ok(1), Err("endpoint".into())));
    }

    #[test]
    fn what_a_manifest_logs_in_reads_and_proves_by_is_among_its_requests() {
        let with = |field: &str, value: Json, path: &str| {
            manifest(|m| {
                m["requests"] = serde_json::json!([{"endpoint": "ironic", "methods": ["GET", "POST"], "path": path}]);
                m[field] = value;
            })
            .map(|_| ())
            .map_err(|e| e.field)
        };
        let session = serde_json::json!([{"name": "t", "endpoint": "ironic", "method": "POST", "path": "/in", "status": [200], "pointer": "/t"}]);
        let reads = serde_json::json!([{"endpoint": "ironic", "path": "/list"}]);
        let proofs =
            serde_json::json!({"find": {"endpoint": "ironic", "method": "GET", "path": "/n/*", "status": [200]}});
        for (field, value, path) in
            [("sessions", session, "/in"), ("reads", reads, "/list"), ("proofs", proofs, "/n/*")]
        {
            assert_eq!(with(field, value.clone(), path), Ok(()), "{field}");
            assert_eq!(with(field, value.clone(), "/**"), Ok(()), "{field}");
            assert_eq!(with(field, value, "/other"), Err(field.into()));
        }
    }

    #[test]
    fn an_ask_names_methods_and_a_path_of_an_endpoint() {
        let with = |ask: Json| manifest(|m| m["requests"] = serde_json::json!([ask])).map(|_| ()).map_err(|e| e.field);
        let ask =
            |methods: Json, path: &str| serde_json::json!({"endpoint": "ironic", "methods": methods, "path": path});
        assert_eq!(with(ask(serde_json::json!(["GET"]), "/v1/**")), Ok(()));
        for methods in [serde_json::json!([]), serde_json::json!(["get"]), serde_json::json!(["CONNECT"])] {
            assert_eq!(with(ask(methods, "/v1")), Err("requests.methods".into()));
        }
        for path in ["v1", "/**/a", "//v1", "/v1/../x", "/v1?x", "http://far/"] {
            assert_eq!(with(ask(serde_json::json!(["GET"]), path)), Err("requests.path".into()), "{path}");
        }
        let elsewhere = serde_json::json!({"endpoint": "pod", "methods": ["GET"], "path": "/"});
        assert_eq!(with(elsewhere), Err("endpoint".into()));
    }

    #[test]
    fn a_proof_is_for_a_verb_that_there_is() {
        let with = |key: &str, status: u16| {
            let proof = serde_json::json!({"endpoint": "ironic", "method": "GET", "path": "/", "status": [status]});
            manifest(|m| m["proofs"] = serde_json::json!({ key: proof })).map(|_| ()).map_err(|e| e.field)
        };
        assert_eq!(with("find", 200), Ok(()));
        assert_eq!(with("enroll.find", 200), Ok(()));
        for key in ["finds", "enroll.compose", "enroll.", "ironic.find"] {
            assert_eq!(with(key, 200), Err("proofs".into()), "{key}");
        }
        assert_eq!(with("find", 401), Err("proofs.status".into()));
    }

    #[test]
    fn a_wait_is_shown_in_states_of_a_verb_that_has_a_node() {
        let with = |verb: &str, states: Json| {
            manifest(|m| m["shown"] = serde_json::json!({ verb: states }))
                .map(|m| m.shows_wait(verb, "deploying"))
                .map_err(|e| e.field)
        };
        assert_eq!(with("deploy", serde_json::json!(["deploying"])), Ok(true));
        assert_eq!(with("undeploy", serde_json::json!(["cleaning"])), Ok(false));
        for (verb, states) in [
            ("enroll", serde_json::json!(["deploying"])),
            ("deploy", serde_json::json!([])),
            ("deploy", serde_json::json!([""])),
            ("deploy", serde_json::json!(["d".repeat(65)])),
        ] {
            assert_eq!(with(verb, states), Err("shown".into()), "{verb}");
        }
    }

    #[test]
    fn a_place_that_cannot_be_meant_is_refused_by_its_field() {
        let refused = |place: Json| {
            let session = serde_json::json!({
                "name": "token", "endpoint": "ironic", "method": "POST", "path": "/login", "status": [200], "pointer": "/t"
            });
            let mut whole = serde_json::json!({
                "name": "p", "endpoint": "ironic", "methods": ["GET"], "path": "/*", "value": "session.token"
            });
            whole
                .as_object_mut()
                .into_iter()
                .for_each(|whole| whole.extend(place.as_object().cloned().unwrap_or_default()));
            manifest(|m| {
                m["sessions"] = serde_json::json!([session]);
                m["places"] = serde_json::json!([whole]);
            })
            .err()
            .map(|invalid| invalid.field)
        };
        assert_eq!(refused(serde_json::json!({"header": "x-token", "path": "/v1/**"})), None);
        assert_eq!(refused(serde_json::json!({"pointer": "/*/t", "characters": "[a-z]"})), None);
        assert_eq!(refused(serde_json::json!({})).as_deref(), Some("places"));
        assert_eq!(refused(serde_json::json!({"header": "x", "pointer": "/t"})).as_deref(), Some("places"));
        assert_eq!(refused(serde_json::json!({"pointer": "t"})).as_deref(), Some("places.pointer"));
        assert_eq!(refused(serde_json::json!({"pointer": "/t", "path": "/v1/**"})).as_deref(), Some("places.path"));
        assert_eq!(refused(serde_json::json!({"header": "x", "path": "/**/a"})).as_deref(), Some("places.path"));
        assert_eq!(refused(serde_json::json!({"header": "x", "path": "v1"})).as_deref(), Some("places.path"));
        assert_eq!(
            refused(serde_json::json!({"header": "x", "value": "session.other"})).as_deref(),
            Some("places.value")
        );
        for bad in [
            serde_json::json!({"header": "x", "value": "secret.A"}),
            serde_json::json!({"header": "x", "characters": "a+"}),
        ] {
            assert_eq!(refused(bad.clone()).as_deref(), Some("manifest"), "{bad}");
        }
    }

    #[test]
    fn an_unknown_field_is_refused_and_not_ignored() {
        assert!(manifest(|m| m["sockets"] = serde_json::json!(true)).is_err());
    }
}
