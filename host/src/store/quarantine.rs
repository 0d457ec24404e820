//! Nodes that failed: left out of claims until an operator clears them.

use rusqlite::{Connection, Row, params};

use super::rows::{all, from_json, from_text, to_json};
use super::{Operation, Result, Store};
use crate::model::{Fault, Millis, Name, Quarantined};

/// An operator's word that a node may be scheduled again. True when it was quarantined.
#[derive(Debug, Clone)]
pub struct ClearQuarantine {
    pub backend: Name,
    pub handle: String,
}

impl Operation for ClearQuarantine {
    type Answer = bool;

    fn apply(&self, db: &Connection) -> Result<bool> {
        let cleared = db.execute(
            "DELETE FROM quarantine WHERE backend = ?1 AND handle = ?2",
            params![self.backend.as_str(), self.handle],
        )?;
        Ok(cleared == 1)
    }
}

impl Store {
    pub async fn quarantined(&self, backend: &Name) -> Result<Vec<Quarantined>> {
        let backend = backend.clone();
        self.read(move |db| {
            all(db, "SELECT * FROM quarantine WHERE backend = ?1 ORDER BY since", params![backend.as_str()], read)
        })
        .await
    }

    pub async fn quarantine(&self) -> Result<Vec<Quarantined>> {
        self.read(|db| all(db, "SELECT * FROM quarantine ORDER BY backend, since", [], read)).await
    }
}

/// One more strike.
pub(super) fn add(db: &Connection, backend: &Name, handle: &str, cause: &Fault, at: Millis) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO quarantine (backend, handle, cause, strikes, since) VALUES (?1, ?2, ?3, 1, ?4)
         ON CONFLICT (backend, handle) DO UPDATE SET cause = ?3, strikes = strikes + 1",
    )?
    .execute(params![backend.as_str(), handle, to_json(cause)?, at])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Quarantined> {
    Ok(Quarantined {
        backend: from_text(row, "backend")?,
        handle: row.get("handle")?,
        cause: from_json(row, "cause")?,
        strikes: row.get("strikes")?,
        since: row.get("since")?,
    })
}
