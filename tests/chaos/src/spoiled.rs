//! A database that is full, read-only, or locked by somebody: new work is refused in words, what runs waits and goes on afterwards.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use rusqlite::Connection;
use scenarios::pause;
use serde_json::json;

use crate::lane::Lane;
use crate::truth;

/// In which way, and what a user is told.
const WAYS: [(&str, u16, &str); 3] =
    [("full", 507, "disk-full"), ("read-only", 503, "database-read-only"), ("locked", 503, "database-locked")];

/// How long its first request to Ironic takes.
const SLOW: Duration = Duration::from_secs(3);

/// One line for each way that does not hold, and how many were tried.
pub(crate) async fn all() -> Result<(usize, Vec<String>)> {
    let mut lane = Lane::open().await?;
    let mut wrong = Vec::new();
    for (way, status, code) in WAYS {
        if let Err(error) = one(&mut lane, way, status, code).await {
            wrong.push(format!("{way}: {error:#}"));
            lane = Lane::open().await?;
        }
    }
    Ok((WAYS.len(), wrong))
}

async fn one(lane: &mut Lane, way: &str, status: u16, code: &str) -> Result<()> {
    lane.start_with(vec![("MOGANITE_STORE_FAULT", word(lane).display().to_string())]).await?;
    // It cannot end before its database is spoiled.
    let slow = json!({"kind": "delay", "side": "ironic", "method": "POST", "ms": u64::try_from(SLOW.as_millis())?});
    lane.stack.sim.fault(slow).await?;
    let (instance, flow) = lane.stack.create("web", "small").await?;
    lane.stack.service.flow(&flow, "to be under way", |flow| flow["task"] != "compose").await?;

    let lock = spoil(lane, way)?;
    // Larger than what may be free in pages that are there.
    let order = json!({"name": "more", "flavor": "small", "image": "cirros", "user_data": "x".repeat(60_000)});
    let refused = lane.api().post("/v1/instances", &order).await?;
    ensure!(
        (refused.status, &refused.body["code"]) == (status, &json!(code)),
        "a new instance was answered {} {}",
        refused.status,
        refused.body
    );
    // Long enough for the flow to run into it.
    pause(SLOW + Duration::from_millis(1500)).await;
    let meanwhile = lane.api().get(&format!("/v1/instances/{instance}")).await?.ok()?;
    ensure!(meanwhile["state"] == "creating", "meanwhile it reads {}", meanwhile["state"]);
    drop(lock);
    std::fs::remove_file(word(lane)).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;

    let ended = lane.stack.service.instance(&instance, "ended", |instance| instance["state"] != "creating").await?;
    ensure!(ended["state"] == "active", "afterwards it ended {}: {}", ended["state"], ended["reason"]);
    let list = lane.api().get("/v1/instances").await?.ok()?;
    let names: Vec<_> = list["items"].as_array().into_iter().flatten().map(|item| item["name"].clone()).collect();
    ensure!(names == [json!("web")], "what was refused is there: {names:?}");
    lane.stack.delete_and_wait(&instance).await?;
    let left = truth::held(lane).await?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}

/// Until the word is gone, or the connection.
fn spoil(lane: &Lane, way: &str) -> Result<Option<Connection>> {
    if way != "locked" {
        std::fs::write(word(lane), way)?;
        return Ok(None);
    }
    let other = Connection::open(lane.stack.service.state.join("moganite.db"))?;
    other.busy_timeout(Duration::from_secs(10))?;
    other.execute_batch("BEGIN IMMEDIATE")?;
    Ok(Some(other))
}

fn word(lane: &Lane) -> PathBuf {
    lane.stack.folder.path().join("store-fault")
}
