//! Claim: choose a free server, enter it under our mark, cancel its install at once, turn it off, and look again. Two that claim one
//! server at the same moment both enter it, and the row bears the mark of the later; each looks again after a while, and who does not
//! find its own mark leaves the server alone. A lent server is off, which is proved through its BMC: so no install can begin by
//! itself, and a server whose BMC does not answer is not lent.

use crate::bmc::{Bmc, Power};
use crate::choose::choose;
use crate::device::{Device, Marks};
use crate::discovered::Discovered;
use crate::enter::{Entry, Kind, any_template, template};
use crate::far::{Far, now_ms};
use crate::parts;
use crate::restore;
use crate::said::Said;
use crate::step::{ClaimStage, Claiming, TRIES, is_stale};
use crate::{network, power};
use moganite_driver::{Answer, Context, NodeDoing, Shape, fault, intent, wait};
use serde_json::json;
use std::time::Duration;

/// Servers that one claim tries.
const TRIED: usize = 8;
/// Looks at a BMC that does not answer, and at one that says done and is not.
const AWAY: u32 = 3;
pub(crate) const LOOKS: u32 = 20;

/// What a claim is asked for.
struct Wish<'a> {
    mark: &'a str,
    shape: &'a Shape,
    exclude: &'a [String],
}

pub(crate) fn claim(cx: &Context, far: &Far, mark: &str, shape: &Shape, exclude: &[String]) -> Answer<NodeDoing> {
    let wish = Wish { mark, shape, exclude };
    // Nothing is ever sent before an intent was stored.
    let Some(at) = cx.resume::<Claiming>()? else {
        return begin(far, &wish, Vec::new());
    };
    match at.stage {
        ClaimStage::Entering => enter(cx, far, &wish, at),
        ClaimStage::Parking => park(far, &wish, at),
        ClaimStage::Settling => settle(far, &wish, at),
        ClaimStage::Returning => {
            restore::give_back(far, &at.entry.sn, mark, &at.inventory)?;
            begin(far, &wish, at.left)
        }
    }
}

/// Chooses the next server and stores that it is about to be entered. Changes nothing.
fn begin(far: &Far, wish: &Wish, mut left: Vec<(String, String)>) -> Answer<NodeDoing> {
    loop {
        let why_not: String = left.iter().map(|(sn, why)| format!("; {sn}: {why}")).collect();
        if left.len() >= TRIED {
            return Err(fault::capacity(format!("{TRIED} servers were tried{why_not}")));
        }
        let without: Vec<&str> =
            wish.exclude.iter().map(String::as_str).chain(left.iter().map(|(sn, _)| sn.as_str())).collect();
        let row = choose(far, wish.shape, &without, &why_not)?;
        if far.device(&row.sn)?.is_some() {
            left.push((row.sn, "it is entered by somebody else".into()));
            continue;
        }
        let at = Claiming {
            entry: entry(far, wish.mark, &row)?,
            inventory: row.inventory(),
            since_ms: now_ms(),
            stage: ClaimStage::Entering,
            doubtful: false,
            left,
            looks: 0,
        };
        return intent(&at, format!("server {} is about to be claimed", row.sn));
    }
}

/// How a server is entered that is only lent: with templates that are never used, an address that is its own, and the mark as its name.
fn entry(far: &Far, mark: &str, row: &Discovered) -> Answer<Entry> {
    let network = network::named(far, &far.settings.network)?;
    let (os, system) = match &far.settings.park {
        Some(park) => (template(far, Kind::Os, &json!(park.os))?, template(far, Kind::System, &json!(park.system))?),
        None => (any_template(far, Kind::Os)?, any_template(far, Kind::System)?),
    };
    Ok(Entry {
        sn: row.sn.clone(),
        hostname: mark.to_owned(),
        ip: network::free_address(far, &network, mark, 0)?,
        network: network.id,
        os,
        system,
        hardware: None,
        marks: Marks::of_claim(mark),
    })
}

fn enter(cx: &Context, far: &Far, wish: &Wish, mut at: Claiming) -> Answer<NodeDoing> {
    let sn = at.entry.sn.clone();
    let row = far.device(&sn)?;
    if is_ours(row.as_ref(), wish) {
        return park(far, wish, at);
    }
    at.doubtful |= cx.attempt > 1;
    if let Some(left) = at.unsettled(&far.settings).filter(|_| at.doubtful) {
        return wait(&at, left, format!("whether server {sn} is entered after a lost answer"));
    }
    if row.is_some() {
        return leave(far, wish, at, "somebody else entered it");
    }
    if is_stale(at.since_ms) {
        at.looks += u32::from(at.doubtful);
        if at.looks >= TRIES {
            return leave(far, wish, at, "requests to enter it had no answer and no effect");
        }
        (at.since_ms, at.doubtful) = (now_ms(), false);
        return intent(&at, format!("server {sn} is about to be claimed"));
    }
    match at.entry.send(far)? {
        Said::Done(_) if is_ours(far.device(&sn)?.as_ref(), wish) => park(far, wish, at),
        Said::Done(_) => leave(far, wish, at, "somebody else entered it at the same moment"),
        refused => {
            let why = refused.why();
            leave(far, wish, at, &why)
        }
    }
}

/// Cancels what entering queued, and sees the machine off.
fn park(far: &Far, wish: &Wish, mut at: Claiming) -> Answer<NodeDoing> {
    let sn = at.entry.sn.clone();
    let Some(device) = far.device(&sn)?.filter(|device| is_ours(Some(device), wish)) else {
        return leave(far, wish, at, "somebody else entered it at the same moment");
    };
    power::cancel(far, &device)?;
    if at.stage != ClaimStage::Parking {
        (at.stage, at.looks) = (ClaimStage::Parking, 0);
    }
    let bmc = far.discovered(&sn)?.ok_or_else(|| format!("server {sn} is in the pool no more"));
    match bmc.and_then(|row| Bmc::of(&far.settings, &row)).map(|bmc| bmc.off(far)) {
        Ok(asked) => match asked? {
            Power::Reached => {
                power::unfinish(far, &device)?;
                at.stage = ClaimStage::Settling;
                let after = Duration::from_millis(far.settings.claim_settle_ms);
                return wait(&at, after, format!("whether another site claims server {sn} too"));
            }
            Power::Asked if at.looks < LOOKS => {}
            Power::Away(_) if at.looks < AWAY => {}
            Power::Asked => return give_up(at, "it does not turn off"),
            Power::Away(why) => return give_up(at, &why),
        },
        Err(why) => return give_up(at, &why),
    }
    at.looks += 1;
    wait(&at, far.settings.poll(), format!("server {sn} to be off"))
}

fn settle(far: &Far, wish: &Wish, mut at: Claiming) -> Answer<NodeDoing> {
    let sn = at.entry.sn.clone();
    // The pool first: what is read last is what proves the claim.
    let row = far.discovered(&sn)?;
    let device = far.device(&sn)?;
    match (device, row) {
        (Some(device), _) if !is_ours(Some(&device), wish) => leave(far, wish, at, "another site claimed it too"),
        (Some(device), _) if device.status.is_queued() => {
            at.stage = ClaimStage::Parking;
            intent(&at, format!("server {sn} was queued again"))
        }
        (Some(device), Some(row)) => {
            let facts = json!({ "device_id": device.id, "asset": device.asset_number, "address": device.ip });
            Ok(NodeDoing::Done(parts::node(&row, &far.settings, facts)))
        }
        (Some(_), None) => give_up(at, "it is in the pool no more"),
        (None, _) => leave(far, wish, at, "somebody deleted it"),
    }
}

/// It is not ours, or was never: nothing of it is touched.
fn leave(far: &Far, wish: &Wish, mut at: Claiming, why: &str) -> Answer<NodeDoing> {
    at.left.push((at.entry.sn, why.chars().take(200).collect()));
    begin(far, wish, at.left)
}

/// It is ours and no use.
fn give_up(mut at: Claiming, why: &str) -> Answer<NodeDoing> {
    at.stage = ClaimStage::Returning;
    at.left.push((at.entry.sn.clone(), why.chars().take(200).collect()));
    intent(&at, format!("server {} is given back: {why}", at.entry.sn))
}

fn is_ours(device: Option<&Device>, wish: &Wish) -> bool {
    device.and_then(Device::marks).is_some_and(|marks| marks == Marks::of_claim(wish.mark))
}
