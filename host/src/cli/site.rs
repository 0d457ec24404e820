//! A site as one document: the names of its secrets, then quotas, networks, images, backends and flavors as `put` takes them.
//!
//! What a file leaves out and what the service shows come to one form here, so that they can be compared. `apply.rs` writes a site,
//! `export.rs` reads one.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Failed;
use super::client::Client;
use crate::model::{Ask, Budgets, Endpoint, Erase, Image, Limits, Name, Network, Projects, Route, Shape, SweepPolicy};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Quota,
    Network,
    Image,
    Backend,
    Flavor,
}

/// One object of a site.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Thing {
    pub(super) kind: Kind,
    pub(super) name: Name,
    /// With every field that may be left out.
    pub(super) fields: Map<String, Value>,
}

#[derive(Debug, Default)]
pub(super) struct Site {
    pub(super) secrets: BTreeSet<Name>,
    /// In the order in which they can be written, but for backends that name each other.
    pub(super) things: Vec<Thing>,
}

/// A backend as it is written. Access and grants are as the service has them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Backend {
    name: Name,
    #[serde(alias = "digest")]
    plugin: String,
    #[serde(default)]
    settings: Map<String, Value>,
    #[serde(default)]
    endpoints: BTreeMap<String, Endpoint>,
    #[serde(default)]
    access: Option<Value>,
    #[serde(default)]
    grants: Vec<Value>,
    #[serde(default)]
    sweep: SweepPolicy,
    #[serde(default)]
    budgets: Budgets,
    #[serde(default)]
    projects: Projects,
    #[serde(default)]
    requests: Option<Vec<Ask>>,
    #[serde(default)]
    limits: Limits,
}

/// A quota as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Quota {
    project: Name,
    instances: u32,
}

/// A flavor as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flavor {
    name: Name,
    #[serde(default)]
    shape: Shape,
    route: Route,
    #[serde(default)]
    erase: Erase,
    #[serde(default)]
    budgets: Budgets,
    #[serde(default)]
    projects: Projects,
}

impl Kind {
    /// In the order in which one needs the other.
    pub(super) const ALL: [Self; 5] = [Self::Quota, Self::Network, Self::Image, Self::Backend, Self::Flavor];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Quota => "quota",
            Self::Network => "network",
            Self::Image => "image",
            Self::Backend => "backend",
            Self::Flavor => "flavor",
        }
    }

    /// The field that names one.
    pub(super) fn key(self) -> &'static str {
        if self == Self::Quota { "project" } else { "name" }
    }

    /// Its list in the document, and the last word of its path.
    pub(super) fn list(self) -> &'static str {
        match self {
            Self::Quota => "quotas",
            Self::Network => "networks",
            Self::Image => "images",
            Self::Backend => "backends",
            Self::Flavor => "flavors",
        }
    }
}

impl Site {
    /// Of a document that a person wrote.
    pub(super) fn parse(mut document: Map<String, Value>) -> anyhow::Result<Self> {
        let mut site = Self::default();
        for secret in list(&mut document, "secrets")? {
            site.secrets.insert(serde_json::from_value(secret).context("secrets: a list of names")?);
        }
        for kind in Kind::ALL {
            for (n, item) in list(&mut document, kind.list())?.into_iter().enumerate() {
                let at = item[kind.key()].as_str().map_or_else(|| format!("number {}", n + 1), str::to_owned);
                let thing = Thing::parse(kind, item).with_context(|| format!("{} {at}", kind.word()))?;
                if site.thing(kind, &thing.name).is_some() {
                    bail!("{} {at} is there twice", kind.word());
                }
                site.things.push(thing);
            }
        }
        if let Some(unknown) = document.keys().next() {
            let known = "secrets, quotas, networks, images, backends, flavors";
            bail!(Failed::new(format!("{unknown:?} is no part of a site"), format!("the parts are {known}")));
        }
        Ok(site)
    }

    /// As the service has it now.
    pub(super) async fn read(client: &Client) -> anyhow::Result<Self> {
        let mut site = Self::default();
        for secret in client.list("/v1/secrets").await? {
            site.secrets.insert(serde_json::from_value(secret["name"].clone())?);
        }
        for kind in Kind::ALL {
            for item in client.list(&format!("/v1/{}", kind.list())).await? {
                let to_do = "use the command line of the service's own version";
                let shown = || Failed::new(format!("the service's {} is not understood", kind.word()), to_do);
                site.things.push(Thing::parse(kind, written(kind, item)).with_context(shown)?);
            }
        }
        Ok(site)
    }

    pub(super) fn thing(&self, kind: Kind, name: &Name) -> Option<&Thing> {
        self.things.iter().find(|thing| thing.kind == kind && thing.name == *name)
    }
}

impl Thing {
    fn parse(kind: Kind, item: Value) -> anyhow::Result<Self> {
        let value = match kind {
            Kind::Quota => whole::<Quota>(item)?,
            Kind::Network => whole::<Network>(item)?,
            Kind::Image => whole::<Image>(item)?,
            Kind::Backend => whole::<Backend>(item)?,
            Kind::Flavor => whole::<Flavor>(item)?,
        };
        let Value::Object(mut fields) = value else { bail!("it is no object") };
        // Null and nothing are one there.
        fields.get_mut("access").map(bare);
        fields.get_mut("grants").map(bare);
        let name = Name::parse(kind.key(), fields[kind.key()].as_str().unwrap_or_default())?;
        Ok(Self { kind, name, fields })
    }

    /// Where it is written.
    pub(super) fn path(&self) -> String {
        format!("/v1/{}/{}", self.kind.list(), self.name)
    }

    /// Secrets that it needs to be there.
    pub(super) fn secrets(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for part in ["endpoints", "access", "grants"] {
            self.fields.get(part).into_iter().for_each(|part| named(part, &["password_secret", "secret"], &mut found));
        }
        found
    }

    /// Backends that it needs to be there, but for itself.
    pub(super) fn backends(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        match self.kind {
            Kind::Backend => named(&self.fields["grants"], &["of"], &mut found),
            Kind::Flavor => {
                let roles = self.fields["route"].as_object().into_iter().flat_map(Map::values);
                let names = roles.filter_map(Value::as_array).flatten().filter_map(Value::as_str);
                found.extend(names.map(str::to_owned));
            }
            // What a backend that is not there would call it does no harm.
            Kind::Quota | Kind::Network | Kind::Image => {}
        }
        found.remove(self.name.as_str());
        found
    }
}

/// What the type fills in is filled in.
fn whole<T: DeserializeOwned + Serialize>(item: Value) -> anyhow::Result<Value> {
    Ok(serde_json::to_value(serde_json::from_value::<T>(item)?)?)
}

/// Of what the service shows, what a person writes.
fn written(kind: Kind, shown: Value) -> Value {
    let fields: &[_] = match kind {
        Kind::Backend => &[
            "name",
            "digest",
            "settings",
            "endpoints",
            "access",
            "grants",
            "sweep",
            "budgets",
            "requests",
            "limits",
            "projects",
        ],
        Kind::Quota => &["project", "instances"],
        Kind::Network | Kind::Image | Kind::Flavor => return shown,
    };
    let known = fields.iter().filter_map(|field| Some(((*field).to_owned(), shown.get(*field)?.clone())));
    known.collect::<Map<_, _>>().into()
}

fn list(document: &mut Map<String, Value>, part: &str) -> anyhow::Result<Vec<Value>> {
    match document.remove(part) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => bail!("{part} is no list"),
    }
}

/// Takes out every null, however deep.
fn bare(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(bare);
        }
        Value::Array(items) => items.iter_mut().for_each(bare),
        _ => {}
    }
}

/// The texts under these keys, however deep.
fn named(value: &Value, keys: &[&str], found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(name) if keys.contains(&key.as_str()) => drop(found.insert(name.clone())),
                    _ => named(value, keys, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| named(item, keys, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::json;

    fn site(document: Value) -> anyhow::Result<Site> {
        Site::parse(document.as_object().unwrap().clone())
    }

    #[test]
    fn what_is_left_out_is_as_the_service_shows_it() {
        let route = json!({"compose": ["a"], "enroll": ["b"], "deploy": ["b"]});
        let short = site(json!({"flavors": [{"name": "small", "shape": {"cores": 2}, "route": route}]})).unwrap();
        let long = json!({"flavors": [{"name": "small", "erase": "quick", "route": route, "shape": {"cores": 2, "memory_mib": 0, "disks_gib": []}}]});
        assert_eq!(short.things, site(long).unwrap().things);
    }

    #[test]
    fn what_the_service_shows_of_a_backend_is_what_was_written() {
        let auth = json!({"basic": {"username": "u", "password_secret": "s1"}});
        let file = json!({"name": "a", "plugin": "p", "endpoints": {"far": {"url": "http://f/", "auth": auth}},
            "access": {"address": "https://bmc/", "username": "u", "password_secret": "s2"}, "grants": [{"place": "x", "of": "b"}]});
        let shown = json!({"name": "a", "revision": 4, "digest": "p", "plugin": "p@1", "settings": {},
            "endpoints": {"far": {"url": "http://f/", "auth": auth, "tls": {"ca": null}}},
            "access": {"address": "https://bmc/", "username": "u", "password_secret": "s2"}, "grants": [{"place": "x", "of": "b", "secret": null}], "sweep": "report"});
        let file = Thing::parse(Kind::Backend, file).unwrap();
        assert_eq!(file, Thing::parse(Kind::Backend, written(Kind::Backend, shown)).unwrap());
        assert_eq!(file.secrets().into_iter().collect::<Vec<_>>(), ["s1", "s2"]);
        assert_eq!(file.backends().into_iter().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn each_slip_in_a_document_is_said_with_its_place() {
        let cases = [
            (json!({"flavours": []}), "\"flavours\" is no part of a site"),
            (json!({"images": {}}), "images is no list"),
            (json!({"secrets": ["Not A Name"]}), "secrets: a list of names"),
            (json!({"images": [{"name": "i", "backends": {}, "url": "x"}]}), "image i: unknown field `url`"),
            (json!({"networks": [{"backends": {}}]}), "network number 1: missing field `name`"),
            (
                json!({"images": [{"name": "i", "backends": {}}, {"name": "i", "backends": {}}]}),
                "image i is there twice",
            ),
        ];
        for (document, words) in cases {
            let error = format!("{:#}", site(document).unwrap_err());
            assert!(error.contains(words), "{error}");
        }
    }
}
