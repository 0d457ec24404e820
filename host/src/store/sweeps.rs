//! How far sweeps are, backend by backend.

use rusqlite::{Connection, Row, params};

use super::rows::{all, from_text};
use super::{Operation, Result, Store, promises};
use crate::model::{Millis, Name, Swept};

/// The brake counts so far back. Milliseconds: an hour.
pub(super) const WINDOW: Millis = 3_600_000;

/// A look at a whole backend ended, or could not be made.
#[derive(Debug, Clone)]
pub struct EndLook {
    pub backend: Name,
    pub began: Millis,
    /// Different handles under this site's marks; or why it did not end.
    pub nodes: std::result::Result<u64, String>,
}

impl Operation for EndLook {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        db.prepare_cached("INSERT OR IGNORE INTO sweep (backend) VALUES (?1)")?.execute([self.backend.as_str()])?;
        match &self.nodes {
            Ok(nodes) => db
                .prepare_cached("UPDATE sweep SET at = ?2, tried_at = ?2, fault = NULL, nodes = ?3 WHERE backend = ?1")?
                .execute(params![self.backend.as_str(), self.began, nodes])?,
            Err(fault) => db
                .prepare_cached("UPDATE sweep SET tried_at = ?2, fault = ?3 WHERE backend = ?1")?
                .execute(params![self.backend.as_str(), self.began, fault])?,
        };
        promises::forget_old(db, self.began)
    }
}

impl Store {
    /// Every backend, by name, also those that were never looked at.
    pub async fn swept(&self, now: Millis) -> Result<Vec<Swept>> {
        self.read(move |db| {
            all(
                db,
                "SELECT b.name AS backend, s.at, s.fault, coalesce(s.nodes, 0) AS nodes, s.stopped_at, s.stopped_why, s.excused,
                        (SELECT count(*) FROM automatic a WHERE a.backend = b.name AND a.at > max(?1, coalesce(s.went_on_at, 0))) AS released,
                        (SELECT count(*) FROM promise p WHERE p.backend = b.name AND p.broken_at IS NOT NULL) AS late
                 FROM backend b LEFT JOIN sweep s ON s.backend = b.name ORDER BY b.name",
                params![now - WINDOW],
                read,
            )
        })
        .await
    }

    /// When the backend that was left alone the longest was last tried; none when none ever was.
    pub(crate) async fn last_swept(&self) -> Result<Option<Millis>> {
        self.read(|db| Ok(db.prepare_cached("SELECT min(tried_at) FROM sweep")?.query_row([], |row| row.get(0))?)).await
    }
}

fn read(row: &Row<'_>) -> Result<Swept> {
    let stopped_at: Option<Millis> = row.get("stopped_at")?;
    let why: Option<String> = row.get("stopped_why")?;
    Ok(Swept {
        backend: from_text(row, "backend")?,
        at: row.get("at")?,
        fault: row.get("fault")?,
        nodes: row.get("nodes")?,
        released: row.get("released")?,
        late: row.get("late")?,
        stopped: stopped_at.map(|at| (at, why.unwrap_or_default())),
        excused: row.get("excused")?,
    })
}
