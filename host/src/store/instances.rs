//! Instances. The api writes intents here, flows write everything else.

use rusqlite::{Connection, Row, params};
use serde_json::{Map, Value};

use super::effects::{self, Effect};
use super::idempotency::{Once, once};
use super::quotas::{self, is_full};
use super::rows::{all, from_json, from_text, one, to_json};
use super::sealing::{self, opened, sealed};
use super::{Error, Operation, Result, Store, Wakes};
use super::{flows, holdings};
use crate::model::{Event, Flow, FlowId, Instance, InstanceId, InstanceState, Millis, Name, Order};
use crate::switch::{Guard, Switch, guarded, holds};

/// POST: the instance, its flow, what the first task may take, and the key that makes a repeat harmless. One transaction.
#[derive(Debug, Clone)]
pub struct CreateInstance {
    pub instance: Instance,
    pub flow: Flow,
    pub event: Event,
    pub effects: Vec<Effect>,
    /// The caller's key and the hash of the request it came with.
    pub idempotency: Option<(String, Vec<u8>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    New,
    /// The same key and request came before.
    Before(InstanceId),
    /// The same key came with another request.
    KeyReused,
}

impl Operation for CreateInstance {
    type Answer = Created;

    fn apply(&self, db: &Connection) -> Result<Created> {
        let instance = &self.instance;
        if let Some((key, request)) = &self.idempotency {
            let earlier = once(db, instance.project.as_str(), key, request, (instance.id, &self.flow))?;
            match earlier {
                Once::First => {}
                Once::Before(first, _) => return Ok(Created::Before(first)),
                Once::KeyReused => return Ok(Created::KeyReused),
            }
        }
        let inserted = db
            .prepare_cached(concat!(
                "INSERT INTO instance (project, public_id, name, state, ordered, sealed_order, addresses, unverified, flow, created_at, updated_at)
                 SELECT ?1, ?2, ?3, ?4, '', ?5, '{}', '[]', ?6, ?7, ?7 WHERE NOT ",
                is_full!()
            ))?
            .execute(params![
                instance.project.as_str(),
                instance.id.to_string(),
                instance.name.as_str(),
                instance.state.as_str(),
                seal_order(instance.id, &instance.order)?,
                instance.flow.to_string(),
                instance.created_at,
            ])?;
        if inserted == 0 {
            return Err(quotas::full(db, instance.project.as_str()));
        }
        flows::insert(db, &self.flow, &self.event)?;
        for effect in &self.effects {
            effects::apply(db, self.flow.id, effect, self.event.at)?;
        }
        Ok(Created::New)
    }

    fn flow(&self) -> Option<FlowId> {
        Some(self.flow.id)
    }

    fn wakes(&self, _: &Created) -> Wakes {
        Wakes::Only(self.flow.id)
    }
}

/// DELETE: the wish to cancel a create that runs, and a delete flow that follows it. One transaction.
#[derive(Debug, Clone)]
pub struct DeleteInstance {
    pub instance: InstanceId,
    /// As it runs when nothing has to end before; `follows` and `wake` are set here.
    pub flow: Flow,
    pub event: Event,
    /// The line in the timeline of the create that is cancelled.
    pub cancelled: Event,
    pub effects: Vec<Effect>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleting {
    Started,
    /// The same, and a flow that still ran was cancelled.
    Cancelling,
    /// A delete is under way.
    Already(FlowId),
}

impl Operation for DeleteInstance {
    type Answer = Deleting;

    fn apply(&self, db: &Connection) -> Result<Deleting> {
        let id = self.instance.to_string();
        let at = self.event.at;
        let query = "SELECT state, flow FROM instance WHERE public_id = ?1 AND gone_at IS NULL";
        let query = guarded(Guard::NotGone, query, "gone_at IS NULL", "TRUE");
        let row = one(db, &query, params![id], |row| {
            Ok((from_text::<InstanceState>(row, "state")?, from_text::<FlowId>(row, "flow")?))
        })?;
        let Some((state, before)) = row else { return Err(Error::Refused("the instance is gone".into())) };
        if state == InstanceState::Deleting && holds(Switch::Guard(Guard::DeletedOnce)) {
            return Ok(Deleting::Already(before));
        }
        let cancelled = cancel(db, before, &self.cancelled)?;
        let runs = cancelled && holds(Switch::Guard(Guard::Follows));
        let flow = Flow { follows: runs.then_some(before), wake: (!runs).then_some(at), ..self.flow.clone() };
        flows::insert(db, &flow, &self.event)?;
        for effect in &self.effects {
            effects::apply(db, flow.id, effect, at)?;
        }
        db.prepare_cached("UPDATE instance SET state = 'deleting', flow = ?2, updated_at = ?3 WHERE public_id = ?1")?
            .execute(params![id, flow.id.to_string(), at])?;
        Ok(if cancelled { Deleting::Cancelling } else { Deleting::Started })
    }

    fn flow(&self) -> Option<FlowId> {
        Some(self.flow.id)
    }

    fn wakes(&self, answer: &Deleting) -> Wakes {
        match answer {
            Deleting::Started => Wakes::Only(self.flow.id),
            Deleting::Cancelling => Wakes::Any,
            Deleting::Already(_) => Wakes::Nobody,
        }
    }
}

/// Wakes the flow with the wish. One that waits for a person ends here: what it holds is the delete's. True when it still runs.
fn cancel(db: &Connection, flow: FlowId, event: &Event) -> Result<bool> {
    let id = flow.to_string();
    let rested = db
        .prepare_cached(
            "UPDATE flow SET phase = 'reverted', wake = NULL, revision = revision + 1, updated_at = ?2
             WHERE public_id = ?1 AND phase = 'needs-operator'",
        )?
        .execute(params![id, event.at])?;
    let woken = db
        .prepare_cached(
            "UPDATE flow SET cancel = 1, wake = CASE WHEN phase = 'forward' THEN ?2 ELSE wake END
             WHERE public_id = ?1 AND phase IN ('forward', 'backward')",
        )?
        .execute(params![id, event.at])?;
    if rested + woken > 0 {
        flows::append(db, flow, event)?;
    }
    Ok(woken > 0)
}

/// A verb on an active instance: refused while another flow works on it.
#[derive(Debug, Clone)]
pub struct StartFlow {
    pub instance: InstanceId,
    pub flow: Flow,
    pub event: Event,
    pub effects: Vec<Effect>,
    /// Whose key, the key, and the hash of the request it came with.
    pub idempotency: Option<(Name, String, Vec<u8>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    New,
    /// The same key and request came before.
    Before(FlowId),
    /// The same key came with another request.
    KeyReused,
}

impl Operation for StartFlow {
    type Answer = Started;

    fn apply(&self, db: &Connection) -> Result<Started> {
        if let Some((project, key, request)) = &self.idempotency {
            match once(db, project.as_str(), key, request, (self.instance, &self.flow))? {
                Once::First => {}
                Once::Before(_, flow) => return Ok(Started::Before(flow)),
                Once::KeyReused => return Ok(Started::KeyReused),
            }
        }
        let take = "UPDATE instance SET flow = ?2, updated_at = ?3 WHERE public_id = ?1 AND gone_at IS NULL
               AND state IN ('active', 'failed')
               AND NOT EXISTS (SELECT 1 FROM flow f WHERE f.public_id = instance.flow AND f.phase NOT IN ('done', 'reverted'))";
        let take = guarded(Guard::Startable, take, "state IN ('active', 'failed')", "TRUE");
        let take = guarded(Guard::OneFlow, take, "f.phase NOT IN ('done', 'reverted')", "FALSE");
        let taken = db.prepare_cached(&take)?.execute(params![
            self.instance.to_string(),
            self.flow.id.to_string(),
            self.event.at
        ])?;
        if taken != 1 {
            return Err(Error::Refused("another flow works on this instance: wait until it ends".into()));
        }
        flows::insert(db, &self.flow, &self.event)?;
        for effect in &self.effects {
            effects::apply(db, self.flow.id, effect, self.event.at)?;
        }
        Ok(Started::New)
    }

    fn flow(&self) -> Option<FlowId> {
        Some(self.flow.id)
    }

    fn wakes(&self, _: &Started) -> Wakes {
        Wakes::Only(self.flow.id)
    }
}

/// What a flow changes of an instance. None: as it was.
#[derive(Debug, Clone)]
pub struct InstanceChange {
    pub id: InstanceId,
    pub state: Option<InstanceState>,
    pub composed: Option<bool>,
    pub reason: Option<String>,
    pub addresses: Option<Map<String, Value>>,
    pub unverified: Option<Vec<String>>,
    /// Somebody asked for its machine to be off, or on again.
    pub off: Option<bool>,
    /// Another image was put on it.
    pub order: Option<Order>,
    /// Its machine is off and nothing of it is left: it is shown no more.
    pub gone: bool,
}

impl InstanceChange {
    pub fn of(id: InstanceId) -> Self {
        Self {
            id,
            state: None,
            composed: None,
            reason: None,
            addresses: None,
            unverified: None,
            off: None,
            order: None,
            gone: false,
        }
    }
}

/// A flow that is to be followed by a delete does not move an instance out of deleting.
pub(super) fn change(db: &Connection, change: &InstanceChange, at: Millis) -> Result<()> {
    db.prepare_cached(&guarded(
        Guard::StaysDeleting,
        "UPDATE instance SET state = CASE WHEN state = 'deleting' THEN state ELSE coalesce(?2, state) END,
                composed = coalesce(?3, composed), reason = coalesce(?4, reason), addresses = coalesce(?5, addresses),
                unverified = coalesce(?6, unverified), updated_at = ?7, gone_at = CASE WHEN ?8 THEN coalesce(gone_at, ?7) ELSE gone_at END,
                off = coalesce(?9, off), sealed_order = coalesce(?10, sealed_order)
         WHERE public_id = ?1",
        "state = 'deleting'",
        "FALSE",
    ))?
    .execute(params![
        change.id.to_string(),
        change.state.map(InstanceState::as_str),
        change.composed,
        change.reason,
        change.addresses.as_ref().map(to_json).transpose()?,
        change.unverified.as_ref().map(to_json).transpose()?,
        at,
        change.gone,
        change.off,
        change.order.as_ref().map(|order| seal_order(change.id, order)).transpose()?,
    ])?;
    if change.gone { holdings::outlive(db, &change.id.to_string(), at) } else { Ok(()) }
}

impl Store {
    /// Also one that is gone, for those who hold its id: `None` only when it never was in this project.
    pub async fn instance(&self, project: Option<Name>, id: InstanceId) -> Result<Option<(Instance, bool)>> {
        let query = "SELECT * FROM instance WHERE public_id = ?1 AND (?2 IS NULL OR project = ?2)";
        self.read_here(|db| {
            one(db, query, params![id.to_string(), project.as_ref().map(Name::as_str)], |row| {
                Ok((read_instance(row)?, row.get::<_, Option<i64>>("gone_at")?.is_some()))
            })
        })
    }

    /// Oldest first, of one project or of all, after `after`.
    pub async fn instances(
        &self,
        project: Option<Name>,
        after: Option<InstanceId>,
        limit: usize,
    ) -> Result<Vec<Instance>> {
        self.read(move |db| {
            all(
                db,
                "SELECT * FROM instance WHERE gone_at IS NULL AND (?1 IS NULL OR project = ?1)
                   AND (?2 IS NULL OR id > (SELECT id FROM instance WHERE public_id = ?2)) ORDER BY id LIMIT ?3",
                params![project.as_ref().map(Name::as_str), after.map(|id| id.to_string()), limit],
                read_instance,
            )
        })
        .await
    }

    /// How many instances are in each state.
    pub async fn count_instances(&self) -> Result<Vec<(String, u64)>> {
        self.read(|db| {
            all(
                db,
                "SELECT state, count(*) FROM instance WHERE gone_at IS NULL GROUP BY state ORDER BY state",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
        })
        .await
    }
}

fn seal_order(id: InstanceId, order: &Order) -> Result<Vec<u8>> {
    sealed(&sealing::order(&id.to_string()), to_json(order)?.as_bytes())
}

/// From the sealed bytes of this instance's row.
pub(super) fn open_order(id: &str, bytes: &[u8]) -> Result<Order> {
    let corrupt = |why: String| Error::Corrupt(format!("the order of instance {id}: {why}"));
    let text = opened(&sealing::order(id), bytes).ok_or_else(|| corrupt("it does not open".into()))?;
    serde_json::from_slice(&text).map_err(|error| corrupt(error.to_string()))
}

fn read_instance(row: &Row<'_>) -> Result<Instance> {
    let id: String = row.get("public_id")?;
    Ok(Instance {
        id: from_text(row, "public_id")?,
        project: from_text(row, "project")?,
        name: from_text(row, "name")?,
        order: open_order(&id, row.get_ref("sealed_order")?.as_blob().unwrap_or_default())?,
        state: from_text(row, "state")?,
        composed: row.get("composed")?,
        reason: row.get("reason")?,
        addresses: from_json(row, "addresses")?,
        unverified: from_json(row, "unverified")?,
        degraded: row.get("degraded")?,
        off: row.get("off")?,
        flow: from_text(row, "flow")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
