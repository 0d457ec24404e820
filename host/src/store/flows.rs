//! Flows and their timeline: one commit per transition, guarded by the row's revision.

use rusqlite::{Connection, Row, params};

use super::effects::{self, Effect};
use super::pauses::{self, stopped};
use super::rows::{all, from_json, from_json_or_null, from_text, from_text_or_null, one, to_json};
use super::{Error, Lane, Operation, Result, Store};
use crate::model::{Event, Fault, Flow, FlowId, InstanceId, Millis, Name, Position, Progress};
use crate::switch::{Guard, guarded};

/// Where a flow stands after a transition.
#[derive(Debug, Clone)]
pub struct FlowUpdate {
    pub position: Position,
    pub state: Vec<u8>,
    pub checkpoint: Option<Vec<u8>>,
    pub task_since: Millis,
    pub wake: Option<Millis>,
    pub fault: Option<Fault>,
    pub progress: Progress,
    /// Which backend the task calls; none: as it was.
    pub backend: Option<String>,
    /// Gives up the turn at an exclusive backend; an [`Effect::Intend`] of the same transition may take the next.
    pub task_over: bool,
}

/// One step of one flow, with all that it changes.
#[derive(Debug, Clone)]
pub struct Transition {
    pub flow: FlowId,
    /// The revision that the step was made from.
    pub from: i64,
    pub update: FlowUpdate,
    pub event: Event,
    pub effects: Vec<Effect>,
}

impl Operation for Transition {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        let FlowUpdate { position, state, checkpoint, task_since, wake, fault, progress, backend, task_over } =
            &self.update;
        let moved = db
            .prepare_cached(&guarded(
                Guard::Revision,
                "UPDATE flow SET phase = ?3, task = ?4, attempt = ?5, round = ?6, revision = revision + 1, state = ?7, checkpoint = ?8,
                        task_since = ?9, wake = CASE WHEN cancel AND ?3 = 'forward' THEN min(?10, ?13) ELSE ?10 END, fault = ?11, progress = ?12, updated_at = ?13,
                        exclusive = CASE WHEN ?14 THEN NULL ELSE exclusive END, budget = ?16, backend = CASE WHEN ?14 THEN NULL ELSE coalesce(?15, backend) END
                 WHERE public_id = ?1 AND revision = ?2",
                "revision = ?2",
                "TRUE",
            ))?
            .execute(params![
                self.flow.to_string(),
                self.from,
                position.phase.as_str(),
                position.task,
                position.attempt,
                position.round,
                state,
                checkpoint,
                task_since,
                wake,
                fault.as_ref().map(to_json).transpose()?,
                to_json(progress)?,
                self.event.at,
                task_over,
                backend,
                progress.budget_ms,
            ])?;
        if moved != 1 {
            return Err(Error::Conflict("the flow"));
        }
        append(db, self.flow, &self.event)?;
        for effect in &self.effects {
            effects::apply(db, self.flow, effect, self.event.at)?;
        }
        if position.phase.is_ended() {
            wake_followers(db, self.flow, self.event.at)?;
        }
        Ok(())
    }

    fn flow(&self) -> Option<FlowId> {
        Some(self.flow)
    }

    #[cfg(feature = "failpoints")]
    fn place(&self) -> Option<(String, String)> {
        let Event { task, direction, kind, plugin, .. } = &self.event;
        let whose = plugin.as_deref().and_then(|plugin| plugin.split('@').next()).unwrap_or("moganite");
        Some((whose.to_owned(), format!("{direction:?} {task} {kind:?}").to_lowercase()))
    }
}

/// A new run begins: what is due may have been in a call when the last one ended.
struct TakeOver(Millis);

impl Operation for TakeOver {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        db.execute("UPDATE flow SET attempt = attempt + 1 WHERE wake <= ?1", params![self.0])?;
        Ok(())
    }
}

impl Store {
    /// Counts a try for each flow that may have been in a call when the last run ended.
    pub(crate) async fn take_over(&self, now: Millis) -> Result<()> {
        self.write(Lane::Flow, TakeOver(now)).await
    }

    /// What the runner may call now, the longest due first. Of flows that take turns at an exclusive backend only the first; none that
    /// somebody stopped, and none at a backend of `full`.
    pub(crate) async fn due_flows(&self, now: Millis, limit: usize, full: &[Name]) -> Result<Vec<Flow>> {
        let full = to_json(&full)?;
        self.read(move |db| {
            let query = concat!(
                "SELECT * FROM flow f WHERE wake IS NOT NULL AND wake <= ?1 AND NOT ",
                stopped!(),
                " AND coalesce(backend, '') NOT IN (SELECT value FROM json_each(?3)) AND (exclusive IS NULL OR NOT EXISTS (
                    SELECT 1 FROM flow o WHERE o.exclusive = f.exclusive AND (o.task_since, o.id) < (f.task_since, f.id)))
                 ORDER BY wake LIMIT ?2"
            );
            let query = guarded(Guard::Turn, query, "exclusive IS NULL OR", "TRUE OR");
            all(db, &pauses::guarded(query), params![now, limit, full], read_flow)
        })
        .await
    }

    /// The same, for a test that runs none of them.
    #[cfg(any(test, feature = "testing"))]
    pub async fn due_now(&self, now: Millis) -> Result<Vec<Flow>> {
        self.due_flows(now, 100, &[]).await
    }

    /// This flow, if the runner may go on with it now without standing in line.
    pub(crate) async fn due_flow(&self, id: FlowId, now: Millis) -> Result<Option<Flow>> {
        self.read(move |db| {
            one(
                db,
                concat!(
                    "SELECT * FROM flow WHERE public_id = ?1 AND wake <= ?2 AND exclusive IS NULL AND NOT ",
                    stopped!()
                ),
                params![id.to_string(), now],
                read_flow,
            )
        })
        .await
    }

    /// When the next flow after `now` becomes due.
    pub(crate) async fn next_wake(&self, now: Millis) -> Result<Option<Millis>> {
        self.read(move |db| {
            Ok(db
                .prepare_cached("SELECT min(wake) FROM flow WHERE wake > ?1")?
                .query_row(params![now], |row| row.get(0))?)
        })
        .await
    }

    pub async fn flow(&self, id: FlowId) -> Result<Option<Flow>> {
        self.read(move |db| one(db, "SELECT * FROM flow WHERE public_id = ?1", params![id.to_string()], read_flow))
            .await
    }

    /// Newest first, of one project or of all, begun before `before`.
    pub async fn flows(&self, project: Option<Name>, before: Option<FlowId>, limit: usize) -> Result<Vec<Flow>> {
        self.read(move |db| {
            all(
                db,
                "SELECT * FROM flow WHERE (?1 IS NULL OR project = ?1)
                   AND (?2 IS NULL OR id < (SELECT id FROM flow WHERE public_id = ?2)) ORDER BY id DESC LIMIT ?3",
                params![project.as_ref().map(Name::as_str), before.map(|id| id.to_string()), limit],
                read_flow,
            )
        })
        .await
    }

    /// All flows of an instance, oldest first.
    pub async fn flows_of(&self, instance: InstanceId) -> Result<Vec<Flow>> {
        self.read(move |db| {
            all(db, "SELECT * FROM flow WHERE instance = ?1 ORDER BY id", params![instance.to_string()], read_flow)
        })
        .await
    }

    /// Those of them that there are.
    pub async fn flows_named(&self, ids: Vec<FlowId>) -> Result<Vec<Flow>> {
        self.read(move |db| {
            let query = "SELECT * FROM flow WHERE public_id = ?1";
            let found = ids.iter().map(|id| one(db, query, params![id.to_string()], read_flow));
            Ok(found.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
        })
        .await
    }

    /// The timeline after `seq`, oldest first.
    pub async fn events(&self, flow: FlowId, after: i64) -> Result<Vec<Event>> {
        self.read(move |db| {
            all(
                db,
                "SELECT body FROM event WHERE flow = ?1 AND seq > ?2 ORDER BY seq",
                params![flow.to_string(), after],
                |row| from_json(row, "body"),
            )
        })
        .await
    }

    /// How many flows are in each phase.
    pub async fn count_flows(&self) -> Result<Vec<(String, u64)>> {
        self.read(|db| {
            all(db, "SELECT phase, count(*) FROM flow GROUP BY phase ORDER BY phase", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
        })
        .await
    }

    pub(crate) async fn transit(&self, transition: Transition) -> Result<()> {
        self.write(Lane::Flow, transition).await
    }
}

/// The first row and the first line of a new flow.
pub(super) fn insert(db: &Connection, flow: &Flow, event: &Event) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO flow (public_id, kind, version, project, instance, phase, task, attempt, round, revision, state, checkpoint,
                           task_since, wake, cancel, fault, progress, exclusive, follows, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1, ?10, NULL, ?11, ?12, 0, NULL, ?13, NULL, ?14, ?15, ?15)",
    )?
    .execute(params![
        flow.id.to_string(),
        flow.kind,
        flow.version,
        flow.project.as_str(),
        flow.instance.to_string(),
        flow.position.phase.as_str(),
        flow.position.task,
        flow.position.attempt,
        flow.position.round,
        flow.state,
        flow.task_since,
        flow.wake,
        to_json(&flow.progress)?,
        flow.follows.map(|id| id.to_string()),
        flow.created_at,
    ])?;
    append(db, flow.id, event)
}

pub(super) fn append(db: &Connection, flow: FlowId, event: &Event) -> Result<()> {
    let flow = flow.to_string();
    let seq: i64 = db
        .prepare_cached("SELECT coalesce(max(seq), 0) + 1 FROM event WHERE flow = ?1")?
        .query_row(params![flow], |row| row.get(0))?;
    let event = Event { seq, ..event.clone() };
    db.prepare_cached("INSERT INTO event (flow, seq, body) VALUES (?1, ?2, ?3)")?.execute(params![
        flow,
        seq,
        to_json(&event)?
    ])?;
    Ok(())
}

pub(super) fn wake_followers(db: &Connection, ended: FlowId, at: Millis) -> Result<()> {
    db.prepare_cached(
        "UPDATE flow SET wake = ?2, task_since = ?2 WHERE follows = ?1 AND wake IS NULL AND phase = 'forward'",
    )?
    .execute(params![ended.to_string(), at])?;
    Ok(())
}

pub(super) fn read_flow(row: &Row<'_>) -> Result<Flow> {
    Ok(Flow {
        id: from_text(row, "public_id")?,
        kind: row.get("kind")?,
        version: row.get("version")?,
        project: from_text(row, "project")?,
        instance: from_text(row, "instance")?,
        position: Position {
            phase: from_text(row, "phase")?,
            task: row.get("task")?,
            attempt: row.get("attempt")?,
            round: row.get("round")?,
        },
        revision: row.get("revision")?,
        state: row.get("state")?,
        checkpoint: row.get("checkpoint")?,
        task_since: row.get("task_since")?,
        wake: row.get("wake")?,
        cancel: row.get("cancel")?,
        fault: from_json_or_null(row, "fault")?,
        progress: from_json(row, "progress")?,
        exclusive: row.get("exclusive")?,
        follows: from_text_or_null(row, "follows")?,
        backend: from_text_or_null(row, "backend")?,
        paused: super::pauses::read(row)?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
