//! The one way back: undo the last holding of a role, then look whether it is gone.
//!
//! A driver's *done* is not believed by itself: the holding is settled only when `find` promises that nothing of the mark is left.
//! Undoing the holding, and not the answer, also covers an answer that was lost.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{failed, heard, shown, told, uncalled};
use crate::driver::{Answer, Call, Doing, Drivers, Presence};
use crate::flow::{Begin, Cx, Outcome, Task};
use crate::lifecycle::create::Create;
use crate::lifecycle::delete::Delete;
use crate::model::{
    Budgets, Erasure, Evidence, Exchange, Fault, FaultKind, GivenBack, Holding, HoldingState, Name, Role, Verdict,
};
use crate::store::{Effect, InstanceChange, Store, Undone};
use crate::switch::{Switch, holds};

pub(in crate::lifecycle) struct Undo {
    role: Role,
    /// Its instance is to be gone, whatever stays owed.
    of_deleted: bool,
    store: Store,
    drivers: Drivers,
}

/// How far an undo is, in the flow's checkpoint.
#[derive(Serialize, Deserialize)]
enum Stage {
    /// The driver's own checkpoint.
    Undoing(Vec<u8>),
    /// It answered done; whether it is gone is still to be seen.
    Confirming(Word),
}

/// What the driver answered with its done, and the exchange that its manifest names as the proof.
#[derive(Serialize, Deserialize)]
struct Word {
    receipt: Map<String, Value>,
    proof: Option<Exchange>,
}

/// What a look at the machine's power saw.
struct Power {
    is_on: bool,
    looked: Vec<Exchange>,
}

impl Undo {
    pub(in crate::lifecycle) fn of(role: Role, store: &Store, drivers: &Drivers) -> Self {
        Self { role, of_deleted: false, store: store.clone(), drivers: drivers.clone() }
    }

    /// When it does not end at once and the machine was seen off, the instance is gone; what is held then is owed.
    pub(in crate::lifecycle) fn of_deleted(self) -> Self {
        Self { of_deleted: true, ..self }
    }

    fn verb(&self) -> &'static str {
        match self.role {
            Role::Compose => "release",
            Role::Claim => "unclaim",
            Role::Enroll => "unenroll",
            Role::Deploy => "undeploy",
        }
    }

    /// What was never ours is let go by the revision that took it: a newer one may be of a plugin that knows nothing of letting go.
    pub(super) fn begin(&self, begin: &Begin, erasure: Erasure) -> Vec<Effect> {
        if erasure.let_go {
            return Vec::new();
        }
        vec![Effect::BeginUndo { instance: begin.instance, role: self.role }]
    }

    /// Done when the instance holds nothing of this role any more.
    pub(super) async fn run(&self, cx: &mut Cx, erasure: Erasure) -> Outcome {
        let undone = match self.store.last_holding(cx.at.instance, self.role).await {
            Ok(Some(undone)) if erasure.let_go => let_go(undone),
            Ok(Some(undone)) => undone,
            Ok(None) => return Outcome::Done,
            Err(error) => return Outcome::retry(format!("the store did not say what is held: {error}")),
        };
        if undone.holding.state == HoldingState::Disputed {
            return Outcome::Fail(disputed(&undone.holding));
        }
        // The list's order has seen to it; should it ever not, a machine would be given back under what stands on it.
        match self.store.taken_after(&undone.holding).await {
            Ok(None) => {}
            Ok(Some(above)) => return Outcome::Fail(stands_on(&undone.holding, &above)),
            Err(error) => return Outcome::retry(format!("the store did not say what stands on it: {error}")),
        }
        cx.pinned(undone.revision);
        let outcome = self.undo(cx, &undone, erasure).await;
        if let Outcome::Retry { fault, .. } | Outcome::Fail(fault) = &outcome {
            cx.also(Effect::Owe { holding: undone.holding.id, fault: fault.clone() });
            if self.of_deleted && self.is_off(cx, &undone).await {
                cx.also(Effect::Instance(InstanceChange { gone: true, ..InstanceChange::of(cx.at.instance) }));
            }
        }
        outcome
    }

    /// Whether a read saw the machine off, so that nothing of the user runs. What comes after undeploy looks no more.
    async fn is_off(&self, cx: &mut Cx, undone: &Undone) -> bool {
        if self.role != Role::Deploy || undone.holding.off_at.is_some() {
            return true;
        }
        let sees_off = self.power(cx, undone).await.is_some_and(|power| !power.is_on);
        if sees_off {
            cx.also(Effect::SeenOff(undone.holding.id));
        }
        sees_off
    }

    /// What the running side sees; none when it does not tell, or does not know the machine, or when the machine runs on as it did before.
    async fn power(&self, cx: &mut Cx, undone: &Undone) -> Option<Power> {
        if self.role != Role::Deploy || is_let_go(&undone.holding) {
            return None;
        }
        let handle = undone.holding.handle.clone()?;
        let deployer = self.drivers.deployer(undone.revision).await.ok()?;
        let answer = deployer.observe(self.driver_call(cx, None, &undone.holding).await, &[handle]).await;
        cx.saw(answer.exchanges.clone());
        let is_on = answer.result.ok()?.first().and_then(|seen| seen.is_on)?;
        Some(Power { is_on, looked: answer.exchanges })
    }

    async fn undo(&self, cx: &mut Cx, undone: &Undone, erasure: Erasure) -> Outcome {
        if !holds(Switch::Undo(self.role)) {
            cx.also(Effect::Settle(undone.holding.id));
            return Outcome::Done;
        }
        let stage = cx.checkpoint.as_deref().and_then(|bytes| serde_json::from_slice(bytes).ok());
        let checkpoint = match stage {
            Some(Stage::Confirming(word)) => return self.confirm(cx, undone, word, erasure).await,
            Some(Stage::Undoing(checkpoint)) => Some(checkpoint),
            None => None,
        };
        let mut answer = match self.call(cx, undone, checkpoint, erasure).await {
            Ok(answer) => answer,
            Err(fault) => return uncalled(fault),
        };
        heard(cx, undone.revision, &mut answer);
        match answer.result {
            Ok(Doing::Done(receipt)) => self.confirm(cx, undone, Word { receipt, proof: answer.proof }, erasure).await,
            Ok(Doing::Pending(pause)) => match serde_json::to_vec(&Stage::Undoing(pause.checkpoint)) {
                Ok(checkpoint) => {
                    Outcome::Pending { checkpoint, after: pause.after, percent: pause.percent, note: pause.note }
                }
                Err(error) => Outcome::retry(error.to_string()),
            },
            Err(fault) => failed(fault),
        }
    }

    /// Only a promise that nothing is left settles the holding.
    async fn confirm(&self, cx: &mut Cx, undone: &Undone, word: Word, erasure: Erasure) -> Outcome {
        let answer = match self.find(cx, undone).await {
            Ok(answer) => answer,
            Err(fault) => return uncalled(fault),
        };
        cx.saw(answer.exchanges.clone());
        told(cx, undone.revision, &answer);
        match answer.result {
            Ok(Presence::Absent) => {
                let power = self.power(cx, undone).await;
                if power.as_ref().is_some_and(|power| power.is_on) {
                    return Outcome::retry(format!(
                        "{} answered that nothing is deployed any more, and still shows the machine as on",
                        undone.holding.backend
                    ));
                }
                let gone = format!("{} is gone from {}", undone.holding.mark, undone.holding.backend);
                let said = erased(&word.receipt);
                let line = given_back(&undone.holding, word, answer.exchanges, erasure);
                if let Some(fault) = still_holds_data(&undone.holding, &line) {
                    return Outcome::Fail(fault);
                }
                cx.note(format!("{gone}{said}"));
                cx.rests_on(if line.proof.is_some() { Evidence::Gate } else { Evidence::Driver });
                cx.gave_back(GivenBack { off: power.map(|power| power.looked), ..line });
                cx.also(Effect::Settle(undone.holding.id));
                Outcome::Done
            }
            Ok(Presence::Present { handle, state, .. }) => Outcome::retry(format!(
                "{} answered that {handle} was given back, and still shows it as {state}",
                undone.holding.backend
            )),
            Ok(Presence::Unsettled(after)) => {
                // No state of a machine ends this.
                cx.shown(None);
                confirming(after, &undone.holding, word)
            }
            Err(fault) => failed(fault),
        }
    }

    async fn call(
        &self,
        cx: &mut Cx,
        undone: &Undone,
        checkpoint: Option<Vec<u8>>,
        erasure: Erasure,
    ) -> Result<Answer<Doing<Map<String, Value>>>, Fault> {
        let Undone { holding, revision } = undone;
        if !holds(Switch::Honest(self.role)) {
            return Ok(Answer {
                result: Ok(Doing::Done(Map::new())),
                proof: None,
                broke: false,
                exchanges: Vec::new(),
            });
        }
        let call = self.driver_call(cx, checkpoint, holding).await;
        let backend = holding.backend.as_str();
        match self.role {
            Role::Compose => {
                let composer = self.drivers.composer(*revision).await?;
                cx.calls(backend, composer.plugin());
                cx.budget(composer.budget("release"));
                Ok(composer.release(call, holding, erasure.at(self.role)).await)
            }
            Role::Claim => {
                let claimer = self.drivers.claimer(*revision).await?;
                cx.calls(backend, claimer.plugin());
                cx.budget(claimer.budget("unclaim"));
                Ok(claimer.unclaim(call, holding).await)
            }
            Role::Enroll => {
                let enroller = self.drivers.enroller(*revision).await?;
                cx.calls(backend, enroller.plugin());
                cx.budget(enroller.budget("unenroll"));
                Ok(enroller.unenroll(call, holding).await)
            }
            Role::Deploy => {
                let deployer = self.drivers.deployer(*revision).await?;
                cx.calls(backend, deployer.plugin());
                cx.budget(deployer.budget("undeploy"));
                cx.shown(shown(&deployer, "undeploy", holding.handle.as_deref()));
                Ok(deployer.undeploy(call, holding, erasure.at(self.role)).await)
            }
        }
    }

    async fn find(&self, cx: &mut Cx, undone: &Undone) -> Result<Answer<Presence>, Fault> {
        let Undone { holding, revision } = undone;
        if !holds(Switch::Find(self.role)) {
            return Ok(Answer { result: Ok(Presence::Absent), proof: None, broke: false, exchanges: Vec::new() });
        }
        let call = self.driver_call(cx, None, holding).await;
        // A call that only looks has the same budget.
        macro_rules! look {
            ($driver:expr) => {{
                let driver = $driver.await?;
                cx.budget(driver.budget(self.verb()));
                Ok(driver.find(call, holding).await)
            }};
        }
        match self.role {
            Role::Compose => look!(self.drivers.composer(*revision)),
            Role::Claim => look!(self.drivers.claimer(*revision)),
            Role::Enroll => look!(self.drivers.enroller(*revision)),
            Role::Deploy => look!(self.drivers.deployer(*revision)),
        }
    }

    async fn driver_call(&self, cx: &Cx, checkpoint: Option<Vec<u8>>, holding: &Holding) -> Call {
        Call { operation: cx.operation(), attempt: cx.attempt, checkpoint, access_of: self.made_by(holding).await }
    }

    /// The backend that composed the node: its access is how the enrolling side reaches the machine.
    async fn made_by(&self, holding: &Holding) -> Option<Name> {
        if self.role != Role::Enroll {
            return None;
        }
        self.store
            .last_holding(holding.instance, Role::Compose)
            .await
            .ok()
            .flatten()
            .map(|undone| undone.holding.backend)
    }
}

/// A flow's state that knows how far data is to be erased.
pub(in crate::lifecycle) trait Erasing: Send + Sync {
    fn erasure(&self) -> Erasure;
    fn budgets(&self) -> &Budgets;

    /// An undo failed before it changed anything: what it was to take off is there and runs.
    fn runs_on(&mut self) {}
}

impl Erasing for Delete {
    fn erasure(&self) -> Erasure {
        self.erasure
    }

    fn budgets(&self) -> &Budgets {
        &self.budgets
    }
}

impl Erasing for Create {
    fn erasure(&self) -> Erasure {
        self.order.erasure()
    }

    fn budgets(&self) -> &Budgets {
        &self.order.budgets
    }

    fn runs_on(&mut self) {
        self.runs_on = true;
    }
}

#[async_trait]
impl<S: Erasing> Task<S> for Undo {
    fn name(&self) -> &'static str {
        self.verb()
    }

    fn begin(&self, begin: &Begin, state: &S) -> Vec<Effect> {
        self.begin(begin, state.erasure())
    }

    async fn execute(&self, cx: &mut Cx, state: &mut S) -> Outcome {
        cx.budget(state.budgets().of(self.verb()));
        self.run(cx, state.erasure()).await
    }

    /// What is undone stays undone. What is not, and still runs, is said to.
    async fn revert(&self, cx: &mut Cx, state: &mut S) -> Outcome {
        if let Ok(Some(held)) = self.store.last_holding(cx.at.instance, self.role).await
            && self.power(cx, &held).await.is_some_and(|power| power.is_on)
        {
            state.runs_on();
        }
        Outcome::Done
    }
}

/// What was never ours: the driver is told so.
fn let_go(mut undone: Undone) -> Undone {
    undone.holding.facts.insert("let-go".into(), true.into());
    undone
}

fn is_let_go(holding: &Holding) -> bool {
    holding.facts.get("let-go") == Some(&true.into())
}

/// What the receipt says of data: level, method, disks by serial.
fn erased(receipt: &Map<String, Value>) -> String {
    let word = |key: &str| receipt.get(key).and_then(Value::as_str).unwrap_or_default();
    let disks: Vec<_> =
        receipt.get("disks").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    match (word("erased"), word("method")) {
        ("" | "none", _) => String::new(),
        (level, method) if disks.is_empty() => format!("; erased: {level} by {method}"),
        (level, method) => format!("; erased: {level} by {method}, disks {}", disks.join(", ")),
    }
}

/// What another instance has is given back only after a person looked.
fn disputed(holding: &Holding) -> Fault {
    let message = holding.fault.as_ref().map_or("it is disputed", |fault| fault.message.as_str());
    let advice = "giving it back could take it from there: look at the far side, then retry this flow";
    Fault::new(FaultKind::Conflict, format!("{message}; {advice}"))
}

/// An instance's holdings are a stack.
fn stands_on(holding: &Holding, above: &Holding) -> Fault {
    let (role, of) = (above.role.as_str(), &above.backend);
    let message = format!("{role} of {of} was taken after it and is still held: that goes first");
    Fault::new(FaultKind::Conflict, format!("{} of {} is kept: {message}", holding.role.as_str(), holding.backend))
}

/// The driver said done of what was deployed, and of less erasing than was asked for.
fn still_holds_data(holding: &Holding, line: &GivenBack) -> Option<Fault> {
    let is_held = holding.state == HoldingState::Held;
    let erased = line.erased(is_held).filter(|erased| erased.verdict == Verdict::Below)?;
    let (asked, reached) = (erased.asked.as_str(), erased.reached.as_str());
    let (backend, mark) = (&holding.backend, &holding.mark);
    Some(Fault::new(
        FaultKind::Broken,
        format!(
            "{backend} gave {mark} back with erase level {reached}, and {asked} was ordered: its disks may hold data; look at them, then \
             retry this flow, or skip the task with a reason"
        ),
    ))
}

fn given_back(holding: &Holding, word: Word, looked: Vec<Exchange>, erasure: Erasure) -> GivenBack {
    GivenBack {
        role: holding.role,
        backend: holding.backend.clone(),
        mark: holding.mark.clone(),
        handle: holding.handle.clone(),
        began: holding.state != HoldingState::Intended || holding.trail.is_some(),
        asked: erasure.at(holding.role),
        said: word.receipt,
        proof: word.proof,
        looked,
        off: None,
    }
}

fn confirming(after: Duration, holding: &Holding, word: Word) -> Outcome {
    match serde_json::to_vec(&Stage::Confirming(word)) {
        Ok(checkpoint) => Outcome::Pending {
            checkpoint,
            after,
            percent: None,
            note: format!("an earlier request to {} may still take effect: waiting until it cannot", holding.backend),
        },
        Err(error) => Outcome::retry(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::model::{Erase, Eraser, FlowId, HoldingId, InstanceId, Mark, OperationId, RevisionId};

    fn fault(state: HoldingState, level: Erase, said: Value) -> Option<String> {
        let holding = Holding {
            id: HoldingId(1),
            instance: InstanceId::fresh(),
            role: Role::Deploy,
            backend: Name::parse("name", "ironic-1").unwrap(),
            revision: RevisionId(1),
            operation: OperationId::doing(FlowId::fresh(), 3, 1),
            mark: Mark("mg-a-1".into()),
            handle: Some("node-1".into()),
            facts: Map::new(),
            trail: None,
            node: None,
            state,
            fault: None,
            since: 0,
            off_at: None,
            owed_at: None,
        };
        let word = Word { receipt: said.as_object().cloned().unwrap(), proof: None };
        let erasure = Erasure { level, eraser: Eraser::Deploy, let_go: false };
        still_holds_data(&holding, &given_back(&holding, word, vec![], erasure)).map(|fault| fault.message)
    }

    #[test]
    fn what_was_deployed_is_not_settled_with_less_erasing_than_was_ordered() {
        let below = fault(HoldingState::Held, Erase::Full, json!({"erased": "quick"})).unwrap();
        assert!(below.contains("level quick, and full was ordered: its disks may hold data"), "{below}");
        assert!(fault(HoldingState::Held, Erase::Quick, json!({})).is_some(), "silence reaches nothing");
        assert_eq!(fault(HoldingState::Held, Erase::Quick, json!({"erased": "full"})), None);
        assert_eq!(fault(HoldingState::Held, Erase::None, json!({})), None);
        assert_eq!(fault(HoldingState::Intended, Erase::Quick, json!({"erased": "none"})), None, "nothing was written");
    }
}
