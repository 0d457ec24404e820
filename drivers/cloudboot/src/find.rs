//! Finding, listing and observing, all read-only. *Absent* is a promise, and an entering request may still take effect after its client
//! has gone; until it no longer can, the answer is *unsettled*.

use crate::device::Device;
use crate::far::{Far, PAGE};
use crate::step::{Claiming, Deploying};
use moganite_driver::{Answer, Held, Holding, Observed, Page, Power, Presence, fault, mark};
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Which of a device's marks is meant.
type Mark = fn(&Device) -> Option<String>;

/// Pages that one search reads at most: 10,000 devices.
const PAGES: usize = 40;

pub(crate) fn claimed(far: &Far, what: &Holding) -> Answer<Presence> {
    let trail: Option<Claiming> = what.trail()?;
    let sn = trail.as_ref().map(|trail| trail.entry.sn.as_str());
    presence(far, what, sn, Device::claimed_as, trail.as_ref().and_then(|trail| trail.unsettled(&far.settings)))
}

pub(crate) fn deployed(far: &Far, what: &Holding) -> Answer<Presence> {
    let trail: Option<Deploying> = what.trail()?;
    let sn = trail.as_ref().map(|trail| trail.entry.sn.as_str());
    presence(far, what, sn, Device::deployed_as, trail.as_ref().and_then(|trail| trail.unsettled(&far.settings)))
}

pub(crate) fn list_claimed(far: &Far, site: &str, after: Option<&str>) -> Answer<Page> {
    list(far, site, after, Device::claimed_as)
}

pub(crate) fn list_deployed(far: &Far, site: &str, after: Option<&str>) -> Answer<Page> {
    list(far, site, after, Device::deployed_as)
}

/// One request for one, else CloudBoot's list until all were seen. Nothing there tells the power.
pub(crate) fn observe(far: &Far, handles: &[String]) -> Answer<Vec<Observed>> {
    if let [one] = handles {
        return Ok(far.device(one)?.map(|device| observed(one, &device)).into_iter().collect());
    }
    let wanted: HashSet<String> = handles.iter().map(|handle| handle.to_lowercase()).collect();
    let mut found: HashMap<String, Device> = HashMap::new();
    search(far, |device| {
        let sn = device.sn.to_lowercase();
        if wanted.contains(&sn) {
            found.insert(sn, device);
        }
        found.len() == wanted.len()
    })?;
    let one = |handle: &String| found.get(&handle.to_lowercase()).map(|device| observed(handle, device));
    Ok(handles.iter().filter_map(one).collect())
}

/// The device that bears a mark.
pub(crate) fn by_mark(far: &Far, wanted: &str, of: Mark) -> Answer<Option<Device>> {
    let mut found = None;
    search(far, |device| {
        if of(&device).as_deref() == Some(wanted) {
            found = Some(device);
        }
        found.is_some()
    })?;
    Ok(found)
}

fn presence(far: &Far, what: &Holding, sn: Option<&str>, of: Mark, unsettled: Option<Duration>) -> Answer<Presence> {
    let is_ours = |device: &Device| of(device).as_deref() == Some(what.mark.as_str());
    let known = match what.handle.as_deref().or(sn) {
        Some(sn) => far.device(sn)?.filter(is_ours),
        None => None,
    };
    let found = match known {
        Some(device) => Some(device),
        None => by_mark(far, &what.mark, of)?,
    };
    Ok(match (found, unsettled) {
        (Some(device), _) => Presence::Present(held(what.mark.clone(), &device)),
        (None, Some(left)) => Presence::Unsettled(u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
        (None, None) => Presence::Absent,
    })
}

/// A page is CloudBoot's, its number the cursor.
fn list(far: &Far, site: &str, after: Option<&str>, of: Mark) -> Answer<Page> {
    let from: usize = match after {
        None => 0,
        Some(after) => after.parse().map_err(|_| fault::rejected(format!("{after:?} is no page of this list")))?,
    };
    let (devices, more) = far.page::<Device>("device/list", json!({}), from)?;
    let prefix = mark::prefix(site);
    let items = devices.iter().filter_map(|device| {
        let mark = of(device).filter(|mark| mark.starts_with(&prefix))?;
        Some(held(mark, device))
    });
    Ok(Page { items: items.collect(), next: more.then(|| (from + PAGE).to_string()) })
}

/// Every device, newest first, until `until` says enough.
fn search(far: &Far, mut until: impl FnMut(Device) -> bool) -> Answer<()> {
    for page in 0..PAGES {
        let (devices, more) = far.page::<Device>("device/list", json!({}), page * PAGE)?;
        for device in devices {
            if until(device) {
                return Ok(());
            }
        }
        if !more {
            return Ok(());
        }
    }
    Err(fault::broken(format!("CloudBoot has more than {} devices", PAGES * PAGE)))
}

fn held(mark: String, device: &Device) -> Held {
    Held {
        mark,
        handle: device.sn.clone(),
        state: device.status.word().into(),
        note: format!("device {} of CloudBoot, {}", device.id, device.hostname),
    }
}

fn observed(handle: &str, device: &Device) -> Observed {
    Observed {
        handle: handle.to_owned(),
        power: Power::Unknown,
        state: device.status.word().into(),
        note: format!("progress {:.0} %, entered as {:?}", device.install_progress * 100.0, device.asset_number)
            .chars()
            .take(500)
            .collect(),
    }
}
