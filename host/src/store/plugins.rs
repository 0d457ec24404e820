//! What operators say of plugin files: which are not called any more, and how old one may be. A flow that calls a stopped one is not due;
//! its clocks stand until that ends or another plugin takes over.

use rusqlite::{Connection, Row, params};

use super::pauses::{self, paused};
use super::rows::{all, from_text, one};
use super::{Error, Operation, Result, Store, Wakes, audit, flows};
use crate::model::{By, Digest, Event, Floor, FlowId, Millis, Name, PluginStop, RevisionId, Stopped};

/// Calls it no more until [`LetGoOn`]. Repeatable: the first reason stays.
#[derive(Debug, Clone)]
pub struct StopPlugin {
    pub digest: Digest,
    pub how: PluginStop,
    pub by: By,
    pub at: Millis,
}

impl Operation for StopPlugin {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        let digest = self.digest.to_string();
        db.prepare_cached("INSERT OR IGNORE INTO plugin (digest) VALUES (?1)")?.execute(params![digest])?;
        let (stop, verb) = match self.how {
            PluginStop::Disabled => (
                "UPDATE plugin SET disabled_at = ?2, disabled_why = ?3 WHERE digest = ?1 AND disabled_at IS NULL",
                "plugin.disable",
            ),
            PluginStop::Denied => (
                "UPDATE plugin SET denied_at = ?2, denied_why = ?3 WHERE digest = ?1 AND denied_at IS NULL",
                "plugin.deny",
            ),
        };
        let stopped = db.prepare_cached(stop)?.execute(params![digest, self.at, self.by.reason])?;
        if stopped == 1 { audit::note(db, &self.by, verb, &digest, self.at) } else { Ok(()) }
    }
}

/// Ends a [`StopPlugin`] of the same kind.
#[derive(Debug, Clone)]
pub struct LetGoOn {
    pub digest: Digest,
    pub how: PluginStop,
    pub by: By,
    pub at: Millis,
}

impl Operation for LetGoOn {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        let digest = self.digest.to_string();
        let (read, clear, verb) = match self.how {
            PluginStop::Disabled => (
                "SELECT disabled_at FROM plugin WHERE digest = ?1 AND disabled_at IS NOT NULL",
                "UPDATE plugin SET disabled_at = NULL, disabled_why = NULL WHERE digest = ?1",
                "plugin.enable",
            ),
            PluginStop::Denied => (
                "SELECT denied_at FROM plugin WHERE digest = ?1 AND denied_at IS NOT NULL",
                "UPDATE plugin SET denied_at = NULL, denied_why = NULL WHERE digest = ?1",
                "plugin.allow",
            ),
        };
        let since: Option<Millis> = one(db, read, params![digest], |row| Ok(row.get(0)?))?;
        let since = since.ok_or_else(|| Error::Refused(format!("it is not {}", self.how.as_str())))?;
        db.prepare_cached(clear)?.execute(params![digest])?;
        db.prepare_cached("DELETE FROM plugin WHERE disabled_at IS NULL AND denied_at IS NULL")?.execute([])?;
        // A person looked at it: it is called as if it had never broken.
        db.prepare_cached("DELETE FROM breaker WHERE digest = ?1")?.execute(params![digest])?;
        let calls_it = "calls IN (SELECT id FROM revision WHERE digest = ?3)";
        pauses::go_on(db, calls_it, Some(&digest), since, self.at)?;
        audit::note(db, &self.by, verb, &digest, self.at)
    }

    fn wakes(&self, (): &()) -> Wakes {
        Wakes::Any
    }
}

/// The operation that a flow waits with, because its plugin is stopped or broke too often, goes on with another revision of the same backend: as a try that
/// is not the first, without what the old plugin kept.
#[derive(Debug, Clone)]
pub struct TakeOverWaiting {
    pub flow: FlowId,
    pub to: RevisionId,
    pub event: Event,
    pub by: By,
}

impl Operation for TakeOverWaiting {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        let (flow, at) = (self.flow.to_string(), self.event.at);
        // Its clocks stand where a person stopped the plugin, and not where that broke too often.
        let waits = one(
            db,
            "SELECT min(coalesce(p.disabled_at, p.denied_at), coalesce(p.denied_at, p.disabled_at))
             FROM flow f JOIN revision r ON r.id = f.calls LEFT JOIN plugin p ON p.digest = r.digest
             LEFT JOIN breaker k ON k.backend = r.backend AND k.digest = r.digest
             WHERE f.public_id = ?1 AND f.phase IN ('forward', 'backward') AND (p.digest IS NOT NULL OR k.until IS NOT NULL)",
            params![flow],
            |row| Ok(row.get::<_, Option<Millis>>(0)?),
        )?;
        let Some(since) = waits else {
            return Err(Error::Refused("this flow neither rests nor waits for a plugin that is stopped".into()));
        };
        let moved = db
            .prepare_cached(
                "UPDATE holding SET revision = CASE WHEN undo_revision IS NULL THEN ?2 ELSE revision END,
                        undo_revision = CASE WHEN undo_revision IS NOT NULL THEN ?2 END
                 WHERE id = (SELECT max(h.id) FROM holding h JOIN flow f ON f.instance = h.instance
                             WHERE f.public_id = ?1 AND coalesce(h.undo_revision, h.revision) = f.calls)
                   AND backend = (SELECT backend FROM revision WHERE id = ?2)",
            )?
            .execute(params![flow, self.to.0])?;
        if moved != 1 {
            return Err(Error::Refused("nothing of that backend is held where this flow waits".into()));
        }
        // The call that was cut may still answer: it stands at an older revision of the row.
        db.prepare_cached(
            "UPDATE flow SET calls = ?2, attempt = max(attempt, 2), checkpoint = NULL, wake = ?3, revision = revision + 1, updated_at = ?3
             WHERE public_id = ?1",
        )?
        .execute(params![flow, self.to.0, at])?;
        if let Some(since) = since {
            pauses::go_on(db, "public_id = ?3", Some(&flow), since, at)?;
        }
        db.prepare_cached("UPDATE flow SET wake = ?2 WHERE public_id = ?1")?.execute(params![flow, at])?;
        flows::append(db, self.flow, &self.event)?;
        audit::note(db, &self.by, "flow.hand-over", &flow, at)
    }

    fn flow(&self) -> Option<FlowId> {
        Some(self.flow)
    }
}

/// From now on no older version of this plugin is bound.
#[derive(Debug, Clone)]
pub struct PutFloor {
    pub floor: Floor,
    pub by: By,
}

impl Operation for PutFloor {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        let Floor { name, version, why, at } = &self.floor;
        db.prepare_cached(
            "INSERT INTO plugin_floor (name, version, why, at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (name) DO UPDATE SET version = ?2, why = ?3, at = ?4",
        )?
        .execute(params![name.as_str(), version.to_string(), why, at])?;
        audit::note(db, &self.by, "plugin.floor", &format!("{name}@{version}"), *at)
    }
}

/// Any version of this plugin may be bound again. Answers whether there was a floor.
#[derive(Debug, Clone)]
pub struct RemoveFloor {
    pub name: Name,
    pub by: By,
    pub at: Millis,
}

impl Operation for RemoveFloor {
    type Answer = bool;

    fn apply(&self, db: &Connection) -> Result<bool> {
        let removed =
            db.prepare_cached("DELETE FROM plugin_floor WHERE name = ?1")?.execute(params![self.name.as_str()])?;
        if removed == 1 {
            audit::note(db, &self.by, "plugin.no-floor", self.name.as_str(), self.at)?;
        }
        Ok(removed == 1)
    }
}

impl Store {
    /// Every plugin that is stopped, by digest.
    pub async fn stopped_plugins(&self) -> Result<Vec<Stopped>> {
        self.read(|db| all(db, "SELECT * FROM plugin ORDER BY digest", [], read_stopped)).await
    }

    /// By name.
    pub async fn floors(&self) -> Result<Vec<Floor>> {
        self.read(|db| {
            all(db, "SELECT * FROM plugin_floor ORDER BY name", [], |row| {
                Ok(Floor {
                    name: from_text(row, "name")?,
                    version: from_text(row, "version")?,
                    why: row.get("why")?,
                    at: row.get("at")?,
                })
            })
        })
        .await
    }
}

pub(super) fn read_stopped(row: &Row<'_>) -> Result<Stopped> {
    Ok(Stopped {
        digest: from_text(row, "digest")?,
        disabled: paused(row.get("disabled_at")?, row.get("disabled_why")?),
        denied: paused(row.get("denied_at")?, row.get("denied_why")?),
    })
}
