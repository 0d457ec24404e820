//! Finding, read-only. *Absent* is a promise; while a request may still take effect the answer is *unsettled*. A reservation alone is no
//! thing of ours that could be found: it bears no name. Release ends those that the trail names.

use super::Far;
use super::known::Known;
use super::service::{SYSTEMS, text};
use crate::now_ms;
use moganite_driver::{Answer, Held, Holding, Page, Presence, mark};

const SYSTEMS_A_PAGE: usize = 20;
/// The longest that a caller waits before it asks again, ms.
const LONGEST: u64 = 15_000;

pub(crate) fn find(far: &Far, what: &Holding) -> Answer<Presence> {
    let known = Known::of(what, far.settle)?;
    if let Some(ours) = far.look(&what.mark, &known)? {
        return Ok(Presence::Present(held(what.mark.clone(), ours.path, &ours.seen.body)));
    }
    let left = known.quiet_ms.saturating_sub(now_ms());
    if known.system.is_none() && left > 0 {
        return Ok(Presence::Unsettled(left.min(LONGEST)));
    }
    Ok(Presence::Absent)
}

/// The systems by their paths, so many a page: the name is seen by reading each.
pub(crate) fn list(far: &Far, site: &str, after: Option<&str>) -> Answer<Page> {
    let prefix = mark::prefix(site);
    let mut systems = far.service.members(SYSTEMS)?;
    systems.retain(|path| after.is_none_or(|after| path.as_str() > after));
    let more = systems.len() > SYSTEMS_A_PAGE;
    systems.truncate(SYSTEMS_A_PAGE);
    let mut items = Vec::new();
    for path in &systems {
        let Some(seen) = far.service.read(path)? else { continue };
        if let Some(name) = text(&seen.body["Name"]).filter(|name| name.starts_with(&prefix)) {
            items.push(held(name, path.clone(), &seen.body));
        }
    }
    Ok(Page { items, next: systems.pop().filter(|_| more) })
}

fn held(mark: String, path: String, body: &serde_json::Value) -> Held {
    let state = text(&body["Status"]["State"]).unwrap_or_else(|| "composed".into());
    let power = text(&body["PowerState"]).map_or_else(String::new, |power| format!("power is {power}"));
    Held { mark, handle: path, state, note: power }
}
