//! Ironic's API: requests at a known microversion, with a token where Keystone gives one. What an answer means is in `said`.

use crate::login::{Login, TOKEN};
use crate::node::{FIELDS, LOOKED_AT, Record};
use crate::provision::Verb;
pub(crate) use crate::said::{Said, read};
use crate::said::{sentence, sort};
use crate::settings::Settings;
use moganite_driver::{Endpoint, Fault, Reply, fault, info};
use serde::Deserialize;
use serde_json::{Value, json};
use std::cell::Cell;

/// The minor number that is spoken wherever Ironic knows it: without the header Ironic speaks 1.1, and `latest` moves. 1.86 brought
/// `firmware_interface`.
const NEWEST: u32 = 86;

/// The minor number without which this driver does not work: 1.78 brought the history of a node, in which the cause of a failure is.
const OLDEST: u32 = 78;

/// Fields of a create that an Ironic may be too old for, which is a 406, with the minor number that brought them.
const SINCE: [(&str, u32); 1] = [("firmware_interface", 86)];

/// The header that says which version a request speaks.
const VERSION: &str = "x-openstack-ironic-api-version";

/// The largest page that Ironic answers.
pub(crate) const PAGE: usize = 1_000;

pub(crate) struct Ironic {
    login: Option<Login>,
    /// The minor number that is spoken in this call.
    minor: Cell<u32>,
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
    /// As the gate authenticates it.
    #[cfg(test)]
    pub(crate) fn new() -> Self {
        Self::of(&Settings::default())
    }

    pub(crate) fn of(settings: &Settings) -> Self {
        Self { login: Login::of(settings), minor: Cell::new(NEWEST) }
    }

    /// Reads the range of versions. Costs Ironic 3 ms and needs no credential.
    pub(crate) fn versions(&self) -> Result<Versions, Fault> {
        let versions: Versions = Endpoint::named("ironic").get("/")?.success()?.json()?;
        if let Some(minor) = versions.spoken() {
            self.minor.set(minor);
        }
        Ok(versions)
    }

    /// What must be true before the first change of an operation: Ironic serves a version that this driver speaks.
    pub(crate) fn check_version(&self) -> Result<(), Fault> {
        match self.versions()?.problem() {
            None => Ok(()),
            Some(problem) => Err(fault::broken(problem)),
        }
    }

    /// Whether the Ironic of this call knows a field of a create.
    pub(crate) fn knows(&self, field: &str) -> bool {
        SINCE.iter().all(|(name, since)| *name != field || *since <= self.minor.get())
    }

    /// A node by uuid or name; none when Ironic does not know it.
    pub(crate) fn node(&self, id: &str) -> Result<Option<Record>, Fault> {
        self.node_with(id, FIELDS)
    }

    /// The same, with what a look needs.
    pub(crate) fn look_at(&self, id: &str) -> Result<Option<Record>, Fault> {
        self.node_with(id, LOOKED_AT)
    }

    fn node_with(&self, id: &str, fields: &str) -> Result<Option<Record>, Fault> {
        match self.get(&format!("/v1/nodes/{}?fields={fields}", segment(id)?))? {
            Said::Done(body) => read(body).map(Some),
            Said::Missing => Ok(None),
            other => Err(other.unexpected("reading a node")),
        }
    }

    /// One page of nodes after a uuid, and whether there are more. `query` is appended as it stands (`&associated=true`).
    pub(crate) fn nodes(&self, query: &str, after: Option<&str>) -> Result<(Vec<Record>, bool), Fault> {
        self.nodes_with(FIELDS, query, after)
    }

    /// The same of all nodes, with what a look needs.
    pub(crate) fn look_at_all(&self, after: Option<&str>) -> Result<(Vec<Record>, bool), Fault> {
        self.nodes_with(LOOKED_AT, "", after)
    }

    fn nodes_with(&self, fields: &str, query: &str, after: Option<&str>) -> Result<(Vec<Record>, bool), Fault> {
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
        match self.get(&format!("/v1/nodes?fields={fields}&limit={PAGE}{query}{after}"))? {
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
        let mut reply = self.exchange(method, path, body.clone())?;
        if let Some(newest) = too_new(&reply, self.minor.get()) {
            // Nothing was done: the version is looked at before anything else.
            self.minor.set(newest);
            reply = self.exchange(method, path, body)?;
        }
        sort(&reply)
    }

    /// One exchange. A token that is not taken is renewed once.
    fn exchange(&self, method: &str, path: &str, body: Option<Vec<u8>>) -> Result<Reply, Fault> {
        let mut far = Endpoint::named("ironic").header(VERSION, format!("1.{}", self.minor.get()));
        let Some(login) = &self.login else {
            return far.send(method, path, body);
        };
        far = far.header(TOKEN.0, TOKEN.1);
        let reply = far.send(method, path, body.clone())?;
        if reply.status != 401 {
            return Ok(reply);
        }
        login.renew()?;
        let reply = far.send(method, path, body)?;
        if reply.status == 401 {
            let words = sentence(&reply.text());
            // It may have ended on the way, where tokens live for seconds.
            return Err(fault::retry(format!("ironic does not take the token that keystone has just given: {words}")));
        }
        Ok(reply)
    }
}

impl Versions {
    /// The newest version that Ironic serves.
    pub(crate) fn newest(&self) -> &str {
        &self.default_version.version
    }

    /// The newest minor number that both know; none when they share none that this driver can do with.
    pub(crate) fn spoken(&self) -> Option<u32> {
        let spoken = parse(&self.default_version.version)?.min(NEWEST);
        let oldest = parse(&self.default_version.min_version)?.max(OLDEST);
        (oldest..=NEWEST).contains(&spoken).then_some(spoken)
    }

    /// What to do about a range that shares no version with this driver's; none when it does.
    pub(crate) fn problem(&self) -> Option<String> {
        let Version { min_version, version } = &self.default_version;
        self.spoken().is_none().then(|| {
            format!(
                "this driver speaks the microversions 1.{OLDEST} to 1.{NEWEST} and ironic serves {min_version} to {version}: use an \
                 Ironic of 2021.2 (18.2) or newer"
            )
        })
    }
}

/// The minor number of a version whose major number is 1.
fn parse(version: &str) -> Option<u32> {
    version.strip_prefix("1.")?.parse().ok()
}

/// The newest minor number of an Ironic that refused this one as too new, if it is one that this driver can do with.
fn too_new(reply: &Reply, minor: u32) -> Option<u32> {
    let newest = parse(reply.header("x-openstack-ironic-api-maximum-version")?)?;
    (reply.status == 406 && newest < minor && newest >= OLDEST).then_some(newest)
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
        assert_eq!(answers("1.1", "1.78"), Ok(()));
        assert!(matches!(answers("1.1", "1.77"), Err(Fault::Broken(why)) if why.contains("1.77")));
        assert!(matches!(answers("1.87", "1.115"), Err(Fault::Broken(_))));
    }

    #[test]
    fn an_older_ironic_is_spoken_to_at_its_newest_version_and_not_told_what_it_does_not_know() {
        testing::far_side(|request| {
            let asked = request.headers.iter().find(|(name, _)| name == VERSION).map(|(_, version)| version.clone());
            if asked.as_deref() == Some("1.82") {
                return testing::reply(200, json!({ "nodes": [] }));
            }
            let mut refused = testing::reply(406, json!({ "error_message": "Version 1.86 was requested" }))?;
            refused.headers.push(("x-openstack-ironic-api-maximum-version".into(), "1.82".into()));
            Ok(refused)
        });
        let ironic = Ironic::new();
        assert!(ironic.knows("firmware_interface"));
        assert!(matches!(ironic.get("/v1/nodes"), Ok(Said::Done(_))));
        assert!(!ironic.knows("firmware_interface") && ironic.knows("name"));
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
