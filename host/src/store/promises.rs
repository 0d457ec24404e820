//! What drivers promised to be gone, and what came late in spite of it.

use rusqlite::{Connection, params};

use super::rows::{all, from_text};
use super::{Result, Store};
use crate::model::{Digest, HoldingId, Millis};

/// A promise that held for so long is forgotten. Milliseconds: 30 days.
const REMEMBERED: Millis = 30 * 24 * 3_600_000;

impl Store {
    /// Late arrivals by the plugin whose `find` had said *absent*.
    pub async fn late_arrivals(&self) -> Result<Vec<(Digest, u64)>> {
        self.read(|db| {
            all(
                db,
                "SELECT r.digest, count(*) AS late FROM promise p JOIN revision r ON r.id = p.revision
                 WHERE p.broken_at IS NOT NULL GROUP BY r.digest ORDER BY r.digest",
                [],
                |row| Ok((from_text(row, "digest")?, row.get("late")?)),
            )
        })
        .await
    }
}

/// Just before the holding's row goes. One that was broken before stays broken.
pub(super) fn made(db: &Connection, holding: HoldingId, at: Millis) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO promise (mark, backend, role, revision, instance, at)
         SELECT mark, backend, role, coalesce(undo_revision, revision), instance, ?2 FROM holding WHERE id = ?1
         ON CONFLICT (mark) DO UPDATE SET at = ?2",
    )?
    .execute(params![holding.0, at])?;
    Ok(())
}

pub(super) fn broken(db: &Connection, mark: &str, at: Millis) -> Result<()> {
    db.prepare_cached("UPDATE promise SET broken_at = ?2 WHERE mark = ?1 AND broken_at IS NULL")?
        .execute(params![mark, at])?;
    Ok(())
}

pub(super) fn forget_old(db: &Connection, now: Millis) -> Result<()> {
    db.prepare_cached(
        "DELETE FROM promise WHERE broken_at IS NULL AND at < ?1
           AND NOT EXISTS (SELECT 1 FROM orphan o WHERE o.mark = promise.mark)",
    )?
    .execute(params![now - REMEMBERED])?;
    Ok(())
}
