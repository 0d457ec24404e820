//! What operators may decide: about a flow that rests, a debt, and what is to stand still. Durable when it answers, and in the audit log.

use super::{Error, Lifecycle, delete};
use crate::flow::first;
use crate::model::{By, Digest, EventKind, Flow, FlowId, HoldingId, Name, Phase, RevisionId, Role};
use crate::store::{
    self, Abandon, Effect, Freeze, HandOver, InstanceChange, Lane, Operation, Pause, Resume, RetryFlow, Stop, Thaw,
    WriteOff,
};

impl Lifecycle {
    /// A person looked: a flow that rests goes on where it rested.
    pub async fn retry(&self, id: FlowId, by: By) -> Result<(), Error> {
        let flow = self.flow_of(id).await?;
        let event = self.wish(EventKind::Resumed, &format!("{} asked to try again: {}", by.who, by.reason));
        self.decide("flow-does-not-rest", RetryFlow { flow: id, phase: self.rested_in(&flow), event, by }).await
    }

    /// The task that a flow rests at counts as done; what its undo would have given back is written off.
    pub async fn skip(&self, id: FlowId, by: By) -> Result<(), Error> {
        let flow = self.flow_of(id).await?;
        let note = format!("{} skipped it: {}", by.who, by.reason);
        let skipped = self.runner.skipped(&flow, &note, vec![audited(by, "flow.skip", id)]);
        self.decide("flow-does-not-rest", skipped.ok_or_else(does_not_rest)?).await
    }

    /// The undo that a flow rests at goes on with another plugin of the same backend; or the operation whose plugin is stopped.
    pub async fn hand_over(&self, id: FlowId, plugin: &Digest, by: By) -> Result<(), Error> {
        let flow = self.flow_of(id).await?;
        if flow.position.phase.runs() {
            return self.hand_over_waiting(&flow, plugin, by).await;
        }
        let role = self.runner.rests_at(&flow).ok_or_else(does_not_rest)?;
        let to = self.revision_with(&flow, role, plugin).await?;
        let note = format!("{} handed it over to {}: {}", by.who, plugin.short(), by.reason);
        let event = self.wish(EventKind::HandedOver, &note);
        let phase = self.rested_in(&flow);
        self.decide("flow-does-not-rest", HandOver { flow: id, phase, role, to, event, by }).await
    }

    /// A flow that rests ends here and its instance is gone; what it still holds are debts, with a flow that settles them.
    pub async fn abandon(&self, id: FlowId, by: By) -> Result<FlowId, Error> {
        let flow = self.flow_of(id).await?;
        let instance = self.store.instance(None, flow.instance).await?;
        let Some((instance, _)) = instance else {
            return Err(Error::NotFound { what: "instance", name: flow.instance.to_string() });
        };
        let note = format!("{} abandoned it, what is held are debts: {}", by.who, by.reason);
        let gone = InstanceChange { gone: true, reason: Some(note.clone()), ..InstanceChange::of(flow.instance) };
        let also = vec![audited(by, "flow.abandon", id), Effect::Instance(gone)];
        let end = self.runner.abandoned(&flow, &note, also).ok_or_else(does_not_rest)?;
        let kind = (FlowId::fresh(), delete::SETTLE, delete::VERSION);
        let of = (flow.project.clone(), flow.instance);
        let state = delete::Delete::of(&instance).to_bytes()?;
        let (settle, settle_event, settle_effects) = first(&self.book, &self.site, kind, of, state, self.clock.now());
        let id = settle.id;
        self.decide("flow-does-not-rest", Abandon { end, settle, settle_event, settle_effects }).await?;
        Ok(id)
    }

    pub async fn pause_flow(&self, id: FlowId, by: By) -> Result<(), Error> {
        self.flow_of(id).await?;
        let event = self.wish(EventKind::Paused, &format!("{} paused it: {}", by.who, by.reason));
        let (stop, at) = (Stop::Flow(id, event), self.clock.now());
        self.decide("flow-ended", Pause { stop, by, at }).await
    }

    pub async fn resume_flow(&self, id: FlowId, by: By) -> Result<(), Error> {
        self.flow_of(id).await?;
        let event = self.wish(EventKind::Resumed, &format!("{} let it go on: {}", by.who, by.reason));
        let (stop, at) = (Stop::Flow(id, event), self.clock.now());
        self.decide("not-paused", Resume { stop, by, at }).await
    }

    /// No flow calls it until it is resumed.
    pub async fn pause_backend(&self, name: &Name, by: By) -> Result<(), Error> {
        self.newest(name).await?;
        let (stop, at) = (Stop::Backend(name.clone()), self.clock.now());
        self.decide("not-paused", Pause { stop, by, at }).await
    }

    pub async fn resume_backend(&self, name: &Name, by: By) -> Result<(), Error> {
        self.newest(name).await?;
        let (stop, at) = (Stop::Backend(name.clone()), self.clock.now());
        self.decide("not-paused", Resume { stop, by, at }).await
    }

    /// From the answer on no flow calls, and the gate lets no request out that changes something.
    pub async fn freeze(&self, by: By) -> Result<(), Error> {
        // First the gate: what is under way must not slip through while the row is written.
        self.drivers.set_read_only(true);
        let at = self.clock.now();
        let frozen = self.decide("not-frozen", Freeze { by, at }).await;
        self.stand().await?;
        frozen
    }

    pub async fn unfreeze(&self, by: By) -> Result<(), Error> {
        let at = self.clock.now();
        self.decide("not-frozen", Thaw { by, at }).await?;
        self.stand().await
    }

    /// A debt that nobody will settle is taken off the ledger.
    pub async fn write_off(&self, holding: HoldingId, by: By) -> Result<(), Error> {
        let event = self.wish(EventKind::Abandoned, &format!("{} wrote a debt off: {}", by.who, by.reason));
        self.decide("no-such-debt", WriteOff { holding, event, by }).await
    }

    /// Brings the gate to what the store says.
    pub(super) async fn stand(&self) -> Result<(), Error> {
        self.drivers.set_read_only(self.store.standing().await?.is_read_only());
        self.drivers.set_stopped(self.stopped().await?);
        Ok(())
    }

    /// Writes what a person decided; a refusal gets this code.
    pub(super) async fn decide<O: Operation<Answer = ()>>(&self, code: &'static str, verb: O) -> Result<(), Error> {
        self.store.write(Lane::Interactive, verb).await.map_err(|error| match error {
            store::Error::Refused(message) => Error::Refused { code, message },
            other => other.into(),
        })
    }

    async fn flow_of(&self, id: FlowId) -> Result<Flow, Error> {
        self.store.flow(id).await?.ok_or_else(|| Error::NotFound { what: "flow", name: id.to_string() })
    }

    fn rested_in(&self, flow: &Flow) -> Phase {
        if self.book.turns(&flow.kind, flow.version) { Phase::Backward } else { Phase::Forward }
    }

    /// The newest revision with this plugin, of the backend that holds what the flow rests at.
    async fn revision_with(&self, flow: &Flow, role: Role, plugin: &Digest) -> Result<RevisionId, Error> {
        let held = self.store.last_holding(flow.instance, role).await?.ok_or_else(does_not_rest)?;
        self.revision_of(&held.holding.backend, plugin).await
    }

    /// The newest revision of the backend with this plugin.
    pub(super) async fn revision_of(&self, backend: &Name, plugin: &Digest) -> Result<RevisionId, Error> {
        let revisions = self.store.revisions(backend).await?;
        let found = revisions.into_iter().find(|written| written.revision.digest == *plugin);
        found.map(|written| written.revision.id).ok_or_else(|| Error::Refused {
            code: "plugin-not-bound",
            message: format!(
                "backend {backend} was never bound to {plugin}: swap it to that plugin first, then hand the flow over"
            ),
        })
    }
}

fn does_not_rest() -> Error {
    Error::Refused {
        code: "flow-does-not-rest",
        message: "this flow does not need an operator: it runs, or it ended".into(),
    }
}

fn audited(by: By, verb: &'static str, flow: FlowId) -> Effect {
    Effect::Audit { by, verb, subject: flow.to_string() }
}
