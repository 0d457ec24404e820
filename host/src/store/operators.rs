//! What an operator decides about a flow that rests, and about a debt. Each is durable before it is answered, and in the audit log.

use rusqlite::{Connection, params};

use super::effects::{self, Effect};
use super::rows::one;
use super::{Error, Operation, Result, Transition, audit, flows, holdings};
use crate::model::{By, Event, Flow, FlowId, HoldingId, Phase, RevisionId, Role};
use crate::switch::{Guard, guarded};

/// A person's word that a flow which rests may go on: another try, and not the first.
#[derive(Debug, Clone)]
pub struct RetryFlow {
    pub flow: FlowId,
    /// Where it goes on: the direction that it rested in.
    pub phase: Phase,
    pub event: Event,
    pub by: By,
}

impl Operation for RetryFlow {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        again(db, self.flow, self.phase, &self.event, true)?;
        holdings::undisputed(db, self.flow)?;
        audit::note(db, &self.by, "flow.retry", &self.flow.to_string(), self.event.at)
    }

    fn flow(&self) -> Option<FlowId> {
        Some(self.flow)
    }
}

/// The undo that a flow rests at goes on with another revision of the same backend, without what the old one kept.
#[derive(Debug, Clone)]
pub struct HandOver {
    pub flow: FlowId,
    pub phase: Phase,
    /// Of the holding that is to be undone.
    pub role: Role,
    pub to: RevisionId,
    pub event: Event,
    pub by: By,
}

impl Operation for HandOver {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        again(db, self.flow, self.phase, &self.event, false)?;
        let moved = db
            .prepare_cached(
                "UPDATE holding SET undo_revision = ?2
                 WHERE id = (SELECT max(h.id) FROM holding h JOIN flow f ON f.instance = h.instance WHERE f.public_id = ?1 AND h.role = ?3)
                   AND backend = (SELECT backend FROM revision WHERE id = ?2)",
            )?
            .execute(params![self.flow.to_string(), self.to.0, self.role.as_str()])?;
        if moved != 1 {
            return Err(Error::Refused("nothing of that backend is held where this flow rests".into()));
        }
        audit::note(db, &self.by, "flow.hand-over", &self.flow.to_string(), self.event.at)
    }

    fn flow(&self) -> Option<FlowId> {
        Some(self.flow)
    }
}

/// A flow that rests ends, its instance is gone, and what is still held are debts, which a flow of their own settles.
#[derive(Debug, Clone)]
pub struct Abandon {
    pub end: Transition,
    pub settle: Flow,
    pub settle_event: Event,
    pub settle_effects: Vec<Effect>,
}

impl Operation for Abandon {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        self.end.apply(db)?;
        flows::insert(db, &self.settle, &self.settle_event)?;
        for effect in &self.settle_effects {
            effects::apply(db, self.settle.id, effect, self.settle_event.at)?;
        }
        db.prepare_cached("UPDATE instance SET flow = ?2 WHERE public_id = ?1")?
            .execute(params![self.settle.instance.to_string(), self.settle.id.to_string()])?;
        Ok(())
    }

    fn flow(&self) -> Option<FlowId> {
        Some(self.end.flow)
    }
}

/// A debt that nobody will settle: an operator says why, and the row goes. What the far side may still have, the sweeper finds.
#[derive(Debug, Clone)]
pub struct WriteOff {
    pub holding: HoldingId,
    /// For the timeline of the flow that works on it.
    pub event: Event,
    pub by: By,
}

impl Operation for WriteOff {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        let found = one(
            db,
            &guarded(
                Guard::Owed,
                "SELECT h.role || ' ' || coalesce(h.handle, h.mark) || ' of ' || h.backend, i.flow
                 FROM holding h LEFT JOIN instance i ON i.public_id = h.instance WHERE h.id = ?1 AND h.owed_at IS NOT NULL",
                "h.owed_at IS NOT NULL",
                "TRUE",
            ),
            params![self.holding.0],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)),
        )?;
        let Some((what, flow)) = found else {
            return Err(Error::Refused("that is no debt: it was settled, or its undo is still under way".into()));
        };
        holdings::settle(db, self.holding)?;
        if let Some(flow) = flow.and_then(|flow| flow.parse().ok()) {
            flows::append(db, flow, &self.event)?;
        }
        audit::note(db, &self.by, "debt.write-off", &what, self.event.at)
    }
}

/// From needs-operator on: as a try that is not the first, with its checkpoint or without.
fn again(db: &Connection, flow: FlowId, phase: Phase, event: &Event, keep_checkpoint: bool) -> Result<()> {
    let moved = db
        .prepare_cached(&guarded(
            Guard::Rests,
            "UPDATE flow SET phase = ?2, attempt = 2, wake = ?3, task_since = ?3, revision = revision + 1, updated_at = ?3,
                    checkpoint = CASE WHEN ?4 THEN checkpoint END
             WHERE public_id = ?1 AND phase = 'needs-operator'",
            "phase = 'needs-operator'",
            "TRUE",
        ))?
        .execute(params![flow.to_string(), phase.as_str(), event.at, keep_checkpoint])?;
    if moved != 1 {
        return Err(Error::Refused("this flow does not need an operator: it runs, or it ended".into()));
    }
    flows::append(db, flow, event)
}
