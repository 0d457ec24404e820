//! What a manifest asks for, what an operator granted of it, and what another manifest asks for beyond that.
//!
//! Nothing here sends or denies: the gate does, by the same patterns.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::place::check_path;
use super::{Invalid, Manifest, Place, Proofs, Read, Session};

/// Requests that a driver may send.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    pub endpoint: String,
    /// Of GET, HEAD, POST, PUT, PATCH and DELETE.
    pub methods: Vec<String>,
    /// `*` stands for one segment, a last `**` for one and all that may follow; the query is not looked at.
    pub path: String,
}

/// All that a manifest asks for. What is not in it, its driver does not get.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Asks {
    pub endpoints: BTreeSet<String>,
    pub requests: Vec<Ask>,
    pub places: Vec<Place>,
    pub sessions: Vec<Session>,
    /// POSTs that pass while nothing that changes something may.
    pub reads: Vec<Read>,
    /// Milliseconds by verb.
    pub wall_ms: BTreeMap<String, u64>,
    /// Verbs whose done is believed only with a proof.
    pub proven: BTreeSet<String>,
}

/// What an operator granted a backend's plugin, as it stands in a revision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Granted {
    /// What the plugin asked for when the operator said yes.
    pub asks: Asks,
    /// How far requests go, where the operator gave fewer than were asked for. Both must fit at the gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Vec<Ask>>,
}

/// One thing that is asked for and was not granted. Its words are what an operator repeats to grant it.
#[derive(Debug, Clone, PartialEq)]
pub enum More {
    Endpoint(String),
    /// Of one method.
    Request(Ask),
    Place(Place),
    Session(Session),
    Read(Read),
    Wall {
        verb: String,
        ms: u64,
    },
    /// A done that needed a proof is to be believed without one.
    Unproven(String),
}

impl Ask {
    const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

    /// `field`: where it stands, for the error.
    pub fn check(&self, field: &str) -> Result<(), Invalid> {
        if self.methods.is_empty() {
            return Err(Invalid::new(format!("{field}.methods"), "at least one method, such as [\"GET\"]"));
        }
        if let Some(bad) = self.methods.iter().find(|method| !Self::METHODS.contains(&method.as_str())) {
            return Err(Invalid::new(
                format!("{field}.methods"),
                format!("{bad:?} is none of {}", Self::METHODS.join(", ")),
            ));
        }
        check_path(&format!("{field}.path"), &self.path, true)?;
        let inner = self.path[1..].split('/').collect::<Vec<_>>();
        let last = inner.len() - 1;
        let is_odd =
            |(at, segment): (usize, &&str)| matches!(*segment, "." | "..") || (segment.is_empty() && at < last);
        if self.path.contains(['?', '#', '%', '\\']) || inner.iter().enumerate().any(is_odd) {
            let rule = "segments without dots alone, empty ones, queries and escapes";
            return Err(Invalid::new(format!("{field}.path"), format!("{:?}: {rule}", self.path)));
        }
        Ok(())
    }

    /// One for each of its methods.
    fn each(&self) -> impl Iterator<Item = Self> + '_ {
        self.methods.iter().map(|method| Self { methods: vec![method.clone()], ..self.clone() })
    }
}

/// Whether some of `asks` lets through all that `narrow` would.
pub fn covers(asks: &[Ask], narrow: &Ask) -> bool {
    narrow.each().all(|one| {
        let is_wider = |ask: &Ask| {
            ask.endpoint == one.endpoint
                && ask.methods.contains(&one.methods[0])
                && is_path_within(&one.path, &ask.path)
        };
        asks.iter().any(is_wider)
    })
}

/// Whether every path that is like `narrow` is like `wide`.
fn is_path_within(narrow: &str, wide: &str) -> bool {
    let (mut narrow, mut wide) = (narrow.split('/'), wide.split('/'));
    loop {
        match (narrow.next(), wide.next()) {
            (None, None) => return true,
            (Some(_), Some("**")) => return true,
            (Some("**"), _) => return false,
            (Some(one), Some("*")) if !one.is_empty() => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

impl Asks {
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            endpoints: manifest.endpoints.keys().cloned().collect(),
            requests: manifest.requests.clone(),
            places: manifest.places.clone(),
            sessions: manifest.sessions.clone(),
            reads: manifest.reads.clone(),
            wall_ms: manifest.wall_ms.clone(),
            proven: manifest
                .proofs
                .iter()
                .filter(|(_, proofs)| !is_empty(proofs))
                .map(|(verb, _)| verb.clone())
                .collect(),
        }
    }

    /// What this asks for beyond `granted`, in a fixed order. Empty: nothing more.
    pub fn beyond(&self, granted: &Self) -> Vec<More> {
        let mut more = Vec::new();
        more.extend(self.endpoints.difference(&granted.endpoints).cloned().map(More::Endpoint));
        let requests = self.requests.iter().flat_map(Ask::each);
        more.extend(requests.filter(|ask| !covers(&granted.requests, ask)).map(More::Request));
        let is_granted = |place: &Place| granted.places.iter().any(|other| is_place_within(place, other));
        more.extend(self.places.iter().filter(|place| !is_granted(place)).cloned().map(More::Place));
        more.extend(self.sessions.iter().filter(|it| !granted.sessions.contains(it)).cloned().map(More::Session));
        let is_read = |read: &Read| {
            granted.reads.iter().any(|it| it.endpoint == read.endpoint && is_path_within(&read.path, &it.path))
        };
        more.extend(self.reads.iter().filter(|read| !is_read(read)).cloned().map(More::Read));
        let longer = self.wall_ms.iter().filter(|(verb, ms)| granted.wall_ms.get(*verb).is_none_or(|had| had < *ms));
        more.extend(longer.map(|(verb, ms)| More::Wall { verb: verb.clone(), ms: *ms }));
        more.extend(granted.proven.difference(&self.proven).cloned().map(More::Unproven));
        more
    }
}

impl Granted {
    /// Whether everything that is asked for is granted.
    pub fn is_whole(&self) -> bool {
        self.requests.is_none()
    }
}

fn is_empty(proofs: &Proofs) -> bool {
    proofs.all().is_empty()
}

/// Same value into the same spot of fewer or as many requests, under no looser rule.
fn is_place_within(place: &Place, granted: &Place) -> bool {
    let spot = |it: &Place| (it.name.clone(), it.value.clone(), it.pointer.clone(), it.header.clone());
    let requests =
        |it: &Place| Ask { endpoint: it.endpoint.clone(), methods: it.methods.clone(), path: it.path.clone() };
    spot(place) == spot(granted)
        && covers(&[requests(granted)], &requests(place))
        && (granted.characters.is_none() || place.characters == granted.characters)
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} http://{}{}", self.methods.join(","), self.endpoint, self.path)
    }
}

impl fmt::Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(name) => write!(f, "endpoint {name}"),
            Self::Request(ask) => write!(f, "request {ask}"),
            Self::Place(place) => {
                let Place { name, endpoint, methods, path, value, .. } = place;
                let spot = match (&place.header, &place.pointer) {
                    (Some(header), _) => format!("header {header}"),
                    (None, pointer) => format!("body {}", pointer.as_deref().unwrap_or_default()),
                };
                let any = if place.characters.is_none() { "" } else { ", of its characters" };
                write!(f, "place {name}: {value} into {spot} of {} http://{endpoint}{path}{any}", methods.join(","))
            }
            Self::Session(session) => {
                let Session { name, endpoint, method, path, .. } = session;
                let spot = session.header.as_deref().or(session.pointer.as_deref()).unwrap_or_default();
                write!(f, "session {name}: {spot} of {method} http://{endpoint}{path}")
            }
            Self::Read(read) => write!(f, "read POST http://{}{}", read.endpoint, read.path),
            Self::Wall { verb, ms } => write!(f, "wall {verb}: {ms} ms"),
            Self::Unproven(verb) => write!(f, "unproven {verb}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::{Value as Json, json};

    fn ask(methods: &[&str], path: &str) -> Ask {
        let methods = methods.iter().map(|method| (*method).to_owned()).collect();
        Ask { endpoint: "far".into(), methods, path: path.into() }
    }

    #[test]
    fn a_pattern_is_within_one_that_lets_all_of_its_paths_through() {
        for (narrow, wide) in [
            ("/v1/nodes", "/v1/nodes"),
            ("/v1/nodes", "/v1/*"),
            ("/v1/nodes", "/v1/**"),
            ("/v1/*", "/v1/*"),
            ("/v1/*", "/v1/**"),
            ("/v1/**", "/v1/**"),
            ("/v1/nodes/**", "/v1/**"),
            ("/v1/nodes/*/states", "/v1/*/*/states"),
            ("/", "/**"),
        ] {
            assert!(is_path_within(narrow, wide), "{narrow} in {wide}");
        }
        for (narrow, wide) in [
            ("/v1/*", "/v1/nodes"),
            ("/v1/**", "/v1/*"),
            ("/v1/**", "/v1/nodes/**"),
            ("/v1", "/v1/**"),
            ("/v1/", "/v1/*"),
            ("/v1/nodes/7", "/v1/*"),
            ("/v2/nodes", "/v1/*"),
            ("/v1/nodes/", "/v1/nodes"),
        ] {
            assert!(!is_path_within(narrow, wide), "{narrow} in {wide}");
        }
    }

    #[test]
    fn each_method_may_be_covered_by_another_ask() {
        let asks = [ask(&["GET"], "/v1/**"), ask(&["POST"], "/v1/nodes")];
        assert!(covers(&asks, &ask(&["GET", "POST"], "/v1/nodes")));
        assert!(!covers(&asks, &ask(&["GET", "POST"], "/v1/ports")));
        assert!(!covers(&asks, &ask(&["DELETE"], "/v1/nodes")));
        assert!(!covers(&asks, &Ask { endpoint: "other".into(), ..ask(&["GET"], "/v1/nodes") }));
    }

    fn manifest(change: impl FnOnce(&mut Json)) -> Asks {
        let mut whole = json!({
            "name": "p", "version": "0.1.0", "vendor": "v", "description": "d", "settings": {},
            "endpoints": {"far": {"description": "d"}},
            "requests": [{"endpoint": "far", "methods": ["GET", "POST"], "path": "/v1/**"}],
            "places": [{"name": "pw", "endpoint": "far", "methods": ["POST"], "path": "/v1/login", "pointer": "/p",
                "value": "secret.password", "characters": "[a-z]"}],
            "sessions": [{"name": "token", "endpoint": "far", "method": "POST", "path": "/v1/login", "status": [200], "pointer": "/t"}],
            "reads": [{"endpoint": "far", "path": "/v1/list"}],
            "wall_ms": {"compose": 60000},
            "proofs": {"compose": {"endpoint": "far", "method": "GET", "path": "/v1/nodes/*", "status": [200]}}
        });
        change(&mut whole);
        Asks::of(&Manifest::parse(whole.to_string().as_bytes()).unwrap())
    }

    /// The words of what a changed manifest asks for beyond the first.
    fn more(change: impl FnOnce(&mut Json)) -> Vec<String> {
        manifest(change).beyond(&manifest(|_| ())).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_a_new_manifest_asks_for_beyond_the_old_is_told_piece_by_piece() {
        let grown = |words: &str, change: fn(&mut Json)| assert_eq!(more(change), [words]);
        grown("endpoint other", |m| m["endpoints"]["other"] = json!({"description": "d"}));
        grown("request DELETE http://far/v1/nodes/*", |m| {
            m["requests"]
                .as_array_mut()
                .unwrap()
                .push(json!({"endpoint": "far", "methods": ["GET", "DELETE"], "path": "/v1/nodes/*"}));
        });
        grown("place pw: secret.password into body /p of POST http://far/v1/other, of its characters", |m| {
            m["places"][0]["path"] = json!("/v1/other");
        });
        grown("place pw: secret.password into body /p of POST http://far/v1/login", |m| {
            m["places"][0].as_object_mut().unwrap().remove("characters");
        });
        grown("session token: /other of POST http://far/v1/login", |m| m["sessions"][0]["pointer"] = json!("/other"));
        grown("read POST http://far/v1/erase", |m| {
            m["reads"].as_array_mut().unwrap().push(json!({"endpoint": "far", "path": "/v1/erase"}));
        });
        grown("wall compose: 60001 ms", |m| m["wall_ms"]["compose"] = json!(60_001));
        grown("wall release: 1 ms", |m| m["wall_ms"]["release"] = json!(1));
        grown("unproven compose", |m| m["proofs"] = json!({}));
    }

    #[test]
    fn a_manifest_that_asks_for_as_much_or_less_asks_for_nothing_more() {
        assert_eq!(more(|_| ()), Vec::<String>::new());
        let less = more(|m| {
            m["requests"] = json!([{"endpoint": "far", "methods": ["GET"], "path": "/v1/nodes/*"},
                {"endpoint": "far", "methods": ["POST"], "path": "/v1/login"}, {"endpoint": "far", "methods": ["POST"], "path": "/v1/list"}]);
            m["reads"] = json!([]);
            m["wall_ms"] = json!({"compose": 1});
            m["version"] = json!("0.2.0");
        });
        assert_eq!(less, Vec::<String>::new());
    }
}
