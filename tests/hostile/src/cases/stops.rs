//! Plugins that must not run any more, and one that breaks until nobody calls it.

use std::time::Duration;

use anyhow::{Result, ensure};
use scenarios::{for_tests, until};
use serde_json::{Value, json};

use crate::case::{Case, one_of};
use crate::made;
use crate::world::{World, text};

const STOPPED: &str = "A version that must not run";
const BREAKS: &str = "A new version that breaks";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new(STOPPED, "denied while its flow waits", async |world: &World| {
            let backend = world.misbehaving("always-pending", "compose", json!({})).await?;
            let (_, flow) = world.order(&backend, &backend).await?;
            says(world, &flow, "for something that never comes").await?;
            stop(world, "deny").await?;
            let told = says(world, &flow, "is denied: it lies").await?;
            let calls = world.get(&format!("/v1/flows/{flow}")).await?.ok()?["events"].clone();
            world.rest(Duration::from_millis(500)).await;
            let later = world.get(&format!("/v1/flows/{flow}")).await?.ok()?["events"].clone();
            stop(world, "allow").await?;
            ensure!(calls == later, "it was called: {later}");
            one_of(&told, &["is denied: it lies"])
        }),
        Case::new(STOPPED, "disabled in the middle of a call", async |world: &World| {
            let asks = json!({"requests": [{"to": "far", "path": "/silence"}]});
            let backend = world.misbehaving("requests", "compose", asks).await?;
            world.far.take();
            let (_, flow) = world.order(&backend, &backend).await?;
            until("the call to be under way", Duration::from_secs(10), async || {
                Ok(world.far.take().iter().any(|got| got.path == "/silence").then_some(()))
            })
            .await?;
            stop(world, "disable").await?;
            says(world, &flow, "is disabled: it lies").await?;
            // It waits from then on; the call that is cut comes into its timeline a moment later.
            let told = until("the call to be cut", Duration::from_secs(20), async || {
                let flow = world.get(&format!("/v1/flows/{flow}")).await?.ok()?.to_string();
                Ok(flow.contains("the call was cut").then_some(flow))
            })
            .await?;
            stop(world, "enable").await?;
            ensure!(world.far.take().is_empty(), "it was called");
            one_of(&told, &["the call was cut"])
        }),
        Case::new(STOPPED, "a version below its floor", async |world: &World| {
            let old = version(world, "0.0.9").await?;
            let floor = json!({"version": "0.1.0", "reason": "0.0 leaks"});
            let backend = world.misbehaving("none", "compose", json!({})).await?;
            world.put("/v1/plugin-floors/misbehave", &floor).await?.ok()?;
            let swapped = world.put(&format!("/v1/backends/{backend}/plugin"), &json!({"digest": old})).await;
            let bound = world.bind(&backend, &old, &json!({})).await;
            world.delete("/v1/plugin-floors/misbehave").await?.ok()?;
            for answer in [swapped?, bound?] {
                ensure!(answer.status == 409 && answer.body["code"] == "plugin-below-floor", "{answer:?}");
            }
            world.active(&backend, &backend).await?;
            Ok("plugin-below-floor, and the one that is bound works".into())
        }),
        Case::new(BREAKS, "traps in every verb until it is left alone", async |world: &World| {
            let backend = world.misbehaving("panic", "every", json!({})).await?;
            for _ in 0..2 {
                world.created(&backend, &backend).await?;
            }
            let (_, flow) = world.order(&backend, &backend).await?;
            let told = says(world, &flow, "broke 5 times in a row").await?;
            let honest = version(world, "0.1.1").await?;
            let body = json!({"plugin": honest, "endpoints": {"far": {"url": world.far.url}}});
            world.put(&format!("/v1/backends/{backend}"), &body).await?.ok()?;
            world.active(&backend, &backend).await?;
            let over = json!({"plugin": honest, "reason": "this one works"});
            world.post(&format!("/v1/flows/{flow}/hand-over"), &over).await?.ok()?;
            let ended = world.rested(&flow).await?;
            ensure!(ended.contains(r#""phase":"reverted""#), "{ended}");
            one_of(&told, &["broke 5 times in a row"])
        }),
    ]
}

/// What a flow tells once it says this.
async fn says(world: &World, flow: &str, what: &str) -> Result<String> {
    until(&format!("flow {flow} to say {what:?}"), Duration::from_secs(20), async || {
        let flow = world.get(&format!("/v1/flows/{flow}")).await?.ok()?;
        let waits = flow["waits_for"].as_str().is_some_and(|said| said.contains(what));
        Ok(waits.then(|| flow.to_string()))
    })
    .await
}

/// `deny`, `disable` or what undoes them.
async fn stop(world: &World, verb: &str) -> Result<Value> {
    world.post(&format!("/v1/plugins/{}/{verb}", world.digest), &json!({"reason": "it lies"})).await?.ok()
}

/// `misbehave` as another version; its digest.
async fn version(world: &World, version: &str) -> Result<String> {
    let packed = made::repacked(&for_tests("misbehave")?, |manifest| manifest["version"] = version.into())?;
    text(&world.upload(packed).await?.ok()?, "digest")
}
