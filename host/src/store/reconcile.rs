//! What persons decide about what a sweep found, and the end of a reconcile. Each stands in the audit log.

use rusqlite::{Connection, params};

use super::backup::NOT_COMPARED;
use super::rows::one;
use super::{Error, Operation, Result, Store, Wakes, audit, holdings, pauses};
use crate::model::{By, HoldingId, InstanceId, Millis, Name, OrphanId};

/// Left alone and remembered, until a person says otherwise.
#[derive(Debug, Clone)]
pub struct KeepOrphans {
    pub orphans: Vec<OrphanId>,
    pub by: By,
    pub at: Millis,
}

impl Operation for KeepOrphans {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        for id in &self.orphans {
            let kept = db
                .prepare_cached(
                    "UPDATE orphan SET state = 'kept', why = ?2 WHERE id = ?1 AND state IN ('seen', 'orphan', 'kept')",
                )?
                .execute(params![id.0, self.by.reason])?;
            if kept != 1 {
                return Err(Error::Refused(format!("orphan {} is gone, or is being released", id.0)));
            }
            audit::note(db, &self.by, "orphan.keep", &format!("orphan {}", id.0), self.at)?;
        }
        Ok(())
    }
}

/// The holdings of an instance that its backends do not know stay as they are.
#[derive(Debug, Clone)]
pub struct KeepMissing {
    pub instance: InstanceId,
    pub by: By,
    pub at: Millis,
}

impl Operation for KeepMissing {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        let kept = db
            .prepare_cached(
                "UPDATE missing SET kept = 1, why = ?2 WHERE holding IN (SELECT id FROM holding WHERE instance = ?1)",
            )?
            .execute(params![self.instance.to_string(), self.by.reason])?;
        if kept == 0 {
            return Err(nothing_missing(self.instance));
        }
        audit::note(db, &self.by, "missing.keep", &self.instance.to_string(), self.at)
    }
}

/// The holdings of an instance that its backends do not know are written off, and the instance has failed.
#[derive(Debug, Clone)]
pub struct ForgetMissing {
    pub instance: InstanceId,
    pub by: By,
    pub at: Millis,
}

impl Operation for ForgetMissing {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        let id = self.instance.to_string();
        let runs = db
            .prepare_cached("SELECT 1 FROM flow WHERE instance = ?1 AND phase IN ('forward', 'backward')")?
            .exists(params![id])?;
        if runs {
            return Err(Error::Refused(format!(
                "a flow works on instance {id} and will find it out by itself: keep it"
            )));
        }
        let missing = super::rows::all(
            db,
            "SELECT holding FROM missing WHERE holding IN (SELECT id FROM holding WHERE instance = ?1)",
            params![id],
            |row| Ok(HoldingId(row.get(0)?)),
        )?;
        if missing.is_empty() {
            return Err(nothing_missing(self.instance));
        }
        for holding in missing {
            holdings::settle(db, holding)?;
        }
        db.prepare_cached(
            "UPDATE instance SET state = CASE WHEN state = 'active' THEN 'failed' ELSE state END, degraded = NULL, updated_at = ?3,
                    reason = 'its machine is gone: ' || ?2 WHERE public_id = ?1 AND gone_at IS NULL",
        )?
        .execute(params![id, self.by.reason, self.at])?;
        audit::note(db, &self.by, "missing.forget", &id, self.at)
    }
}

/// Released objects count anew from now.
#[derive(Debug, Clone)]
pub struct GoOn {
    pub backend: Name,
    pub by: By,
    pub at: Millis,
}

impl Operation for GoOn {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        let moved = db
            .prepare_cached(
                "UPDATE sweep SET stopped_at = NULL, stopped_why = NULL, went_on_at = ?2 WHERE backend = ?1 AND stopped_at IS NOT NULL",
            )?
            .execute(params![self.backend.as_str(), self.at])?;
        if moved != 1 {
            return Err(Error::Refused(format!("the brake of {} does not hold", self.backend)));
        }
        audit::note(db, &self.by, "sweep.go-on", self.backend.as_str(), self.at)
    }
}

/// A reconcile may end without this backend; nothing there is released by itself until a person says so.
#[derive(Debug, Clone)]
pub struct Excuse {
    pub backend: Name,
    pub by: By,
    pub at: Millis,
}

impl Operation for Excuse {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        db.prepare_cached(
            "INSERT INTO sweep (backend, excused, stopped_at, stopped_why) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (backend) DO UPDATE SET excused = ?2, stopped_at = ?3, stopped_why = ?4",
        )?
        .execute(params![
            self.backend.as_str(),
            self.by.reason,
            self.at,
            "it was not compared after a restore: look at its orphans first"
        ])?;
        audit::note(db, &self.by, "reconcile.without", self.backend.as_str(), self.at)
    }
}

/// All was decided: flows run, and the gate is open.
#[derive(Debug, Clone)]
pub struct EndReconcile {
    pub by: By,
    pub at: Millis,
}

impl Operation for EndReconcile {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        let since: Option<Millis> =
            one(db, "SELECT restored_at FROM site WHERE restored_at IS NOT NULL", [], |row| Ok(row.get(0)?))?;
        let since =
            since.ok_or_else(|| Error::Refused("nothing waits for a reconcile: the store was not restored".into()))?;
        let unseen = super::rows::all(
            db,
            "SELECT b.name FROM backend b LEFT JOIN sweep s ON s.backend = b.name
             WHERE s.excused IS NULL AND (s.at IS NULL OR s.at < ?1 OR s.fault IS NOT NULL) ORDER BY b.name",
            params![since],
            |row| Ok(row.get::<_, String>(0)?),
        )?;
        if !unseen.is_empty() {
            let names = unseen.join(", ");
            return Err(Error::Refused(format!(
                "not compared since the restore: {names}; cure it and look again, or go on without it"
            )));
        }
        let (theirs, ours) = undecided(db)?;
        if theirs + ours > 0 {
            return Err(Error::Refused(format!(
                "{theirs} orphans and {ours} instances without their machine are not decided: `moganite reconcile` lists them"
            )));
        }
        db.prepare_cached("UPDATE site SET restored_at = NULL")?.execute([])?;
        db.prepare_cached("UPDATE sweep SET excused = NULL")?.execute([])?;
        pauses::go_on(db, "?3 IS NULL", None, since, self.at)?;
        audit::note(db, &self.by, "reconcile.done", "everything", self.at)
    }

    fn wakes(&self, (): &()) -> Wakes {
        Wakes::Any
    }
}

/// After the looks of one sweep: what it means for instances. `degraded` says what is missing; after a restore an instance of which nothing
/// is there has failed, and one that was seen whole again is active as before.
#[derive(Debug, Clone)]
pub struct Judge {
    pub at: Millis,
}

impl Operation for Judge {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        db.prepare_cached(
            "UPDATE instance SET updated_at = ?1, degraded = (
                 SELECT 'gone: ' || h.backend || ' has nothing of ' || coalesce(h.handle, h.mark) || ' any more' FROM missing m
                 JOIN holding h ON h.id = m.holding WHERE h.instance = public_id ORDER BY h.id DESC LIMIT 1)
             WHERE state = 'active' AND gone_at IS NULL AND public_id IN (SELECT h.instance FROM missing m JOIN holding h ON h.id = m.holding)
               AND coalesce(degraded, '') NOT LIKE 'gone: %'",
        )?
        .execute(params![self.at])?;
        db.prepare_cached(
            "UPDATE instance SET state = 'failed', reason = degraded, updated_at = ?1
             WHERE state = 'active' AND gone_at IS NULL AND degraded LIKE 'gone: %'
               AND EXISTS (SELECT 1 FROM site WHERE restored_at IS NOT NULL)
               AND EXISTS (SELECT 1 FROM missing m JOIN holding h ON h.id = m.holding WHERE h.instance = public_id)
               AND NOT EXISTS (SELECT 1 FROM holding h WHERE h.instance = public_id AND h.id NOT IN (SELECT holding FROM missing))",
        )?
        .execute(params![self.at])?;
        db.prepare_cached(
            "UPDATE instance SET state = 'active', reason = NULL, degraded = NULL, updated_at = ?1
             WHERE state = 'failed' AND gone_at IS NULL AND reason LIKE 'gone: %' AND degraded = reason
               AND EXISTS (SELECT 1 FROM holding h WHERE h.instance = public_id AND h.role = 'deploy' AND h.state = 'held')
               AND NOT EXISTS (SELECT 1 FROM missing m JOIN holding h ON h.id = m.holding WHERE h.instance = public_id)",
        )?
        .execute(params![self.at])?;
        db.prepare_cached(
            "UPDATE instance SET degraded = NULL, updated_at = ?1 WHERE state = 'active' AND gone_at IS NULL AND degraded = ?2
               AND NOT EXISTS (SELECT 1 FROM missing m JOIN holding h ON h.id = m.holding WHERE h.instance = public_id)
               AND NOT EXISTS (SELECT 1 FROM holding h LEFT JOIN sweep s ON s.backend = h.backend WHERE h.instance = public_id
                 AND (s.at IS NULL OR s.fault IS NOT NULL OR s.at < coalesce((SELECT restored_at FROM site), 0)))",
        )?
        .execute(params![self.at, NOT_COMPARED])?;
        Ok(())
    }
}

impl Store {
    /// Orphans, and instances with missing holdings, that wait for a decision.
    pub async fn undecided(&self) -> Result<(u64, u64)> {
        self.read(undecided).await
    }
}

/// A flow that runs finds out by itself what is missing.
fn undecided(db: &Connection) -> Result<(u64, u64)> {
    Ok(db
        .prepare_cached(
            "SELECT (SELECT count(*) FROM orphan WHERE state = 'orphan'),
                    (SELECT count(DISTINCT h.instance) FROM missing m JOIN holding h ON h.id = m.holding WHERE m.kept = 0
                       AND NOT EXISTS (SELECT 1 FROM flow f WHERE f.instance = h.instance AND f.phase IN ('forward', 'backward')))",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

fn nothing_missing(instance: InstanceId) -> Error {
    Error::Refused(format!("nothing of instance {instance} is missing: sweep again"))
}
