//! Unenroll: out of whatever state the node is in to one that Ironic deletes from, then delete it. Never through maintenance, in which
//! an active node is deleted at once and its machine left on (Ironic 39.0.0, seen on the wire).

use crate::api::{Ironic, Said};
use crate::enroll::Enrolling;
use crate::node::{Record, State};
use crate::provision::{Step, Verb, Walk, note};
use crate::settings::Settings;
use moganite_driver::{Answer, Context, Holding, Undoing, fault, mark, now, wait};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Unenrolling {
    walk: Walk,
    /// How often Ironic refused the delete in a state that should allow it.
    refusals: u32,
}

/// Refused deletes after which a person must look.
const REFUSALS: u32 = 5;

pub(crate) fn unenroll(cx: &Context, what: &Holding) -> Answer<Undoing> {
    let settings = Settings::of(cx)?;
    let ironic = Ironic::of(&settings);
    let mut at: Unenrolling = cx.resume()?.unwrap_or_default();
    if cx.attempt > 1 {
        at.walk.forgive();
        at.refusals = 0;
    }
    let uuid = what.handle.clone().unwrap_or_else(|| mark::uuid(&what.mark).to_string());
    let Some(record) = ironic.node(&uuid)? else {
        return gone(what, &settings, &uuid, &at);
    };
    if record.enrolled_as() != Some(what.mark.as_str()) {
        return Err(fault::conflict(format!("node {uuid} in ironic does not bear the mark {}", what.mark)));
    }
    if let Some(outside) = settings.filter.refuses(&record).filter(|_| record.owner.is_some()) {
        return Err(fault::conflict(outside));
    }
    let step = next(&record, &at.walk);
    if !at.walk.take(&ironic, &record, step, None)? {
        return wait(&at, at.walk.pause(settings.poll()), at.walk.note(&record, "a state that can be deleted"));
    }
    match delete(&ironic, &record)? {
        Said::Done(_) | Said::Missing if ironic.node(&uuid)?.is_none() => done(&uuid),
        Said::Done(_) | Said::Missing | Said::Locked => wait(&at, settings.poll(), note(&record, "its end")),
        // An Ironic may be set not to delete available nodes: they are managed first.
        Said::Conflict(_) if record.provision_state == State::Available => {
            at.walk.take(&ironic, &record, Step::Send(Verb::Manage), None)?;
            wait(&at, settings.poll(), note(&record, "manageable"))
        }
        Said::Conflict(_) if at.refusals < REFUSALS => {
            at.refusals += 1;
            wait(&at, settings.poll(), note(&record, "its end"))
        }
        Said::Conflict(why) | Said::Refused(why) => Err(fault::broken(format!("node {uuid} cannot be deleted: {why}"))),
    }
}

/// What comes next on the way to a state that can be deleted.
fn next(record: &Record, walk: &Walk) -> Step {
    if record.is_locked() {
        return Step::Wait;
    }
    let failed = |verb| walk.sent == Some(verb);
    match &record.provision_state {
        State::InspectWait if !failed(Verb::Abort) => Step::Send(Verb::Abort),
        State::DeployWait if !failed(Verb::Deleted) => Step::Send(Verb::Deleted),
        state if state.is_moving() => Step::Wait,
        State::Enroll | State::Manageable | State::Available | State::AdoptFailed => Step::Done,
        State::Error if failed(Verb::Deleted) => Step::Failed(Verb::Deleted),
        State::Active | State::DeployFailed | State::Error => Step::Send(Verb::Deleted),
        State::InspectFailed | State::CleanFailed if failed(Verb::Manage) => Step::Failed(Verb::Manage),
        State::InspectFailed | State::CleanFailed => Step::Send(Verb::Manage),
        state => Step::Stuck(format!("node {} is {state}, from which no way out is known here", record.uuid)),
    }
}

/// Deletes the node, free of an instance: an association refuses the delete in every state.
fn delete(ironic: &Ironic, record: &Record) -> Answer<Said> {
    if record.instance_uuid.is_some() {
        let ops = json!([{ "op": "remove", "path": "/instance_uuid" }]);
        match ironic.patch(&record.uuid, &ops)? {
            Said::Done(_) => {}
            other => return Ok(other),
        }
    }
    ironic.delete(&record.uuid)
}

/// Nothing is there. After a create whose answer was lost, only time says that nothing will appear.
fn gone(what: &Holding, settings: &Settings, uuid: &str, at: &Unenrolling) -> Answer<Undoing> {
    match unsettled(what, settings)? {
        Some(left) => wait(at, left, format!("a create of node {uuid} may still take effect")),
        None => done(uuid),
    }
}

/// How long an unanswered create of this holding may still take effect; none when nothing can appear. Without a trail no create was
/// ever sent; with a handle it was answered.
pub(crate) fn unsettled(what: &Holding, settings: &Settings) -> Answer<Option<Duration>> {
    let trail = what.trail::<Enrolling>()?.filter(|trail| what.handle.is_none() && !trail.ported);
    Ok(trail
        .map(|trail| Duration::from_millis(trail.begun_ms.saturating_add(settings.settle_ms)).saturating_sub(now()))
        .filter(|left| !left.is_zero()))
}

fn done(uuid: &str) -> Answer<Undoing> {
    Ok(Undoing::Done(json!({ "deleted": uuid }).to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_state_has_a_way_out() {
        for (state, sent, step) in [
            ("enroll", None, Step::Done),
            ("verifying", None, Step::Wait),
            ("manageable", None, Step::Done),
            ("inspecting", None, Step::Wait),
            ("inspect wait", None, Step::Send(Verb::Abort)),
            ("inspect wait", Some(Verb::Abort), Step::Wait),
            ("inspect failed", None, Step::Send(Verb::Manage)),
            ("cleaning", None, Step::Wait),
            ("clean failed", None, Step::Send(Verb::Manage)),
            ("clean failed", Some(Verb::Manage), Step::Failed(Verb::Manage)),
            ("available", None, Step::Done),
            ("deploying", None, Step::Wait),
            ("wait call-back", None, Step::Send(Verb::Deleted)),
            ("deploy failed", None, Step::Send(Verb::Deleted)),
            ("active", None, Step::Send(Verb::Deleted)),
            ("deleting", Some(Verb::Deleted), Step::Wait),
            ("error", None, Step::Send(Verb::Deleted)),
            ("error", Some(Verb::Deleted), Step::Failed(Verb::Deleted)),
            ("adopt failed", None, Step::Done),
        ] {
            let mut record: Record = serde_json::from_value(json!({ "uuid": "n", "provision_state": state })).unwrap();
            let walk = Walk { sent, ..Walk::default() };
            assert_eq!(next(&record, &walk), step, "{state} after {sent:?}");
            record = serde_json::from_value(json!({ "provision_state": state, "reservation": "h" })).unwrap();
            assert_eq!(next(&record, &walk), Step::Wait, "{state}, locked");
        }
    }
}
