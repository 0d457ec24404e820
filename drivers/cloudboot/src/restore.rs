//! Giving a server back to the pool. A delete takes the pool's row with it, and only a boot of BootOS would bring it back; so the
//! inventory that was saved is reported again, through the call that the server's own agent uses.

use crate::discovered::Inventory;
use crate::far::Far;
use crate::said::Said;
use moganite_driver::{Answer, fault, info};
use serde_json::json;

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// Deleted, and in the pool again.
    Returned,
    /// Somebody else's by now; nothing was touched.
    Theirs,
}

/// Deletes the device that bears this claim's mark and nothing else, then sees that the pool has the server. Repeatable. The inventory must be stored
/// before.
pub(crate) fn give_back(far: &Far, sn: &str, mark: &str, inventory: &Inventory) -> Answer<Gone> {
    if let Some(device) = far.device(sn)? {
        if device.claimed_as().as_deref() != Some(mark) {
            return Ok(Gone::Theirs);
        }
        info!("deleting device {} of server {sn}", device.id);
        match far.change("device/batchDelete", json!({ "ID": device.id }))? {
            Said::Done(_) => {}
            // By another try of this call. The next read says whether it is so.
            said if said.is_absent() => {}
            refused => return Err(fault::retry(format!("deleting server {sn}: {}", refused.why()))),
        }
    }
    into_pool(far, sn, inventory)?;
    match far.device(sn)? {
        None => Ok(Gone::Returned),
        Some(device) if device.claimed_as().as_deref() == Some(mark) => {
            Err(fault::retry(format!("server {sn} was deleted and is still entered")))
        }
        Some(_) => Ok(Gone::Theirs),
    }
}

/// Sees that the pool has the server, with the owner that it had.
pub(crate) fn into_pool(far: &Far, sn: &str, inventory: &Inventory) -> Answer<()> {
    let mut row = far.discovered(sn)?;
    if row.is_none() {
        if inventory.report.is_null() {
            return Err(fault::broken(format!(
                "server {sn} is in the pool no more and its inventory was not kept: boot it into BootOS once"
            )));
        }
        info!("reporting the inventory of server {sn} again");
        far.ask("report/deviceProductInfo", &inventory.report)?.content("reporting the inventory")?;
        row = far.discovered(sn)?;
    }
    let row =
        row.ok_or_else(|| fault::retry(format!("server {sn} is not in the pool after its inventory was reported")))?;
    if row.user_id != inventory.user_id && row.device_id == 0 {
        let owner = json!({ "ID": row.id, "UserID": inventory.user_id });
        far.change("device/scan/batchAssignOwner", owner)?.content("giving the server its owner back")?;
    }
    Ok(())
}
