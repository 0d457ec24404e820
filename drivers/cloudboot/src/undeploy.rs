//! Undeploy: cancel, see the machine off, take the image's row back to that of a lent server. CloudBoot has no way to erase a disk, so
//! with a level above none the machine is brought down all the same, keeps its mark, and the answer is `broken`.

use crate::bmc::Power;
use crate::claim::LOOKS;
use crate::device::{Device, Marks, Status};
use crate::discovered::Inventory;
use crate::far::Far;
use crate::step::Deploying;
use crate::{find, power, restore};
use moganite_driver::{Answer, Context, Erase, Holding, Undoing, fault, intent, wait};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The checkpoint of an undeploy.
#[derive(Debug, Serialize, Deserialize)]
struct Undeploying {
    sn: String,
    /// Whether the installer may have written the disks. A cancel leaves no sign of it, so it is found out before.
    written: Option<bool>,
    looks: u32,
}

pub(crate) fn undeploy(cx: &Context, far: &Far, what: &Holding, level: Erase) -> Answer<Undoing> {
    let trail: Option<Deploying> = what.trail()?;
    let mut at = match cx.resume::<Undeploying>()? {
        Some(at) => at,
        None => match server(far, what, trail.as_ref())? {
            Some(sn) => Undeploying { sn, written: None, looks: 0 },
            None => return nothing(far, what),
        },
    };
    let Some(device) = far.device(&at.sn)? else {
        return deleted(far, trail.as_ref(), at, level);
    };
    if device.deployed_as().as_deref() != Some(what.mark.as_str()) {
        if let Some(left) = trail.as_ref().and_then(|trail| trail.unsettled(&far.settings)) {
            return wait(&at, left, format!("whether server {} is entered after a lost answer", at.sn));
        }
        // Its mark goes last, when the machine is off and nothing is owed.
        return done(&at.sn, "the deployment never began, or was undone");
    }
    let Some(written) = at.written else {
        at.written = Some(is_written(&device, trail.as_ref()));
        return intent(&at, format!("server {} is about to be taken down", at.sn));
    };
    power::cancel(far, &device)?;
    if !off(far, &mut at)? {
        return wait(&at, far.settings.poll(), format!("server {} to be off", at.sn));
    }
    power::unfinish(far, &device)?;
    if written && level != Erase::None {
        return Err(short_of(&at.sn, level));
    }
    unmark(far, &device, what)
}

/// Back to the row of a lent server. Every field is written, so all are sent as they were read, just before.
fn unmark(far: &Far, device: &Device, what: &Holding) -> Answer<Undoing> {
    let claim = device.claimed_as().unwrap_or_default();
    let lent = Device { hostname: claim.clone(), asset_number: Marks::of_claim(&claim).text(), ..device.clone() };
    far.change("device/batchUpdate", lent.update())?.content("taking the deployment's mark away")?;
    match far.device(&device.sn)? {
        Some(now) if now.deployed_as().as_deref() == Some(what.mark.as_str()) => {
            Err(fault::retry(format!("server {} still bears the deployment's mark", device.sn)))
        }
        _ => done(&device.sn, "cancelled and off; no erasure was asked for"),
    }
}

/// Somebody deleted the device. The machine may still run, and power calls need the pool's row: it is reported again.
fn deleted(far: &Far, trail: Option<&Deploying>, mut at: Undeploying, level: Erase) -> Answer<Undoing> {
    let none = Inventory::default();
    restore::into_pool(far, &at.sn, trail.map_or(&none, |trail| &trail.inventory))?;
    if !off(far, &mut at)? {
        return wait(&at, far.settings.poll(), format!("server {} to be off", at.sn));
    }
    far.device(&at.sn)?;
    match level {
        Erase::None => done(&at.sn, "somebody deleted the device; the machine is off"),
        _ => Err(short_of(&at.sn, level)),
    }
}

/// Whether the machine is proved to be off.
fn off(far: &Far, at: &mut Undeploying) -> Answer<bool> {
    match power::of(far, &at.sn)?.off(far)? {
        Power::Reached => Ok(true),
        Power::Asked if at.looks < LOOKS => {
            at.looks += 1;
            Ok(false)
        }
        Power::Asked => Err(fault::broken(format!("server {} does not turn off", at.sn))),
        Power::Away(why) => Err(fault::retry(format!("turning server {} off: {why}", at.sn))),
    }
}

/// A queued install that no report was seen of wrote nothing, whatever was started.
fn is_written(device: &Device, trail: Option<&Deploying>) -> bool {
    let begun = trail.is_none_or(|trail| trail.is_begun());
    begun && (device.status != Status::PreInstall || device.install_progress != 0.0)
}

fn server(far: &Far, what: &Holding, trail: Option<&Deploying>) -> Answer<Option<String>> {
    if let Some(known) = what.handle.clone().or_else(|| trail.map(|trail| trail.entry.sn.clone())) {
        return Ok(Some(known));
    }
    Ok(find::by_mark(far, &what.mark, Device::deployed_as)?.map(|device| device.sn))
}

fn nothing(far: &Far, what: &Holding) -> Answer<Undoing> {
    far.device(&what.mark)?;
    done("none", "nothing was deployed")
}

fn short_of(sn: &str, level: Erase) -> moganite_driver::Fault {
    fault::broken(format!(
        "server {sn} is cancelled and off; level {level:?} was asked for and CloudBoot cannot erase: its disks may still hold data"
    ))
}

fn done(sn: &str, method: &str) -> Answer<Undoing> {
    Ok(Undoing::Done(json!({ "erased": "none", "method": method, "disks": [], "server": sn }).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_count_as_written_unless_the_install_is_seen_never_to_have_begun() {
        let device = |status, install_progress| Device { status, install_progress, ..Device::default() };
        assert!(!is_written(&device(Status::PreInstall, 0.0), None));
        for (status, progress) in [(Status::Installing, 0.6), (Status::Success, 1.0), (Status::Failure, 0.0)] {
            assert!(is_written(&device(status, progress), None), "{status:?}");
        }
    }
}
