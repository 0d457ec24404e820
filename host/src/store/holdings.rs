//! What was taken from backends, or may have been. A row begins as intended and ends with the confirmed end of its undo.

use rusqlite::{Connection, Row, params};
use serde_json::{Map, Value};

use super::effects::Intent;
use super::instances::open_order;
use super::rows::{all, from_json, from_json_or_null, from_text, from_text_or_null, one, to_json};
use super::sealing::{self, opened, sealed};
use super::{Error, Result, Store, trials};
use crate::model::{
    Debt, DebtKind, Erase, Eraser, Erasure, Fault, FlowId, Holding, HoldingId, HoldingState, InstanceId, Millis, Name,
    Node, OperationId, RevisionId, Role,
};
use crate::switch::{Guard, Switch, holds};

/// What a list of holdings is of.
#[derive(Debug, Clone, Default)]
pub struct HoldingFilter {
    pub project: Option<Name>,
    pub instance: Option<InstanceId>,
}

/// Those of one project, or all.
macro_rules! of_project {
    () => {
        "SELECT h.* FROM holding h LEFT JOIN instance i ON i.public_id = h.instance WHERE (?1 IS NULL OR i.project = ?1)"
    };
}

/// A holding and the revision that its undo runs on.
#[derive(Debug, Clone)]
pub struct Undone {
    pub holding: Holding,
    pub revision: RevisionId,
}

impl Store {
    pub async fn holding(&self, operation: OperationId) -> Result<Option<Holding>> {
        let query = "SELECT * FROM holding WHERE operation = ?1";
        self.read_here(|db| one(db, query, params![operation.0], read_holding))
    }

    pub async fn holding_by_id(&self, id: HoldingId) -> Result<Option<Holding>> {
        self.read(move |db| one(db, "SELECT * FROM holding WHERE id = ?1", params![id.0], read_holding)).await
    }

    /// The holding of this role that was taken last, and that is to be undone first.
    pub async fn last_holding(&self, instance: InstanceId, role: Role) -> Result<Option<Undone>> {
        let query = "SELECT * FROM holding WHERE instance = ?1 AND role = ?2 ORDER BY id DESC LIMIT 1";
        self.read_here(|db| {
            one(db, query, params![instance.to_string(), role.as_str()], |row| {
                let holding = read_holding(row)?;
                let undo: Option<i64> = row.get("undo_revision")?;
                Ok(Undone { revision: undo.map_or(holding.revision, RevisionId), holding })
            })
        })
    }

    /// The last thing that the instance took after this one and still holds.
    pub async fn taken_after(&self, holding: &Holding) -> Result<Option<Holding>> {
        let query = "SELECT * FROM holding WHERE instance = ?1 AND id > ?2 ORDER BY id DESC LIMIT 1";
        self.read_here(|db| one(db, query, params![holding.instance.to_string(), holding.id.0], read_holding))
    }

    /// Oldest first.
    pub async fn holdings(&self, filter: HoldingFilter) -> Result<Vec<Holding>> {
        let project = filter.project.map(|project| project.to_string());
        match filter.instance {
            Some(id) => self.read_here(|db| all(db, OF_INSTANCE, params![project, id.to_string()], read_holding)),
            None => self.read(move |db| all(db, OF_ALL, params![project], read_holding)).await,
        }
    }
}

/// Not one query with "or all": that would read every holding there is for the few of one instance.
const OF_INSTANCE: &str = concat!(of_project!(), " AND h.instance = ?2 ORDER BY h.id");
const OF_ALL: &str = concat!(of_project!(), " ORDER BY h.id");

impl Store {
    /// The ledger: the worst first, of each kind the oldest first.
    pub async fn debts(&self) -> Result<Vec<Debt>> {
        let mut debts = self
            .read(|db| {
                all(
                    db,
                    "SELECT h.*, i.project, i.sealed_order, i.gone_at FROM holding h LEFT JOIN instance i ON i.public_id = h.instance
                     WHERE h.owed_at IS NOT NULL ORDER BY h.owed_at, h.id",
                    [],
                    read_debt,
                )
            })
            .await?;
        debts.sort_by_key(|debt| debt.kind);
        Ok(debts)
    }
}

/// Pins the operation to the newest revision of its backend, or to a canary's.
pub(super) fn intend(db: &Connection, intent: &Intent, at: Millis) -> Result<()> {
    let inserted = db
        .prepare_cached(
            "INSERT INTO holding (instance, role, backend, revision, operation, mark, facts, state, since)
             SELECT ?1, ?2, name, revision, ?4, ?5, '{}', 'intended', ?6 FROM backend WHERE name = ?3",
        )?
        .execute(params![
            intent.instance.to_string(),
            intent.role.as_str(),
            intent.backend.as_str(),
            intent.operation.0,
            intent.mark.0,
            at
        ])?;
    if inserted != 1 {
        return Err(Error::Refused(format!(
            "backend {} does not exist: add it, or change the flavor's route",
            intent.backend
        )));
    }
    if let Some(canary) = trials::pin(db, intent.backend.as_str(), intent.instance)? {
        db.prepare_cached("UPDATE holding SET revision = ?2 WHERE operation = ?1")?
            .execute(params![intent.operation.0, canary.0])?;
    }
    Ok(())
}

pub(super) fn trail(db: &Connection, operation: &OperationId, checkpoint: &[u8]) -> Result<()> {
    db.prepare_cached("UPDATE holding SET trail = ?2 WHERE operation = ?1")?
        .execute(params![operation.0, sealed(&sealing::trail(&operation.0), checkpoint)?])?;
    Ok(())
}

pub(super) fn hold(
    db: &Connection,
    operation: &OperationId,
    handle: &str,
    facts: &Map<String, Value>,
    node: Option<&Node>,
) -> Result<()> {
    let own: (i64, String, String) =
        db.prepare_cached("SELECT id, backend, role FROM holding WHERE operation = ?1")?
            .query_row(params![operation.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let (id, backend, role) = own;
    let owner = one(
        db,
        "SELECT instance, undo_revision IS NOT NULL AND owed_at IS NULL FROM holding
         WHERE backend = ?1 AND role = ?2 AND handle = ?3 AND id <> ?4",
        params![backend, role, handle, id],
        owner,
    )?;
    if let Some(owner) = owner.filter(|_| holds(Switch::Guard(Guard::Handle))) {
        return Err(owner.has(db, id, &format!("{backend} answered with {handle}"))?);
    }
    db.prepare_cached("UPDATE holding SET handle = ?2, facts = ?3, node = ?4, state = 'held' WHERE id = ?1")?
        .execute(params![id, handle, to_json(facts)?, node.map(to_json).transpose()?])?;
    match node {
        Some(node) if role == Role::Compose.as_str() => identify(db, id, &backend, node),
        _ => Ok(()),
    }
}

/// Who has what a driver answered with.
struct Owner {
    instance: String,
    /// Its undo runs, and nothing went wrong with it yet: the far side may be further than our ledger.
    leaves: bool,
}

fn owner(row: &Row<'_>) -> Result<Owner> {
    Ok(Owner { instance: row.get(0)?, leaves: row.get(1)? })
}

impl Owner {
    /// For who reads the flow of this holding: what another project has is not told to it by name.
    fn has(self, db: &Connection, holding: i64, what: &str) -> Result<Error> {
        let Self { instance, leaves } = self;
        let same_project = db
            .prepare_cached(
                "SELECT 1 FROM holding h JOIN instance own ON own.public_id = h.instance JOIN instance other ON other.project = own.project
                 WHERE h.id = ?1 AND other.public_id = ?2",
            )?
            .exists(params![holding, instance])?;
        let who = if same_project { format!("instance {instance}") } else { "an instance of another project".into() };
        Ok(if leaves {
            Error::Leaving(format!("{what}, which {who} is about to have given back"))
        } else {
            Error::Owned(format!("{what}, which {who} has"))
        })
    }
}

/// No two instances have the same machine.
fn identify(db: &Connection, id: i64, backend: &str, node: &Node) -> Result<()> {
    db.prepare_cached("DELETE FROM identity WHERE holding = ?1")?.execute(params![id])?;
    for (kind, value) in node.identity.keys() {
        let owner = one(
            db,
            "SELECT h.instance, h.undo_revision IS NOT NULL AND h.owed_at IS NULL FROM identity i JOIN holding h ON h.id = i.holding
             WHERE i.kind = ?1 AND i.value = ?2",
            params![kind, value],
            owner,
        )?;
        if let Some(owner) = owner.filter(|_| holds(Switch::Guard(Guard::Identity))) {
            return Err(owner.has(db, id, &format!("{backend} answered with the machine of {kind} {value}"))?);
        }
        db.prepare_cached("INSERT INTO identity (kind, value, holding) VALUES (?1, ?2, ?3)")?
            .execute(params![kind, value, id])?;
    }
    Ok(())
}

pub(super) fn dispute(db: &Connection, operation: &OperationId, fault: &Fault) -> Result<()> {
    db.prepare_cached("UPDATE holding SET state = 'disputed', fault = ?2 WHERE operation = ?1")?
        .execute(params![operation.0, to_json(fault)?])?;
    Ok(())
}

/// A person looked at what this flow's instance disputes; the fault stays as history.
pub(super) fn undisputed(db: &Connection, flow: FlowId) -> Result<()> {
    db.prepare_cached(
        "UPDATE holding SET state = 'intended' WHERE state = 'disputed' AND instance = (SELECT instance FROM flow WHERE public_id = ?1)",
    )?
    .execute(params![flow.to_string()])?;
    Ok(())
}

pub(super) fn begin_undo(db: &Connection, instance: InstanceId, role: Role) -> Result<()> {
    db.prepare_cached(
        "UPDATE holding SET undo_revision = (SELECT revision FROM backend WHERE name = holding.backend)
         WHERE id = (SELECT max(id) FROM holding WHERE instance = ?1 AND role = ?2)",
    )?
    .execute(params![instance.to_string(), role.as_str()])?;
    let undone = one(
        db,
        "SELECT id, backend FROM holding WHERE instance = ?1 AND role = ?2 ORDER BY id DESC LIMIT 1",
        params![instance.to_string(), role.as_str()],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)),
    )?;
    let Some((holding, backend)) = undone else { return Ok(()) };
    if let Some(canary) = trials::pin(db, &backend, instance)? {
        db.prepare_cached("UPDATE holding SET undo_revision = ?2 WHERE id = ?1")?
            .execute(params![holding, canary.0])?;
    }
    Ok(())
}

pub(super) fn settle(db: &Connection, holding: HoldingId) -> Result<()> {
    db.prepare_cached("DELETE FROM identity WHERE holding = ?1")?.execute(params![holding.0])?;
    db.prepare_cached("DELETE FROM holding WHERE id = ?1")?.execute(params![holding.0])?;
    Ok(())
}

pub(super) fn owe(db: &Connection, holding: HoldingId, fault: &Fault, at: Millis) -> Result<()> {
    db.prepare_cached("UPDATE holding SET fault = ?2, owed_at = coalesce(owed_at, ?3) WHERE id = ?1")?
        .execute(params![holding.0, to_json(fault)?, at])?;
    Ok(())
}

/// What outlives its instance is owed.
pub(super) fn outlive(db: &Connection, instance: &str, at: Millis) -> Result<()> {
    db.prepare_cached("UPDATE holding SET owed_at = ?2 WHERE instance = ?1 AND owed_at IS NULL")?
        .execute(params![instance, at])?;
    Ok(())
}

pub(super) fn seen_off(db: &Connection, holding: HoldingId, at: Millis) -> Result<()> {
    db.prepare_cached("UPDATE holding SET off_at = coalesce(off_at, ?2) WHERE id = ?1")?
        .execute(params![holding.0, at])?;
    Ok(())
}

pub(super) fn write_off(db: &Connection, instance: InstanceId, role: Role) -> Result<()> {
    let last = one(
        db,
        "SELECT max(id) FROM holding WHERE instance = ?1 AND role = ?2",
        params![instance.to_string(), role.as_str()],
        |row| Ok(row.get::<_, Option<i64>>(0)?),
    )?;
    last.flatten().map_or(Ok(()), |id| settle(db, HoldingId(id)))
}

fn read_debt(row: &Row<'_>) -> Result<Debt> {
    let holding = read_holding(row)?;
    let order = row.get::<_, Option<Vec<u8>>>("sealed_order")?;
    let order = order.map(|bytes| open_order(&holding.instance.to_string(), &bytes)).transpose()?;
    let usual = Erasure { level: Erase::Quick, eraser: Eraser::Deploy, let_go: false };
    Ok(Debt {
        kind: DebtKind::of(&holding, order.map_or(usual, |order| order.erasure())),
        owed_at: holding.owed_at.unwrap_or(holding.since),
        project: from_text_or_null(row, "project")?,
        outlived: row.get::<_, Option<Millis>>("gone_at")?.is_some(),
        holding,
    })
}

/// A trail that does not open is an empty one: something was begun, and its driver has to find it.
fn read_holding(row: &Row<'_>) -> Result<Holding> {
    let operation: OperationId = from_text(row, "operation")?;
    let trail: Option<Vec<u8>> = row.get("trail")?;
    let trail = trail.map(|bytes| opened(&sealing::trail(&operation.0), &bytes).unwrap_or_default());
    Ok(Holding {
        id: HoldingId(row.get("id")?),
        instance: from_text(row, "instance")?,
        role: from_text(row, "role")?,
        backend: from_text(row, "backend")?,
        revision: RevisionId(row.get("revision")?),
        operation,
        mark: from_text(row, "mark")?,
        handle: row.get("handle")?,
        facts: from_json(row, "facts")?,
        trail,
        node: from_json_or_null(row, "node")?,
        state: from_text::<HoldingState>(row, "state")?,
        fault: from_json_or_null(row, "fault")?,
        since: row.get("since")?,
        off_at: row.get("off_at")?,
        owed_at: row.get("owed_at")?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn the_holdings_of_one_instance_are_found_without_a_look_at_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let query = format!("EXPLAIN QUERY PLAN {OF_INSTANCE}");
        let plan = store
            .read(move |db| all(db, &query, params![None::<String>, "one"], |row| Ok(row.get::<_, String>("detail")?)));
        let plan = plan.await.unwrap().join("; ");
        assert!(plan.contains("SEARCH h USING INDEX holding_instance"), "{plan}");
    }
}
