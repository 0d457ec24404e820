//! What an operator is told when the backend is bound: which service it is, why it would not work, and what it can do by what its blocks and
//! drives offer. A large pool is judged by its first blocks of each kind.

use super::Far;
use super::block::{PartOf, standing};
use super::erase::Way;
use super::service::{COMPOSITION, SYSTEMS, Seen, links};
use moganite_driver::{Answer, Erase, Fault, fault};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Blocks and drives that are read.
const BLOCKS: usize = 12;
const DRIVES: usize = 3;

pub(crate) fn probe(far: &Far) -> Answer<String> {
    let mut problems = Vec::new();
    let root = far.service.read("/redfish/v1").unwrap_or_default().map(|seen| seen.body).unwrap_or_default();
    let mut version = root["RedfishVersion"].as_str().unwrap_or("unknown").to_owned();
    match far.service.read(COMPOSITION)? {
        None => problems.push(format!("this service has no {COMPOSITION}: it cannot compose")),
        Some(Seen { body, .. }) => {
            let schema = body["@odata.type"].as_str().unwrap_or_default();
            version = format!("Redfish {version}, {}", schema.trim_start_matches('#'));
            if body["ServiceEnabled"] == false {
                problems.push("the composition service is switched off (ServiceEnabled is false)".into());
            }
        }
    }
    let abilities = match abilities(far, &mut problems) {
        Ok(abilities) => abilities,
        Err(refused) => {
            problems.push(fault::sentence(&refused).to_owned());
            json!({})
        }
    };
    if let Err(refused) = far.service.members(SYSTEMS) {
        problems.push(fault::sentence(&refused).to_owned());
    }
    Ok(json!({ "version": version, "problems": problems, "abilities": abilities }).to_string())
}

fn abilities(far: &Far, problems: &mut Vec<String>) -> Result<Value, Fault> {
    let blocks = far.service.members(&format!("{COMPOSITION}/ResourceBlocks"))?;
    if blocks.is_empty() {
        problems.push("the pool has no resource blocks".into());
    }
    let (mut kinds, mut drives) = (BTreeSet::new(), Vec::new());
    let mut has_simple = false;
    for path in spread(&blocks) {
        let Some(found) = standing(&far.service, path)? else { continue };
        for (kind, path) in found.parts() {
            match kind {
                PartOf::Processor => kinds.insert("cpu"),
                PartOf::Memory => kinds.insert("memory"),
                PartOf::Nic => kinds.insert("nic"),
                PartOf::Drive | PartOf::Storage | PartOf::SimpleStorage => kinds.insert("disk"),
            };
            match kind {
                PartOf::Drive => drives.push(path),
                PartOf::Storage if drives.len() < DRIVES => {
                    let storage = far.service.read(&path)?.map(|seen| seen.body).unwrap_or_default();
                    drives.extend(links(&storage["Drives"]));
                }
                PartOf::SimpleStorage => has_simple = true,
                _ => {}
            }
        }
    }
    drives.truncate(DRIVES);
    let mut abilities = json!({ "shape": kinds, "erase": ["none"] });
    // Without a disk there is nothing to erase, and no level that is not reached.
    if !drives.is_empty() || !has_simple {
        let mut ways = Vec::new();
        for path in &drives {
            ways.push(far.service.read(path)?.and_then(|seen| Way::of(&seen.body, path)));
        }
        let reaches = |level| ways.iter().all(|way| way.as_ref().is_some_and(|way| way.reaches(level)));
        for (level, name) in [(Erase::Quick, "quick"), (Erase::Full, "full")] {
            if reaches(level)
                && let Some(levels) = abilities["erase"].as_array_mut()
            {
                levels.push(json!(name));
            }
        }
    }
    Ok(abilities)
}

/// From the whole list, since blocks of one kind often stand together.
fn spread(blocks: &[String]) -> impl Iterator<Item = &String> {
    blocks.iter().step_by(blocks.len().div_ceil(BLOCKS).max(1))
}
