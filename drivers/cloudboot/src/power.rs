//! Power of one server, and the small steps that quiet a device: cancelling what is queued, and taking *success* from one that is off.

use crate::bmc::{Bmc, Power};
use crate::claim::LOOKS;
use crate::device::{Device, Status};
use crate::far::Far;
use moganite_driver::{Answer, Context, PowerWish, Undoing, fault, wait};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The checkpoint of a power action.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Powering {
    /// Of a reboot: it was seen off.
    was_off: bool,
    looks: u32,
}

/// A reboot is off, then on: both may be repeated, while CloudBoot's own restart may not.
pub(crate) fn set_power(cx: &Context, far: &Far, handle: &str, wish: PowerWish) -> Answer<Undoing> {
    let reboot = match wish {
        PowerWish::On | PowerWish::Off => false,
        PowerWish::Reboot => true,
        PowerWish::SoftOff | PowerWish::SoftReboot => {
            return Err(fault::rejected("CloudBoot has no soft power actions: ask for off or reboot"));
        }
    };
    let mut at: Powering = cx.resume()?.unwrap_or_default();
    let device = far.device(handle)?.ok_or_else(|| fault::broken(format!("CloudBoot has no device {handle}")))?;
    if device.marks().is_none() {
        return Err(fault::conflict(format!("server {handle} is entered by somebody else: {:?}", device.asset_number)));
    }
    let to_off = wish == PowerWish::Off || (reboot && !at.was_off);
    let bmc = of(far, handle)?;
    match if to_off { bmc.off(far)? } else { bmc.on(far)? } {
        Power::Reached if to_off && reboot => (at.was_off, at.looks) = (true, 0),
        Power::Reached => return Ok(Undoing::Done(json!({ "power": if to_off { "off" } else { "on" } }).to_string())),
        Power::Asked if at.looks < LOOKS => at.looks += 1,
        Power::Asked => return Err(fault::broken(format!("server {handle} does not turn {}", word(to_off)))),
        Power::Away(why) => return Err(fault::retry(format!("turning server {handle} {}: {why}", word(to_off)))),
    }
    wait(&at, far.settings.poll(), format!("server {handle} to be {}", word(to_off)))
}

/// The BMC of a server that is in the pool.
pub(crate) fn of(far: &Far, sn: &str) -> Answer<Bmc> {
    let row = far.discovered(sn)?.ok_or_else(|| {
        fault::broken(format!(
            "server {sn} is in CloudBoot's pool no more, so it takes no power call: boot it into BootOS"
        ))
    })?;
    Bmc::of(&far.settings, &row).map_err(fault::broken)
}

/// Takes a queued or running install back. The machine is not touched.
pub(crate) fn cancel(far: &Far, device: &Device) -> Answer<()> {
    if device.status.is_queued() {
        let id = json!({ "ID": device.id });
        far.change("device/batchCancelInstall", id)?.content("cancelling the install")?;
    }
    Ok(())
}

/// Makes *failure* of *success*, which neither a cancel nor an import would touch. Only for a machine that is off: in between its
/// install is queued.
pub(crate) fn unfinish(far: &Far, device: &Device) -> Answer<()> {
    if device.status == Status::Success {
        let id = json!({ "ID": device.id });
        far.change("device/batchReInstall", id.clone())?.content("taking the success back")?;
        far.change("device/batchCancelInstall", id)?.content("cancelling the install")?;
    }
    Ok(())
}

fn word(off: bool) -> &'static str {
    if off { "off" } else { "on" }
}
