//! Enroll: create the node under a uuid made from the mark, give it its ports, then manage, inspect and provide it until it is
//! available. [`next`] decides from the record alone.

use crate::api::{Ironic, Said};
use crate::inspected;
use crate::node::{Record, State};
use crate::ports;
use crate::provision::{Step, Verb, Walk, note};
use crate::settings::Settings;
use moganite_driver::{
    ACCESS_ADDRESS, ACCESS_PASSWORD, ACCESS_USERNAME, Access, Answer, Context, Identity, Node, NodeDoing, Part,
    PartKind, fault, intent, mark, now, wait,
};
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
    let ironic = Ironic::new();
    let body = create_body(&settings, mark, made)?;
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
        None => create(&ironic, &body, mark)?,
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

/// Creates the node. Whoever has the name already is the conflict; Ironic's answer does not say who, so it is asked.
fn create(ironic: &Ironic, body: &Value, mark: &str) -> Answer<Record> {
    match ironic.post("/v1/nodes", body)? {
        Said::Done(body) => crate::api::read(body),
        Said::Conflict(why) => {
            let uuid = mark::uuid(mark).to_string();
            match (ironic.node(&uuid)?, ironic.node(mark)?) {
                (Some(record), _) => Ok(record),
                (None, Some(other)) => {
                    Err(fault::conflict(format!("node {} in ironic has the name {mark}", other.uuid)))
                }
                (None, None) => Err(fault::retry(why)),
            }
        }
        Said::Refused(why) => Err(fault::rejected(format!("ironic refused the node: {why}"))),
        other => Err(other.unexpected("creating the node")),
    }
}

/// The body of the create.
fn create_body(settings: &Settings, mark: &str, made: &Node) -> Answer<Value> {
    let access = access(made)?;
    let mut body = json!({
        "uuid": mark::uuid(mark).to_string(),
        "name": mark,
        "driver": "redfish",
        "driver_info": {
            "redfish_address": ACCESS_ADDRESS,
            "redfish_system_id": access.path,
            "redfish_username": ACCESS_USERNAME,
            "redfish_password": ACCESS_PASSWORD,
            "redfish_verify_ca": settings.redfish_verify_ca,
        },
        "properties": told(settings, &made.parts),
        "extra": { "moganite_mark": mark },
        "automated_clean": settings.automated_clean,
    });
    for (interface, name) in settings.interfaces() {
        body[interface] = name.into();
    }
    for (field, value) in [("resource_class", &settings.resource_class), ("conductor_group", &settings.conductor_group)]
    {
        if let Some(value) = value {
            body[field] = value.as_str().into();
        }
    }
    Ok(body)
}

fn access(made: &Node) -> Answer<&Access> {
    let access = made.access.as_ref().ok_or_else(|| {
        fault::rejected(format!("node {} comes without access: its composer must say how it is managed", made.handle))
    })?;
    if access.protocol != "redfish" {
        return Err(fault::rejected(format!(
            "node {} is managed by {}, and this driver enrolls redfish only",
            made.handle, access.protocol
        )));
    }
    Ok(access)
}

/// What Ironic is told of the machine. With `inspect` it is told nothing that its inspection answers, or nobody could tell afterwards
/// what it saw from what it was told.
fn told(settings: &Settings, parts: &[Part]) -> Value {
    let mut properties = json!({ "cpu_arch": settings.cpu_arch });
    if !settings.inspect {
        let sizes = |kind| parts.iter().filter(move |part| part.kind == kind).map(|part| part.size);
        properties["cpus"] = sizes(PartKind::Cpu).sum::<u64>().into();
        properties["memory_mb"] = sizes(PartKind::Memory).sum::<u64>().into();
        properties["local_gb"] = sizes(PartKind::Disk).min().unwrap_or(0).into();
    }
    properties
}

/// A node under our uuid must be the one that this mark makes.
fn check_ours(record: &Record, mark: &str, made: &Node) -> Answer<()> {
    let path = access(made)?.path.as_str();
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
    let parts = if inspected { inspected::parts(ironic, record, disks)? } else { Vec::new() };
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

    fn made() -> Node {
        let part = |kind, size| Part { id: "p".into(), kind, size, serial: None, properties: "{}".into() };
        Node {
            handle: "h".into(),
            identity: Identity { system_uuid: None, serial: None, macs: Vec::new() },
            parts: vec![
                part(PartKind::Cpu, 4),
                part(PartKind::Cpu, 4),
                part(PartKind::Memory, 16_384),
                part(PartKind::Disk, 100),
            ],
            place: None,
            access: Some(Access {
                protocol: "redfish".into(),
                path: "/redfish/v1/Systems/1".into(),
                properties: "{}".into(),
            }),
            facts: "{}".into(),
        }
    }

    #[test]
    fn the_create_carries_placeholders_and_no_secret() {
        let settings =
            serde_json::from_value(json!({ "deploy_interface": "ramdisk", "inspect": false, "owner": "us" })).unwrap();
        let body = create_body(&settings, "mg-a-1", &made()).unwrap();
        assert_eq!(
            body,
            json!({
                "uuid": mark::uuid("mg-a-1").to_string(),
                "name": "mg-a-1",
                "driver": "redfish",
                "driver_info": {
                    "redfish_address": "{{access.address}}",
                    "redfish_system_id": "/redfish/v1/Systems/1",
                    "redfish_username": "{{access.username}}",
                    "redfish_password": "{{access.password}}",
                    "redfish_verify_ca": true,
                },
                "properties": { "cpu_arch": "x86_64", "cpus": 8, "memory_mb": 16_384, "local_gb": 100 },
                "extra": { "moganite_mark": "mg-a-1" },
                "automated_clean": true,
                "deploy_interface": "ramdisk",
            })
        );
    }

    #[test]
    fn an_ironic_that_inspects_is_told_nothing_that_it_will_see() {
        let body = create_body(&Settings::default(), "mg-a-1", &made()).unwrap();
        assert_eq!(body["properties"], json!({ "cpu_arch": "x86_64" }));
    }

    #[test]
    fn a_node_that_is_not_managed_by_redfish_is_rejected_in_words() {
        let mut made = made();
        made.access.as_mut().unwrap().protocol = "ipmi".into();
        let refused = create_body(&Settings::default(), "mg-a-1", &made);
        assert!(matches!(refused, Err(moganite_driver::Fault::Rejected(why)) if why.contains("ipmi")));
    }
}
