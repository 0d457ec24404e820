//! Flows and their timeline: one commit per transition, guarded by the row's revision.

use rusqlite::{Connection, Row, params};

use super::effects::{self, Effect};
use super::pauses::{self, paused, stopped};
use super::rows::{all, from_json, from_json_or_null, from_text, from_text_or_null, one, to_json};
use super::sealing::{self, opened, sealed};
use super::{Error, Lane, Operation, Result, Store, Wakes, trials};
use crate::model::{Event, Fault, Flow, FlowId, InstanceId, Millis, Name, Phase, Position, Progress, RevisionId};
use crate::switch::{Guard, guarded};

/// What [`read_flow`] reads, in its order: by number, since a look for each name would take longer than the row itself.
macro_rules! flow_columns {
    () => {
        "id, public_id, kind, version, project, instance, phase, task, attempt, round, revision, state, checkpoint, task_since, wake,
         cancel, fault, progress, exclusive, place, follows, backend, paused_at, paused_why, created_at, updated_at, shown"
    };
}
pub(super) use flow_columns;

/// Until when nobody calls the plugin of a row of `flow`, because it broke too often; NULL for one that did not.
macro_rules! barred {
    () => {
        "(SELECT k.until FROM breaker k JOIN revision r ON r.backend = k.backend AND r.digest = k.digest WHERE r.id = calls)"
    };
}

/// Lines of a timeline that are read at once for who follows it.
pub const NEXT: usize = 100;

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
    /// Which revision the task calls; none: as it was.
    pub calls: Option<RevisionId>,
    /// Gives up the turn at an exclusive backend; an [`Effect::Intend`] of the same transition may take the next.
    pub task_over: bool,
    /// Looks at many machines tell when the wait ends.
    pub shown: bool,
    /// It was due without a backend and without a turn, and is so again at once: three indexes need no change.
    pub as_due_as_before: bool,
}

/// One step of one flow, with all that it changes.
#[derive(Debug, Clone)]
pub struct Transition {
    pub flow: FlowId,
    /// [`Flow::row`].
    pub row: i64,
    /// The revision that the step was made from.
    pub from: i64,
    pub update: FlowUpdate,
    pub event: Event,
    pub effects: Vec<Effect>,
}

/// What the row says after a transition beside what that wrote: the wishes of others, and what its effects left.
#[derive(Debug, Clone)]
pub struct Moved {
    pub cancel: bool,
    pub wake: Option<Millis>,
    pub exclusive: Option<String>,
    pub backend: Option<Name>,
    /// Somebody stopped it.
    pub stopped: bool,
    /// Its plugin broke too often: nobody calls it before then, and then one flow alone.
    pub barred: Option<Millis>,
    /// Other flows are due by it.
    pub wakes_others: bool,
}

impl Operation for Transition {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        Texts::of(self)?.apply(self, db).map(|_| ())
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

/// A transition of the runner, its texts written before it stands in the writer's line.
struct Transit(Transition, Texts);

impl Operation for Transit {
    type Answer = Moved;

    fn apply(&self, db: &Connection) -> Result<Moved> {
        self.1.apply(&self.0, db)
    }

    #[cfg(feature = "failpoints")]
    fn place(&self) -> Option<(String, String)> {
        self.0.place()
    }
}

/// What a transition writes as JSON, and what it seals.
struct Texts {
    state: Vec<u8>,
    checkpoint: Option<Vec<u8>>,
    fault: Option<String>,
    progress: String,
    line: String,
}

impl Texts {
    fn of(transition: &Transition) -> Result<Self> {
        let flow = transition.flow.to_string();
        let checkpoint = transition.update.checkpoint.as_deref();
        Ok(Self {
            state: sealed(&sealing::state(&flow), &transition.update.state)?,
            checkpoint: checkpoint.map(|bytes| sealed(&sealing::checkpoint(&flow), bytes)).transpose()?,
            fault: transition.update.fault.as_ref().map(to_json).transpose()?,
            progress: to_json(&transition.update.progress)?,
            line: to_json(&transition.event)?,
        })
    }

    fn apply(&self, transition: &Transition, db: &Connection) -> Result<Moved> {
        let at = transition.event.at;
        let ends = match &transition.update {
            update if update.task_over && !update.as_due_as_before => calls(db, transition.row)?,
            _ => None,
        };
        if self.move_row(transition, db)? != 1 {
            return Err(Error::Conflict("the flow"));
        }
        let mut wakes_others = false;
        for effect in &transition.effects {
            wakes_others |= effects::apply(db, transition.flow, effect, at)?;
        }
        if let Some(revision) = ends {
            trials::ended(db, revision, at)?;
        }
        // Not by RETURNING, for which SQLite makes a table each time.
        let query = concat!(
            "SELECT lines, cancel, wake, exclusive, backend, ",
            stopped!(),
            ", ",
            barred!(),
            " FROM flow WHERE id = ?1"
        );
        let (seq, moved) = db
            .prepare_cached(&pauses::guarded(query))?
            .query_row(params![transition.row], |row| Ok((row.get(0)?, read_moved(row))))?;
        add_line(db, transition.row, seq, at, &self.line)?;
        let ended = transition.update.position.phase.is_ended();
        wakes_others |= ended && wake_followers(db, transition.flow, at)? > 0;
        Ok(Moved { wakes_others, ..moved? })
    }

    /// How many rows it moved: one, or none that stands where the step began.
    fn move_row(&self, transition: &Transition, db: &Connection) -> Result<usize> {
        let Transition { row, from, update, event, .. } = transition;
        let position = update.position;
        let moved = if update.as_due_as_before {
            db.prepare_cached(&guarded(
                Guard::Revision,
                "UPDATE flow SET phase = ?3, task = ?4, attempt = ?5, round = ?6, revision = revision + 1, state = ?7, checkpoint = ?8,
                        task_since = ?9, fault = ?10, progress = ?11, updated_at = ?12, budget = ?13, lines = lines + 1
                 WHERE id = ?1 AND revision = ?2",
                "revision = ?2",
                "TRUE",
            ))?
            .execute(params![
                row,
                from,
                position.phase.as_str(),
                position.task,
                position.attempt,
                position.round,
                self.state,
                self.checkpoint,
                update.task_since,
                self.fault,
                self.progress,
                event.at,
                update.progress.budget_ms,
            ])?
        } else {
            db.prepare_cached(&guarded(
                Guard::Revision,
                "UPDATE flow SET phase = ?3, task = ?4, attempt = ?5, round = ?6, revision = revision + 1, state = ?7, checkpoint = ?8,
                        task_since = ?9, wake = CASE WHEN cancel AND ?3 = 'forward' THEN min(?10, ?13) ELSE ?10 END, fault = ?11, progress = ?12, updated_at = ?13,
                        exclusive = CASE WHEN ?14 THEN NULL ELSE exclusive END,
                        place = CASE WHEN exclusive IS NOT NULL AND NOT ?14 THEN 0 END, budget = ?16, backend = CASE WHEN ?14 THEN NULL ELSE coalesce(?15, backend) END,
                        calls = CASE WHEN ?14 THEN NULL ELSE coalesce(?17, calls) END, shown = ?18,
                        lines = lines + 1
                 WHERE id = ?1 AND revision = ?2",
                "revision = ?2",
                "TRUE",
            ))?
            .execute(params![
                row,
                from,
                position.phase.as_str(),
                position.task,
                position.attempt,
                position.round,
                self.state,
                self.checkpoint,
                update.task_since,
                update.wake,
                self.fault,
                self.progress,
                event.at,
                update.task_over,
                update.backend,
                update.progress.budget_ms,
                update.calls.map(|revision| revision.0),
                update.shown,
            ])?
        };
        Ok(moved)
    }
}

/// Which revision a flow's task calls.
fn calls(db: &Connection, row: i64) -> Result<Option<RevisionId>> {
    let calls: Option<i64> =
        db.prepare_cached("SELECT calls FROM flow WHERE id = ?1")?.query_row(params![row], |row| row.get(0))?;
    Ok(calls.map(RevisionId))
}

/// From the columns of the one query that asks for them, in their order.
fn read_moved(row: &Row<'_>) -> Result<Moved> {
    Ok(Moved {
        cancel: row.get(1)?,
        wake: row.get(2)?,
        exclusive: row.get(3)?,
        backend: from_text_or_null(row, 4)?,
        stopped: row.get(5)?,
        barred: row.get(6)?,
        wakes_others: false,
    })
}

impl Store {
    pub async fn flow(&self, id: FlowId) -> Result<Option<Flow>> {
        let query = concat!("SELECT ", flow_columns!(), " FROM flow WHERE public_id = ?1");
        self.read_here(|db| one(db, query, params![id.to_string()], read_flow))
    }

    /// Newest first, of one project or of all, begun before `before`.
    pub async fn flows(&self, project: Option<Name>, before: Option<FlowId>, limit: usize) -> Result<Vec<Flow>> {
        self.read(move |db| {
            all(
                db,
                concat!(
                    "SELECT ",
                    flow_columns!(),
                    " FROM flow WHERE (?1 IS NULL OR project = ?1)
                       AND (?2 IS NULL OR id < (SELECT id FROM flow WHERE public_id = ?2)) ORDER BY id DESC LIMIT ?3"
                ),
                params![project.as_ref().map(Name::as_str), before.map(|id| id.to_string()), limit],
                read_flow,
            )
        })
        .await
    }

    /// All flows of an instance, oldest first.
    pub async fn flows_of(&self, instance: InstanceId) -> Result<Vec<Flow>> {
        self.read(move |db| {
            let query = concat!("SELECT ", flow_columns!(), " FROM flow WHERE instance = ?1 ORDER BY id");
            all(db, query, params![instance.to_string()], read_flow)
        })
        .await
    }

    /// Those of them that there are.
    pub async fn flows_named(&self, ids: Vec<FlowId>) -> Result<Vec<Flow>> {
        self.read(move |db| {
            let query = concat!("SELECT ", flow_columns!(), " FROM flow WHERE public_id = ?1");
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
                "SELECT e.seq, e.at, e.body FROM event e JOIN flow f ON f.id = e.flow
                 WHERE f.public_id = ?1 AND e.seq > ?2 ORDER BY e.seq",
                params![flow.to_string(), after],
                read_event,
            )
        })
        .await
    }

    /// Whether the flow still runs, and the next lines of its timeline after `seq`, at most [`NEXT`].
    ///
    /// The row first: when it does not run any more, the lines that are read after it are all there are.
    pub async fn next_events(&self, flow: FlowId, after: i64) -> Result<(bool, Vec<Event>)> {
        self.read_here(|db| {
            let id = flow.to_string();
            let found = one(db, "SELECT id, phase FROM flow WHERE public_id = ?1", params![id], |row| {
                Ok((row.get(0)?, from_text::<Phase>(row, 1)?))
            })?;
            let Some((row, phase)): Option<(i64, _)> = found else { return Ok((false, Vec::new())) };
            let query = "SELECT seq, at, body FROM event WHERE flow = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
            Ok((phase.runs(), all(db, query, params![row, after, NEXT], read_event)?))
        })
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

    pub(crate) async fn transit(&self, transition: Transition) -> Result<Moved> {
        let (flow, texts) = (transition.flow, self.key.during(|| Texts::of(&transition))?);
        let moved = self.write(Lane::Flow, Box::new(Transit(transition, texts))).await?;
        // Here and not by the writer: the runner knows of it first.
        self.told.wake(if moved.wakes_others { Wakes::Any } else { Wakes::Nobody });
        self.told.changed(flow);
        Ok(moved)
    }
}

fn read_event(row: &Row<'_>) -> Result<Event> {
    Ok(Event { seq: row.get("seq")?, at: row.get("at")?, ..from_json(row, "body")? })
}

/// The first row and the first line of a new flow.
pub(super) fn insert(db: &Connection, flow: &Flow, event: &Event) -> Result<()> {
    let id = flow.id.to_string();
    db.prepare_cached(
        "INSERT INTO flow (public_id, kind, version, project, instance, phase, task, attempt, round, revision, state, checkpoint,
                           task_since, wake, cancel, fault, progress, exclusive, follows, lines, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1, ?10, NULL, ?11, ?12, 0, NULL, ?13, NULL, ?14, 1, ?15, ?15)",
    )?
    .execute(params![
        id,
        flow.kind,
        flow.version,
        flow.project.as_str(),
        flow.instance.to_string(),
        flow.position.phase.as_str(),
        flow.position.task,
        flow.position.attempt,
        flow.position.round,
        sealed(&sealing::state(&id), &flow.state)?,
        flow.task_since,
        flow.wake,
        to_json(&flow.progress)?,
        flow.follows.map(|id| id.to_string()),
        flow.created_at,
    ])?;
    add_line(db, db.last_insert_rowid(), 1, event.at, &to_json(event)?)
}

/// One more line of a timeline.
pub(super) fn append(db: &Connection, flow: FlowId, event: &Event) -> Result<()> {
    let (row, seq) = db
        .prepare_cached("UPDATE flow SET lines = lines + 1 WHERE public_id = ?1 RETURNING id, lines")?
        .query_row(params![flow.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    add_line(db, row, seq, event.at, &to_json(event)?)
}

fn add_line(db: &Connection, flow: i64, seq: i64, at: Millis, body: &str) -> Result<()> {
    db.prepare_cached("INSERT INTO event (flow, seq, at, body) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![flow, seq, at, body])?;
    Ok(())
}

/// How many flows are due by this one's end.
pub(super) fn wake_followers(db: &Connection, ended: FlowId, at: Millis) -> Result<usize> {
    let woken = db
        .prepare_cached(
            "UPDATE flow SET wake = ?2, task_since = ?2 WHERE follows = ?1 AND wake IS NULL AND phase = 'forward'",
        )?
        .execute(params![ended.to_string(), at])?;
    Ok(woken)
}

/// A state that does not open is none, and its flow says so and rests. A checkpoint that does not open is lost like an answer: the next try is
/// not the first, so that the driver looks for what it may have made.
pub(super) fn read_flow(row: &Row<'_>) -> Result<Flow> {
    let id: String = row.get(1)?;
    let state = opened(&sealing::state(&id), row.get_ref(11)?.as_blob().unwrap_or_default()).unwrap_or_default();
    let kept = row.get_ref(12)?.as_blob_or_null().unwrap_or_default();
    let checkpoint = kept.and_then(|bytes| opened(&sealing::checkpoint(&id), bytes));
    let attempt: u32 = row.get(8)?;
    let attempt = if kept.is_some() && checkpoint.is_none() { attempt.max(2) } else { attempt };
    Ok(Flow {
        row: row.get(0)?,
        id: from_text(row, 1)?,
        kind: row.get(2)?,
        version: row.get(3)?,
        project: from_text(row, 4)?,
        instance: from_text(row, 5)?,
        position: Position { phase: from_text(row, 6)?, task: row.get(7)?, attempt, round: row.get(9)? },
        revision: row.get(10)?,
        state,
        checkpoint,
        task_since: row.get(13)?,
        wake: row.get(14)?,
        cancel: row.get(15)?,
        fault: from_json_or_null(row, 16)?,
        progress: from_json(row, 17)?,
        exclusive: row.get(18)?,
        place: row.get(19)?,
        follows: from_text_or_null(row, 20)?,
        backend: from_text_or_null(row, 21)?,
        paused: paused(row.get(22)?, row.get(23)?),
        created_at: row.get(24)?,
        updated_at: row.get(25)?,
        shown: row.get(26)?,
    })
}
