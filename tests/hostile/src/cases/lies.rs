//! A driver that never speaks to its far side and answers *done*: what evidence finds, what a witness finds, and what nobody does.

use anyhow::{Result, ensure};
use scenarios::for_tests;
use serde_json::{Value, json};

use crate::case::{Case, one_of};
use crate::made;
use crate::world::{World, text};

const FORGE: &str = "Forge results";
const POISON: &str = "Poison checkpoints";

/// That a manifest may want proven, with the flow that calls them.
const PROVEN: [&str; 9] =
    ["compose", "claim", "enroll", "deploy", "undeploy", "unenroll", "release", "unclaim", "set-power"];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = PROVEN.into_iter().map(proven).collect();
    cases.extend([
        Case::new(FORGE, "lies in every verb", async |world: &World| -> Result<String> {
            // Nothing is asked for and nobody else looks: that it is believed is what docs/threats.md says.
            let backend = world.misbehaving("none", "compose", json!({})).await?;
            let (id, flow) = world.active(&backend, &backend).await?;
            let told = world.get(&format!("/v1/flows/{flow}")).await?.ok()?;
            let exchanges = told["events"].as_array().into_iter().flatten();
            ensure!(
                exchanges.map(|event| event["exchanges"].as_array().map_or(0, Vec::len)).sum::<usize>() == 0,
                "{told}"
            );
            ensure!(world.far.take().is_empty(), "it spoke to somebody");
            world.delete(&format!("/v1/instances/{id}")).await?.ok()?;
            Ok("believed: active, without one exchange of the gate".into())
        }),
        Case::new(FORGE, "lies in compose, the managing side looks", async |world: &World| -> Result<String> {
            let backend = world.misbehaving("none", "compose", json!({})).await?;
            let route = json!({"compose": [backend], "enroll": ["ironic-1"], "deploy": ["ironic-1"]});
            let flavor =
                json!({"name": backend, "shape": {"cores": 2, "memory_mib": 1024}, "route": route, "erase": "none"});
            world.put(&format!("/v1/flavors/{backend}"), &flavor).await?.ok()?;
            let told = world.created(&backend, "cirros").await?;
            let flow: Value = serde_json::from_str(&told)?;
            ensure!(flow["phase"] == "reverted", "{}", flow["phase"]);
            one_of(&flow["fault"]["message"].to_string(), &[""])
        }),
        Case::new(POISON, "checkpoints swapped between two flows", async |world: &World| -> Result<String> {
            let backend = world.misbehaving("none", "compose", json!({})).await?;
            let pending = json!({"case": "always-pending", "verb": "compose"});
            world.bind(&backend, &world.digest, &pending).await?.ok()?;
            let (one, first) = world.order(&backend, &backend).await?;
            let (other, second) = world.order(&backend, &backend).await?;
            world.swapped_checkpoints(&first, &second).await?;
            for flow in [&first, &second] {
                world.rested(flow).await?;
            }
            let marks = [world.marks_of(&one).await?, world.marks_of(&other).await?].concat();
            ensure!(marks.is_empty(), "still held: {marks:?}");
            Ok("both ended, each with its own mark".into())
        }),
    ]);
    cases
}

/// The same lie where the manifest wants an exchange that proves it.
fn proven(verb: &'static str) -> Case {
    Case::new(FORGE, format!("lies in {verb}, a proof is wanted"), async move |world: &World| -> Result<String> {
        let packed = made::repacked(&for_tests("misbehave")?, |manifest| {
            let proof = json!({"endpoint": "far", "method": "POST", "path": "/proof", "status": [200]});
            manifest["name"] = format!("liar-{verb}").into();
            manifest["proofs"] = json!({verb: proof});
        })?;
        let digest = text(&world.upload(packed).await?.ok()?, "digest")?;
        let told = world.live_as(&digest, "none", verb, json!({})).await?;
        one_of(&told, &["without the exchange that proves it"])
    })
}
