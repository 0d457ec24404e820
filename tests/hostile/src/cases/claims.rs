//! Answers that are no answer: out of bounds, of another's machine, without proof, kept from another call.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::case::{Case, one_of};
use crate::made::{self, Module, WIT};
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
        Case::new(STATE, "marks in memory that the next call looks for", async |world: &World| -> Result<String> {
            // In one call it finds what it wrote itself: in the byte, and beside it where the byte is put back.
            for again in ["(call $mark)", "(i32.store8 (i32.const 8) (i32.const 109)) (call $mark)"] {
                probed(world, &format!("(call $mark) {again} {NEW}"), "it crashed").await?;
            }
            for _ in 0..3 {
                probed(world, &format!("(call $mark) {NEW}"), "divide by zero").await?;
            }
            Ok("three calls, each found its memory new".into())
        }),
    ]
}

/// Crashes where its memory is not as a new one, from a byte that its file has to 4 MiB that it takes; then it writes all over it.
const MARK: &str = r#"
    (data (i32.const 8) "m")
    (func $mark (local $at i32) (local $end i32)
        (drop (memory.grow (i32.const 64)))
        (if (i32.ne (i32.load8_u (i32.const 8)) (i32.const 109)) (then unreachable))
        (i32.store8 (i32.const 8) (i32.const 0))
        (local.set $at (i32.const 65536))
        (local.set $end (i32.mul (memory.size) (i32.const 65536)))
        (loop $next
            (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then unreachable))
            (i64.store (local.get $at) (i64.const -1))
            (local.set $at (i32.add (local.get $at) (i32.const 8)))
            (br_if $next (i32.lt_u (local.get $at) (local.get $end)))))"#;

/// How it ends otherwise.
const NEW: &str = "(drop (i32.div_s (i32.const 1) (i32.const 0))) unreachable";

/// Calls a component that does this, and asks how it broke.
async fn probed(world: &World, body: &str, how: &'static str) -> Result<String> {
    let bytes = made::plugin(WIT, "composer", &Module { extra: MARK, body })?;
    let backend = world.fresh_backend(&text(&world.upload(bytes).await?.ok()?, "digest")?).await?;
    let answer = world.post(&format!("/v1/backends/{backend}/probe"), &serde_json::Value::Null).await?;
    one_of(&answer.body.to_string(), &[how])
}
