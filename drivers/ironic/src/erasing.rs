//! Erasing beyond what Ironic's automated cleaning reaches: which clean steps, how a node is kept from others until its disks are erased,
//! and how Ironic's own record tells afterwards that they are.

use crate::api::{Ironic, Said};
use crate::node::Record;
use crate::settings::{Reach, Settings};
use moganite_driver::{Answer, Fault, warn};
use serde_json::{Value, json};

/// How a level is reached on one node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Plan {
    /// By the cleaning that Ironic does by itself after an undeploy, which reaches this.
    Automated(Reach),
    /// By these clean steps, sent by hand, which reach this.
    ByHand(Reach, Vec<Value>),
    /// By nothing; the automated cleaning reaches this.
    OutOfReach(Reach),
}

impl Plan {
    pub(crate) fn of(settings: &Settings, level: Reach, automated_clean: Option<bool>) -> Self {
        let automated = settings.reach(automated_clean);
        if level <= automated {
            return Self::Automated(automated);
        }
        let by_hand = [(Reach::Quick, &settings.clean_steps.quick), (Reach::Full, &settings.clean_steps.full)];
        match by_hand.into_iter().find(|(reach, steps)| *reach >= level && !steps.is_empty()) {
            Some((reach, steps)) => Self::ByHand(reach, steps.clone()),
            None => Self::OutOfReach(automated),
        }
    }

    /// What it reaches.
    pub(crate) fn reach(&self) -> Reach {
        match self {
            Self::Automated(reach) | Self::ByHand(reach, _) | Self::OutOfReach(reach) => *reach,
        }
    }

    /// The body that goes with the verb `clean`.
    pub(crate) fn clean(&self, settings: &Settings) -> Option<Value> {
        let Self::ByHand(_, steps) = self else { return None };
        let mut body = json!({ "clean_steps": steps });
        if !settings.clean_with_agent {
            body["disable_ramdisk"] = true.into();
        }
        Some(body)
    }

    /// What the receipt calls it.
    pub(crate) fn method(&self) -> String {
        match self {
            Self::Automated(_) | Self::OutOfReach(_) => "ironic's automated cleaning".into(),
            Self::ByHand(_, steps) => {
                let text = |step: &Value, key: &str| step[key].as_str().unwrap_or_default().to_owned();
                let names: Vec<_> =
                    steps.iter().map(|step| format!("{}.{}", text(step, "interface"), text(step, "step"))).collect();
                format!("ironic's manual cleaning: {}", names.join(", "))
            }
        }
    }
}

/// What keeps a node from others, when this driver has done it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Its automated cleaning ends in `manageable` and not in `available`.
    Retired,
    /// Without automated cleaning an undeploy ends in `available` even so (`ironic/conductor/cleaning.py` of 39.0.0), where nobody gets a node
    /// that is in maintenance.
    Maintained,
}

/// Whether the node is kept from others on behalf of this mark.
pub(crate) fn kept(record: &Record, mark: &str) -> Option<Kept> {
    let says = |reason: &Option<String>| reason.as_deref() == Some(reason_of(mark).as_str());
    match record {
        Record { retired: Some(true), retired_reason, .. } if says(retired_reason) => Some(Kept::Retired),
        Record { maintenance: Some(true), maintenance_reason, .. } if says(maintenance_reason) => {
            Some(Kept::Maintained)
        }
        _ => None,
    }
}

/// Keeps the node from others before its undeploy. False: it is locked. An Ironic that refuses does not keep the machine running: it is
/// then erased from `available`, where somebody could be quicker.
pub(crate) fn keep(ironic: &Ironic, record: &Record, mark: &str) -> Answer<bool> {
    if kept(record, mark).is_some() {
        return Ok(true);
    }
    let reason = reason_of(mark);
    let said = match record.automated_clean {
        Some(false) => ironic.maintain(&record.uuid, Some(&reason)),
        _ => {
            let ops = json!([
                { "op": "add", "path": "/retired", "value": true },
                { "op": "add", "path": "/retired_reason", "value": reason },
            ]);
            ironic.patch(&record.uuid, &ops)
        }
    };
    match said {
        Ok(Said::Done(_)) => Ok(true),
        Ok(Said::Locked) => Ok(false),
        Err(lost @ Fault::Retry(_)) => Err(lost),
        other => {
            warn!("node {} cannot be kept from others while its disks are erased: {other:?}", record.uuid);
            Ok(true)
        }
    }
}

/// Notes on the node itself that its disks were erased after this deployment, and gives up what kept it. False: it is locked.
pub(crate) fn note_done(ironic: &Ironic, record: &Record, mark: &str, reached: Reach) -> Answer<bool> {
    let done = json!({ "mark": mark, "level": reached.word() });
    let mut ops = vec![json!({ "op": "add", "path": "/extra/moganite_erased", "value": done })];
    if kept(record, mark) == Some(Kept::Retired) {
        ops.push(json!({ "op": "add", "path": "/retired", "value": false }));
    }
    match ironic.patch(&record.uuid, &ops.into())? {
        Said::Done(_) => Ok(true),
        Said::Locked => Ok(false),
        other => Err(other.unexpected("noting that the disks are erased")),
    }
}

/// The operation that takes away what an earlier deployment noted, before this one writes.
pub(crate) fn void(record: &Record) -> Option<Value> {
    let noted = record.extra.as_ref()?.contains_key("moganite_erased");
    noted.then(|| json!({ "op": "remove", "path": "/extra/moganite_erased" }))
}

/// The level that the node's own record tells for this deployment.
pub(crate) fn noted(record: &Record, mark: &str) -> Option<Reach> {
    let done = record.extra.as_ref()?.get("moganite_erased")?;
    let level = serde_json::from_value(done["level"].clone()).ok()?;
    (done["mark"] == mark).then_some(level)
}

fn reason_of(mark: &str) -> String {
    format!("moganite {mark}: its disks are to be erased first")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_least_that_reaches_the_level_is_planned() {
        let step = |name: &str| json!({ "interface": "deploy", "step": name });
        let both =
            json!({ "clean_steps": { "quick": [step("erase_devices_metadata")], "full": [step("erase_devices")] } });
        let full = json!({ "clean_steps": { "full": [step("erase_devices")] } });
        let with = |mut settings: Value, erases: &str| -> Settings {
            settings["erases"] = erases.into();
            serde_json::from_value(settings).unwrap()
        };
        let quick = Plan::ByHand(Reach::Quick, vec![step("erase_devices_metadata")]);
        let all = Plan::ByHand(Reach::Full, vec![step("erase_devices")]);
        for (settings, level, automated, plan) in [
            (with(both.clone(), "none"), Reach::None, Some(false), Plan::Automated(Reach::None)),
            (with(both.clone(), "none"), Reach::Quick, Some(false), quick.clone()),
            (with(both.clone(), "quick"), Reach::Quick, Some(false), quick),
            (with(both.clone(), "quick"), Reach::Quick, Some(true), Plan::Automated(Reach::Quick)),
            (with(both, "quick"), Reach::Full, Some(true), all.clone()),
            (with(full.clone(), "none"), Reach::Quick, None, all.clone()),
            (with(json!({}), "quick"), Reach::Full, None, Plan::OutOfReach(Reach::Quick)),
        ] {
            assert_eq!(Plan::of(&settings, level, automated), plan, "{level:?}");
        }
        assert_eq!(all.method(), "ironic's manual cleaning: deploy.erase_devices");
    }

    #[test]
    fn what_an_operator_keeps_is_not_taken_for_ours() {
        let record = |value: Value| -> Record { serde_json::from_value(value).unwrap() };
        let ours = reason_of("mg-a-2");
        assert_eq!(kept(&record(json!({ "retired": true, "retired_reason": ours })), "mg-a-2"), Some(Kept::Retired));
        let maintained = record(json!({ "maintenance": true, "maintenance_reason": ours }));
        assert_eq!(kept(&maintained, "mg-a-2"), Some(Kept::Maintained));
        assert_eq!(kept(&maintained, "mg-a-20"), None);
        assert_eq!(kept(&record(json!({ "retired": true, "retired_reason": "old" })), "mg-a-2"), None);
        assert_eq!(kept(&record(json!({ "maintenance": true })), "mg-a-2"), None);
    }
}
