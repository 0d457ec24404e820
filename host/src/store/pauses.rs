//! What persons stop: one flow, all flows of a backend, or everything. While a flow is stopped its clocks stand: what ends the last of
//! its stops moves its times by as long as it was stopped.

use rusqlite::{Connection, Row, params};

use super::rows::one;
use super::{Error, Operation, Result, Store, Wakes, audit, flows};
use crate::model::{By, Event, FlowId, Millis, Name, Paused};

/// Whether somebody stopped a row of `flow`. One that is cancelled turns round without a call, also where its plugin is stopped.
macro_rules! stopped {
    () => {
        "(paused_at IS NOT NULL OR EXISTS (SELECT 1 FROM backend b WHERE b.name = backend AND b.paused_at IS NOT NULL)
          OR (EXISTS (SELECT 1 FROM revision r JOIN plugin p ON p.digest = r.digest
                      WHERE r.id = calls AND (p.disabled_at IS NOT NULL OR p.denied_at IS NOT NULL))
              AND NOT (cancel AND phase = 'forward'))
          OR coalesce((SELECT coalesce(frozen_at, restored_at) FROM site), 0) <> 0)"
    };
}
pub(super) use stopped;

/// A query that leaves out what is stopped.
#[cfg(any(test, feature = "testing"))]
pub(super) fn guarded(query: impl Into<std::borrow::Cow<'static, str>>) -> std::borrow::Cow<'static, str> {
    use crate::switch::{Guard, guarded};
    let query = guarded(Guard::PausedFlow, query, "(paused_at IS NOT NULL OR", "(FALSE OR");
    let query = guarded(
        Guard::PausedBackend,
        query,
        "EXISTS (SELECT 1 FROM backend b WHERE b.name = backend AND b.paused_at IS NOT NULL)",
        "FALSE",
    );
    let query = guarded(Guard::StoppedPlugin, query, "p.disabled_at IS NOT NULL OR p.denied_at IS NOT NULL", "FALSE");
    let frozen = "coalesce((SELECT coalesce(frozen_at, restored_at) FROM site), 0) <> 0";
    guarded(Guard::Frozen, query, frozen, "FALSE")
}

#[cfg(not(any(test, feature = "testing")))]
#[inline]
pub(super) fn guarded(query: impl Into<std::borrow::Cow<'static, str>>) -> std::borrow::Cow<'static, str> {
    query.into()
}

/// What stands still.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one of it lives, for one operation")]
pub enum Stop {
    /// With its line in the timeline.
    Flow(FlowId, Event),
    Backend(Name),
}

/// Calls no more until [`Resume`]; a call under way ends and its answer is kept. Repeatable: the first reason stays.
#[derive(Debug, Clone)]
pub struct Pause {
    pub stop: Stop,
    pub by: By,
    pub at: Millis,
}

impl Operation for Pause {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        let (at, why) = (self.at, &self.by.reason);
        let (known, changed) = match &self.stop {
            Stop::Flow(id, event) => {
                let id_text = id.to_string();
                let known = db
                    .prepare_cached("SELECT 1 FROM flow WHERE public_id = ?1 AND phase NOT IN ('done', 'reverted')")?
                    .exists(params![id_text])?;
                let changed = db
                    .prepare_cached(
                        "UPDATE flow SET paused_at = ?2, paused_why = ?3 WHERE public_id = ?1 AND paused_at IS NULL
                           AND phase NOT IN ('done', 'reverted')",
                    )?
                    .execute(params![id_text, at, why])?;
                if changed == 1 {
                    flows::append(db, *id, event)?;
                }
                (known, changed)
            }
            Stop::Backend(name) => {
                let known =
                    db.prepare_cached("SELECT 1 FROM backend WHERE name = ?1")?.exists(params![name.as_str()])?;
                let changed = db
                    .prepare_cached(
                        "UPDATE backend SET paused_at = ?2, paused_why = ?3 WHERE name = ?1 AND paused_at IS NULL",
                    )?
                    .execute(params![name.as_str(), at, why])?;
                (known, changed)
            }
        };
        if !known {
            return Err(Error::Refused("there is nothing to pause: it ended, or never was".into()));
        }
        if changed == 1 { audit::note(db, &self.by, self.stop.verb("pause"), &self.stop.subject(), at) } else { Ok(()) }
    }

    fn flow(&self) -> Option<FlowId> {
        self.stop.flow()
    }
}

/// Ends a [`Pause`].
#[derive(Debug, Clone)]
pub struct Resume {
    pub stop: Stop,
    pub by: By,
    pub at: Millis,
}

impl Operation for Resume {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        let subject = self.stop.subject();
        let (read, clear) = match &self.stop {
            Stop::Flow(..) => (
                "SELECT paused_at FROM flow WHERE public_id = ?1 AND paused_at IS NOT NULL",
                "UPDATE flow SET paused_at = NULL, paused_why = NULL WHERE public_id = ?1",
            ),
            Stop::Backend(_) => (
                "SELECT paused_at FROM backend WHERE name = ?1 AND paused_at IS NOT NULL",
                "UPDATE backend SET paused_at = NULL, paused_why = NULL WHERE name = ?1",
            ),
        };
        let since: Option<Millis> = one(db, read, params![subject], |row| Ok(row.get(0)?))?;
        let since = since.ok_or_else(|| Error::Refused("it is not paused".into()))?;
        db.prepare_cached(clear)?.execute(params![subject])?;
        match &self.stop {
            Stop::Flow(id, event) => {
                go_on(db, "public_id = ?3", Some(&subject), since, self.at)?;
                flows::append(db, *id, event)?;
            }
            Stop::Backend(_) => go_on(db, "backend = ?3", Some(&subject), since, self.at)?,
        }
        audit::note(db, &self.by, self.stop.verb("resume"), &subject, self.at)
    }

    fn flow(&self) -> Option<FlowId> {
        self.stop.flow()
    }

    fn wakes(&self, (): &()) -> Wakes {
        Wakes::Any
    }
}

/// Stops every flow, and at the gate every request that changes something. Repeatable: the first reason stays.
#[derive(Debug, Clone)]
pub struct Freeze {
    pub by: By,
    pub at: Millis,
}

impl Operation for Freeze {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        let frozen = db
            .prepare_cached("UPDATE site SET frozen_at = ?1, frozen_why = ?2 WHERE frozen_at IS NULL")?
            .execute(params![self.at, self.by.reason])?;
        if frozen == 1 { audit::note(db, &self.by, "freeze", "everything", self.at) } else { Ok(()) }
    }
}

/// Ends a [`Freeze`].
#[derive(Debug, Clone)]
pub struct Thaw {
    pub by: By,
    pub at: Millis,
}

impl Operation for Thaw {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        let since: Option<Millis> =
            one(db, "SELECT frozen_at FROM site WHERE frozen_at IS NOT NULL", [], |row| Ok(row.get(0)?))?;
        let since = since.ok_or_else(|| Error::Refused("it is not frozen".into()))?;
        db.prepare_cached("UPDATE site SET frozen_at = NULL, frozen_why = NULL")?.execute([])?;
        go_on(db, "?3 IS NULL", None, since, self.at)?;
        audit::note(db, &self.by, "unfreeze", "everything", self.at)
    }

    fn wakes(&self, (): &()) -> Wakes {
        Wakes::Any
    }
}

/// What keeps all flows from running.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    pub frozen: Option<Paused>,
    /// A restored store waits until its differences from the far sides were decided.
    pub restored_at: Option<Millis>,
}

impl Standing {
    /// Whether a request that changes something may leave the gate.
    pub fn is_read_only(&self) -> bool {
        self.frozen.is_some() || self.restored_at.is_some()
    }
}

impl Store {
    pub async fn standing(&self) -> Result<Standing> {
        self.read(standing).await
    }
}

pub(super) fn standing(db: &Connection) -> Result<Standing> {
    let row = one(db, "SELECT frozen_at, frozen_why, restored_at FROM site", [], |row| {
        let frozen = paused(row.get("frozen_at")?, row.get("frozen_why")?);
        Ok(Standing { frozen, restored_at: row.get("restored_at")? })
    })?;
    Ok(row.unwrap_or_default())
}

impl Stop {
    fn flow(&self) -> Option<FlowId> {
        match self {
            Self::Flow(id, _) => Some(*id),
            Self::Backend(_) => None,
        }
    }

    fn subject(&self) -> String {
        match self {
            Self::Flow(id, _) => id.to_string(),
            Self::Backend(name) => name.to_string(),
        }
    }

    fn verb(&self, verb: &str) -> &'static str {
        match (self, verb) {
            (Self::Flow(..), "pause") => "flow.pause",
            (Self::Flow(..), _) => "flow.resume",
            (Self::Backend(_), "pause") => "backend.pause",
            (Self::Backend(_), _) => "backend.resume",
        }
    }
}

/// One stop, begun at `since`, ended: the clocks of the flows that nothing else stops are moved; the others remember since when.
pub(super) fn go_on(db: &Connection, which: &str, subject: Option<&str>, since: Millis, now: Millis) -> Result<()> {
    let stopped = stopped!();
    let began = "min(coalesce(stopped_since, ?1), ?1)";
    let stood = format!("max(0, ?2 - max({began}, task_since))");
    let move_on = format!(
        "UPDATE flow SET stopped_since = CASE WHEN {stopped} THEN {began} END,
                task_since = CASE WHEN {stopped} THEN task_since ELSE task_since + {stood} END,
                wake = CASE WHEN {stopped} THEN wake ELSE wake + {stood} END
         WHERE phase IN ('forward', 'backward') AND {which}"
    );
    db.prepare_cached(&move_on)?.execute(params![since, now, subject])?;
    Ok(())
}

pub(super) fn read(row: &Row<'_>) -> Result<Option<Paused>> {
    Ok(paused(row.get("paused_at")?, row.get("paused_why")?))
}

pub(super) fn paused(at: Option<Millis>, why: Option<String>) -> Option<Paused> {
    at.map(|at| Paused { at, why: why.unwrap_or_default() })
}
