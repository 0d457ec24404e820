//! Deploy: take the node for the instance, give it the image, have Ironic validate it, then `active`. [`next`] decides from the record
//! alone. `instance_uuid` says whose the node is: Ironic keeps it unique over all nodes. Of a node that was claimed it is the allocation's
//! and is used as it stands.

use crate::adopt;
use crate::api::{Ironic, Said};
use crate::deployment::{self, Instance};
use crate::erasing;
use crate::node::{Record, State};
use crate::order;
use crate::provision::{Step, Verb, Walk, note};
use crate::settings::Settings;
use moganite_driver::{Answer, Context, DeployDoing, Deployed, Order, fault, intent, mark, wait};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The checkpoint of a deploy, and the trail that its holding keeps.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Deploying {
    /// Where it happens, for an undeploy that knows no handle.
    pub(crate) node: String,
    /// Whether `active` may have been sent: from then on the node's disks may hold the user's data.
    pub(crate) begun: bool,
    /// Whether what runs there is taken over, and nothing is written.
    #[serde(default)]
    pub(crate) adopts: bool,
    /// The node's `instance_uuid` while the deployment has it; none: made from its own mark.
    #[serde(default)]
    pub(crate) instance: Option<String>,
    #[serde(default)]
    pub(crate) walk: Walk,
    /// Looks at an active node that is not on.
    #[serde(default)]
    pub(crate) dark: u32,
}

/// Interfaces whose validation counts. Those that are `no-*` answer false and are none of these.
const VALIDATED: [&str; 6] = ["power", "management", "boot", "deploy", "network", "storage"];

/// Looks at an active node whose machine does not read as on, before that is the deployment's failure.
const DARK: u32 = 10;

pub(crate) fn deploy(cx: &Context, mark: &str, order: &Order) -> Answer<DeployDoing> {
    let settings = Settings::of(cx)?;
    let ironic = Ironic::of(&settings);
    if adopt::is_asked(order) {
        return adopt::take_over(cx, &settings, &ironic, mark, order);
    }
    let at: Option<Deploying> = cx.resume()?;
    if at.is_none() {
        order::check(&settings, order)?;
        ironic.check_version()?;
    }
    let record =
        ironic.node(&order.node)?.ok_or_else(|| fault::broken(format!("ironic does not know node {}", order.node)))?;
    let Some(mut at) = at.filter(|at| at.begun) else {
        return take(&ironic, &settings, &record, mark, order);
    };
    let instance = at.instance.clone().unwrap_or_else(|| mark::uuid(mark).to_string());
    let step = next(&record, &at.walk, &instance);
    let with = match step {
        Step::Send(_) => order::configdrive(&settings, &instance, order)?.map(|drive| json!({ "configdrive": drive })),
        _ => None,
    };
    if !at.walk.take(&ironic, &record, step, with.as_ref())? {
        return wait(&at, at.walk.pause(settings.poll()), at.walk.note(&record, "active"));
    }
    if record.is_on() {
        return Ok(DeployDoing::Done(deployed(&record)));
    }
    at.dark += 1;
    if at.dark > DARK {
        return Err(fault::broken(format!(
            "node {} is active and its machine reads as {:?}",
            record.uuid,
            record.power_state.as_deref().unwrap_or("unknown")
        )));
    }
    wait(&at, settings.poll(), note(&record, "power on"))
}

/// Before `active`: everything that can be refused is, the node is taken, and the intent to write on it is stored.
fn take(ironic: &Ironic, settings: &Settings, record: &Record, mark: &str, order: &Order) -> Answer<DeployDoing> {
    if let Some(outside) = settings.filter.refuses(record) {
        return Err(fault::conflict(outside));
    }
    let Instance { uuid: instance, claim, .. } = deployment::instance_on(ironic, record, mark)?;
    let at = |begun| Deploying {
        node: record.uuid.clone(),
        begun,
        adopts: false,
        instance: claim.is_some().then(|| instance.clone()),
        walk: Walk::default(),
        dark: 0,
    };
    if record.is_busy() {
        return wait(&at(false), settings.poll(), note(record, "its own end"));
    }
    if record.maintenance == Some(true) {
        return Err(fault::conflict(format!("node {} is in maintenance", record.uuid)));
    }
    let ours = record.instance_uuid.is_some();
    if record.provision_state != State::Available && !(ours && record.provision_state == State::DeployFailed) {
        return Err(fault::conflict(format!("node {} is {}, not available", record.uuid, record.provision_state)));
    }
    let mut ops = vec![
        json!({ "op": "add", "path": "/instance_uuid", "value": instance }),
        json!({ "op": "add", "path": "/instance_info", "value": order::instance_info(record, mark, claim.as_deref(), order)? }),
    ];
    ops.extend(erasing::void(record));
    match ironic.patch(&record.uuid, &ops.into())? {
        Said::Done(_) => {}
        Said::Locked => return wait(&at(false), settings.poll(), note(record, "its lock's end")),
        Said::Refused(why) => return Err(fault::rejected(format!("ironic refused the image: {why}"))),
        other => return Err(other.unexpected("taking the node")),
    }
    validate(ironic, &record.uuid)?;
    intent(&at(true), format!("node {} is about to be deployed", record.uuid))
}

/// Ironic's own pre-check, which costs no call to the BMC.
fn validate(ironic: &Ironic, uuid: &str) -> Answer<()> {
    let body = match ironic.get(&format!("/v1/nodes/{uuid}/validate"))? {
        Said::Done(body) => body,
        other => return Err(other.unexpected("validating the node")),
    };
    let failed: Vec<String> = VALIDATED
        .iter()
        .filter(|name| body[**name]["result"] == Value::Bool(false))
        .map(|name| format!("{name}: {}", body[*name]["reason"].as_str().unwrap_or("no reason given")))
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(fault::rejected(format!("node {uuid} cannot be deployed so: {}", failed.join("; "))))
}

/// What comes next on the way to active.
fn next(record: &Record, walk: &Walk, instance: &str) -> Step {
    if record.is_busy() {
        return Step::Wait;
    }
    if record.instance_uuid.as_deref() != Some(instance) {
        return Step::Stuck(format!("node {} was taken from instance {instance}", record.uuid));
    }
    match (&record.provision_state, walk.sent) {
        (State::Active, _) => Step::Done,
        (State::Available, _) => Step::Send(Verb::Active),
        (State::DeployFailed, Some(Verb::Active)) => Step::Failed(Verb::Active),
        (State::DeployFailed, _) => Step::Send(Verb::Active),
        (state, _) => Step::Stuck(format!("node {} is {state}, which no deployment leads to", record.uuid)),
    }
}

fn deployed(record: &Record) -> Deployed {
    Deployed {
        handle: record.uuid.clone(),
        addresses: "{}".into(),
        facts: json!({
            "instance_uuid": record.instance_uuid,
            "power_state": record.power_state,
            "provision_state": record.provision_state.to_string(),
        })
        .to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::{Fault, testing};

    fn record(state: &str, instance: Option<&str>, locked: bool) -> Record {
        let reservation = locked.then_some("host");
        serde_json::from_value(
            json!({ "uuid": "n", "provision_state": state, "instance_uuid": instance, "reservation": reservation }),
        )
        .unwrap()
    }

    #[test]
    fn each_state_leads_to_active_or_says_why_not() {
        let after = |sent| Walk { sent, ..Walk::default() };
        for (state, sent, step) in [
            ("available", None, Step::Send(Verb::Active)),
            ("deploying", Some(Verb::Active), Step::Wait),
            ("wait call-back", Some(Verb::Active), Step::Wait),
            ("deploy failed", Some(Verb::Active), Step::Failed(Verb::Active)),
            ("deploy failed", None, Step::Send(Verb::Active)),
            ("active", Some(Verb::Active), Step::Done),
            ("active", None, Step::Done),
        ] {
            assert_eq!(next(&record(state, Some("i"), false), &after(sent), "i"), step, "{state} after {sent:?}");
            assert_eq!(next(&record(state, Some("i"), true), &after(sent), "i"), Step::Wait, "{state}, locked");
        }
        for (state, instance) in [("active", Some("j")), ("available", None), ("error", Some("i"))] {
            let step = next(&record(state, instance, false), &Walk::default(), "i");
            assert!(matches!(step, Step::Stuck(_)), "{state} of {instance:?}");
        }
    }

    #[test]
    fn a_validation_that_fails_is_rejected_with_ironic_s_reason_and_a_no_interface_does_not_count() {
        let validated = |body: Value| {
            testing::far_side(move |_| testing::reply(200, body.clone()));
            validate(&Ironic::new(), "n")
        };
        let none = json!({ "result": false, "reason": "not supported" });
        let fine = json!({ "power": { "result": true }, "raid": none, "bios": none, "rescue": { "result": null } });
        assert_eq!(validated(fine), Ok(()));
        let missing = json!({ "deploy": { "result": false, "reason": "Missing are: ['kernel', 'ramdisk']" } });
        assert!(matches!(validated(missing), Err(Fault::Rejected(why)) if why.contains("deploy: Missing are")));
    }
}
