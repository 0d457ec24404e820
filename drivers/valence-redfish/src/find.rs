//! Finding, read-only. *Absent* is a promise, and Valence works on after its client has gone; so while a request may
//! still take effect the answer is *unsettled*.

use crate::step::{PODM_HANDLE, Place, Step};
use crate::{Far, now_ms};
use moganite_driver::{Answer, Fault, Held, Holding, Page, Presence, mark, warn};
use std::time::Duration;

/// The host bounds the requests of a call.
const NODES_A_PAGE: usize = 20;

pub(crate) fn find(far: &Far, what: &Holding) -> Answer<Presence> {
    let trail = what.trail::<Step>()?;
    let place = Place::of(what)?;
    let podm_uuid = place.podm_uuid.as_deref();
    let records = far.valence.records()?;

    for record in records.iter().filter(|record| record.name == what.mark || Some(&record.uuid) == what.handle.as_ref())
    {
        let state = match &far.podm {
            None => Some("composed".to_owned()),
            Some(podm) => match podm.node(&record.index)? {
                Some(node) if node.is_ours(&what.mark, podm_uuid) => {
                    Some(node.state.unwrap_or_else(|| "composed".into()))
                }
                _ => None,
            },
        };
        if let Some(state) = state {
            let note = format!("node {} of the pod manager", record.index);
            return Ok(Presence::Present(Held { mark: what.mark.clone(), handle: record.uuid.clone(), state, note }));
        }
        warn!("Valence's record {} is stale: its node {} is gone or another's", record.uuid, record.index);
    }
    if let Some(podm) = &far.podm {
        let orphans = podm.orphans(&what.mark, &records, place.hint(trail.as_ref()))?;
        if let Some(node) = orphans.into_iter().find(|node| node.is_ours(&what.mark, podm_uuid)) {
            return Ok(Presence::Present(orphan(&what.mark, &node.index, node.state)));
        }
    }
    let quiet_ms = trail.as_ref().map_or(0, |step| step.quiet_ms(far.settle));
    let left = quiet_ms.saturating_sub(now_ms());
    if what.handle.is_none() && left > 0 {
        return Ok(Presence::Unsettled(left.min(millis(Duration::from_secs(15)))));
    }
    Ok(Presence::Absent)
}

/// Valence's records first, then the pod manager's nodes that no record leads to, so many a page in the order of their
/// indexes. A record is taken at its word, to ask the far side little; `find` looks behind it.
pub(crate) fn list(far: &Far, site: &str, after: Option<&str>) -> Answer<Page> {
    let prefix = mark::prefix(site);
    let records = far.valence.records()?;
    let Some(podm) = &far.podm else {
        let ours = records.into_iter().filter(|record| record.name.starts_with(&prefix));
        let item = |record: crate::valence::Record| Held {
            mark: record.name,
            handle: record.uuid,
            state: "composed".into(),
            note: String::new(),
        };
        return Ok(Page { items: ours.map(item).collect(), next: None });
    };

    let mut indexes = podm.indexes()?;
    let mut items = Vec::new();
    if after.is_none() {
        for record in records.iter().filter(|record| record.name.starts_with(&prefix)) {
            if indexes.contains(&record.index) {
                let note = format!("node {} of the pod manager", record.index);
                items.push(Held {
                    mark: record.name.clone(),
                    handle: record.uuid.clone(),
                    state: "composed".into(),
                    note,
                });
            } else {
                warn!("Valence's record {} is stuck: the pod manager has no node {}", record.uuid, record.index);
            }
        }
    }
    indexes.retain(|index| {
        !records.iter().any(|record| record.index == *index) && after.is_none_or(|after| index.as_str() > after)
    });
    indexes.sort();
    let more = indexes.len() > NODES_A_PAGE;
    indexes.truncate(NODES_A_PAGE);
    items.extend(without_record(podm, &indexes, &prefix)?);
    Ok(Page { items, next: indexes.pop().filter(|_| more) })
}

fn without_record(podm: &crate::podm::Podm, indexes: &[String], prefix: &str) -> Result<Vec<Held>, Fault> {
    let mut items = Vec::new();
    for index in indexes {
        let ours = podm.node(index)?.filter(|node| node.name.starts_with(prefix));
        items.extend(ours.map(|node| orphan(&node.name.clone(), index, node.state)));
    }
    Ok(items)
}

/// A node without a record has no uuid of Valence; release finds it by its mark.
fn orphan(mark: &str, index: &str, state: Option<String>) -> Held {
    Held {
        mark: mark.to_owned(),
        handle: format!("{PODM_HANDLE}{index}"),
        state: state.unwrap_or_else(|| "composed".into()),
        note: "the pod manager has it and Valence has no record of it".into(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
