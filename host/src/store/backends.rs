//! Backends and their revisions. A revision is written once; a backend names its newest.

use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rows::{all, from_json, from_text, one, to_json};
use super::{Error, Operation, Result, Store, audit, pauses, trials};
use crate::model::{
    Access, Backend, Budgets, By, Digest, Endpoint, Grant, Granted, Limits, Millis, Name, Paused, Projects, Revision,
    RevisionId, Role, SweepPolicy,
};
use crate::switch::{Guard, Switch, holds};

/// The part of a revision that SQL never looks into.
#[derive(Serialize, Deserialize)]
struct Body {
    settings: Map<String, Value>,
    endpoints: std::collections::BTreeMap<String, Endpoint>,
    access: Option<Access>,
    grants: Vec<Grant>,
    #[serde(default)]
    sweep: SweepPolicy,
    #[serde(default, skip_serializing_if = "Budgets::is_empty")]
    budgets: Budgets,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    granted: Option<Granted>,
    #[serde(default, skip_serializing_if = "Limits::is_usual")]
    limits: Limits,
    #[serde(default, skip_serializing_if = "Projects::are_all")]
    projects: Projects,
}

/// Writes a revision and makes it the backend's newest. Its `id` is given here.
#[derive(Debug, Clone)]
pub struct WriteRevision {
    pub revision: Revision,
    /// Verbs of the manifest's `exclusive`.
    pub exclusive: Vec<String>,
    /// The newest revision that the caller saw; none for a backend that must not exist yet.
    pub after: Option<RevisionId>,
    pub at: Millis,
}

impl Operation for WriteRevision {
    type Answer = RevisionId;

    fn apply(&self, db: &Connection) -> Result<RevisionId> {
        let newest = self.newest(db)?;
        let id = insert(db, self, true)?;
        db.prepare_cached(
            "INSERT INTO backend (name, revision) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET revision = ?2",
        )?
        .execute(params![self.revision.backend.as_str(), id.0])?;
        trials::begin(db, id, newest, self.at)?;
        Ok(id)
    }
}

impl WriteRevision {
    /// The newest revision, when it is the one that the caller saw and no canary runs beside it.
    pub(super) fn newest(&self, db: &Connection) -> Result<Option<RevisionId>> {
        let backend = &self.revision.backend;
        let newest = one(db, "SELECT revision FROM backend WHERE name = ?1", params![backend.as_str()], |row| {
            Ok(RevisionId(row.get(0)?))
        })?;
        if newest != self.after && holds(Switch::Guard(Guard::Newest)) {
            return Err(Error::Conflict("the backend"));
        }
        trials::no_canary(db, backend)?;
        Ok(newest)
    }
}

/// A revision as an operator writes it.
#[derive(Debug, Clone)]
pub struct Bind {
    pub write: WriteRevision,
    /// What is granted beyond the revision before, or taken over by the first, a line each.
    pub granted: Vec<String>,
    pub by: By,
}

impl Operation for Bind {
    type Answer = RevisionId;

    fn apply(&self, db: &Connection) -> Result<RevisionId> {
        let id = self.write.apply(db)?;
        note_granted(db, &self.write, &self.granted, &self.by)?;
        Ok(id)
    }
}

/// A line of the audit log for each thing.
pub(super) fn note_granted(db: &Connection, write: &WriteRevision, granted: &[String], by: &By) -> Result<()> {
    let Revision { backend, digest, .. } = &write.revision;
    for line in granted {
        audit::note(db, by, "backend.grant", &format!("{backend} to {digest}: {line}"), write.at)?;
    }
    Ok(())
}

/// `served`: it is the backend's newest from now on, and no canary.
pub(super) fn insert(db: &Connection, write: &WriteRevision, served: bool) -> Result<RevisionId> {
    let Revision {
        backend,
        digest,
        settings,
        endpoints,
        access,
        grants,
        sweep,
        budgets,
        granted,
        limits,
        projects,
        ..
    } = &write.revision;
    let body = Body {
        settings: settings.clone(),
        endpoints: endpoints.clone(),
        access: access.clone(),
        grants: grants.clone(),
        sweep: *sweep,
        budgets: budgets.clone(),
        granted: granted.clone(),
        limits: limits.clone(),
        projects: projects.clone(),
    };
    db.prepare_cached(
        "INSERT INTO revision (backend, digest, exclusive, body, created_at, served) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        backend.as_str(),
        digest.to_string(),
        format!(",{},", write.exclusive.join(",")),
        to_json(&body)?,
        write.at,
        served
    ])?;
    Ok(RevisionId(db.last_insert_rowid()))
}

/// A revision as history has it.
#[derive(Debug, Clone)]
pub struct Written {
    pub revision: Revision,
    pub at: Millis,
    /// A roll-back left it.
    pub withdrawn: bool,
}

impl Store {
    pub async fn revision(&self, id: RevisionId) -> Result<Option<Revision>> {
        self.read_here(|db| one(db, "SELECT * FROM revision WHERE id = ?1", params![id.0], read_revision))
    }

    /// The one that the backend's next operation will use.
    pub async fn newest_revision(&self, backend: &Name) -> Result<Option<Revision>> {
        let query = "SELECT r.* FROM backend b JOIN revision r ON r.id = b.revision WHERE b.name = ?1";
        self.read_here(|db| one(db, query, params![backend.as_str()], read_revision))
    }

    pub async fn backends(&self) -> Result<Vec<Backend>> {
        self.read(|db| {
            let query = "SELECT r.*, b.paused_at, b.paused_why FROM backend b JOIN revision r ON r.id = b.revision ORDER BY b.name";
            all(db, query, [], |row| {
                let revision = read_revision(row)?;
                Ok(Backend { name: revision.backend.clone(), paused: pauses::read(row)?, revision })
            })
        })
        .await
    }

    /// Since when no flow calls it, and why.
    pub async fn paused(&self, backend: &Name) -> Result<Option<Paused>> {
        let name = backend.clone();
        let query = "SELECT paused_at, paused_why FROM backend WHERE name = ?1";
        self.read(move |db| Ok(one(db, query, params![name.as_str()], pauses::read)?.flatten())).await
    }

    /// Newest first.
    pub async fn revisions(&self, backend: &Name) -> Result<Vec<Written>> {
        let name = backend.clone();
        self.read(move |db| {
            all(db, "SELECT * FROM revision WHERE backend = ?1 ORDER BY id DESC", params![name.as_str()], |row| {
                let withdrawn = row.get::<_, Option<Millis>>("withdrawn_at")?.is_some();
                Ok(Written { revision: read_revision(row)?, at: row.get("created_at")?, withdrawn })
            })
        })
        .await
    }

    /// Which roles are held at a backend now, each with how many: what a plugin that takes over must be able to undo.
    pub async fn roles_held(&self, backend: &Name) -> Result<Vec<(Role, u64)>> {
        let name = backend.clone();
        self.read(move |db| {
            all(
                db,
                "SELECT role, count(*) FROM holding WHERE backend = ?1 GROUP BY role ORDER BY role",
                params![name.as_str()],
                |row| Ok((from_text(row, "role")?, row.get(1)?)),
            )
        })
        .await
    }
}

pub(super) fn read_revision(row: &Row<'_>) -> Result<Revision> {
    let body: Body = from_json(row, "body")?;
    Ok(Revision {
        id: RevisionId(row.get("id")?),
        backend: from_text(row, "backend")?,
        digest: from_text::<Digest>(row, "digest")?,
        settings: body.settings,
        endpoints: body.endpoints,
        access: body.access,
        grants: body.grants,
        sweep: body.sweep,
        budgets: body.budgets,
        granted: body.granted,
        limits: body.limits,
        projects: body.projects,
    })
}
