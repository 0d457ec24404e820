//! Plugins that break: after so many broken calls in a row at one backend nobody calls it there for a while, then one flow alone, until a
//! call is whole. The row is the state, so a restart does not fall upon what was left alone.

use rusqlite::{Connection, Row, params};

use super::rows::{all, from_text, one};
use super::{Result, Store};
use crate::model::{Broken, Millis, RevisionId};

/// Broken calls in a row that open it.
pub(super) const OPENS: u32 = 5;

/// How long nobody calls after that; doubles with each probe that broke, up to [`LONGEST`].
pub(super) const FIRST: Millis = 15_000;
pub(super) const LONGEST: Millis = 600_000;

/// How a call of this revision's plugin ended. `broke`: why it was no answer at all. True when flows may be due by it.
pub(super) fn called(db: &Connection, revision: RevisionId, broke: Option<&str>, at: Millis) -> Result<bool> {
    let Some(why) = broke else { return close(db, revision) };
    db.prepare_cached(
        "INSERT INTO breaker (backend, digest, broken, why, since) SELECT backend, digest, 1, ?2, ?3 FROM revision WHERE id = ?1
         ON CONFLICT (backend, digest) DO UPDATE SET broken = broken + 1, why = ?2",
    )?
    .execute(params![revision.0, why, at])?;
    // What was under way when it was opened opens it no further.
    db.prepare_cached(
        "UPDATE breaker SET opened = opened + 1, until = ?2 + min(?4, ?3 * (1 << min(opened, 20)))
         WHERE (backend, digest) = (SELECT backend, digest FROM revision WHERE id = ?1) AND broken >= ?5 AND coalesce(until, 0) <= ?2",
    )?
    .execute(params![revision.0, at, FIRST, LONGEST, OPENS])?;
    Ok(false)
}

/// A whole call ends the row; who waited for that is due.
fn close(db: &Connection, revision: RevisionId) -> Result<bool> {
    let open = one(
        db,
        "SELECT k.id, k.until FROM breaker k JOIN revision r ON r.backend = k.backend AND r.digest = k.digest WHERE r.id = ?1",
        params![revision.0],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<Millis>>(1)?)),
    )?;
    let Some((id, until)) = open else { return Ok(false) };
    db.prepare_cached("DELETE FROM breaker WHERE id = ?1")?.execute(params![id])?;
    Ok(until.is_some())
}

impl Store {
    /// Every plugin whose last call at a backend broke.
    pub async fn broken(&self) -> Result<Vec<Broken>> {
        self.read(|db| all(db, "SELECT * FROM breaker ORDER BY backend, digest", [], read)).await
    }
}

pub(super) fn read(row: &Row<'_>) -> Result<Broken> {
    Ok(Broken {
        backend: from_text(row, "backend")?,
        digest: from_text(row, "digest")?,
        calls: row.get("broken")?,
        until: row.get("until")?,
        why: row.get("why")?,
        since: row.get("since")?,
    })
}
