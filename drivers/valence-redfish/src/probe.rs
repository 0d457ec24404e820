//! What an operator is told when the backend is bound: which Valence it is, and why it would not work.

use crate::{Far, answer};
use moganite_driver::{Answer, Fault, fault};
use serde_json::json;

pub(crate) fn probe(far: &Far) -> Answer<String> {
    let versions = far.valence.versions()?;
    let version = versions["versions"][0]["id"].as_str().unwrap_or("unknown");
    let tree = if far.valence.is_release() { "the release" } else { "the 2017 tree" };

    let mut problems = Vec::new();
    let mut note = |checked: Result<(), Fault>| {
        if let Err(refused) = checked {
            problems.push(fault::sentence(&refused).to_owned());
        }
    };
    note(far.valence.records().map(drop));
    if let Some(podm) = &far.podm {
        note(podm.indexes().map(drop));
    }
    match far.valence.composes_nothing() {
        Ok(true) => problems.push(answer::composes_nothing("it answers null for its systems")),
        Ok(false) => {}
        Err(refused) => problems.push(fault::sentence(&refused).to_owned()),
    }

    let shape =
        if far.valence.is_release() { json!(["gpu", "nic", "disk", "other"]) } else { json!(["cpu", "memory"]) };
    Ok(json!({
        "version": format!("{version} ({tree})"),
        "problems": problems,
        "abilities": { "shape": shape, "erase": ["none"] },
    })
    .to_string())
}
