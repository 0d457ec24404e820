//! Enroll: create the node under a uuid made from the mark, give it its ports, then manage, inspect and provide it until it is
//! available. [`next`] decides from the record alone.

use crate::api::{Ironic, Said};
use crate::create;
use crate::inspected;
use crate::node::{Record, State};
use crate::ports;
use crate::provision::{Step, Verb, Walk, note};
use crate::settings::Settings;
use moganite_driver::{Answer, Context, Identity, Node, NodeDoing, PartKind, fault, intent, mark, now, wait};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// How old the intent may be when the create is sent. An older one is renewed first, so that `begun_ms` is never long before the
/// request.
const FRESH: Duration = Duration::from_secs(5);

/// The checkpoint of an enroll, and the trail that its holding keeps.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Enrolling {
    /// When the create was meant to be sent, in ms since 1970: what is not there so long after will not appear.
    pub(crate) begun_ms: u64,
    /// Created, and all its ports too.
    pub(crate) ported: bool,
    inspected: bool,
    walk: Walk,
}

pub(crate) fn enroll(cx: &Context, mark: &str, made: &Node) -> Answer<NodeDoing> {
    let settings = Settings::of(cx)?;
    let ironic = Ironic::of(&settings);
    let body = create::body(&settings, mark, made)?;
    let Some(mut at) = cx.resume::<Enrolling>()? else {
        if let [problem, ..] = settings.problems().as_slice() {
            return Err(fault::rejected(problem.as_str()));
        }
        ironic.check_version()?;
        return intent(&begin(), "the node is about to be created in ironic");
    };
    let uuid = mark::uuid(mark).to_string();
    let record = match ironic.node(&uuid)? {
        Some(record) => record,
        None if at.ported => {
            return Err(fault::conflict(format!("node {uuid} was deleted from ironic by somebody else")));
        }
        None if now().saturating_sub(Duration::from_millis(at.begun_ms)) > FRESH => {
            return intent(&begin(), "the node is about to be created in ironic");
        }
        None => create::create(&ironic, &body, mark)?,
    };
    check_ours(&record, mark, made)?;
    if !at.ported {
        if own(&ironic, &settings, &record)? == Said::Locked {
            return wait(&at, settings.poll(), note(&record, "its owner"));
        }
        ports::ensure(&ironic, &uuid, &made.identity.macs)?;
        at.ported = true;
    }
    if at.walk.sent == Some(Verb::Inspect) && record.provision_state == State::Manageable && !record.is_busy() {
        at.inspected = true;
    }
    let step = next(&record, &at.walk, settings.inspect && !at.inspected);
    if !at.walk.take(&ironic, &record, step, None)? {
        return wait(&at, at.walk.pause(settings.poll()), at.walk.note(&record, "available"));
    }
    Ok(NodeDoing::Done(seen(&ironic, &record, made, at.inspected)?))
}

/// What comes next on the way to available.
fn next(record: &Record, walk: &Walk, inspect: bool) -> Step {
    if record.is_busy() {
        return Step::Wait;
    }
    match (&record.provision_state, walk.sent) {
        (State::Available, _) => Step::Done,
        (State::Enroll, Some(Verb::Manage)) => Step::Failed(Verb::Manage),
        (State::Enroll, _) => Step::Send(Verb::Manage),
        (State::Manageable, _) if inspect => Step::Send(Verb::Inspect),
        (State::Manageable, _) => Step::Send(Verb::Provide),
        (State::InspectFailed, Some(Verb::Inspect)) => Step::Failed(Verb::Inspect),
        (State::CleanFailed, Some(Verb::Provide)) => Step::Failed(Verb::Provide),
        (State::InspectFailed | State::CleanFailed, _) => Step::Send(Verb::Manage),
        (state, _) => Step::Stuck(format!("node {} is {state}: somebody else uses it", record.uuid)),
    }
}

fn begin() -> Enrolling {
    let begun_ms = u64::try_from(now().as_millis()).unwrap_or(u64::MAX);
    Enrolling { begun_ms, ..Enrolling::default() }
}

/// A node under our uuid must be the one that this mark makes.
fn check_ours(record: &Record, mark: &str, made: &Node) -> Answer<()> {
    let path = create::access(made)?.path.as_str();
    let ours = record.enrolled_as() == Some(mark)
        && record.driver.as_deref() == Some("redfish")
        && record.system_path() == Some(path);
    if ours {
        return Ok(());
    }
    Err(fault::conflict(format!(
        "node {} in ironic is not what {mark} makes of {path}: it is {:?} for {:?}",
        record.uuid,
        record.name.as_deref().unwrap_or_default(),
        record.system_path().unwrap_or_default()
    )))
}

/// Sets the owner, which a create may not (400 under noauth) and a PATCH may.
fn own(ironic: &Ironic, settings: &Settings, record: &Record) -> Answer<Said> {
    match &settings.owner {
        Some(owner) if record.owner.as_ref() != Some(owner) => {
            let ops = json!([{ "op": "add", "path": "/owner", "value": owner }]);
            match ironic.patch(&record.uuid, &ops)? {
                said @ (Said::Done(_) | Said::Locked) => Ok(said),
                other => Err(other.unexpected("setting the node's owner")),
            }
        }
        _ => Ok(Said::Done(Value::Null)),
    }
}

/// The node as Ironic sees it.
fn seen(ironic: &Ironic, record: &Record, made: &Node, inspected: bool) -> Answer<Node> {
    let disks = made.parts.iter().filter(|part| part.kind == PartKind::Disk).count();
    let parts = if inspected { inspected::look(ironic, record, disks)?.parts } else { Vec::new() };
    let identity = Identity { system_uuid: None, serial: None, macs: ports::of(ironic, &record.uuid)? };
    Ok(Node {
        handle: record.uuid.clone(),
        identity,
        parts,
        place: None,
        access: None,
        facts: json!({ "inspected": inspected, "resource_class": record.resource_class }).to_string(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn record(state: &str, locked: bool) -> Record {
        let reservation = locked.then_some("host");
        serde_json::from_value(json!({ "uuid": "n", "provision_state": state, "reservation": reservation })).unwrap()
    }

    #[test]
    fn each_state_leads_to_the_next_verb() {
        let after = |sent| Walk { sent, ..Walk::default() };
        for (state, sent, inspect, step) in [
            ("enroll", None, true, Step::Send(Verb::Manage)),
            ("enroll", Some(Verb::Manage), true, Step::Failed(Verb::Manage)),
            ("verifying", None, true, Step::Wait),
            ("manageable", Some(Verb::Manage), true, Step::Send(Verb::Inspect)),
            ("manageable", Some(Verb::Inspect), false, Step::Send(Verb::Provide)),
            ("manageable", Some(Verb::Manage), false, Step::Send(Verb::Provide)),
            ("inspecting", Some(Verb::Inspect), true, Step::Wait),
            ("inspect wait", Some(Verb::Inspect), true, Step::Wait),
            ("inspect failed", Some(Verb::Inspect), true, Step::Failed(Verb::Inspect)),
            ("inspect failed", None, true, Step::Send(Verb::Manage)),
            ("cleaning", Some(Verb::Provide), false, Step::Wait),
            ("clean wait", Some(Verb::Provide), false, Step::Wait),
            ("clean failed", Some(Verb::Provide), false, Step::Failed(Verb::Provide)),
            ("available", Some(Verb::Provide), false, Step::Done),
            ("available", None, true, Step::Done),
        ] {
            assert_eq!(next(&record(state, false), &after(sent), inspect), step, "{state} after {sent:?}");
            assert_eq!(next(&record(state, true), &after(sent), inspect), Step::Wait, "{state}, locked");
        }
        assert!(matches!(next(&record("active", false), &Walk::default(), false), Step::Stuck(_)));
    }
}
