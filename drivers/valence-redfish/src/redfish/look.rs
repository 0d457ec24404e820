//! Looking for a system of ours: at the path that is known, behind the blocks, and among the systems that came after our intent. Only one
//! that bears the mark is ours. Read-only.

use super::Far;
use super::block::standing;
use super::known::Known;
use super::service::{SYSTEMS, Seen, text};
use moganite_driver::{Fault, fault};
use std::collections::BTreeSet;

/// A system that bears the mark.
#[derive(Clone, Debug)]
pub(crate) struct Ours {
    pub(crate) path: String,
    pub(crate) seen: Seen,
}

impl Far {
    /// The system at this path, if it is ours. An id may be given again, so the uuid must be the same where it is known.
    pub(crate) fn ours_at(&self, path: &str, mark: &str, uuid: Option<&str>) -> Result<Option<Ours>, Fault> {
        let Some(seen) = self.service.read(path)? else { return Ok(None) };
        let is_same = match (uuid, uuid_of(&seen)) {
            (Some(uuid), Some(told)) => told == uuid,
            _ => true,
        };
        Ok((seen.body["Name"] == mark && is_same).then(|| Ours { path: path.to_owned(), seen }))
    }

    /// What of a holding is there.
    pub(crate) fn look(&self, mark: &str, known: &Known) -> Result<Option<Ours>, Fault> {
        let uuid = known.uuid.as_deref();
        if let Some(path) = &known.system {
            return self.ours_at(path, mark, uuid);
        }
        let Some(plan) = &known.plan else { return Ok(None) };
        // Where the client chooses the path, it is this.
        let mut candidates = BTreeSet::from([format!("{SYSTEMS}/{mark}")]);
        for block in &plan.blocks {
            candidates.extend(standing(&self.service, &block.path)?.into_iter().flat_map(|block| block.systems));
        }
        if let Some(seen) = &plan.seen {
            let all = self.service.members(SYSTEMS)?;
            candidates.extend(all.into_iter().filter(|path| !seen.contains(path)));
        }
        if candidates.len() > self.service.left() as usize {
            return Err(fault::broken(format!(
                "{} systems appeared since {mark} was asked for, too many to look through",
                candidates.len()
            )));
        }
        for path in candidates {
            if let Some(ours) = self.ours_at(&path, mark, uuid)? {
                return Ok(Some(ours));
            }
        }
        Ok(None)
    }
}

/// None where a service has none, or says nothing with it: all zeros.
pub(crate) fn uuid_of(seen: &Seen) -> Option<String> {
    text(&seen.body["UUID"]).filter(|uuid| uuid.chars().any(|digit| !matches!(digit, '0' | '-')))
}
