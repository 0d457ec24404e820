//! Ironic's API: requests at the pinned microversion. What an answer means is in `said`.

use crate::node::{FIELDS, Record};
use crate::provision::Verb;
use crate::said::sort;
pub(crate) use crate::said::{Said, read};
use crate::settings::Settings;
use moganite_driver::{Endpoint, Fault, fault, info};
use serde::Deserialize;
use serde_json::{Value, json};

/// Pinned, since without the header Ironic speaks 1.1 and `latest` moves. 1.86 knows `firmware_interface`; a field that the version
/// does not know is a 406.
const VERSION: (u32, u32) = (1, 86);

/// The largest page that Ironic answers.
pub(crate) const PAGE: usize = 1_000;

pub(crate) struct Ironic {
    far: Endpoint,
}

/// What `GET /` tells.
#[derive(Debug, Deserialize)]
pub(crate) struct Versions {
    default_version: Version,
}

#[derive(Debug, Deserialize)]
struct Version {
    min_version: String,
    version: String,
}

impl Ironic {
    pub(crate) fn new() -> Self {
        let (major, minor) = VERSION;
        Self { far: Endpoint::named("ironic").header("x-openstack-ironic-api-version", format!("{major}.{minor}")) }
    }

    pub(crate) fn of(_settings: &Settings) -> Self {
        Self::new()
    }

    /// Reads the range of versions and refuses one without 1.86. Costs Ironic 3 ms and needs no credential.
    pub(crate) fn versions(&self) -> Result<Versions, Fault> {
        self.far.get("/")?.success()?.json()
    }

    /// What must be true before the first change of an operation.
    pub(crate) fn check_version(&self) -> Result<(), Fault> {
        match self.versions()?.problem() {
            None => Ok(()),
            Some(problem) => Err(fault::broken(problem)),
        }
    }

    /// A node by uuid or name; none when Ironic does not know it.
    pub(crate) fn node(&self, id: &str) -> Result<Option<Record>, Fault> {
        match self.get(&format!("/v1/nodes/{}?fields={FIELDS}", segment(id)?))? {
            Said::Done(body) => read(body).map(Some),
            Said::Missing => Ok(None),
            other => Err(other.unexpected("reading a node")),
        }
    }

    /// One page of nodes after a uuid, and whether there are more. `query` is appended as it stands (`&associated=true`).
    pub(crate) fn nodes(&self, query: &str, after: Option<&str>) -> Result<(Vec<Record>, bool), Fault> {
        #[derive(Deserialize)]
        struct List {
            nodes: Vec<Record>,
            next: Option<String>,
        }
        let after = match after {
            Some(uuid) => format!("&marker={}", segment(uuid)?),
            None => String::new(),
        };
        // Not the `next` link: behind a prefix its path has the prefix that the gate adds again.
        match self.get(&format!("/v1/nodes?fields={FIELDS}&limit={PAGE}{query}{after}"))? {
            Said::Done(body) => {
                let list: List = read(body)?;
                Ok((list.nodes, list.next.is_some()))
            }
            other => Err(other.unexpected("listing nodes")),
        }
    }

    /// Asks for a provision verb. The work is asynchronous: done means that it began. `with` is an object: what else the body says.
    pub(crate) fn provision(&self, uuid: &str, verb: Verb, with: Option<&Value>) -> Result<Said, Fault> {
        info!("node {uuid}: {}", verb.target());
        let mut body = json!({ "target": verb.target() });
        if let (Some(body), Some(Value::Object(with))) = (body.as_object_mut(), with) {
            body.extend(with.clone());
        }
        let states = if verb == Verb::PowerOff { "power" } else { "provision" };
        self.send("PUT", &format!("/v1/nodes/{}/states/{states}", segment(uuid)?), Some(&body))
    }

    pub(crate) fn power(&self, uuid: &str, target: &str) -> Result<Said, Fault> {
        info!("node {uuid}: {target}");
        let path = format!("/v1/nodes/{}/states/power", segment(uuid)?);
        self.send("PUT", &path, Some(&json!({ "target": target })))
    }

    /// Ops are `add`, `replace` and `remove` only; `test` is a 400, so there is no compare-and-set.
    pub(crate) fn patch(&self, uuid: &str, ops: &Value) -> Result<Said, Fault> {
        self.send("PATCH", &format!("/v1/nodes/{}", segment(uuid)?), Some(ops))
    }

    /// Puts a node into maintenance, or without a reason out of it.
    pub(crate) fn maintain(&self, uuid: &str, reason: Option<&str>) -> Result<Said, Fault> {
        let path = format!("/v1/nodes/{}/maintenance", segment(uuid)?);
        match reason {
            Some(reason) => self.send("PUT", &path, Some(&json!({ "reason": reason }))),
            None => self.send("DELETE", &path, None),
        }
    }

    pub(crate) fn delete(&self, uuid: &str) -> Result<Said, Fault> {
        info!("node {uuid}: delete");
        self.send("DELETE", &format!("/v1/nodes/{}", segment(uuid)?), None)
    }

    pub(crate) fn get(&self, path: &str) -> Result<Said, Fault> {
        self.send("GET", path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Said, Fault> {
        self.send("POST", path, Some(body))
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Said, Fault> {
        let body = body.map(|body| body.to_string().into_bytes());
        sort(&self.far.send(method, path, body)?)
    }
}

impl Versions {
    pub(crate) fn newest(&self) -> &str {
        &self.default_version.version
    }

    /// What to do about a range without the pinned version; none when it is in.
    pub(crate) fn problem(&self) -> Option<String> {
        let Version { min_version, version } = &self.default_version;
        let inside = parse(min_version)? <= VERSION && VERSION <= parse(version)?;
        let (major, minor) = VERSION;
        (!inside).then(|| {
            format!(
                "this driver speaks microversion {major}.{minor} and ironic serves {min_version} to {version}: use an Ironic of \
                 2023.2 or newer"
            )
        })
    }
}

fn parse(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A node's id as one segment of a path. Ironic's ids are uuids or host names; what is neither never reaches a path.
pub(crate) fn segment(id: &str) -> Result<&str, Fault> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    if !id.is_empty() && id.chars().all(fits) && id.chars().any(|c| c != '.') {
        Ok(id)
    } else {
        Err(fault::rejected(format!("{id:?} is no uuid and no name of a node in ironic")))
    }
}

/// A text as one value of a query.
pub(crate) fn encoded(text: &str) -> String {
    let mut query = String::new();
    for byte in text.bytes() {
        match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => query.push(char::from(byte)),
            byte => query.push_str(&format!("%{byte:02X}")),
        }
    }
    query
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::testing;

    #[test]
    fn an_ironic_without_the_pinned_version_is_refused_before_anything_changes() {
        let answers = |min: &str, max: &str| {
            let body = json!({ "default_version": { "min_version": min, "version": max } });
            testing::far_side(move |_| testing::reply(200, body.clone()));
            Ironic::new().check_version()
        };
        assert_eq!(answers("1.1", "1.115"), Ok(()));
        assert_eq!(answers("1.1", "1.86"), Ok(()));
        assert!(matches!(answers("1.1", "1.82"), Err(Fault::Broken(why)) if why.contains("1.82")));
        assert!(matches!(answers("1.87", "1.115"), Err(Fault::Broken(_))));
    }

    #[test]
    fn no_handle_leaves_its_segment_of_the_path() {
        assert_eq!(segment("mg-a-1"), Ok("mg-a-1"));
        assert_eq!(encoded("gold & blue-1"), "gold%20%26%20blue-1");
        for id in ["", ".", "..", "a/b", "a?b", "a%2f", "a b"] {
            assert!(matches!(segment(id), Err(Fault::Rejected(_))), "{id}");
        }
    }
}
