//! How an orphan is given back: it becomes a holding again, of no instance, and a flow settles it. One transaction.

use rusqlite::{Connection, params};

use super::effects::{self, Effect};
use super::orphans::BLOCKED_BY;
use super::rows::one;
use super::sweeps::WINDOW;
use super::{Error, Operation, Result, audit, flows};
use crate::model::{By, Event, Flow, FlowId, Millis, OperationId, OrphanId, brake};

/// One stack: what belongs together is given back by one flow, last taken first.
#[derive(Debug, Clone)]
pub struct ReleaseStack {
    /// Bottom first, each with the operation that its mark names.
    pub stack: Vec<(OrphanId, OperationId)>,
    pub flow: Flow,
    pub event: Event,
    pub effects: Vec<Effect>,
    /// None: nobody's word but the policy's; then the brake counts, and only late arrivals are taken.
    pub by: Option<By>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Released {
    Started,
    /// The brake of this backend holds, since now or before.
    Braked(String),
    /// Not by itself, or not now.
    Left,
}

impl Operation for ReleaseStack {
    type Answer = Released;

    fn apply(&self, db: &Connection) -> Result<Released> {
        let mut rows = Vec::new();
        for (id, _) in &self.stack {
            rows.push(releasable(db, *id)?);
        }
        let at = self.event.at;
        match &self.by {
            None => {
                if !may_by_itself(db, &rows)? {
                    return Ok(Released::Left);
                }
                if let Some(backend) = braked(db, &rows, at)? {
                    return Ok(Released::Braked(backend));
                }
                for row in &rows {
                    db.prepare_cached("INSERT INTO automatic (backend, at) VALUES (?1, ?2)")?
                        .execute(params![row.backend, at])?;
                }
            }
            Some(by) => {
                for (row, (id, _)) in rows.iter().zip(&self.stack) {
                    audit::note(
                        db,
                        by,
                        "orphan.release",
                        &format!("orphan {} {} of {}", id.0, row.mark, row.backend),
                        at,
                    )?;
                }
            }
        }
        for (id, operation) in &self.stack {
            self.take(db, *id, operation)?;
        }
        flows::insert(db, &self.flow, &self.event)?;
        for effect in &self.effects {
            effects::apply(db, self.flow.id, effect, at)?;
        }
        Ok(Released::Started)
    }

    fn flow(&self) -> Option<FlowId> {
        Some(self.flow.id)
    }
}

impl ReleaseStack {
    /// It is owed from now on, by no instance.
    fn take(&self, db: &Connection, id: OrphanId, operation: &OperationId) -> Result<()> {
        let taken = db
            .prepare_cached(
                "INSERT OR IGNORE INTO holding (instance, role, backend, revision, operation, mark, handle, facts, state, since, owed_at)
                 SELECT ?2, o.role, o.backend, b.revision, ?3, o.mark, o.handle, '{}', 'held', o.first_seen, ?4
                 FROM orphan o JOIN backend b ON b.name = o.backend WHERE o.id = ?1",
            )?
            .execute(params![id.0, self.flow.instance.to_string(), operation.0, self.event.at])?;
        if taken != 1 {
            return Err(Error::Refused(format!("orphan {} is held by now: sweep again", id.0)));
        }
        db.prepare_cached("UPDATE orphan SET state = 'releasing' WHERE id = ?1")?.execute(params![id.0])?;
        Ok(())
    }
}

struct Row {
    backend: String,
    mark: String,
    first_seen: Millis,
    is_late: bool,
    is_undecided: bool,
}

/// Refuses what could be somebody's.
fn releasable(db: &Connection, id: OrphanId) -> Result<Row> {
    let sql = format!(
        "SELECT o.backend, o.mark, o.first_seen, o.state, p.mark IS NOT NULL AS is_late, {BLOCKED_BY} AS blocked_by
         FROM orphan o LEFT JOIN promise p ON p.mark = o.mark WHERE o.id = ?1"
    );
    let found = one(db, &sql, params![id.0], |row| {
        let state: String = row.get("state")?;
        let blocked_by: Option<String> = row.get("blocked_by")?;
        let (backend, mark) = (row.get("backend")?, row.get("mark")?);
        let is_undecided = state == "orphan";
        let row = Row { backend, mark, first_seen: row.get("first_seen")?, is_late: row.get("is_late")?, is_undecided };
        Ok((row, state, blocked_by))
    })?;
    let Some((row, state, blocked_by)) = found else {
        return Err(Error::Refused(format!("there is no orphan {} any more: sweep again", id.0)));
    };
    match (state.as_str(), blocked_by) {
        ("releasing", _) => Err(Error::Refused(format!("orphan {} is being released already", id.0))),
        ("seen", _) => Err(Error::Refused(format!("orphan {} may be an operation in flight: sweep again", id.0))),
        (_, Some(instance)) => Err(Error::Refused(format!(
            "orphan {} is on a machine, or of a stack, that instance {instance} has: releasing it could take that from there",
            id.0
        ))),
        _ => Ok(row),
    }
}

/// By itself only what this database saw given back, never what a restore may have made it forget; and only after every backend was seen
/// whole, since what stands on it may be at another.
fn may_by_itself(db: &Connection, rows: &[Row]) -> Result<bool> {
    let newest = rows.iter().map(|row| row.first_seen).max().unwrap_or(Millis::MAX);
    let is_calm: bool = db
        .prepare_cached(
            "SELECT NOT EXISTS (SELECT 1 FROM site WHERE frozen_at IS NOT NULL OR restored_at IS NOT NULL)
                AND NOT EXISTS (SELECT 1 FROM backend b LEFT JOIN sweep s ON s.backend = b.name
                                WHERE s.at IS NULL OR s.fault IS NOT NULL OR s.at < ?1)",
        )?
        .query_row(params![newest], |row| row.get(0))?;
    Ok(is_calm && rows.iter().all(|row| row.is_late && row.is_undecided))
}

/// The first backend that may not give back so much more within the hour: from now on it waits for a person.
fn braked(db: &Connection, rows: &[Row], at: Millis) -> Result<Option<String>> {
    let mut backends: Vec<&str> = rows.iter().map(|row| row.backend.as_str()).collect();
    backends.sort_unstable();
    backends.dedup();
    for backend in backends {
        let (nodes, stopped, released): (u64, bool, u64) = db
            .prepare_cached(
                "SELECT s.nodes, s.stopped_at IS NOT NULL,
                        (SELECT count(*) FROM automatic a WHERE a.backend = s.backend AND a.at > max(?2, s.went_on_at))
                 FROM sweep s WHERE s.backend = ?1",
            )?
            .query_row(params![backend, at - WINDOW], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let more = rows.iter().filter(|row| row.backend == backend).count() as u64;
        let limit = brake(nodes);
        if stopped {
            return Ok(Some(backend.to_owned()));
        }
        if released + more > limit {
            let why =
                format!("{released} were released by themselves within an hour, {more} more would be above {limit}");
            db.prepare_cached("UPDATE sweep SET stopped_at = ?2, stopped_why = ?3 WHERE backend = ?1")?
                .execute(params![backend, at, why])?;
            return Ok(Some(backend.to_owned()));
        }
    }
    db.prepare_cached("DELETE FROM automatic WHERE at <= ?1")?.execute(params![at - WINDOW])?;
    Ok(None)
}
