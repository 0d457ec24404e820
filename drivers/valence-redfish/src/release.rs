//! Release: give back what bears the mark and prove it gone. Nothing is deleted before the pod manager's own name and
//! uuid say that it is ours, since a stale record may lead to an index that another node has now; and no answer of a
//! DELETE is believed before both far sides show it gone.

use crate::answer::{self, Deleted};
use crate::podm::{Hint, Podm};
use crate::step::{Place, Step};
use crate::valence::Record;
use crate::{Far, next_look, now_ms};
use moganite_driver::{Answer, Context, Fault, Holding, Undoing, fault, wait, warn};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

/// What a release keeps between calls.
#[derive(Default, Serialize, Deserialize)]
struct Releasing {
    /// When something was deleted first; none while only waiting for what may still appear.
    since_ms: Option<u64>,
}

/// What a pass over both far sides left.
pub(crate) enum Left {
    /// `note`: what is there and cannot or must not be removed.
    Nothing { note: Option<String> },
    /// Deleted, and still to be seen.
    Held { what: String },
    /// The pod manager does not take it back now.
    Busy { what: String },
    /// Nothing is there, but an earlier request may still take effect.
    Unsettled,
}

/// What became of one record.
pub(crate) enum Given {
    Deleted,
    /// The pod manager does not take it back now.
    Busy(String),
    /// It stays, for this reason; nothing of ours is behind it.
    Spared(String),
}

pub(crate) fn release(cx: &Context, far: &Far, what: &Holding) -> Answer<Undoing> {
    let Releasing { since_ms } = cx.resume()?.unwrap_or_default();
    let trail = what.trail::<Step>()?;
    let place = Place::of(what)?;
    let quiet_ms = trail.as_ref().map_or(0, |step| step.quiet_ms(far.settle));
    let settled = since_ms.is_some() || what.handle.is_some() || now_ms() >= quiet_ms;
    match give_back(far, &what.mark, &place, place.hint(trail.as_ref()), settled)? {
        Left::Nothing { note } => Ok(Undoing::Done(receipt(note))),
        Left::Held { what } => {
            let since_ms = since_ms.unwrap_or_else(now_ms);
            give_up_late(far, since_ms, &what)?;
            let again = next_look(since_ms, Duration::from_secs(5));
            wait(&Releasing { since_ms: Some(since_ms) }, again, what)
        }
        // A node is not taken back while it is put together; the host says when that is too long.
        Left::Busy { what } => wait(&Releasing { since_ms }, Duration::from_secs(3), what),
        Left::Unsettled => {
            let left = Duration::from_millis(quiet_ms.saturating_sub(now_ms()));
            let note = format!("an earlier compose request may still take effect, for {} s", left.as_secs());
            wait(&Releasing { since_ms: None }, left.min(Duration::from_secs(15)), note)
        }
    }
}

/// Deletes what is ours and looks whether it is gone. Repeatable; it ends with the reading that proves it.
pub(crate) fn give_back(far: &Far, mark: &str, place: &Place, hint: Hint<'_>, settled: bool) -> Result<Left, Fault> {
    let (ours, others) = sorted(far, mark, place)?;
    let mut notes = Vec::new();
    let mut deleted = Vec::new();
    for record in &ours {
        match delete_record(far, record, mark, place.podm_uuid.as_deref())? {
            Given::Deleted => deleted.push(record),
            Given::Busy(what) => return Ok(Left::Busy { what }),
            Given::Spared(note) => notes.push(note),
        }
    }
    // A record is written last of all, so where one was the request has ended.
    if !settled && ours.is_empty() {
        return Ok(Left::Unsettled);
    }
    let pass = Pass { far, mark, place, deleted: &deleted };
    if let Some(left) = pass.held_hardware(&others, hint, &mut notes)? {
        return Ok(left);
    }
    let (left, _) = sorted(far, mark, place)?;
    if let Some(record) = left.iter().find(|record| deleted.contains(record)) {
        return Ok(Left::Held { what: format!("Valence still has the record {}", record.uuid) });
    }
    Ok(Left::Nothing { note: (!notes.is_empty()).then(|| notes.join("; ")) })
}

/// Deletes a record with the node behind it, once that is seen to be ours.
pub(crate) fn delete_record(far: &Far, record: &Record, mark: &str, podm_uuid: Option<&str>) -> Result<Given, Fault> {
    let Record { uuid, index, .. } = record;
    match &far.podm {
        Some(podm) => {
            if let Some(node) = podm.node(index)?.filter(|node| !node.is_ours(mark, podm_uuid)) {
                return Ok(spare(format!(
                    "Valence's record {uuid} is stale: node {index} of the pod manager is another one, {}, and was left alone",
                    node.name
                )));
            }
        }
        None => {
            if far.valence.composes_nothing()? {
                let what = format!("node {uuid} must be released at its pod manager");
                return Err(fault::broken(answer::composes_nothing(&what)));
            }
            refuse_shared_board(far, record)?;
        }
    }
    Ok(match far.valence.delete(uuid)? {
        Deleted::Answered | Deleted::NoRecord => Given::Deleted,
        Deleted::Busy(why) => Given::Busy(format!("node {index} cannot be given back yet: {why}")),
        Deleted::Stuck(why) => spare(format!(
            "node {index} is gone, and Valence's API cannot remove its record {uuid} ({why}): only its database can"
        )),
    })
}

/// The release hands one board to several callers and has nothing that tells whose it is; a delete takes the devices of
/// all.
pub(crate) fn refuse_shared_board(far: &Far, record: &Record) -> Result<(), Fault> {
    let records = far.valence.records()?;
    match records.iter().find(|other| other.index == record.index && other.uuid != record.uuid) {
        None => Ok(()),
        Some(other) => Err(fault::conflict(format!(
            "Valence's records {} and {} name one board, {}: a person must decide whose it is",
            record.uuid, other.uuid, record.index
        ))),
    }
}

/// A release that does nothing does not end by waiting.
pub(crate) fn give_up_late(far: &Far, since_ms: u64, what: &str) -> Result<(), Fault> {
    give_up_late_within(far.gone_within, since_ms, what)
}

pub(crate) fn give_up_late_within(gone_within: Duration, since_ms: u64, what: &str) -> Result<(), Fault> {
    let age = Duration::from_millis(now_ms().saturating_sub(since_ms));
    if age < gone_within {
        return Ok(());
    }
    Err(fault::broken(format!("the release was answered {} s ago and did nothing: {what}", age.as_secs())))
}

/// One pass, after the records were deleted.
struct Pass<'a> {
    far: &'a Far,
    mark: &'a str,
    place: &'a Place,
    deleted: &'a [&'a Record],
}

impl Pass<'_> {
    /// What is still held for us without a record: at the pod manager, or in the release's list of devices.
    fn held_hardware(
        &self,
        records: &[Record],
        hint: Hint<'_>,
        notes: &mut Vec<String>,
    ) -> Result<Option<Left>, Fault> {
        let deleted = self.deleted.iter().map(|record| record.index.as_str());
        let Some(podm) = &self.far.podm else {
            for index in deleted.chain(hint.index) {
                if !self.far.valence.devices_of(index)?.is_empty() {
                    return Ok(Some(Left::Held { what: format!("devices are still attached to board {index}") }));
                }
            }
            return Ok(None);
        };
        let held = |index: &str| Some(Left::Held { what: format!("the pod manager still has node {index}") });
        for index in deleted {
            if self.is_held(podm, index)? {
                return Ok(held(index));
            }
        }
        for node in podm.orphans(self.mark, records, hint)? {
            let index = &node.index;
            if !node.is_ours(self.mark, self.place.podm_uuid.as_deref()) {
                notes.push(format!("node {index} of the pod manager has our name and another uuid: it was left alone"));
            } else if !podm.delete(index)? {
                return Ok(Some(Left::Busy { what: format!("the pod manager does not take node {index} back yet") }));
            } else if self.is_held(podm, index)? {
                return Ok(held(index));
            }
        }
        Ok(None)
    }

    fn is_held(&self, podm: &Podm, index: &str) -> Result<bool, Fault> {
        Ok(podm.node(index)?.is_some_and(|node| node.is_ours(self.mark, self.place.podm_uuid.as_deref())))
    }
}

/// Valence's records: ours, and the others.
fn sorted(far: &Far, mark: &str, place: &Place) -> Result<(Vec<Record>, Vec<Record>), Fault> {
    let ours = |record: &Record| record.name == mark || place.uuid.as_ref() == Some(&record.uuid);
    Ok(far.valence.records()?.into_iter().partition(ours))
}

fn spare(note: String) -> Given {
    warn!("{note}");
    Given::Spared(note)
}

/// Valence has no erasing; what was on the disks was the deploying side's to erase.
fn receipt(note: Option<String>) -> String {
    json!({ "erased": "none", "method": "Valence cannot erase", "disks": [], "note": note }).to_string()
}
