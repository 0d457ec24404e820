//! Power: one action to its end, and how the machines of many nodes stand now.

use crate::api::{Ironic, Said};
use crate::node::Record;
use crate::provision::note;
use crate::settings::Settings;
use moganite_driver::{Answer, Context, Observed, Power, PowerWish, Undoing, fault, wait};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{HashMap, HashSet};

/// The checkpoint of a power action.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Powering {
    /// Whether Ironic took the request. A reboot has no state to read, so a lost answer reboots twice.
    sent: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Send,
    Wait,
    Done,
    Failed,
}

pub(crate) fn set_power(cx: &Context, handle: &str, wish: PowerWish) -> Answer<Undoing> {
    let settings = Settings::of(cx)?;
    let ironic = Ironic::of(&settings);
    let mut at: Powering = cx.resume()?.unwrap_or_default();
    if cx.checkpoint.is_none() {
        ironic.check_version()?;
    }
    let record = ironic.node(handle)?.ok_or_else(|| fault::broken(format!("ironic does not know node {handle}")))?;
    if let Some(outside) = settings.filter.refuses(&record) {
        return Err(fault::conflict(outside));
    }
    let target = target(wish);
    match next(&record, wish, at.sent) {
        Step::Done => return Ok(Undoing::Done(json!({ "power": record.power_state }).to_string())),
        Step::Wait => {}
        Step::Send => match ironic.power(&record.uuid, target)? {
            Said::Done(_) => at.sent = true,
            Said::Locked => {}
            Said::Refused(why) => return Err(fault::rejected(format!("ironic refused {target}: {why}"))),
            other => return Err(other.unexpected(target)),
        },
        Step::Failed => {
            let why = record.last_error.as_deref().unwrap_or("ironic kept no cause");
            return Err(fault::broken(format!("{target} of node {} failed: {why}", record.uuid)));
        }
    }
    wait(&at, settings.poll(), note(&record, target))
}

/// What comes next on the way to the power that is wished for.
fn next(record: &Record, wish: PowerWish, sent: bool) -> Step {
    if record.is_locked() || record.target_power_state.is_some() {
        return Step::Wait;
    }
    let reached = match wish {
        PowerWish::On => record.is_on(),
        PowerWish::Off | PowerWish::SoftOff => record.is_off(),
        PowerWish::Reboot | PowerWish::SoftReboot => sent && record.is_on(),
    };
    match (reached, sent) {
        (true, _) => Step::Done,
        (false, false) => Step::Send,
        (false, true) => Step::Failed,
    }
}

fn target(wish: PowerWish) -> &'static str {
    match wish {
        PowerWish::On => "power on",
        PowerWish::Off => "power off",
        PowerWish::Reboot => "rebooting",
        PowerWish::SoftOff => "soft power off",
        PowerWish::SoftReboot => "soft rebooting",
    }
}

/// Nodes that are asked for one by one: together they cost Ironic less than a page of its list.
const FEW: usize = 8;

/// How these nodes stand: a request for each of a few, else Ironic's list page by page until few are left. What Ironic does not know is
/// left out.
pub(crate) fn observe(cx: &Context, handles: &[String]) -> Answer<Vec<Observed>> {
    let ironic = Ironic::of(&Settings::of(cx)?);
    let mut wanted: HashSet<&str> = handles.iter().map(String::as_str).collect();
    let mut found = HashMap::new();
    let mut after: Option<String> = None;
    while wanted.len() > FEW {
        let (page, more) = ironic.look_at_all(after.as_deref())?;
        after = page.last().map(|record| record.uuid.clone());
        for record in &page {
            let ids = [Some(record.uuid.as_str()), record.name.as_deref()];
            for id in ids.into_iter().flatten().filter(|id| wanted.remove(*id)) {
                found.insert(id.to_owned(), observed(id, record));
            }
        }
        if !more || after.is_none() {
            wanted.clear();
        }
    }
    for id in wanted {
        found.extend(ironic.look_at(id)?.map(|record| (id.to_owned(), observed(id, &record))));
    }
    Ok(handles.iter().filter_map(|handle| found.remove(handle)).collect())
}

fn observed(handle: &str, record: &Record) -> Observed {
    let power = match record.power_state.as_deref() {
        Some("power on") => Power::On,
        Some("power off") => Power::Off,
        _ => Power::Unknown,
    };
    let mut note = record.last_error.clone().unwrap_or_default();
    if record.maintenance == Some(true) {
        note = format!("in maintenance; {note}");
    }
    Observed {
        handle: handle.to_owned(),
        power,
        state: record.provision_state.to_string(),
        note: note.chars().take(500).collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::testing;
    use serde_json::Value;

    fn record(power: &str, target: Option<&str>, locked: bool) -> Record {
        let reservation = locked.then_some("host");
        let node = json!({ "power_state": power, "target_power_state": target, "reservation": reservation });
        serde_json::from_value(node).unwrap()
    }

    #[test]
    fn a_power_action_is_sent_once_and_only_when_it_is_needed() {
        for (power, wish, sent, step) in [
            ("power on", PowerWish::On, false, Step::Done),
            ("power off", PowerWish::On, false, Step::Send),
            ("power off", PowerWish::On, true, Step::Failed),
            ("power on", PowerWish::SoftOff, false, Step::Send),
            ("power off", PowerWish::SoftOff, true, Step::Done),
            ("power on", PowerWish::Reboot, false, Step::Send),
            ("power on", PowerWish::Reboot, true, Step::Done),
        ] {
            assert_eq!(next(&record(power, None, false), wish, sent), step, "{wish:?} while {power}");
            assert_eq!(next(&record(power, None, true), wish, sent), Step::Wait, "locked");
            assert_eq!(next(&record(power, Some("power on"), false), wish, sent), Step::Wait, "under way");
        }
    }

    /// Handles `n0`, `n1` and so on.
    fn nodes(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("n{n}")).collect()
    }

    /// Answers what was seen on, and the paths that were asked for.
    fn seen(handles: &[String], knows: impl Fn(&str) -> Value + 'static) -> (Vec<String>, Vec<String>) {
        let asked = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let log = asked.clone();
        testing::far_side(move |request| {
            log.borrow_mut().push(request.path.clone());
            match knows(&request.path) {
                Value::Null => testing::reply(404, json!({ "error_message": "no such node" })),
                body => testing::reply(200, body),
            }
        });
        let seen = observe(&testing::context("{}"), handles).unwrap();
        let on = seen.into_iter().filter(|one| one.power == Power::On).map(|one| one.handle).collect();
        (on, asked.take())
    }

    fn node(id: &str) -> Value {
        json!({ "uuid": id, "power_state": "power on", "provision_state": "active" })
    }

    #[test]
    fn many_are_observed_page_by_page_in_the_order_asked_and_strangers_are_left_out() {
        let mut handles = nodes(FEW + 4);
        handles.insert(1, "nobody".into());
        let (seen, asked) = seen(&handles, |path| match path.contains("marker=") {
            false => {
                json!({ "nodes": [node("n2"), node("n1"), node("other")], "next": "http://elsewhere/v1/nodes?marker=other" })
            }
            true => json!({ "nodes": (3..FEW + 4).rev().map(|n| node(&format!("n{n}"))).collect::<Vec<_>>() }),
        });
        assert_eq!(seen[..], handles[2..], "n0 is not known either");
        assert_eq!(asked.len(), 2, "{asked:?}");
    }

    #[test]
    fn the_last_few_are_asked_for_one_by_one_and_no_further_page_is_read() {
        let (seen, asked) = seen(&nodes(FEW + 2), |path| match path.split(['/', '?']).nth(3) {
            Some("n9") => Value::Null,
            Some(id) if id.starts_with('n') => node(id),
            _ => json!({ "nodes": [node("n0"), node("n1")], "next": "http://elsewhere/v1/nodes?marker=n1" }),
        });
        assert_eq!(seen, nodes(FEW + 1));
        assert_eq!(asked.iter().filter(|path| path.contains("limit=")).count(), 1, "{asked:?}");
        assert_eq!(asked.len(), 1 + FEW, "{asked:?}");
    }
}
