//! Finding: what bears a mark, by role. An enrolment is a node under a uuid, a name and an extra made from its mark; a deployment is an
//! `instance_uuid` made from its mark, with the mark itself in `instance_info`. Read-only.

use crate::api::Ironic;
use crate::node::Record;
use crate::settings::Settings;
use crate::{undeploy, unenroll};
use moganite_driver::{Answer, Context, Held, Holding, Page, Presence, mark};

pub(crate) fn enrolled(cx: &Context, what: &Holding) -> Answer<Presence> {
    let settings = Settings::of(cx)?;
    let uuid = mark::uuid(&what.mark).to_string();
    let record = Ironic::new().node(&uuid)?;
    match record.filter(|record| record.enrolled_as() == Some(&what.mark)) {
        Some(record) => Ok(Presence::Present(held(&what.mark, &record))),
        None => match unenroll::unsettled(what, &settings)? {
            Some(left) => Ok(Presence::Unsettled(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))),
            None => Ok(Presence::Absent),
        },
    }
}

pub(crate) fn deployed(cx: &Context, what: &Holding) -> Answer<Presence> {
    Settings::of(cx)?;
    let instance = mark::uuid(&what.mark).to_string();
    Ok(match undeploy::find(&Ironic::new(), &instance)? {
        Some(record) => Presence::Present(held(&what.mark, &record)),
        None => Presence::Absent,
    })
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
    Settings::of(cx)?;
    let (records, more) = Ironic::new().nodes(query, after)?;
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
    use std::time::Duration;

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
