//! Finding: what bears a mark, by role. A claim is an allocation under a uuid and a name made from its mark; an enrolment is a node under a uuid, a name and an extra made from its mark; a deployment is an
//! `instance_uuid` made from its mark or its claim's, with the mark itself in `instance_info`. Read-only.

use crate::adopt;
use crate::allocation::Allocation;
use crate::api::Ironic;
use crate::deployment::Known;
use crate::node::Record;
use crate::settings::Settings;
use crate::{allocation, unclaim, undeploy, unenroll};
use moganite_driver::{Answer, Context, Held, Holding, Page, Presence, mark};
use std::time::Duration;

pub(crate) fn claimed(cx: &Context, what: &Holding) -> Answer<Presence> {
    let settings = Settings::of(cx)?;
    let ironic = Ironic::of(&settings);
    if let Some(found) = allocation::of_mark(&ironic, &what.mark)? {
        return Ok(Presence::Present(allocated(&what.mark, found)));
    }
    if let Some(record) = undeploy::find(&ironic, &mark::uuid(&what.mark).to_string())? {
        return Ok(Presence::Present(held(&what.mark, &record)));
    }
    if let Some(record) = adopt::still_kept(&ironic, what)? {
        return Ok(Presence::Present(held(&what.mark, &record)));
    }
    Ok(absent_after(unclaim::unsettled(what, &settings)?))
}

pub(crate) fn enrolled(cx: &Context, what: &Holding) -> Answer<Presence> {
    let settings = Settings::of(cx)?;
    let uuid = mark::uuid(&what.mark).to_string();
    let record = Ironic::of(&settings).node(&uuid)?;
    match record.filter(|record| record.enrolled_as() == Some(&what.mark)) {
        Some(record) => Ok(Presence::Present(held(&what.mark, &record))),
        None => Ok(absent_after(unenroll::unsettled(what, &settings)?)),
    }
}

pub(crate) fn deployed(cx: &Context, what: &Holding) -> Answer<Presence> {
    let ironic = Ironic::of(&Settings::of(cx)?);
    Ok(match Known::of(what)?.find(&ironic, &what.mark)? {
        Some(record) => Presence::Present(held(&what.mark, &record)),
        None => Presence::Absent,
    })
}

/// What an unanswered request leaves: nothing, once it can no longer take effect.
fn absent_after(left: Option<Duration>) -> Presence {
    match left {
        Some(left) => Presence::Unsettled(u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
        None => Presence::Absent,
    }
}

/// A claim whose node was undeployed has no allocation any more, and is not in this list.
pub(crate) fn list_claimed(cx: &Context, site: &str, after: Option<&str>) -> Answer<Page> {
    let (found, more) = allocation::list(&Ironic::of(&Settings::of(cx)?), after)?;
    let next = found.last().filter(|_| more).map(|allocation| allocation.uuid.clone());
    let prefix = mark::prefix(site);
    let items = found
        .into_iter()
        .filter_map(|allocation| allocation.name.clone().map(|name| (name, allocation)))
        .filter(|(name, _)| name.starts_with(&prefix))
        .map(|(name, allocation)| allocated(&name, allocation))
        .collect();
    Ok(Page { items, next })
}

/// Names are no filter of Ironic's list, so every page is read and looked through.
pub(crate) fn list_enrolled(cx: &Context, site: &str, after: Option<&str>) -> Answer<Page> {
    list(cx, site, "", after, Record::enrolled_as)
}

pub(crate) fn list_deployed(cx: &Context, site: &str, after: Option<&str>) -> Answer<Page> {
    list(cx, site, "&associated=true", after, Record::deployed_as)
}

/// One page of Ironic's as one of ours, which may be empty and still have a next.
fn list(
    cx: &Context,
    site: &str,
    query: &str,
    after: Option<&str>,
    mark_of: fn(&Record) -> Option<&str>,
) -> Answer<Page> {
    let (records, more) = Ironic::of(&Settings::of(cx)?).nodes(query, after)?;
    let prefix = mark::prefix(site);
    let items = records
        .iter()
        .filter_map(|record| mark_of(record).map(|mark| (mark, record)))
        .filter(|(mark, _)| mark.starts_with(&prefix))
        .map(|(mark, record)| held(mark, record))
        .collect();
    let next = records.last().filter(|_| more).map(|record| record.uuid.clone());
    Ok(Page { items, next })
}

/// The handle is the node's; before there is one, the allocation's own.
fn allocated(mark: &str, allocation: Allocation) -> Held {
    Held {
        mark: mark.to_owned(),
        handle: allocation.node_uuid.unwrap_or(allocation.uuid),
        state: allocation.state.word().to_owned(),
        note: allocation.last_error.unwrap_or_default().chars().take(500).collect(),
    }
}

fn held(mark: &str, record: &Record) -> Held {
    Held {
        mark: mark.to_owned(),
        handle: record.uuid.clone(),
        state: record.provision_state.to_string(),
        note: record.last_error.clone().unwrap_or_default().chars().take(500).collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::testing;
    use serde_json::{Value, json};

    fn node(mark: &str) -> Value {
        let uuid = mark::uuid(mark).to_string();
        json!({ "uuid": uuid, "name": mark, "extra": { "moganite_mark": mark }, "provision_state": "available" })
    }

    #[test]
    fn only_what_bears_this_site_s_mark_is_listed() {
        let nodes = json!([node("mg-a-1"), node("mg-ab-1"), { "uuid": "u", "name": "mg-a-2" }]);
        testing::far_side(move |_| {
            testing::reply(200, json!({ "nodes": nodes, "next": "http://x/v1/nodes?marker=u" }))
        });
        let page = list_enrolled(&testing::context("{}"), "a", None).unwrap();
        let marks: Vec<_> = page.items.iter().map(|held| held.mark.as_str()).collect();
        assert_eq!(marks, ["mg-a-1"]);
        assert_eq!(page.next.as_deref(), Some("u"));
    }

    fn holding(trail: Option<Value>) -> Holding {
        Holding {
            mark: "mg-a-1".into(),
            handle: None,
            facts: "{}".into(),
            trail: trail.map(|trail| trail.to_string().into_bytes()),
        }
    }

    #[test]
    fn an_unanswered_create_is_unsettled_until_it_can_no_longer_take_effect() {
        testing::far_side(|_| testing::reply(404, json!({})));
        testing::set_now(Duration::from_secs(100));
        let found = |trail| enrolled(&testing::context("{}"), &holding(trail)).unwrap();
        assert_eq!(found(None), Presence::Absent);
        assert_eq!(found(Some(json!({ "begun_ms": 95_000 }))), Presence::Unsettled(10_000));
        assert_eq!(found(Some(json!({ "begun_ms": 85_000 }))), Presence::Absent);
        assert_eq!(found(Some(json!({ "begun_ms": 95_000, "ported": true }))), Presence::Absent);
    }
}
