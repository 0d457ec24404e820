//! Unclaim: see the machine off, keep its inventory, delete the device, and report the inventory again, in this order. The power calls
//! and the inventory are gone with the delete, so both come before it, and the inventory is stored before it too.

use crate::bmc::Power;
use crate::claim::LOOKS;
use crate::device::Device;
use crate::discovered::Inventory;
use crate::far::Far;
use crate::find;
use crate::power;
use crate::restore::{self, Gone};
use crate::step::Claiming;
use moganite_driver::{Answer, Context, Holding, Undoing, fault, intent, wait};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The checkpoint of an unclaim.
#[derive(Debug, Serialize, Deserialize)]
struct Unclaiming {
    sn: String,
    /// Stored before the delete; none: the machine is not yet seen off.
    inventory: Option<Inventory>,
    looks: u32,
}

pub(crate) fn unclaim(cx: &Context, far: &Far, what: &Holding) -> Answer<Undoing> {
    let trail: Option<Claiming> = what.trail()?;
    let at = match cx.resume::<Unclaiming>()? {
        Some(at) => at,
        None => match server(far, what, trail.as_ref())? {
            Some(sn) => Unclaiming { sn, inventory: None, looks: 0 },
            None => return nothing(far, what),
        },
    };
    if let Some(inventory) = &at.inventory {
        return match restore::give_back(far, &at.sn, &what.mark, inventory)? {
            Gone::Returned => done(&at.sn, "deleted, and in the pool again"),
            Gone::Theirs => done(&at.sn, "somebody else's by now"),
        };
    }
    match far.device(&at.sn)? {
        Some(device) if device.claimed_as().as_deref() == Some(what.mark.as_str()) => quiet(far, &device, trail, at),
        other => match (trail.as_ref().and_then(|trail| trail.unsettled(&far.settings)), other) {
            (Some(left), _) => wait(&at, left, format!("whether server {} is entered after a lost answer", at.sn)),
            (None, Some(_)) => done(&at.sn, "somebody else's, and never ours or not any more"),
            (None, None) => absent(far, trail, &at.sn),
        },
    }
}

/// Ours and still there: off, then the intent to delete.
fn quiet(far: &Far, device: &Device, trail: Option<Claiming>, mut at: Unclaiming) -> Answer<Undoing> {
    if let Some(deploy) = device.deployed_as() {
        return Err(fault::conflict(format!("server {} still has deployment {deploy}: undeploy it first", at.sn)));
    }
    power::cancel(far, device)?;
    let row = far.discovered(&at.sn)?;
    let kept = trail.map(|trail| trail.inventory);
    let inventory = row.map(|row| row.inventory()).or(kept).unwrap_or_default();
    // Without a row no power call works.
    restore::into_pool(far, &at.sn, &inventory)?;
    match power::of(far, &at.sn)?.off(far)? {
        Power::Reached => {
            at.inventory = Some(inventory);
            intent(&at, format!("server {} is off and about to be deleted", at.sn))
        }
        Power::Asked if at.looks < LOOKS => {
            at.looks += 1;
            wait(&at, far.settings.poll(), format!("server {} to be off", at.sn))
        }
        Power::Asked => Err(fault::broken(format!("server {} does not turn off", at.sn))),
        Power::Away(why) => Err(fault::retry(format!("turning server {} off: {why}", at.sn))),
    }
}

/// The device is gone; its inventory may have gone with it, if an earlier try was cut between the delete and the report.
fn absent(far: &Far, trail: Option<Claiming>, sn: &str) -> Answer<Undoing> {
    if let Some(trail) = trail {
        restore::into_pool(far, sn, &trail.inventory)?;
        far.device(sn)?;
    }
    done(sn, "it is not entered")
}

/// The server of a holding: as its answer said, as its checkpoint said, or as CloudBoot's own list says.
fn server(far: &Far, what: &Holding, trail: Option<&Claiming>) -> Answer<Option<String>> {
    if let Some(known) = what.handle.clone().or_else(|| trail.map(|trail| trail.entry.sn.clone())) {
        return Ok(Some(known));
    }
    Ok(find::by_mark(far, &what.mark, Device::claimed_as)?.map(|device| device.sn))
}

/// Nothing bears the mark and no request was ever intended. The read closes the proof.
fn nothing(far: &Far, what: &Holding) -> Answer<Undoing> {
    far.device(&what.mark)?;
    done("none", "nothing was claimed")
}

fn done(sn: &str, note: &str) -> Answer<Undoing> {
    Ok(Undoing::Done(json!({ "server": sn, "note": note }).to_string()))
}
