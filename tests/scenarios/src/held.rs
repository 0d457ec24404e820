//! Flows that stand still where one wants them: run call by call, and paused between two.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rusqlite::{Connection, OpenFlags, params};
use serde_json::json;

use crate::clock::pause;
use crate::stack::Stack;

/// Where a flow stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub phase: String,
    pub task: u32,
    /// A call answered *pending*, and the next one gets its checkpoint.
    pub checkpoint: bool,
    revision: i64,
}

/// How long each request takes, so that a pause arrives within the call.
const CALL: Duration = Duration::from_millis(250);

impl Stack {
    /// From now on each call takes long enough for a pause to arrive within it. The far sides' own requests are as fast as ever.
    pub async fn slow_calls(&self) -> Result<()> {
        for side in ["valence", "ironic"] {
            let slow = json!({"kind": "delay", "side": side, "times": 0, "ms": u64::try_from(CALL.as_millis())?});
            self.sim.fault(slow).await?;
        }
        Ok(())
    }

    pub fn position(&self, flow: &str) -> Result<Position> {
        position(&self.service.state.join("moganite.db"), flow)
    }

    /// Runs the flow until it stands at `phase` and `task`, with a checkpoint or without; it is paused then. False when it never stood
    /// there: it has ended, or rests.
    pub async fn hold(&self, flow: &str, phase: &str, task: u32, checkpoint: bool) -> Result<bool> {
        for _ in 0..300 {
            self.paused(flow, true).await?;
            let mut at = self.settled(flow, CALL * 2).await?;
            let stands = |at: &Position| (at.phase.as_str(), at.task, at.checkpoint) == (phase, task, checkpoint);
            if stands(&at) {
                // The call that was under way may have more requests than one.
                at = self.settled(flow, CALL * 8).await?;
                if stands(&at) {
                    return Ok(true);
                }
            }
            if !matches!(at.phase.as_str(), "forward" | "backward") {
                return Ok(false);
            }
            self.paused(flow, false).await?;
            // Long enough for a call to begin, too short for one to end.
            pause(CALL * 2 / 5).await;
        }
        bail!("flow {flow} makes calls without end")
    }

    async fn paused(&self, flow: &str, paused: bool) -> Result<()> {
        let verb = if paused { "pause" } else { "resume" };
        let answer = self.service.api.post(&format!("/v1/flows/{flow}/{verb}"), &json!({"reason": "held"})).await?;
        // One that has ended, or rests, is not paused; the position says so.
        ensure!(answer.status < 300 || answer.status == 409, "{verb} {flow}: {answer:?}");
        Ok(())
    }

    /// Once nothing was stored for a while: then no call is under way.
    async fn settled(&self, flow: &str, quiet: Duration) -> Result<Position> {
        let mut at = self.position(flow)?;
        loop {
            pause(quiet).await;
            let now = self.position(flow)?;
            if now == at {
                return Ok(now);
            }
            at = now;
        }
    }
}

fn position(database: &Path, flow: &str) -> Result<Position> {
    let db = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    db.busy_timeout(Duration::from_secs(5))?;
    let sql = "SELECT phase, task, checkpoint IS NOT NULL, revision FROM flow WHERE public_id = ?1";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Position { phase: row.get(0)?, task: row.get(1)?, checkpoint: row.get(2)?, revision: row.get(3)? })
    };
    db.query_row(sql, params![flow], read).with_context(|| format!("reading flow {flow}"))
}
