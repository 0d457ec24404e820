//! Reading the blocks, a request for each and for each of their parts, over as many calls as it takes. Of blocks that are alike only a few
//! are kept, so that a large pool fits into a checkpoint.

use super::Far;
use super::block::{Block, PartOf, standing};
use super::plan;
use super::service::{COMPOSITION, Seen, link, links};
use super::want::Want;
use moganite_driver::{Fault, fault};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Blocks that are kept, and of those alike.
const KEPT: usize = 96;
const ALIKE: usize = plan::MOST_BLOCKS;
/// Zones that are asked for what is in them.
const ZONES: usize = 20;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Survey {
    /// These blocks, free or not. None: all that are free.
    pub(crate) only: Option<Vec<String>>,
    /// The system that `only` is of.
    pub(crate) of: Option<String>,
    pub(crate) blocks: Vec<Block>,
    /// The last block that was begun.
    pub(crate) after: Option<String>,
    /// Parts of the last block that are still to be read.
    pub(crate) todo: Vec<(PartOf, String)>,
    /// Blocks that were there, free or not.
    pub(crate) known: usize,
    pub(crate) tries: u32,
    pub(crate) seen: Option<Vec<String>>,
}

impl Survey {
    pub(crate) fn of_system(system: &str, blocks: Vec<String>) -> Self {
        Self { only: Some(blocks), of: Some(system.to_owned()), tries: 1, ..Self::default() }
    }

    /// True when everything is read; false when the call has no more requests.
    pub(crate) fn advance(&mut self, far: &Far) -> Result<bool, Fault> {
        let mut paths = match &self.only {
            Some(paths) => paths.clone(),
            None => far.service.members(&format!("{COMPOSITION}/ResourceBlocks"))?,
        };
        paths.sort();
        let mut rest = paths.into_iter().filter(|path| self.after.as_ref().is_none_or(|after| path > after));
        let mut rest = rest.by_ref().collect::<Vec<_>>().into_iter();
        loop {
            while let Some((kind, path)) = self.todo.pop() {
                if far.service.left() == 0 {
                    self.todo.push((kind, path));
                    return Ok(false);
                }
                // What vanished meanwhile counts for nothing.
                if let (Some(Seen { body, .. }), Some(block)) = (far.service.read(&path)?, self.blocks.last_mut()) {
                    self.todo.extend(block.add(kind, &path, &body));
                }
            }
            self.thin();
            if self.blocks.len() >= KEPT || rest.len() == 0 {
                return Ok(true);
            }
            if far.service.left() == 0 {
                return Ok(false);
            }
            let Some(path) = rest.next() else { return Ok(true) };
            self.known += 1;
            let found = standing(&far.service, &path)?;
            if let Some(found) = found.filter(|found| self.only.is_some() || found.is_free()) {
                self.blocks.push(Block::at(&path, &found.seen));
                self.todo = found.parts();
            }
            self.after = Some(path);
        }
    }

    /// Forgets the last block when it brings nothing, or is one too many of its kind.
    fn thin(&mut self) {
        if self.only.is_some() {
            return;
        }
        let Some(last) = self.blocks.last() else { return };
        let is_empty = last.cores == 0 && last.memory_mib == 0 && last.disks.is_empty() && last.nics.is_empty();
        let alike = self.blocks.iter().filter(|block| block.is_like(last)).count();
        if is_empty || alike > ALIKE {
            self.blocks.pop();
        }
    }

    /// Chooses among the blocks. `capacity` when no set of free blocks holds what is wanted.
    pub(crate) fn choose(&self, far: &Far, want: &Want) -> Result<Vec<Block>, Fault> {
        let zones = self.zones(far)?;
        plan::choose(&self.blocks, &zones, want).ok_or_else(|| {
            let (free, known) = (self.blocks.len(), self.known);
            fault::capacity(format!(
                "of {known} resource blocks no free ones of one zone have {} ({free} different ones were looked at)",
                want.sentence()
            ))
        })
    }

    /// Which blocks may be combined. Without zones all may.
    fn zones(&self, far: &Far) -> Result<Vec<Vec<usize>>, Fault> {
        let listed = far.service.members(&format!("{COMPOSITION}/ResourceZones"))?;
        let told = self.blocks.iter().flat_map(|block| block.zones.clone());
        let paths: BTreeSet<String> = listed.into_iter().chain(told).collect();
        if paths.is_empty() {
            return Ok(vec![(0..self.blocks.len()).collect()]);
        }
        let mut zones = Vec::new();
        for path in paths.iter().take(ZONES) {
            let zone = far.service.read(path)?.map(|seen| seen.body).unwrap_or_default();
            if !composes(&zone) {
                continue;
            }
            let members = links(&zone["Links"]["ResourceBlocks"]);
            let is_in = |block: &Block| members.contains(&block.path) || block.zones.contains(path);
            let zone = (0..self.blocks.len()).filter(|at| is_in(&self.blocks[*at]));
            zones.push(zone.collect());
        }
        Ok(zones)
    }
}

/// False when the zone says what it is for, and that is not composing of chosen blocks.
fn composes(zone: &serde_json::Value) -> bool {
    let told = &zone["@Redfish.CollectionCapabilities"]["Capabilities"];
    told.as_array().is_none_or(|told| {
        told.is_empty()
            || told.iter().any(|capability| {
                let target = link(&capability["Links"]["TargetCollection"]);
                capability["UseCase"] == "ComputerSystemComposition"
                    && target.is_none_or(|target| target == super::service::SYSTEMS)
            })
    })
}
