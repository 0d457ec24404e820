//! Compose, step by step: write down the intent, ask once, see what came of it, wait until it is assembled. Valence
//! answers within the POST and works on after its client has gone, so what is never done here is to ask again while an
//! earlier request may still take effect. `settle.rs` has what follows a request that did not answer with a node.

use crate::answer::{self, Asked};
use crate::step::{Ask, Cause, Clear, FRESH, Place, Settle, Step, after};
use crate::valence::Record;
use crate::{Far, next_look, node, now_ms, release, shape};
use moganite_driver::{Answer, Context, Fault, NodeDoing, Shape, fault, info, intent, wait};
use std::time::Duration;

pub(crate) struct Composing<'a> {
    pub(crate) far: &'a Far,
    pub(crate) mark: &'a str,
}

pub(crate) fn compose(cx: &Context, far: &Far, mark: &str, want: &Shape) -> Answer<NodeDoing> {
    let properties = shape::properties(want, far.valence.is_release())?;
    let this = Composing { far, mark };
    match cx.resume::<Step>()? {
        None => this.begin(),
        Some(Step::Asking(ask)) if cx.attempt == 1 => this.ask(ask, properties),
        // An earlier try of this step may have asked, at the latest now.
        Some(Step::Asking(ask)) => {
            let quiet_ms = after(now_ms(), far.settle);
            this.settle(Settle { quiet_ms, ask, cause: None }, "an earlier try may have asked")
        }
        Some(Step::Settling(settling)) => this.settle(settling, "no answer came"),
        Some(Step::Assembling { since_ms, place }) => this.assemble(since_ms, place),
        Some(Step::Clearing(clearing)) => this.clear(clearing),
    }
}

impl Composing<'_> {
    /// Nothing was asked yet: the intent is stored before the POST. A node that bears the mark already is adopted.
    fn begin(&self) -> Answer<NodeDoing> {
        if self.far.valence.composes_nothing()? {
            return Err(fault::rejected(answer::composes_nothing("it answers null for its systems")));
        }
        if let Some(record) = self.record()? {
            return self.made(&record);
        }
        let seen = match &self.far.podm {
            Some(podm) => podm.indexes()?,
            None => Vec::new(),
        };
        self.intend(Ask { since_ms: now_ms(), seen, tries: 1 })
    }

    /// The one place that asks. An intent that grew old is renewed first, so that its time bounds the request's.
    fn ask(&self, ask: Ask, properties: serde_json::Value) -> Answer<NodeDoing> {
        if now_ms() >= after(ask.since_ms, FRESH) {
            return self.intend(Ask { since_ms: now_ms(), ..ask });
        }
        match self.far.valence.compose(self.mark, properties) {
            Asked::Made(record) => self.made(&record),
            Asked::Refused { fault, passing } => {
                let cause = Some(Cause { fault, passing });
                let settling = Step::Settling(Settle { quiet_ms: 0, ask, cause });
                intent(&settling, "Valence refused; looking for what is left")
            }
            Asked::Unknown(why) => {
                let quiet_ms = after(now_ms(), self.far.settle);
                self.wait_for_quiet(Settle { quiet_ms, ask, cause: None }, &why)
            }
        }
    }

    /// Valence has a record of our name. It is ours only if the pod manager's node has the name too.
    pub(crate) fn made(&self, record: &Record) -> Answer<NodeDoing> {
        let Record { uuid, index, .. } = record;
        let podm_uuid = match &self.far.podm {
            Some(podm) => match podm.node(index)? {
                Some(node) if node.is_ours(self.mark, None) => node.uuid,
                other => {
                    let whose = other.map_or("does not have".into(), |node| format!("knows as {}", node.name));
                    return Err(fault::conflict(format!(
                        "Valence's record {uuid} names node {index}, which the pod manager {whose}"
                    )));
                }
            },
            None => {
                release::refuse_shared_board(self.far, record)?;
                None
            }
        };
        let place =
            Place { uuid: Some(uuid.clone()), index: Some(index.clone()), podm_uuid, name: Some(self.mark.to_owned()) };
        self.assemble(now_ms(), place)
    }

    /// The POST does not wait for the hardware.
    fn assemble(&self, since_ms: u64, place: Place) -> Answer<NodeDoing> {
        let uuid = place.uuid.as_deref().unwrap_or_default();
        let Some(detail) = self.far.valence.detail(uuid)? else {
            return Err(fault::conflict(format!("somebody took node {uuid} from Valence while it was assembled")));
        };
        match detail.node_state.as_deref() {
            // The release has no state: its devices are attached when it answers.
            None | Some("Assembled") => node::node(self.far, self.mark, place, &detail).map(NodeDoing::Done),
            Some("Failed") => {
                let cause = format!("the pod manager could not assemble node {}", detail.index);
                self.give_back(Clear { since_ms: now_ms(), place, cause })
            }
            Some(state) => {
                let note = format!("node {} of the pod manager is {state}", detail.index);
                let again = next_look(since_ms, Duration::from_secs(5));
                wait(&Step::Assembling { since_ms, place }, again, note)
            }
        }
    }

    pub(crate) fn give_back(&self, clearing: Clear) -> Answer<NodeDoing> {
        let note = format!("{}; giving back what is left", clearing.cause);
        intent(&Step::Clearing(clearing), note)
    }

    /// Gives back what failed, then says why. `capacity` is true only once nothing is held.
    fn clear(&self, clearing: Clear) -> Answer<NodeDoing> {
        let hint = clearing.place.hint(None);
        match release::give_back(self.far, self.mark, &clearing.place, hint, true)? {
            release::Left::Held { what, .. } => {
                let since_ms = clearing.since_ms;
                release::give_up_late(self.far, since_ms, &what)?;
                wait(&Step::Clearing(clearing), next_look(since_ms, Duration::from_secs(5)), what)
            }
            release::Left::Busy { what } => wait(&Step::Clearing(clearing), Duration::from_secs(3), what),
            release::Left::Nothing { .. } | release::Left::Unsettled => Err(fault::capacity(clearing.cause)),
        }
    }

    /// The record that bears the mark. Of several, which only a repeated request makes, the lowest uuid is kept and the
    /// others go back.
    pub(crate) fn record(&self) -> Result<Option<Record>, Fault> {
        let mut records = self.far.valence.records()?;
        records.retain(|record| record.name == self.mark);
        records.sort_by(|one, other| one.uuid.cmp(&other.uuid));
        let mut records = records.into_iter();
        let kept = records.next();
        for double in records {
            info!("Valence made {} twice; giving back {}", self.mark, double.uuid);
            release::delete_record(self.far, &double, self.mark, None)?;
        }
        Ok(kept)
    }

    pub(crate) fn intend(&self, ask: Ask) -> Answer<NodeDoing> {
        intent(&Step::Asking(ask), "about to ask Valence for a node")
    }
}
