//! The tasks: one file each, `execute` and its undo together. `undo.rs` is the one way back, for reverts and for delete.

mod claim;
mod compose;
mod deploy;
mod enroll;
mod power;
mod rewrite;
mod undo;
mod verify;

use std::time::Duration;

pub(super) use claim::Claim;
pub(super) use compose::Compose;
pub(super) use deploy::Deploy;
pub(super) use enroll::Enroll;
pub(super) use power::SetPower;
pub(super) use rewrite::Rewrite;
pub(super) use undo::Undo;
pub(super) use verify::Verify;

use crate::driver::{Answer, Call, Deployer, Doing};
use crate::flow::{Begin, Cx, Outcome, Shown};
use crate::model::{Evidence, Fault, FaultKind, Holding, Name, RevisionId, Role};
use crate::store::{Effect, Intent, Store};

/// The first word of what this task takes.
fn intend(begin: &Begin, role: Role, backend: Option<&Name>) -> Vec<Effect> {
    let intent = |backend: &Name| {
        Effect::Intend(Intent {
            instance: begin.instance,
            role,
            backend: backend.clone(),
            operation: begin.doing(),
            mark: begin.mark(),
        })
    };
    backend.map(intent).into_iter().collect()
}

/// What the commit that began this task inserted.
async fn intended(store: &Store, cx: &Cx) -> Result<Holding, Outcome> {
    match store.holding(cx.at.doing()).await {
        Ok(Some(holding)) => Ok(holding),
        Ok(None) => {
            Err(Outcome::Fail(Fault::new(FaultKind::Rejected, "the flavor's route names no backend for this step")))
        }
        Err(error) => Err(Outcome::retry(format!("the store did not say what was intended: {error}"))),
    }
}

fn call(cx: &Cx, access_of: Option<Name>) -> Call {
    Call { operation: cx.operation(), attempt: cx.attempt, checkpoint: cx.checkpoint.clone(), access_of }
}

/// Where the end of a wait shows, if its plugin says so.
fn shown(deployer: &Deployer, verb: &'static str, handle: Option<&str>) -> Option<Shown> {
    let handle = handle.filter(|_| deployer.is_shown(verb))?;
    Some(Shown { revision: deployer.revision(), handle: handle.to_owned(), verb })
}

/// A doing verb's answer as an outcome; its checkpoint is the holding's trail.
fn settle<T>(cx: &mut Cx, answer: Answer<Doing<T>>, done: impl FnOnce(&mut Cx, T)) -> Outcome {
    cx.saw(answer.exchanges);
    match answer.result {
        Ok(Doing::Done(value)) => {
            cx.rests_on(if answer.proof.is_some() { Evidence::Gate } else { Evidence::Driver });
            done(cx, value);
            Outcome::Done
        }
        Ok(Doing::Pending(pause)) => {
            cx.also(Effect::Trail { operation: cx.at.doing(), checkpoint: pause.checkpoint.clone() });
            Outcome::Pending {
                checkpoint: pause.checkpoint,
                after: pause.after,
                percent: pause.percent,
                note: pause.note,
            }
        }
        Err(fault) => failed(fault),
    }
}

/// Keeps what the gate saw, and whether the driver broke.
fn heard<T>(cx: &mut Cx, revision: RevisionId, answer: &mut Answer<T>) {
    cx.saw(std::mem::take(&mut answer.exchanges));
    told(cx, revision, answer);
}

/// Keeps whether the driver broke.
fn told<T>(cx: &mut Cx, revision: RevisionId, answer: &Answer<T>) {
    let broke = answer.result.as_ref().err().filter(|_| answer.broke).map(|fault| fault.message.clone());
    cx.also(Effect::Called { revision, broke });
}

fn failed(fault: Fault) -> Outcome {
    match fault.kind {
        FaultKind::Retry => Outcome::Retry { after: fault.after_ms.map(Duration::from_millis), fault },
        FaultKind::Stopped => Outcome::Stopped { fault, tried: true },
        _ => Outcome::Fail(fault),
    }
}

/// No driver was called.
fn uncalled(fault: Fault) -> Outcome {
    match fault.kind {
        FaultKind::Stopped => Outcome::Stopped { fault, tried: false },
        _ => failed(fault),
    }
}
