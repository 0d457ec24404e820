//! What sweeps found, in both directions. One look at one role of one backend is one write.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row, params};

use super::rows::{all, from_text, from_text_or_null};
use super::{Operation, Result, Store, promises};
use crate::model::{FlowId, HoldingId, InstanceId, Mark, Millis, Missing, Name, Orphan, OrphanId, OrphanState, Role};

/// One look at one role of one backend, all pages of it.
#[derive(Debug, Clone)]
pub struct WriteLook {
    pub backend: Name,
    pub role: Role,
    pub began: Millis,
    pub at: Millis,
    /// Every mark of this site in the list.
    pub listed: BTreeSet<Mark>,
    pub theirs: Vec<Theirs>,
    /// Holdings that the list does not have and that `find` calls absent.
    pub missing: Vec<HoldingId>,
}

/// In the list, and in no holding that was read after it.
#[derive(Debug, Clone)]
pub struct Theirs {
    pub mark: Mark,
    pub handle: String,
    pub said: String,
    pub flow: Option<FlowId>,
    pub round: u32,
    /// Of the flow, where this database knows it.
    pub instance: Option<InstanceId>,
    /// No operation in flight: it was seen before, or its flow is over; and `find` sees it, too.
    pub certain: bool,
}

/// What of a holding a look needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldAt {
    pub id: HoldingId,
    pub mark: Mark,
    pub handle: Option<String>,
    pub is_held: bool,
}

impl Operation for WriteLook {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        for theirs in &self.theirs {
            self.note(db, theirs)?;
        }
        let mut releasing = db.prepare_cached(
            "UPDATE orphan SET last_seen = ?4 WHERE backend = ?1 AND role = ?2 AND mark = ?3 AND state = 'releasing'",
        )?;
        let (backend, role) = (self.backend.as_str(), self.role.as_str());
        for mark in &self.listed {
            releasing.execute(params![backend, role, mark.0, self.at])?;
        }
        db.prepare_cached("DELETE FROM orphan WHERE backend = ?1 AND role = ?2 AND last_seen < ?3")?
            .execute(params![backend, role, self.began])?;
        let mut missing = db.prepare_cached(
            "INSERT INTO missing (holding, first_seen, last_seen) SELECT id, ?2, ?3 FROM holding WHERE id = ?1
             ON CONFLICT (holding) DO UPDATE SET last_seen = ?3",
        )?;
        for holding in &self.missing {
            missing.execute(params![holding.0, self.began, self.at])?;
        }
        db.prepare_cached(
            "DELETE FROM missing WHERE last_seen < ?3 AND holding IN (SELECT id FROM holding WHERE backend = ?1 AND role = ?2)",
        )?
        .execute(params![backend, role, self.began])?;
        Ok(())
    }
}

impl WriteLook {
    /// Its age counts from the first look; what a person decided of it stays decided.
    fn note(&self, db: &Connection, theirs: &Theirs) -> Result<()> {
        let state = if theirs.certain { OrphanState::Orphan } else { OrphanState::Seen };
        let noted = db
            .prepare_cached(
                "INSERT INTO orphan (backend, role, mark, handle, said, flow, round, instance, state, first_seen, last_seen)
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 WHERE NOT EXISTS (SELECT 1 FROM holding WHERE mark = ?3)
                 ON CONFLICT (backend, role, mark) DO UPDATE SET handle = ?4, said = ?5, instance = ?8, last_seen = ?11,
                     state = CASE WHEN ?9 = 'orphan' AND state IN ('seen', 'releasing') THEN ?9 ELSE state END",
            )?
            .execute(params![
                self.backend.as_str(),
                self.role.as_str(),
                theirs.mark.0,
                theirs.handle,
                theirs.said,
                theirs.flow.map(|id| id.to_string()),
                theirs.round,
                theirs.instance.map(|id| id.to_string()),
                state.as_str(),
                self.began,
                self.at,
            ])?;
        if noted == 1 && theirs.certain {
            promises::broken(db, &theirs.mark.0, self.at)?;
        }
        Ok(())
    }
}

/// Whose machine, or whose rest of a stack, a release of orphan `o` could take.
pub(super) const BLOCKED_BY: &str = "coalesce(
    (SELECT h.instance FROM holding h WHERE h.backend = o.backend AND h.role IN ('compose', 'claim', 'enroll', 'deploy')
       AND h.handle = o.handle AND h.mark <> o.mark AND NOT EXISTS (SELECT 1 FROM orphan r WHERE r.mark = h.mark) LIMIT 1),
    (SELECT h.instance FROM holding h WHERE h.operation > replace(o.flow, '-', '') || '-' AND h.operation < replace(o.flow, '-', '') || '.'
       AND h.operation LIKE '%-' || o.round AND h.mark <> o.mark
       AND NOT EXISTS (SELECT 1 FROM orphan r WHERE r.mark = h.mark) LIMIT 1))";

impl Store {
    /// All that was seen, the oldest first; also what is not reported yet.
    pub async fn orphans(&self) -> Result<Vec<Orphan>> {
        self.read(|db| {
            let sql = format!(
                "SELECT o.*, p.at AS promised_at, {BLOCKED_BY} AS blocked_by FROM orphan o
                 LEFT JOIN promise p ON p.mark = o.mark ORDER BY o.id"
            );
            all(db, &sql, [], read_orphan)
        })
        .await
    }

    /// Holdings that their backends do not know, the oldest first.
    pub async fn missing(&self) -> Result<Vec<Missing>> {
        self.read(|db| {
            all(
                db,
                "SELECT m.*, h.instance, i.name, h.backend, h.role, h.mark, h.handle, h.since,
                        EXISTS (SELECT 1 FROM flow f WHERE f.instance = h.instance AND f.phase IN ('forward', 'backward')) AS flow_runs
                 FROM missing m
                 JOIN holding h ON h.id = m.holding LEFT JOIN instance i ON i.public_id = h.instance ORDER BY m.holding",
                [],
                read_missing,
            )
        })
        .await
    }

    /// What is held, or may be, of a role at a backend.
    pub async fn held_at(&self, backend: &Name, role: Role) -> Result<Vec<HeldAt>> {
        let backend = backend.clone();
        self.read(move |db| {
            all(
                db,
                "SELECT id, mark, handle, state = 'held' AS is_held FROM holding WHERE backend = ?1 AND role = ?2",
                params![backend.as_str(), role.as_str()],
                |row| {
                    Ok(HeldAt {
                        id: HoldingId(row.get("id")?),
                        mark: from_text(row, "mark")?,
                        handle: row.get("handle")?,
                        is_held: row.get("is_held")?,
                    })
                },
            )
        })
        .await
    }
}

fn read_orphan(row: &Row<'_>) -> Result<Orphan> {
    Ok(Orphan {
        id: OrphanId(row.get("id")?),
        backend: from_text(row, "backend")?,
        role: from_text(row, "role")?,
        mark: from_text(row, "mark")?,
        handle: row.get("handle")?,
        said: row.get("said")?,
        flow: from_text_or_null(row, "flow")?,
        round: row.get("round")?,
        instance: from_text_or_null(row, "instance")?,
        state: from_text(row, "state")?,
        promised_at: row.get("promised_at")?,
        blocked_by: from_text_or_null(row, "blocked_by")?,
        why: row.get("why")?,
        first_seen: row.get("first_seen")?,
        last_seen: row.get("last_seen")?,
    })
}

fn read_missing(row: &Row<'_>) -> Result<Missing> {
    Ok(Missing {
        holding: HoldingId(row.get("holding")?),
        instance: from_text(row, "instance")?,
        name: from_text_or_null(row, "name")?,
        backend: from_text(row, "backend")?,
        role: from_text(row, "role")?,
        mark: from_text(row, "mark")?,
        handle: row.get("handle")?,
        since: row.get("since")?,
        is_kept: row.get("kept")?,
        flow_runs: row.get("flow_runs")?,
        why: row.get("why")?,
        first_seen: row.get("first_seen")?,
        last_seen: row.get("last_seen")?,
    })
}
