//! Undeploy: tear down, wait until Ironic has cleaned, see the machine off, give the node back. What the level asks beyond what this
//! Ironic's cleaning reaches is `broken`, after the machine is down: it must not run on because its data cannot be erased.

use crate::adopt;
use crate::api::{Ironic, Said};
use crate::deployment::Known;
use crate::erasing::{self, Kept, Plan};
use crate::inspected;
use crate::node::{Record, State};
use crate::provision::{Step, Verb, Walk, note};
use crate::receipt::{Data, gone, nowhere, receipt};
use crate::settings::{Reach, Settings};
use moganite_driver::{Answer, Context, Erase, Holding, Undoing, fault, mark, wait};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The checkpoint of an undeploy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Undeploying {
    node: String,
    /// The node's `instance_uuid` while the deployment had it.
    instance: String,
    /// Whether `active` may have been sent.
    begun: bool,
    /// Whether the node was seen on its way from the instance to available, through cleaning.
    torn: bool,
    /// Whether a cleaning that had failed was asked for once more.
    recleaned: bool,
    /// Whether the node was kept from others until its disks are erased, as far as Ironic let it be.
    kept: bool,
    /// Whether the clean steps began.
    cleaning: bool,
    /// What the clean steps reached.
    erased: Option<Reach>,
    walk: Walk,
}

pub(crate) fn undeploy(cx: &Context, what: &Holding, level: Erase) -> Answer<Undoing> {
    let settings = Settings::of(cx)?;
    let ironic = Ironic::of(&settings);
    if adopt::is_let_go(what)? {
        return adopt::leave(cx, &settings, &ironic, what);
    }
    let level = Reach::from(level);
    let known = Known::of(what)?;
    let mut at: Undeploying = cx.resume()?.unwrap_or_default();
    if cx.attempt > 1 {
        at.walk.forgive();
        at.recleaned = false;
    }
    if at.node.is_empty() {
        at.node = match known.node.clone() {
            Some(node) => node,
            None => match known.find(&ironic, &what.mark)? {
                Some(record) => record.uuid,
                None => return nowhere(&ironic, &mark::uuid(&what.mark).to_string(), level),
            },
        };
    }
    let Some(record) = ironic.node(&at.node)? else {
        return gone(&at.node, level);
    };
    if adopt::is_nobodys(&record, what)? {
        return adopt::leave(cx, &settings, &ironic, what);
    }
    if let Some(outside) = settings.filter.refuses(&record) {
        return Err(fault::conflict(outside));
    }
    if let (Some(instance), Some(mark)) = (&record.instance_uuid, record.deployed_as())
        && mark == what.mark
    {
        at.instance.clone_from(instance);
    } else if at.instance.is_empty() {
        at.instance.clone_from(&known.instance);
    }
    at.begun = known.begun;
    let (instance, begun) = (at.instance.clone(), known.begun);
    at.torn |= is_leaving(&record, &instance, begun);
    let plan = Plan::of(&settings, level, record.automated_clean);
    if !at.settle_cleaning(&ironic, &record, &what.mark, &plan)? {
        return wait(&at, settings.poll(), note(&record, "its lock's end"));
    }
    let step = next(&record, &at, &instance, level, &plan);
    let mut with = None;
    if let Step::Send(Verb::Deleted) = step {
        ironic.check_version()?;
        if !at.kept && !matches!(plan, Plan::Automated(_)) {
            if !erasing::keep(&ironic, &record, &what.mark)? {
                return wait(&at, settings.poll(), note(&record, "its lock's end"));
            }
            at.kept = true;
        }
    } else if let Step::Send(Verb::Clean) = step {
        // Ironic cleans no node that is in maintenance; a manageable one is lent to nobody.
        if erasing::kept(&record, &what.mark) == Some(Kept::Maintained)
            && ironic.maintain(&record.uuid, None)? == Said::Locked
        {
            return wait(&at, settings.poll(), note(&record, "its lock's end"));
        }
        with = plan.clean(&settings);
    }
    if !at.walk.take(&ironic, &record, step, with.as_ref())? {
        at.torn |= at.walk.sent == Some(Verb::Deleted);
        at.cleaning |= at.walk.sent == Some(Verb::Clean);
        at.recleaned |= at.walk.sent == Some(Verb::Provide);
        return wait(&at, at.walk.pause(settings.poll()), at.walk.note(&record, "available and off"));
    }
    let data = data(&record, &at, &instance, begun);
    if record.instance_uuid.as_ref() == Some(&instance) && !give_back(&ironic, &record, &what.mark)? {
        return wait(&at, settings.poll(), note(&record, "its lock's end"));
    }
    let disks = match data {
        Data::Never | Data::CleanFailed => Vec::new(),
        _ if level == Reach::None => Vec::new(),
        _ => inspected::disks(&ironic, &record)?,
    };
    receipt(&record, level, data, &plan, &disks)
}

impl Undeploying {
    /// Takes the end of the clean steps in. False: the node is locked, read it again.
    fn settle_cleaning(&mut self, ironic: &Ironic, record: &Record, mark: &str, plan: &Plan) -> Answer<bool> {
        if self.erased.is_none() {
            self.erased = erasing::noted(record, mark).filter(|reached| *reached >= plan.reach());
        }
        if !self.cleaning || record.is_busy() {
            return Ok(true);
        }
        match (&record.provision_state, plan) {
            (State::Manageable, Plan::ByHand(reached, _)) => {
                if !erasing::note_done(ironic, record, mark, *reached)? {
                    return Ok(false);
                }
                self.erased = Some(*reached);
                self.cleaning = false;
            }
            (State::CleanFailed, _) => self.cleaning = false,
            _ => {}
        }
        Ok(true)
    }

    /// Whether clean steps are still owed.
    fn owes(&self, record: &Record, plan: &Plan) -> bool {
        let left = record.instance_uuid.as_ref() != Some(&self.instance);
        (self.torn || self.begun) && left && self.erased.is_none() && matches!(plan, Plan::ByHand(..))
    }
}

/// The node that an instance has.
pub(crate) fn find(ironic: &Ironic, instance: &str) -> Answer<Option<Record>> {
    let (nodes, _) = ironic.nodes(&format!("&instance_uuid={instance}"), None)?;
    Ok(nodes.into_iter().next())
}

/// What comes next on the way to a node that nobody has and whose machine is off.
fn next(record: &Record, at: &Undeploying, instance: &str, level: Reach, plan: &Plan) -> Step {
    let ours = record.instance_uuid.as_deref() == Some(instance);
    let taken = record.instance_uuid.is_some() && !ours;
    let sent = |verb| at.walk.sent == Some(verb);
    if record.is_locked() {
        return Step::Wait;
    }
    match &record.provision_state {
        State::DeployWait if ours && !sent(Verb::Deleted) => Step::Send(Verb::Deleted),
        state if state.is_moving() => Step::Wait,
        // It went through available in between: ours was undone, and what is there now is left alone.
        _ if taken => Step::Done,
        State::Error if sent(Verb::Deleted) => Step::Failed(Verb::Deleted),
        State::Active | State::DeployFailed | State::Error if ours || at.torn => Step::Send(Verb::Deleted),
        State::CleanFailed => match off(record, at) {
            Step::Done if level == Reach::None => Step::Done,
            Step::Done if sent(Verb::Clean) => Step::Failed(Verb::Clean),
            // Ironic puts a node there by itself, and only a person takes it out.
            Step::Done if at.recleaned || record.maintenance == Some(true) => Step::Failed(Verb::Provide),
            Step::Done => Step::Send(Verb::Manage),
            down_first => down_first,
        },
        State::Manageable if at.owes(record, plan) => Step::Send(Verb::Clean),
        State::Available if at.owes(record, plan) => Step::Send(Verb::Manage),
        // Its data is still there: it stays out of the pool.
        State::Manageable if at.torn && matches!(plan, Plan::OutOfReach(_)) => off(record, at),
        State::Manageable if at.torn => Step::Send(Verb::Provide),
        State::Available | State::Manageable | State::Enroll | State::InspectFailed | State::AdoptFailed => {
            off(record, at)
        }
        state => Step::Stuck(format!("node {} is {state} and no instance of ours has it", record.uuid)),
    }
}

/// The machine must read as off. One that Ironic never could ask has no power state and was never turned on by it.
fn off(record: &Record, at: &Undeploying) -> Step {
    match at.walk.sent {
        _ if record.is_off() => Step::Done,
        _ if record.power_state.is_none() && record.provision_state == State::Enroll => Step::Done,
        _ if record.target_power_state.is_some() => Step::Wait,
        Some(Verb::PowerOff) => Step::Failed(Verb::PowerOff),
        _ => Step::Send(Verb::PowerOff),
    }
}

/// Whether the record shows the deployment on its way out: an undeploy empties `instance_uuid` before it cleans.
fn is_leaving(record: &Record, instance: &str, begun: bool) -> bool {
    match record.provision_state {
        State::Deleting => record.instance_uuid.as_deref().is_none_or(|has| has == instance),
        State::Cleaning | State::CleanWait | State::CleanFailed => begun && record.instance_uuid.is_none(),
        _ => false,
    }
}

/// At the end of the walk. An available node that still has our `instance_uuid` never left available, since an undeploy empties it: so
/// nothing was written, whatever was intended.
fn data(record: &Record, at: &Undeploying, instance: &str, begun: bool) -> Data {
    let never_left = record.instance_uuid.as_deref() == Some(instance);
    match (&record.provision_state, at.erased) {
        (_, Some(reached)) => Data::Erased(reached),
        (State::CleanFailed, _) => Data::CleanFailed,
        _ if !at.torn && (never_left || !begun) => Data::Never,
        _ => Data::Cleaned,
    }
}

/// Empties `instance_uuid`, and the image with it: an `active` that is still on its way then fails its validation. Of a claimed node the
/// `instance_uuid` is the allocation's, which goes with the claim.
fn give_back(ironic: &Ironic, record: &Record, mark: &str) -> Answer<bool> {
    let own = record.instance_uuid.as_deref() == Some(mark::uuid(mark).to_string().as_str());
    let ops = match record.deployed_as() {
        _ if own => json!([
            { "op": "remove", "path": "/instance_uuid" },
            { "op": "add", "path": "/instance_info", "value": {} },
        ]),
        Some(deployed) if deployed == mark => {
            json!([{ "op": "add", "path": "/instance_info", "value": record.allocated_traits() }])
        }
        _ => return Ok(true),
    };
    match ironic.patch(&record.uuid, &ops)? {
        Said::Done(_) => Ok(true),
        Said::Locked => Ok(false),
        other => Err(other.unexpected("giving the node back")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn record(state: &str, instance: Option<&str>, power: &str) -> Record {
        let node = json!({ "uuid": "n", "provision_state": state, "instance_uuid": instance, "power_state": power });
        serde_json::from_value(node).unwrap()
    }

    const AUTOMATED: Plan = Plan::Automated(Reach::Quick);

    fn at(sent: Option<Verb>, torn: bool) -> Undeploying {
        Undeploying {
            torn,
            recleaned: sent == Some(Verb::Provide),
            walk: Walk { sent, ..Walk::default() },
            ..Undeploying::default()
        }
    }

    #[test]
    fn each_state_leads_to_a_node_that_is_free_and_off() {
        let deleted = Some(Verb::Deleted);
        for (state, instance, power, sent, torn, step) in [
            ("active", Some("i"), "power on", None, false, Step::Send(Verb::Deleted)),
            ("deploy failed", Some("i"), "power off", None, false, Step::Send(Verb::Deleted)),
            ("deploying", Some("i"), "power on", None, false, Step::Wait),
            ("wait call-back", Some("i"), "power on", None, false, Step::Send(Verb::Deleted)),
            ("deleting", Some("i"), "power on", deleted, true, Step::Wait),
            ("error", Some("i"), "power on", None, false, Step::Send(Verb::Deleted)),
            ("error", Some("i"), "power on", deleted, true, Step::Failed(Verb::Deleted)),
            ("cleaning", None, "power on", deleted, true, Step::Wait),
            ("clean failed", None, "power on", deleted, true, Step::Send(Verb::PowerOff)),
            ("clean failed", None, "power off", deleted, true, Step::Send(Verb::Manage)),
            ("manageable", None, "power on", Some(Verb::Manage), true, Step::Send(Verb::Provide)),
            ("clean failed", None, "power off", Some(Verb::Provide), true, Step::Failed(Verb::Provide)),
            ("available", None, "power on", deleted, true, Step::Send(Verb::PowerOff)),
            ("available", None, "power on", Some(Verb::PowerOff), true, Step::Failed(Verb::PowerOff)),
            ("available", None, "power off", deleted, true, Step::Done),
            ("available", Some("i"), "power off", None, false, Step::Done),
            ("active", Some("j"), "power on", None, false, Step::Done),
        ] {
            let record = record(state, instance, power);
            assert_eq!(next(&record, &at(sent, torn), "i", Reach::Quick, &AUTOMATED), step, "{state} after {sent:?}");
        }
        let stranger = next(&record("active", None, "power on"), &at(None, false), "i", Reach::None, &AUTOMATED);
        assert!(matches!(stranger, Step::Stuck(_)));
    }

    #[test]
    fn a_failed_cleaning_is_the_end_only_where_no_erasure_was_asked_for() {
        let failed = record("clean failed", None, "power off");
        let torn = at(Some(Verb::Deleted), true);
        assert_eq!(next(&failed, &torn, "i", Reach::None, &AUTOMATED), Step::Done);
        assert_eq!(data(&failed, &torn, "i", true), Data::CleanFailed);
        let kept = Record { maintenance: Some(true), ..failed };
        assert_eq!(next(&kept, &torn, "i", Reach::Quick, &AUTOMATED), Step::Failed(Verb::Provide));
    }

    #[test]
    fn clean_steps_come_after_the_undeploy_and_before_the_node_is_lent_again() {
        let plan = Plan::ByHand(Reach::Quick, vec![json!({})]);
        let (free, kept) = (record("available", None, "power off"), record("manageable", None, "power off"));
        let step = |record: &Record, at: &Undeploying| next(record, at, "i", Reach::Quick, &plan);
        let torn = at(Some(Verb::Deleted), true);
        assert_eq!(step(&free, &torn), Step::Send(Verb::Manage));
        assert_eq!(step(&kept, &torn), Step::Send(Verb::Clean));
        let erased = Undeploying { erased: Some(Reach::Quick), ..at(Some(Verb::Clean), true) };
        assert_eq!(step(&kept, &erased), Step::Send(Verb::Provide));
        assert_eq!(step(&free, &erased), Step::Done);
        let failed = record("clean failed", None, "power off");
        assert_eq!(step(&failed, &at(Some(Verb::Clean), true)), Step::Failed(Verb::Clean));
        // Somebody else has it by now, and an undeploy that never began owes nothing.
        assert_eq!(step(&record("available", Some("j"), "power off"), &torn), Step::Done);
        let ours = Undeploying { instance: "i".into(), ..at(None, false) };
        assert_eq!(step(&record("available", Some("i"), "power off"), &ours), Step::Done);
        let nothing = Plan::OutOfReach(Reach::None);
        assert_eq!(next(&kept, &torn, "i", Reach::Quick, &nothing), Step::Done);
    }

    #[test]
    fn a_deployment_that_never_began_left_nothing_to_erase() {
        let ours = record("available", Some("i"), "power off");
        assert_eq!(data(&ours, &at(None, false), "i", true), Data::Never);
        let free = record("available", None, "power off");
        assert_eq!(data(&free, &at(None, false), "i", false), Data::Never);
        assert_eq!(data(&free, &at(None, false), "i", true), Data::Cleaned);
        assert_eq!(data(&free, &at(None, true), "i", false), Data::Cleaned);
    }

    #[test]
    fn a_node_seen_deleting_was_torn_down_even_when_the_verb_s_answer_was_lost() {
        assert!(is_leaving(&record("deleting", Some("i"), "power on"), "i", false));
        assert!(is_leaving(&record("cleaning", None, "power on"), "i", true));
        assert!(!is_leaving(&record("cleaning", None, "power on"), "i", false));
        assert!(!is_leaving(&record("deleting", Some("j"), "power on"), "i", true));
    }
}
