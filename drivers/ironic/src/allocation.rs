//! Ironic's allocations: a free node of a class, taken at once and by one only. Ours have a uuid made from the mark of a claim, and the
//! mark as their name; the node that one gets bears the allocation's uuid as its `instance_uuid`. An undeploy removes the allocation.

use crate::api::{Ironic, PAGE, Said, read, segment};
use moganite_driver::{Answer, fault, info, mark};
use serde::Deserialize;
use serde_json::{Map, Value};

/// One allocation, as far as this driver reads it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Allocation {
    pub(crate) uuid: String,
    pub(crate) name: Option<String>,
    pub(crate) state: State,
    /// Set when it is active.
    pub(crate) node_uuid: Option<String>,
    pub(crate) last_error: Option<String>,
    pub(crate) extra: Option<Map<String, Value>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// A conductor looks for a node; seen to last over 20 s under contention (Ironic 39.0.0).
    #[default]
    Allocating,
    Active,
    /// Stays until it is deleted, and so does its name.
    Error,
}

impl State {
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Allocating => "allocating",
            Self::Active => "active",
            Self::Error => "error",
        }
    }
}

impl Allocation {
    /// Whether it was backfilled to a node that ran already.
    pub(crate) fn adopts(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.get("moganite_adopted") == Some(&Value::Bool(true)))
    }
}

/// By uuid or name; none when there is none.
pub(crate) fn get(ironic: &Ironic, id: &str) -> Answer<Option<Allocation>> {
    match ironic.get(&format!("/v1/allocations/{}", segment(id)?))? {
        Said::Done(body) => read(body).map(Some),
        Said::Missing => Ok(None),
        other => Err(other.unexpected("reading an allocation")),
    }
}

/// The allocation that a claim under this mark made. One of that uuid with another name was made by somebody else.
pub(crate) fn of_mark(ironic: &Ironic, mark: &str) -> Answer<Option<Allocation>> {
    let uuid = mark::uuid(mark).to_string();
    match get(ironic, &uuid)? {
        Some(other) if other.name.as_deref() != Some(mark) => Err(fault::conflict(format!(
            "allocation {uuid} in ironic has the name {:?}, not {mark}",
            other.name.unwrap_or_default()
        ))),
        found => Ok(found),
    }
}

/// One page after a uuid, and whether there are more.
pub(crate) fn list(ironic: &Ironic, after: Option<&str>) -> Answer<(Vec<Allocation>, bool)> {
    #[derive(Deserialize)]
    struct List {
        allocations: Vec<Allocation>,
        #[serde(default)]
        next: Option<String>,
    }
    let after = match after {
        Some(uuid) => format!("&marker={}", segment(uuid)?),
        None => String::new(),
    };
    match ironic.get(&format!("/v1/allocations?limit={PAGE}{after}"))? {
        Said::Done(body) => {
            let list: List = read(body)?;
            Ok((list.allocations, list.next.is_some()))
        }
        other => Err(other.unexpected("listing allocations")),
    }
}

/// Frees its node. Refused with 409 while the node is active or locked.
pub(crate) fn delete(ironic: &Ironic, uuid: &str) -> Answer<Said> {
    info!("allocation {uuid}: delete");
    ironic.send("DELETE", &format!("/v1/allocations/{}", segment(uuid)?), None)
}

/// What the marks of the site of this mark begin with: `mg-<site>-`.
pub(crate) fn site_of(mark: &str) -> &str {
    match mark.match_indices('-').nth(1) {
        Some((at, _)) => &mark[..=at],
        None => mark,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::{Fault, testing};
    use serde_json::json;

    #[test]
    fn a_mark_tells_its_site_and_no_longer_site_passes_for_it() {
        assert_eq!(site_of("mg-abc234-0190f3-2-1"), "mg-abc234-");
        assert!(!"mg-abc2345-1".starts_with(site_of("mg-abc234-1")));
    }

    #[test]
    fn an_allocation_of_our_uuid_and_another_name_is_a_conflict() {
        testing::far_side(|_| testing::reply(200, json!({ "uuid": "u", "name": "theirs", "state": "active" })));
        let refused = of_mark(&Ironic::new(), "mg-a-1");
        assert!(matches!(&refused, Err(Fault::Conflict(why)) if why.contains("theirs")), "{refused:?}");
    }
}
