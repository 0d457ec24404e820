//! `export`: the site as one document, for `apply` on this service or another. Secrets are named and never shown.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::{Map, Value, json};

use super::client::Client;
use super::output::{Format, say};
use super::site::{Kind, Site};
use crate::model::{Endpoint, Name, Shape, SweepPolicy};

const HEAD: &str = "\
# A moganite site, as `moganite export` wrote it: `moganite apply -f FILE` brings a service to it.
# Secrets are named here and set apart: `moganite secret set NAME`.";

/// Its parts in the order in which `apply` writes them.
#[derive(Serialize)]
struct Document {
    secrets: BTreeSet<Name>,
    quotas: Vec<Item>,
    networks: Vec<Item>,
    images: Vec<Item>,
    backends: Vec<Item>,
    flavors: Vec<Item>,
}

/// The name stands first.
struct Item(Map<String, Value>);

pub(super) async fn run(client: &Client, output: Format) -> anyhow::Result<()> {
    let titles = titles(client).await?;
    let document = Document::of(Site::read(client).await?, &titles)?;
    if output == Format::Json {
        say(&serde_json::to_string_pretty(&document)?);
    } else {
        say(HEAD);
        say(&serde_saphyr::to_string(&document)?);
    }
    Ok(())
}

/// By digest: `name@version`, where one plugin alone has it.
async fn titles(client: &Client) -> anyhow::Result<BTreeMap<String, String>> {
    let text = |plugin: &Value, field: &str| plugin[field].as_str().unwrap_or_default().to_owned();
    let mut digests: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for plugin in client.list("/v1/plugins").await? {
        let title = format!("{}@{}", text(&plugin, "name"), text(&plugin, "version"));
        digests.entry(title).or_default().push(text(&plugin, "digest"));
    }
    let alone = digests.into_iter().filter(|(_, digests)| digests.len() == 1);
    Ok(alone.flat_map(|(title, digests)| digests.into_iter().map(move |digest| (digest, title.clone()))).collect())
}

impl Document {
    fn of(site: Site, titles: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let mut document = Self {
            secrets: site.secrets,
            quotas: Vec::new(),
            networks: Vec::new(),
            images: Vec::new(),
            backends: Vec::new(),
            flavors: Vec::new(),
        };
        for thing in site.things {
            let mut fields = thing.fields;
            let list = match thing.kind {
                Kind::Quota => &mut document.quotas,
                Kind::Network => &mut document.networks,
                Kind::Image => &mut document.images,
                Kind::Backend => {
                    shorten_backend(&mut fields, titles)?;
                    &mut document.backends
                }
                Kind::Flavor => {
                    shorten_flavor(&mut fields)?;
                    &mut document.flavors
                }
            };
            list.push(Item(fields));
        }
        Ok(document)
    }
}

/// What `apply` fills in by itself is left out.
fn shorten_backend(fields: &mut Map<String, Value>, titles: &BTreeMap<String, String>) -> anyhow::Result<()> {
    if let Some(title) = fields["plugin"].as_str().and_then(|digest| titles.get(digest)) {
        fields["plugin"] = json!(title);
    }
    let usual = serde_json::to_value(serde_json::from_value::<Endpoint>(json!({"url": ""}))?)?;
    for endpoint in fields["endpoints"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        shorten(endpoint, &usual);
    }
    // No requests at all is another thing than all of them.
    let is_none_granted = |name: &str, value: &Value| name == "requests" && value.is_array();
    fields.retain(|name, value| {
        is_none_granted(name, value) || !is_empty(value) && (name != "sweep" || *value != json!(SweepPolicy::default()))
    });
    Ok(())
}

fn shorten_flavor(fields: &mut Map<String, Value>) -> anyhow::Result<()> {
    shorten(&mut fields["shape"], &serde_json::to_value(Shape::default())?);
    shorten(&mut fields["route"], &json!({"claim": [], "compose": [], "enroll": [], "deploy": []}));
    fields.retain(|_, value| !is_empty(value));
    Ok(())
}

fn shorten(value: &mut Value, usual: &Value) {
    if let Value::Object(fields) = value {
        fields.retain(|name, value| usual.get(name) != Some(value));
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        let (name, others): (Vec<_>, Vec<_>) =
            self.0.iter().partition(|(field, _)| matches!(field.as_str(), "name" | "project"));
        for (field, value) in name.into_iter().chain(others) {
            map.serialize_entry(field, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_exported_reads_back_as_it_was() {
        let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let words = [
            "on",
            "1.10",
            "null",
            "0x1f",
            "~",
            "",
            " a",
            "a: b",
            "- a",
            "#",
            "{{access.password}}",
            "ü\t\"",
            "2026-01-01",
        ];
        let backend = json!({
            "name": "a", "plugin": "p", "settings": {"words": words, "n": 1.5, "big": 18_446_744_073_709_551_615_u64, "none": null, "no": {}},
            "endpoints": {"far": {"url": "http://f/", "tls": {"ca": pem}}}, "grants": [{"place": "x", "of": "b"}],
        });
        let flavor = json!({"name": "small", "erase": "none", "shape": {"cores": 2, "class": "1e3"}, "route": {"claim": ["a"], "deploy": ["a"]}});
        let network = json!({"name": "n", "backends": {"a": {}, "b": {"vlan": "007"}}});
        let written = json!({"secrets": ["s"], "backends": [backend], "flavors": [flavor], "networks": [network]});
        let site = |value: &Value| Site::parse(value.as_object().unwrap().clone()).unwrap();
        let (site, again) = (site(&written), site(&written));
        let yaml = serde_saphyr::to_string(&Document::of(site, &BTreeMap::new()).unwrap()).unwrap();
        let read = super::super::file::yaml(&yaml).unwrap();
        let read = Site::parse(read.as_object().unwrap().clone()).unwrap();
        assert_eq!((read.secrets, read.things), (again.secrets, again.things), "{yaml}");
        assert!(!yaml.contains("memory_mib") && !yaml.contains("compose"), "{yaml}");
    }
}
