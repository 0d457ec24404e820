//! Answers that are no answer: out of bounds, of another's machine, without proof, kept from another call.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::case::{Case, one_of};
use crate::made;
use crate::world::{World, text};

const FORGE: &str = "Forge results";
const POISON: &str = "Poison checkpoints";
const STATE: &str = "State kept between calls";
const DEPUTY: &str = "Confused deputy between tenants";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::verb(POISON, "huge-checkpoint", "compose", &["checkpoint: "]),
        Case::verb(POISON, "huge-checkpoint", "undeploy", &["checkpoint: "]),
        Case::verb(FORGE, "huge-facts", "compose", &["facts: "]),
        Case::verb(FORGE, "bad-json-facts", "enroll", &["facts: "]),
        Case::verb(FORGE, "bad-json-facts", "release", &["done: "]),
        Case::new(DEPUTY, "the handle of another instance", async |world: &World| {
            let (theirs, _) = world.active("tiny", "none").await?;
            let handle = world.handle_of(&theirs, "compose").await?;
            let backend = world.misbehaving("none", "compose", json!({})).await?;
            let (first, _) = world.active(&backend, &backend).await?;
            let own = world.handle_of(&first, "compose").await?;
            let stolen = json!({"case": "someone-elses-handle", "verb": "compose", "handle": own});
            world.bind(&backend, &world.digest, &stolen).await?.ok()?;
            let told = world.created(&backend, &backend).await?;
            let still = world.get(&format!("/v1/instances/{first}")).await?.ok()?;
            ensure!(still["state"] == "active", "{still}");
            ensure!(world.handle_of(&theirs, "compose").await? == handle, "another backend's holding moved");
            // A person's word: the disputed holding was never a machine of its own.
            world.skip_disputed().await?;
            one_of(&told, &["which instance"])
        }),
        Case::new(DEPUTY, "the handle of another project's instance", async |world: &World| {
            let backend = world.misbehaving("none", "compose", json!({})).await?;
            let (theirs, flow) = world.order_in("another", &backend, &backend).await?;
            world.rested(&flow).await?;
            let handle = world.handle_of(&theirs, "compose").await?;
            let stolen = json!({"case": "someone-elses-handle", "verb": "compose", "handle": handle});
            world.bind(&backend, &world.digest, &stolen).await?.ok()?;
            let told = world.created(&backend, &backend).await?;
            let still = world.get(&format!("/v1/instances/{theirs}")).await?.ok()?;
            ensure!(still["state"] == "active" && still["project"] == "another", "{still}");
            ensure!(!told.contains(&theirs), "whose it is was told: {told}");
            world.skip_disputed().await?;
            one_of(&told, &["an instance of another project"])
        }),
        Case::new(DEPUTY, "the identity of another instance", async |world: &World| {
            let backend = world.misbehaving("none", "compose", json!({})).await?;
            let (first, _) = world.active(&backend, &backend).await?;
            let uuid = world.uuid_of(&first).await?;
            let stolen = json!({"case": "someone-elses-identity", "verb": "compose", "uuid": uuid});
            world.bind(&backend, &world.digest, &stolen).await?.ok()?;
            let told = world.created(&backend, &backend).await?;
            world.skip_disputed().await?;
            one_of(&told, &["which instance"])
        }),
        Case::new(FORGE, "done without the exchange that proves it", async |world: &World| {
            let packed = made::repacked(&scenarios::for_tests("misbehave")?, |manifest| {
                manifest["name"] = "liar".into();
                let proof = json!({"endpoint": "far", "method": "POST", "path": "/*", "status": [200]});
                manifest["proofs"] = json!({"compose": proof});
            })?;
            let digest = text(&world.upload(packed).await?.ok()?, "digest")?;
            let backend = world.misbehaving("none", "compose", json!({})).await?;
            let body = json!({"plugin": digest, "endpoints": {"far": {"url": world.far.url}}});
            world.put(&format!("/v1/backends/{backend}"), &body).await?.ok()?;
            let told = world.created(&backend, &backend).await?;
            one_of(&told, &["without the exchange that proves it"])
        }),
        Case::new(STATE, "a counter in a static", async |world: &World| -> Result<String> {
            let backend = world.misbehaving("count-calls", "compose", json!({})).await?;
            for _ in 0..3 {
                let (id, _) = world.active(&backend, &backend).await?;
                let facts = world.holding_of(&id, "compose").await?["facts"].clone();
                ensure!(facts["calls"] == 1, "{facts}");
            }
            Ok("three instances, each saw itself called once".into())
        }),
    ]
}
