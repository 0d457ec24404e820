//! What a claim wishes for, and which nodes grant it. Pure but for [`Wish::candidates`], which reads Ironic's list. Without a wish that
//! Ironic's own choice by class and traits does not know, no list is read and Ironic chooses.

use crate::api::{Ironic, encoded};
use crate::inspected;
use crate::node::{Record, State};
use crate::settings::{Filter, Settings};
use moganite_driver::{Answer, Part, PartKind, Shape, fault};
use serde_json::{Map, Value};

/// How many reasons a sentence about nodes that do not fit names.
const NAMED: usize = 3;

pub(crate) struct Wish {
    pub(crate) class: String,
    pub(crate) traits: Vec<String>,
    /// 0: no wish.
    cores: u64,
    /// 0: no wish.
    memory_mib: u64,
    /// Largest first.
    disks_gib: Vec<u64>,
    /// An operator's choice: the uuid or name of the only candidate.
    node: Option<String>,
    /// The node runs already, and is taken as it runs.
    adopt: bool,
    /// Uuids or names.
    exclude: Vec<String>,
    filter: Filter,
}

impl Wish {
    /// Rejects what Ironic's nodes cannot be chosen by.
    pub(crate) fn of(settings: &Settings, want: &Shape, exclude: &[String]) -> Answer<Self> {
        if !want.nics_mbps.is_empty() || !want.devices.is_empty() {
            return Err(fault::rejected(
                "a claim in ironic does not choose by interfaces or devices: choose by class and traits",
            ));
        }
        let Choice { node, adopt } = chosen(&want.properties)?;
        let class = match &want.class {
            Some(class) => class.clone(),
            // What runs already is of the class that it is of.
            None if adopt => String::new(),
            None => settings.claim_resource_class.clone().ok_or_else(|| {
                fault::rejected("a claim in ironic needs a class: name it in the flavor or set claim_resource_class")
            })?,
        };
        if let Some(only) = settings.filter.resource_class.as_ref().filter(|only| !adopt && **only != class) {
            return Err(fault::rejected(format!("class {class:?} is outside of this backend's filter: {only:?}")));
        }
        let mut disks_gib = want.disks_gib.clone();
        disks_gib.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self {
            class,
            traits: want.traits.clone(),
            cores: want.cores.into(),
            memory_mib: want.memory_mib,
            disks_gib,
            node,
            adopt,
            exclude: exclude.to_vec(),
            filter: settings.filter.clone(),
        })
    }

    /// The uuid or name of the node that is to be adopted.
    pub(crate) fn adopts(&self) -> Option<&str> {
        self.node.as_deref().filter(|_| self.adopt)
    }

    /// The uuids to choose from; none: Ironic may choose among all of the class. An empty choice is `capacity`.
    pub(crate) fn candidates(&self, ironic: &Ironic) -> Answer<Option<Vec<String>>> {
        if let Some(id) = &self.node {
            let record = ironic.node(id)?;
            let record = record.ok_or_else(|| fault::rejected(format!("ironic knows no node {id}")))?;
            return match self.refuses(ironic, &record)? {
                None => Ok(Some(vec![record.uuid])),
                Some(why) => Err(fault::capacity(why)),
            };
        }
        if !self.is_choosy() {
            return Ok(None);
        }
        let query = format!(
            "&provision_state=available&associated=false&maintenance=false&resource_class={}",
            encoded(&self.class)
        );
        let (mut fit, mut reasons, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let (page, more) = ironic.nodes(&query, after.as_deref())?;
            for record in &page {
                match self.refuses(ironic, record)? {
                    None => fit.push(record.uuid.clone()),
                    Some(why) => reasons.push(why),
                }
            }
            after = page.last().map(|record| record.uuid.clone());
            if !more || after.is_none() {
                break;
            }
        }
        if fit.is_empty() {
            return Err(fault::capacity(self.nothing_fits(&reasons)));
        }
        Ok(Some(fit))
    }

    /// Why a node is no candidate, as a sentence; none when it is one.
    pub(crate) fn refuses(&self, ironic: &Ironic, record: &Record) -> Answer<Option<String>> {
        if record.instance_uuid.is_some() {
            return Ok(Some(format!("node {} has an instance already", record.uuid)));
        }
        if record.provision_state != State::Available {
            return Ok(Some(format!("node {} is {}, not available", record.uuid, record.provision_state)));
        }
        self.refuses_by_nature(ironic, record)
    }

    /// The same for a node that is ours already: what it is, not how it stands.
    pub(crate) fn refuses_by_nature(&self, ironic: &Ironic, record: &Record) -> Answer<Option<String>> {
        if let Some(why) = self.refuses_by_record(record) {
            return Ok(Some(format!("node {} {why}", record.uuid)));
        }
        if let Some(why) = self.filter.refuses(record) {
            return Ok(Some(why));
        }
        let sized = self.cores > 0 || self.memory_mib > 0 || !self.disks_gib.is_empty();
        if !sized {
            return Ok(None);
        }
        let parts = inspected::look(ironic, record, self.disks_gib.len())?.parts;
        Ok(self.refuses_by_size(&parts).map(|why| format!("node {} {why}", record.uuid)))
    }

    /// Why a node that runs already is not what is wanted, as far as its record tells; what it has is compared by whoever reads the answer.
    pub(crate) fn refuses_to_adopt(&self, record: &Record) -> Option<String> {
        let why = self.refuses_by_record(record).map(|why| format!("node {} {why}", record.uuid));
        why.or_else(|| self.filter.refuses(record))
    }

    fn refuses_by_record(&self, record: &Record) -> Option<String> {
        let names = [Some(record.uuid.as_str()), record.name.as_deref()];
        let is = |id: &String| names.contains(&Some(id.as_str()));
        if self.exclude.iter().any(is) {
            return Some("is excluded".into());
        }
        if record.maintenance == Some(true) {
            return Some("is in maintenance".into());
        }
        if record.retired == Some(true) {
            return Some("is retired".into());
        }
        if record.power_state.is_none() && !self.adopt {
            return Some(
                "has no known power state, and ironic lends no such node: have it verified by `manage`".into(),
            );
        }
        if !self.class.is_empty() && record.resource_class.as_deref() != Some(self.class.as_str()) {
            return Some(format!(
                "is of class {:?}, not {:?}",
                record.resource_class.as_deref().unwrap_or_default(),
                self.class
            ));
        }
        let missing = self.traits.iter().find(|name| !record.traits.iter().flatten().any(|has| has == *name))?;
        Some(format!("has no trait {missing}"))
    }

    /// A size that is not known is not enough.
    fn refuses_by_size(&self, parts: &[Part]) -> Option<String> {
        let sizes = |kind| parts.iter().filter(move |part| part.kind == kind).map(|part| part.size);
        for (kind, wanted, unit) in [(PartKind::Cpu, self.cores, "cores"), (PartKind::Memory, self.memory_mib, "MiB")] {
            let has: u64 = sizes(kind).sum();
            if has < wanted {
                return Some(format!("has {has} {unit} as far as ironic knows, and {wanted} are wanted"));
            }
        }
        let mut disks: Vec<u64> = sizes(PartKind::Disk).collect();
        disks.sort_unstable_by(|a, b| b.cmp(a));
        let enough =
            disks.len() >= self.disks_gib.len() && disks.iter().zip(&self.disks_gib).all(|(has, wanted)| has >= wanted);
        (!enough)
            .then(|| format!("has disks of {disks:?} GiB as far as ironic knows, and {:?} are wanted", self.disks_gib))
    }

    fn is_choosy(&self) -> bool {
        !self.exclude.is_empty()
            || self.cores > 0
            || self.memory_mib > 0
            || !self.disks_gib.is_empty()
            || self.filter.owner.is_some()
            || self.filter.conductor_group.is_some()
    }

    fn nothing_fits(&self, reasons: &[String]) -> String {
        let class = &self.class;
        match reasons {
            [] => format!("ironic has no available node of class {class:?}"),
            _ => {
                let named = reasons.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
                let more = reasons.len().saturating_sub(NAMED);
                let more = if more > 0 { format!("; and {more} more") } else { String::new() };
                format!("no available node of class {class:?} fits: {named}{more}")
            }
        }
    }
}

/// What an operator says of a node in a shape's properties.
struct Choice {
    node: Option<String>,
    adopt: bool,
}

/// `{"node": "<uuid or name>"}`, and for one that runs already `"adopt": true` beside it.
fn chosen(properties: &str) -> Answer<Choice> {
    let properties: Map<String, Value> = match properties {
        "" => Map::new(),
        text => serde_json::from_str(text)
            .map_err(|error| fault::rejected(format!("the shape's properties are no JSON object: {error}")))?,
    };
    if let Some(key) = properties.keys().find(|key| !["node", "adopt"].contains(&key.as_str())) {
        return Err(fault::rejected(format!(
            "the shape has the property {key:?}; a claim in ironic reads `node` and `adopt` only"
        )));
    }
    let node = match properties.get("node") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => Some(id.clone()),
        Some(other) => {
            return Err(fault::rejected(format!("the shape's property `node` is {other}, no uuid or name")));
        }
    };
    match properties.get("adopt") {
        None | Some(Value::Bool(false)) => Ok(Choice { node, adopt: false }),
        Some(Value::Bool(true)) if node.is_some() => Ok(Choice { node, adopt: true }),
        _ => Err(fault::rejected("the shape's property `adopt` is true or false, and true names the `node`")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::{Fault, testing};
    use serde_json::json;

    fn shape() -> Shape {
        Shape {
            cores: 8,
            memory_mib: 16_384,
            disks_gib: vec![100],
            nics_mbps: Vec::new(),
            devices: Vec::new(),
            class: Some("gold".into()),
            traits: vec!["CUSTOM_A".into()],
            properties: "{}".into(),
        }
    }

    fn record(change: Value) -> Record {
        let mut node = json!({
            "uuid": "n", "name": "rack-1", "provision_state": "available", "power_state": "power off",
            "resource_class": "gold", "traits": ["CUSTOM_A", "CUSTOM_B"], "maintenance": false,
            "properties": { "cpus": 8, "memory_mb": 16_384, "local_gb": 99 },
        });
        for (key, value) in change.as_object().unwrap() {
            node[key] = value.clone();
        }
        serde_json::from_value(node).unwrap()
    }

    fn refused(exclude: &[&str], change: Value) -> Option<String> {
        testing::far_side(|_| testing::reply(404, json!({})));
        let exclude: Vec<String> = exclude.iter().map(|id| (*id).to_owned()).collect();
        let wish = Wish::of(&Settings::default(), &shape(), &exclude).unwrap();
        wish.refuses(&Ironic::new(), &record(change)).unwrap()
    }

    #[test]
    fn a_node_is_a_candidate_only_when_all_of_the_wish_is_known_to_be_there() {
        assert_eq!(refused(&["other"], json!({})), None);
        for (change, why) in [
            (json!({ "provision_state": "manageable" }), "is manageable"),
            (json!({ "instance_uuid": "i" }), "has an instance"),
            (json!({ "maintenance": true }), "in maintenance"),
            (json!({ "retired": true }), "is retired"),
            (json!({ "power_state": null }), "no known power state"),
            (json!({ "resource_class": "silver" }), "silver"),
            (json!({ "traits": ["CUSTOM_B"] }), "no trait CUSTOM_A"),
            (json!({ "properties": { "cpus": 4, "memory_mb": 16_384, "local_gb": 99 } }), "has 4 cores"),
            (json!({ "properties": { "memory_mb": 16_384, "local_gb": 99 } }), "has 0 cores"),
            (json!({ "properties": { "cpus": 8, "memory_mb": 8_192, "local_gb": 99 } }), "has 8192 MiB"),
            (json!({ "properties": { "cpus": 8, "memory_mb": 16_384, "local_gb": 49 } }), "[50] GiB"),
        ] {
            let said = refused(&[], change.clone());
            assert!(said.as_ref().is_some_and(|said| said.contains(why)), "{change}: {said:?}");
        }
        assert!(refused(&["n"], json!({})).is_some(), "excluded by uuid");
        assert!(refused(&["rack-1"], json!({})).is_some(), "excluded by name");
    }

    #[test]
    fn what_a_claim_cannot_choose_by_is_rejected_before_anything_is_asked() {
        let of = |want: Shape| Wish::of(&Settings::default(), &want, &[]).map(|_| ());
        for want in [
            Shape { nics_mbps: vec![10_000], ..shape() },
            Shape { class: None, ..shape() },
            Shape { properties: r#"{"rack": 7}"#.into(), ..shape() },
            Shape { properties: r#"{"node": 7}"#.into(), ..shape() },
            Shape { properties: r#"{"adopt": true}"#.into(), ..shape() },
            Shape { properties: "[]".into(), ..shape() },
        ] {
            assert!(matches!(of(want.clone()), Err(Fault::Rejected(_))), "{want:?}");
        }
        assert!(of(Shape { properties: r#"{"node": "rack-1"}"#.into(), ..shape() }).is_ok());
        let adopted = r#"{"node": "rack-1", "adopt": true}"#;
        assert!(of(Shape { class: None, properties: adopted.into(), ..shape() }).is_ok());
    }
}
