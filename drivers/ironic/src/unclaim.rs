//! Unclaim: delete the allocation, and see that it is gone and that no node bears its uuid any more. An undeploy has removed it already;
//! a deploy that was refused has not, and leaves the node claimed for this to free.

use crate::adopt;
use crate::allocation;
use crate::api::{Ironic, Said};
use crate::claim::{Claiming, Phase, unsettled_since};
use crate::node::{Record, State};
use crate::provision::note;
use crate::settings::Settings;
use crate::undeploy;
use moganite_driver::{Answer, Context, Fault, Holding, Undoing, fault, mark, wait};
use serde_json::json;
use std::time::Duration;

pub(crate) fn unclaim(cx: &Context, what: &Holding) -> Answer<Undoing> {
    let settings = Settings::of(cx)?;
    let ironic = Ironic::of(&settings);
    if let Some(busy) = adopt::give_back(&settings, &ironic, what)? {
        return Ok(busy);
    }
    if let Some(found) = allocation::of_mark(&ironic, &what.mark)? {
        match allocation::delete(&ironic, &found.uuid)? {
            Said::Done(_) | Said::Missing => {}
            Said::Locked => return wait(&(), settings.poll(), "the node of the allocation is locked"),
            Said::Conflict(why) => return Err(still_used(why)),
            other => return Err(other.unexpected("deleting the allocation")),
        }
    }
    let uuid = mark::uuid(&what.mark).to_string();
    if let Some(record) = undeploy::find(&ironic, &uuid)? {
        return free(&ironic, &settings, &record);
    }
    if let Some(left) = unsettled(what, &settings)? {
        return wait(&(), left, format!("an allocation {uuid} may still appear"));
    }
    match allocation::get(&ironic, &uuid)? {
        None => Ok(Undoing::Done(json!({ "deleted": uuid }).to_string())),
        Some(_) => wait(&(), settings.poll(), format!("allocation {uuid} is still there")),
    }
}

/// A node bears the uuid although the allocation is gone: taken from it by a PATCH, as Ironic itself does on delete.
fn free(ironic: &Ironic, settings: &Settings, record: &Record) -> Answer<Undoing> {
    if matches!(record.provision_state, State::Active | State::DeployFailed | State::Error) {
        return Err(still_used(format!("node {} is {}", record.uuid, record.provision_state)));
    }
    if !record.is_busy() {
        let ops = json!([{ "op": "remove", "path": "/instance_uuid" }]);
        match ironic.patch(&record.uuid, &ops)? {
            Said::Done(_) | Said::Locked | Said::Missing => {}
            other => return Err(other.unexpected("freeing the node")),
        }
    }
    wait(&(), settings.poll(), note(record, "being nobody's"))
}

/// Whatever is deployed there is undeployed first, by its own holding.
fn still_used(why: String) -> Fault {
    fault::retry(format!("the claimed node is still in use: {why}"))
}

/// How long an unanswered request for this allocation may still take effect; none when nothing can appear. Without a trail none was ever
/// sent.
pub(crate) fn unsettled(what: &Holding, settings: &Settings) -> Answer<Option<Duration>> {
    let Some(trail) = what.trail::<Claiming>()? else { return Ok(None) };
    let asked = if what.handle.is_none() && trail.phase == Phase::Ask { trail.begun_ms } else { 0 };
    Ok(unsettled_since(asked.max(trail.unanswered_ms), settings))
}
