//! Sessions that the gate keeps of logins, as sealed bytes.

use rusqlite::{Connection, params};

use super::rows::all;
use super::{Operation, Result, Store};
use crate::model::{Millis, Name};

/// Sealed by the driver module's vault. Overwrites the earlier one.
pub struct PutSession {
    pub backend: Name,
    pub name: String,
    pub sealed: Vec<u8>,
    pub at: Millis,
}

impl Operation for PutSession {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        db.execute(
            "INSERT INTO session (backend, name, sealed, updated_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (backend, name) DO UPDATE SET sealed = ?3, updated_at = ?4",
            params![self.backend.as_str(), self.name, self.sealed, self.at],
        )?;
        Ok(())
    }
}

impl Store {
    /// By name; sealed bytes.
    pub async fn sessions(&self, backend: &Name) -> Result<Vec<(String, Vec<u8>)>> {
        let backend = backend.clone();
        self.read(move |db| {
            all(db, "SELECT name, sealed FROM session WHERE backend = ?1", params![backend.as_str()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
        })
        .await
    }
}
