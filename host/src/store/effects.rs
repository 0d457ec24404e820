//! What a transition changes beside its flow: holdings, instances, quarantine. One transaction with the flow's own row.

use rusqlite::{Connection, params};
use serde_json::{Map, Value};

use super::instances::{self, InstanceChange};
use super::{Result, audit, breakers, holdings, promises, quarantine, trials};
use crate::model::{By, Fault, FlowId, HoldingId, InstanceId, Mark, Millis, Name, Node, OperationId, RevisionId, Role};

/// What a transition changes beside the flow itself.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a transition has one to three of them")]
pub enum Effect {
    /// A doing operation begins: from now on something may have been taken.
    Intend(Intent),
    /// The doing verb's newest checkpoint.
    Trail {
        operation: OperationId,
        checkpoint: Vec<u8>,
    },
    /// The doing verb answered. Refused with [`super::Error::Owned`] when another instance has the handle or the machine.
    Hold {
        operation: OperationId,
        handle: String,
        facts: Map<String, Value>,
        node: Option<Node>,
    },
    /// The doing verb answered something that must not be undone by itself: a person looks first.
    Dispute {
        operation: OperationId,
        fault: Fault,
    },
    /// An undo begins: it runs on the backend's newest revision of this moment.
    BeginUndo {
        instance: InstanceId,
        role: Role,
    },
    /// The undo's end was confirmed.
    Settle(HoldingId),
    /// Why an undo did not end.
    Owe {
        holding: HoldingId,
        fault: Fault,
    },
    /// This node failed: no claim gets it until an operator clears it.
    Quarantine {
        backend: Name,
        handle: String,
        cause: Fault,
    },
    Instance(InstanceChange),
    /// A read saw the machine of this holding off.
    SeenOff(HoldingId),
    /// An operator says that nothing is left of what this instance holds of this role.
    WriteOff {
        instance: InstanceId,
        role: Role,
    },
    /// A driver was called. `broke`: why that brought no answer at all.
    Called {
        revision: RevisionId,
        broke: Option<String>,
    },
    /// What a person decided.
    Audit {
        by: By,
        verb: &'static str,
        subject: String,
    },
}

/// The first word of a holding.
#[derive(Debug, Clone)]
pub struct Intent {
    pub instance: InstanceId,
    pub role: Role,
    pub backend: Name,
    pub operation: OperationId,
    pub mark: Mark,
}

/// True when other flows may be due by it.
pub(super) fn apply(db: &Connection, flow: FlowId, effect: &Effect, at: Millis) -> Result<bool> {
    if let Effect::Called { revision, broke } = effect {
        if let Some(why) = broke {
            trials::broke(db, *revision, why, at)?;
        }
        return breakers::called(db, *revision, broke.as_deref(), at);
    }
    change(db, flow, effect, at).map(|()| false)
}

fn change(db: &Connection, flow: FlowId, effect: &Effect, at: Millis) -> Result<()> {
    match effect {
        Effect::Intend(intent) => {
            holdings::intend(db, intent, at)?;
            line_up(db, flow, intent, at)
        }
        Effect::Trail { operation, checkpoint } => holdings::trail(db, operation, checkpoint),
        Effect::Hold { operation, handle, facts, node } => holdings::hold(db, operation, handle, facts, node.as_ref()),
        Effect::Dispute { operation, fault } => holdings::dispute(db, operation, fault),
        Effect::BeginUndo { instance, role } => {
            holdings::begin_undo(db, *instance, *role)?;
            calls_for(db, flow, *instance, *role)
        }
        Effect::Settle(holding) => {
            promises::made(db, *holding, at)?;
            holdings::settle(db, *holding)
        }
        Effect::Owe { holding, fault } => holdings::owe(db, *holding, fault, at),
        Effect::Quarantine { backend, handle, cause } => quarantine::add(db, backend, handle, cause, at),
        Effect::Instance(change) => instances::change(db, change, at),
        Effect::SeenOff(holding) => holdings::seen_off(db, *holding, at),
        Effect::WriteOff { instance, role } => holdings::write_off(db, *instance, *role),
        Effect::Audit { by, verb, subject } => audit::note(db, by, verb, subject, at),
        Effect::Called { .. } => Ok(()),
    }
}

/// The flow's task calls the backend of what it undoes.
fn calls_for(db: &Connection, flow: FlowId, instance: InstanceId, role: Role) -> Result<()> {
    db.prepare_cached(
        "UPDATE flow SET (backend, calls) = (
             SELECT backend, undo_revision FROM holding WHERE instance = ?2 AND role = ?3 ORDER BY id DESC LIMIT 1)
         WHERE public_id = ?1",
    )?
    .execute(params![flow.to_string(), instance.to_string(), role.as_str()])?;
    Ok(())
}

/// The flow's task calls this backend, and stands in line where the backend's revision says that this verb runs one at a time.
fn line_up(db: &Connection, flow: FlowId, intent: &Intent, at: Millis) -> Result<()> {
    db.prepare_cached(
        "UPDATE flow SET backend = ?2, calls = r.revision,
                exclusive = CASE WHEN r.is_exclusive THEN ?2 || '/' || ?3 ELSE exclusive END,
                place = CASE WHEN r.is_exclusive THEN ?5 ELSE place END
         FROM (SELECT h.revision, instr(r.exclusive, ',' || ?3 || ',') > 0 AS is_exclusive
               FROM holding h JOIN revision r ON r.id = h.revision WHERE h.operation = ?4) r
         WHERE public_id = ?1",
    )?
    .execute(params![flow.to_string(), intent.backend.as_str(), intent.role.as_str(), intent.operation.0, at])?;
    Ok(())
}
