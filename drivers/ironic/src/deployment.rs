//! Where a deployment is: on which node, and under which `instance_uuid`. On a node that this driver enrolled or that nobody claimed the
//! uuid is made from the deployment's own mark; on a node that was claimed it is the allocation's, and stays so.

use crate::allocation;
use crate::api::Ironic;
use crate::deploy::Deploying;
use crate::node::Record;
use crate::undeploy;
use moganite_driver::{Answer, Holding, fault, mark};
use serde::Deserialize;

/// The `instance_uuid` that a deployment has, and the claim that it comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Instance {
    pub(crate) uuid: String,
    /// The mark of the claim; none: made from the deployment's own mark.
    pub(crate) claim: Option<String>,
    /// The claim took the node as it ran.
    pub(crate) adopted: bool,
}

/// Under which instance a deployment of this mark goes on this node: its own, or that of the allocation which the same site has made
/// for it. Anything else is somebody else's.
pub(crate) fn instance_on(ironic: &Ironic, record: &Record, mark: &str) -> Answer<Instance> {
    let own = mark::uuid(mark).to_string();
    let Some(other) = record.instance_uuid.as_deref().filter(|has| *has != own) else {
        return Ok(Instance { uuid: own, claim: None, adopted: false });
    };
    let taken = || fault::conflict(format!("node {} is taken by instance {other}", record.uuid));
    let allocation = allocation::get(ironic, other)?.ok_or_else(taken)?;
    let adopted = allocation.adopts();
    match allocation.name {
        Some(claim)
            if claim.starts_with(allocation::site_of(mark))
                && mark::uuid(&claim).to_string() == other
                && allocation.node_uuid.as_deref() == Some(record.uuid.as_str()) =>
        {
            Ok(Instance { uuid: other.to_owned(), claim: Some(claim), adopted })
        }
        _ => Err(taken()),
    }
}

/// What a holding tells of it.
pub(crate) struct Known {
    pub(crate) node: Option<String>,
    pub(crate) instance: String,
    /// Whether `active` may have been sent.
    pub(crate) begun: bool,
}

impl Known {
    pub(crate) fn of(what: &Holding) -> Answer<Self> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Facts {
            instance_uuid: Option<String>,
        }
        let facts: Facts = what.facts()?;
        let trail: Option<Deploying> = what.trail()?;
        let begun = what.handle.is_some() || trail.as_ref().is_some_and(|trail| trail.begun);
        let (node, instance) = match trail {
            Some(trail) => (Some(trail.node), trail.instance),
            None => (None, None),
        };
        Ok(Self {
            node: what.handle.clone().or(node),
            instance: facts.instance_uuid.or(instance).unwrap_or_else(|| mark::uuid(&what.mark).to_string()),
            begun,
        })
    }

    /// The node that the deployment has now.
    pub(crate) fn find(&self, ironic: &Ironic, mark: &str) -> Answer<Option<Record>> {
        let own = mark::uuid(mark).to_string();
        let has = |record: &Record| record.deployed_as() == Some(mark) || record.instance_uuid.as_ref() == Some(&own);
        if let Some(node) = &self.node {
            return Ok(ironic.node(node)?.filter(has));
        }
        match undeploy::find(ironic, &own)? {
            None => among_all(ironic, mark),
            found => Ok(found),
        }
    }
}

/// The answer that took a claimed node may have been lost, and neither Ironic's filters nor the mark lead to the node.
fn among_all(ironic: &Ironic, mark: &str) -> Answer<Option<Record>> {
    let mut after: Option<String> = None;
    loop {
        let (page, more) = ironic.nodes("&associated=true", after.as_deref())?;
        after = page.last().map(|record| record.uuid.clone());
        let found = page.into_iter().find(|record| record.deployed_as() == Some(mark));
        if found.is_some() || !more || after.is_none() {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::{Fault, testing};
    use serde_json::{Value, json};

    fn on(instance: Option<&str>, allocation: Value) -> Answer<Instance> {
        let status = if allocation.is_null() { 404 } else { 200 };
        testing::far_side(move |_| testing::reply(status, allocation.clone()));
        let record = Record { uuid: "n".into(), instance_uuid: instance.map(str::to_owned), ..Record::default() };
        instance_on(&Ironic::new(), &record, "mg-site-2")
    }

    #[test]
    fn only_an_allocation_of_the_same_site_for_the_same_node_is_deployed_on() {
        let claimed = mark::uuid("mg-site-1").to_string();
        let allocation = |name: &str, node: &str| json!({ "name": name, "node_uuid": node, "state": "active" });
        let own = Instance { uuid: mark::uuid("mg-site-2").to_string(), claim: None, adopted: false };
        assert_eq!(on(None, Value::Null), Ok(own.clone()));
        assert_eq!(on(Some(&own.uuid), Value::Null), Ok(own));
        let ours = Instance { uuid: claimed.clone(), claim: Some("mg-site-1".into()), adopted: false };
        assert_eq!(on(Some(&claimed), allocation("mg-site-1", "n")), Ok(ours));
        let strangers = mark::uuid("mg-other-1").to_string();
        for (instance, allocation) in [
            (&claimed, Value::Null),
            (&claimed, allocation("mg-site-1", "another")),
            (&claimed, allocation("mg-site-9", "n")),
            (&strangers, allocation("mg-other-1", "n")),
        ] {
            let refused = on(Some(instance), allocation);
            assert!(matches!(refused, Err(Fault::Conflict(_))), "{refused:?}");
        }
    }
}
