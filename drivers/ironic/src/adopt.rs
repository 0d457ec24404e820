//! Adopt: a node that runs already is taken as it runs. The claim is an allocation that Ironic backfills to it, the deployment two marks
//! in its `instance_info`; neither sends a verb, and no power action. What is let go leaves Ironic's record as it was before.
//!
//! Ironic deletes the allocation of an active node only while the node is in maintenance, which touches no machine: a claim that is let go
//! puts it there for that moment, with a reason that names the mark.

use crate::allocation;
use crate::api::{Ironic, Said};
use crate::claim::{Claiming, unsettled_since};
use crate::deploy::Deploying;
use crate::deployment::{self, Known};
use crate::node::{Record, State};
use crate::provision::{Walk, note};
use crate::settings::Settings;
use crate::wish::Wish;
use moganite_driver::{
    Answer, Context, DeployDoing, Deployed, Holding, Order, Undoing, fault, intent, mark, now, wait,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// What is remembered of a node that is adopted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Adopted {
    /// Its uuid.
    pub(crate) node: String,
    /// Whether its `instance_info` had traits before the allocation wrote some there.
    had_traits: bool,
}

impl Adopted {
    /// The allocation that is asked for.
    pub(crate) fn body(&self, mark: &str) -> Value {
        json!({
            "uuid": mark::uuid(mark).to_string(),
            "name": mark,
            "node": self.node,
            "extra": { "moganite_mark": mark, "moganite_adopted": true },
        })
    }
}

/// What the facts of a holding say of an adoption.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Facts {
    #[serde(rename = "let-go")]
    let_go: bool,
    /// What the answer that took it over said: from its being stored on the machine is ours.
    adopted: bool,
}

/// The node, if it may be adopted as it stands now. Changes nothing.
pub(crate) fn look(ironic: &Ironic, wish: &Wish, mark: &str, id: &str) -> Answer<Adopted> {
    let record = ironic.node(id)?.ok_or_else(|| fault::rejected(format!("ironic knows no node {id}")))?;
    let own = mark::uuid(mark).to_string();
    if let Some(instance) = record.instance_uuid.as_ref().filter(|instance| **instance != own) {
        return Err(fault::conflict(format!("node {} is taken by instance {instance}", record.uuid)));
    }
    let marked = record.enrolled_as().or(record.mark());
    if let Some(mark) = marked.filter(|_| record.instance_uuid.is_none()) {
        return Err(fault::conflict(format!("node {} bears the mark {mark} of a moganite", record.uuid)));
    }
    if record.is_busy() {
        return Err(fault::retry(note(&record, "its own end")));
    }
    check_running(&record)?;
    if let Some(why) = wish.refuses_to_adopt(&record) {
        return Err(fault::conflict(why));
    }
    let had_traits = record.instance_info.as_ref().is_some_and(|info| info.contains_key("traits"));
    Ok(Adopted { node: record.uuid, had_traits })
}

pub(crate) fn check_running(record: &Record) -> Answer<()> {
    match record.provision_state {
        State::Active => Ok(()),
        _ => Err(fault::conflict(format!(
            "node {} is {}, and only an active one is adopted: order an instance on it instead",
            record.uuid, record.provision_state
        ))),
    }
}

/// Whether this order wants what runs on the node, as it runs.
pub(crate) fn is_asked(order: &Order) -> bool {
    serde_json::from_str::<Value>(&order.image).is_ok_and(|image| image == json!({ "adopt": true }))
}

/// The deployment on a node that was claimed as it ran.
pub(crate) fn take_over(
    cx: &Context,
    settings: &Settings,
    ironic: &Ironic,
    mark: &str,
    order: &Order,
) -> Answer<DeployDoing> {
    let at: Option<Deploying> = cx.resume()?;
    let read =
        || ironic.node(&order.node)?.ok_or_else(|| fault::broken(format!("ironic does not know node {}", order.node)));
    let record = read()?;
    if let Some(outside) = settings.filter.refuses(&record) {
        return Err(fault::conflict(outside));
    }
    let instance = deployment::instance_on(ironic, &record, mark)?;
    let Some(claim) = instance.claim.filter(|_| instance.adopted) else {
        return Err(fault::rejected(format!("node {} was not claimed to be adopted", record.uuid)));
    };
    if let Some(other) = record.mark().filter(|other| *other != mark) {
        return Err(fault::conflict(format!("node {} bears the mark {other}", record.uuid)));
    }
    let Some(at) = at else {
        let at = Deploying {
            node: record.uuid.clone(),
            begun: false,
            adopts: true,
            instance: Some(instance.uuid),
            walk: Walk::default(),
            dark: 0,
        };
        return intent(&at, format!("what runs on node {} is about to be taken over", record.uuid));
    };
    if record.is_busy() {
        return wait(&at, settings.poll(), note(&record, "its own end"));
    }
    check_running(&record)?;
    if record.deployed_as() != Some(mark) {
        let ops = json!([
            { "op": "add", "path": "/instance_info/moganite_mark", "value": mark },
            { "op": "add", "path": "/instance_info/moganite_claim", "value": claim },
            { "op": "add", "path": "/instance_info/moganite_adopted", "value": true },
        ]);
        match ironic.patch(&record.uuid, &ops)? {
            Said::Done(_) => {}
            Said::Locked => return wait(&at, settings.poll(), note(&record, "its lock's end")),
            other => return Err(other.unexpected("marking the node")),
        }
    }
    let record = read()?;
    if record.deployed_as() != Some(mark) {
        return Err(fault::retry(format!("ironic does not show the mark of node {} yet", record.uuid)));
    }
    Ok(DeployDoing::Done(Deployed {
        handle: record.uuid.clone(),
        addresses: "{}".into(),
        facts: json!({
            "adopted": true,
            "instance_uuid": record.instance_uuid,
            "power_state": record.power_state,
            "provision_state": record.provision_state.to_string(),
        })
        .to_string(),
    }))
}

/// Whether this deployment was never ours. The host says so; and one that was to be taken over and has no handle never was.
pub(crate) fn is_let_go(what: &Holding) -> Answer<bool> {
    let trail: Option<Deploying> = what.trail()?;
    Ok(says_let_go(what)? || (what.handle.is_none() && trail.is_some_and(|trail| trail.adopts)))
}

/// Whether the node bears this mark of a deployment that was taken over, and nobody has stored that it was: a request that came late, found
/// by its mark alone.
pub(crate) fn is_nobodys(record: &Record, what: &Holding) -> Answer<bool> {
    let taken_over =
        record.instance_info.as_ref().is_some_and(|info| info.get("moganite_adopted") == Some(&true.into()));
    Ok(taken_over && record.mark() == Some(&what.mark) && !what.facts::<Facts>()?.adopted)
}

/// The checkpoint of a [`leave`].
#[derive(Default, Serialize, Deserialize)]
struct Leaving {
    /// When it began, in ms since 1970: nothing was sent to take over since then.
    since_ms: u64,
}

/// Takes the marks of a deployment away, also those of a request that arrives after it was given up. The machine runs on as it did.
pub(crate) fn leave(cx: &Context, settings: &Settings, ironic: &Ironic, what: &Holding) -> Answer<Undoing> {
    let began = || Leaving { since_ms: u64::try_from(now().as_millis()).unwrap_or(u64::MAX) };
    let at: Leaving = cx.resume()?.unwrap_or_else(began);
    let known = Known::of(what)?;
    let record = match &known.node {
        Some(node) => ironic.node(node)?,
        None => known.find(ironic, &what.mark)?,
    };
    if let Some(record) = record.filter(|record| record.mark() == Some(&what.mark)) {
        let ours = ["moganite_mark", "moganite_claim", "moganite_adopted"].into_iter();
        let there = ours.filter(|key| record.instance_info.as_ref().is_some_and(|info| info.contains_key(*key)));
        let ops: Vec<_> = there.map(|key| json!({ "op": "remove", "path": format!("/instance_info/{key}") })).collect();
        match ironic.patch(&record.uuid, &ops.into())? {
            Said::Done(_) => {}
            Said::Locked => return wait(&at, settings.poll(), note(&record, "its lock's end")),
            Said::Missing => {}
            other => return Err(other.unexpected("taking the mark away")),
        }
    }
    // Read again: what it shows last is the proof.
    let left = ironic.node(known.node.as_deref().unwrap_or(&known.instance))?;
    if let Some(record) = left.filter(|record| record.mark() == Some(&what.mark)) {
        return wait(&at, settings.poll(), note(&record, "its mark's end"));
    }
    let was_asked = what.trail::<Deploying>()?.is_some_and(|trail| trail.adopts);
    if let Some(left) = unsettled_since(at.since_ms, settings).filter(|_| was_asked) {
        return wait(&at, left, "whether a request that came late takes it over even so");
    }
    let method = "nothing was written: the machine was never ours, and was left as it is";
    Ok(Undoing::Done(json!({ "erased": "none", "method": method, "disks": [] }).to_string()))
}

/// Frees a node that was claimed as it ran, where the host says that it never was ours. Some: it is on its way. None: nothing is left to do
/// for this, or nothing is to be done.
pub(crate) fn give_back(settings: &Settings, ironic: &Ironic, what: &Holding) -> Answer<Option<Undoing>> {
    if !says_let_go(what)? {
        return Ok(None);
    }
    let Some(Adopted { node, had_traits }) = adopted(what)? else { return Ok(None) };
    let Some(record) = ironic.node(&node)? else { return Ok(None) };
    let busy = || wait(&(), settings.poll(), note(&record, "its lock's end")).map(Some);
    if let Some(found) = allocation::of_mark(ironic, &what.mark)? {
        let active = record.provision_state == State::Active && found.node_uuid.as_ref() == Some(&record.uuid);
        if active && record.maintenance != Some(true) {
            match ironic.maintain(&record.uuid, Some(&reason_of(&what.mark)))? {
                Said::Done(_) | Said::Missing => {}
                Said::Locked => return busy(),
                other => return Err(other.unexpected("putting the node into maintenance for a moment")),
            }
        }
        match allocation::delete(ironic, &found.uuid)? {
            Said::Done(_) | Said::Missing => {}
            Said::Locked => return busy(),
            Said::Conflict(why) => return Err(fault::retry(why)),
            other => return Err(other.unexpected("deleting the allocation")),
        }
        return wait(&(), Duration::ZERO, format!("node {node} is to be as it was")).map(Some);
    }
    let traits = record.instance_info.as_ref().and_then(|info| info.get("traits"));
    if !had_traits && record.instance_uuid.is_none() && traits == Some(&json!([])) {
        match ironic.patch(&record.uuid, &json!([{ "op": "remove", "path": "/instance_info/traits" }]))? {
            Said::Done(_) | Said::Missing => {}
            Said::Locked => return busy(),
            other => return Err(other.unexpected("taking away what the allocation wrote")),
        }
    }
    if is_kept(&record, &what.mark) {
        match ironic.maintain(&record.uuid, None)? {
            Said::Done(_) | Said::Missing => {}
            Said::Locked => return busy(),
            other => return Err(other.unexpected("taking the node out of maintenance")),
        }
    }
    Ok(None)
}

/// The node, while it is in maintenance for the sake of this claim.
pub(crate) fn still_kept(ironic: &Ironic, what: &Holding) -> Answer<Option<Record>> {
    let Some(adopted) = adopted(what)? else { return Ok(None) };
    Ok(ironic.node(&adopted.node)?.filter(|record| is_kept(record, &what.mark)))
}

fn adopted(what: &Holding) -> Answer<Option<Adopted>> {
    Ok(what.trail::<Claiming>()?.and_then(|trail| trail.adopts))
}

fn says_let_go(what: &Holding) -> Answer<bool> {
    Ok(what.facts::<Facts>()?.let_go)
}

fn is_kept(record: &Record, mark: &str) -> bool {
    record.maintenance == Some(true) && record.maintenance_reason.as_deref() == Some(reason_of(mark).as_str())
}

fn reason_of(mark: &str) -> String {
    format!("moganite {mark}: its claim is given back, for which ironic wants this; its machine is left alone")
}
