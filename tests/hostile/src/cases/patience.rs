//! Without end: pending, retries, the same request again.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::case::Case;
use crate::world::World;

const STORM: &str = "Retry storm, endless pending";
const REPLAY: &str = "Replayed or doubled side effects";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::verb(STORM, "always-pending", "compose", &["longer than its budget"]),
        Case::verb(STORM, "pending-storm", "deploy", &["longer than its budget"]),
        Case::verb(STORM, "always-pending", "undeploy", &["longer than its budget"]),
        Case::verb(STORM, "retry-storm", "enroll", &["again, at once"]),
        Case::verb(STORM, "retry-storm", "release", &["again, at once"]),
        Case::verb(STORM, "retry-never", "compose", &["again, much later"]),
        Case::new(REPLAY, "the same order three times", async |world: &World| -> Result<String> {
            let backend = world.misbehaving("none", "compose", json!({})).await?;
            let ids = world.ordered_again(&backend, 3).await?;
            ensure!(ids.windows(2).all(|two| two[0] == two[1]), "{ids:?}");
            Ok("one instance".into())
        }),
    ]
}
