//! What persons decided: a line for each verb, written in the transaction that does it.

use rusqlite::{Connection, Row, params};

use super::rows::all;
use super::{Result, Store};
use crate::model::{Audit, By, Millis};

impl Store {
    /// Newest first, before line `before`.
    pub async fn audit(&self, before: Option<i64>, limit: usize) -> Result<Vec<Audit>> {
        self.read(move |db| {
            all(
                db,
                "SELECT * FROM audit WHERE (?1 IS NULL OR n < ?1) ORDER BY n DESC LIMIT ?2",
                params![before, limit],
                read,
            )
        })
        .await
    }
}

pub(super) fn note(db: &Connection, by: &By, verb: &str, subject: &str, at: Millis) -> Result<()> {
    db.prepare_cached("INSERT INTO audit (at, who, verb, subject, reason) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![at, by.who, verb, subject, by.reason])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<Audit> {
    Ok(Audit {
        n: row.get("n")?,
        at: row.get("at")?,
        who: row.get("who")?,
        verb: row.get("verb")?,
        subject: row.get("subject")?,
        reason: row.get("reason")?,
    })
}
