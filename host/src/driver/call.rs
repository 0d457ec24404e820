//! One call of one verb: a slot, a fresh store, the driver's code, and a verdict on how it ended.
//!
//! Everything that can end a call is in one table, [`verdict`]. Wall time covers the whole of it, waiting for a slot
//! included. The verbs themselves are in `roles.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::ResourceTableError;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_http::FieldMapError;

use super::answer::Answer;
use super::bindings::types;
use super::bounds::Bounds;
use super::claims::{self, Reader};
use super::egress::{Book, Gate, is_like};
use super::lane::Computed;
use super::library::Library;
use super::limits::{self, Limit, Speaker, State};
use super::load::Loaded;
use super::plugins::Plugin;
use super::{Doing, Observed, Page, Presence, text, trace};
use crate::model::{Cause, Exchange, Fault, FaultKind, Invalid, Name, OperationId, Proof, Proofs, Revision};

/// Characters of stderr that stand in a fault: a panic's message and place.
const LAST_WORDS: usize = 400;

/// What every verb gets beside its arguments.
#[derive(Debug, Clone)]
pub struct Call {
    pub operation: OperationId,
    /// Tries since the last stored checkpoint, from 1.
    pub attempt: u32,
    pub checkpoint: Option<Vec<u8>>,
    /// The backend whose access the gate may put in: the one that made the node.
    pub access_of: Option<Name>,
}

/// A backend revision and the component that serves it. Keeps the component loaded as long as it lives.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) shared: Arc<Library>,
    pub(super) loaded: Arc<Loaded>,
    pub(super) plugin: Arc<Plugin>,
    pub(super) revision: Arc<Revision>,
}

/// Whether an answer is the end of its verb, for which the manifest may want a proof.
pub(super) trait Settled {
    fn is_done(&self) -> bool {
        true
    }

    /// With who wrote its checkpoint.
    fn labelled(self, _by: &Target) -> Self
    where
        Self: Sized,
    {
        self
    }
}

impl<T> Settled for Doing<T> {
    fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    fn labelled(self, by: &Target) -> Self {
        by.labelled(self)
    }
}
impl Settled for Presence {}
impl Settled for Page {}
impl Settled for Vec<Observed> {}
impl Settled for serde_json::Map<String, serde_json::Value> {}

/// Why a call brought no answer, and whether the driver broke: what it says in a fault of its own is no break.
struct Failure {
    fault: Fault,
    broke: bool,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self { broke: fault.kind == FaultKind::Broken, fault }
    }
}

impl Target {
    /// Calls `verb` of `role`. `work` is the call itself; `read` checks what it returned.
    pub(super) async fn run<W, T, F>(
        &self,
        role: &'static str,
        verb: &'static str,
        call: Call,
        work: impl FnOnce(Store<State>, types::Context) -> F,
        read: impl FnOnce(Reader, W) -> Result<T, Invalid>,
    ) -> Answer<T>
    where
        T: Settled,
        W: Send + 'static,
        F: Future<Output = wasmtime::Result<Result<W, types::Fault>>> + Send + 'static,
    {
        let call = self.readable(call);
        let bounds = Bounds::of(&self.shared.sandbox, &self.revision.limits);
        let book = Arc::new(Book::limited(&bounds));
        let wall = bounds.wall(by_verb(&self.plugin.manifest.wall_ms, role, verb).copied());
        let result = {
            let told = self.told(verb, call, wall, &bounds, &book, work);
            #[expect(
                clippy::disallowed_methods,
                reason = "the one limit on true time: a driver's call, waits included"
            )]
            let timed = tokio::time::timeout(wall, told);
            let told = tokio::select! {
                told = timed => told,
                why = self.shared.until_stopped(&self.plugin.digest) => {
                    let message = format!("the call was cut: {} {why}", self.label());
                    Ok(Err(Fault::new(FaultKind::Stopped, message).by(Cause::Stopped).into()))
                }
            };
            told.unwrap_or_else(|_| {
                let ms = wall.as_millis();
                let message = format!("{} took longer than the {ms} ms that {verb} has", self.label());
                Err(Fault::new(FaultKind::Retry, message).by(Cause::LimitWall).into())
            })
        };
        let exchanges = book.close();
        let result = result
            .and_then(|told| {
                read(Reader { text: bounds.text }, told).map_err(|invalid| {
                    self.broken(
                        verb,
                        &format!("answered what no driver may: {}", text::plain(&invalid.to_string(), 500)),
                    )
                    .by(Cause::BadClaim)
                    .into()
                })
            })
            .and_then(|answer| Ok((self.proof(role, verb, &answer, &exchanges)?, answer)))
            .map_err(|failure: Failure| Failure { fault: named(with_denials(failure.fault, &book)), ..failure });
        // Whatever the driver made of it: it goes on when the service does.
        let result = if book.has_held() {
            let why = "a request was held back: the service is frozen or was restored";
            Err(Fault::new(FaultKind::Retry, why).by(Cause::Held).into())
        } else {
            result
        };
        self.shared.tally.end(&self.revision.backend, self.label(), ended(&result));
        match result {
            Ok((proof, answer)) => Answer { result: Ok(answer.labelled(self)), exchanges, broke: false, proof },
            Err(Failure { fault, broke }) => Answer { result: Err(fault), exchanges, broke, proof: None },
        }
    }

    /// `name@version sha256:abcdef012345`.
    pub(super) fn label(&self) -> &str {
        &self.plugin.label
    }

    async fn told<W, F>(
        &self,
        verb: &'static str,
        call: Call,
        wall: Duration,
        bounds: &Bounds,
        book: &Arc<Book>,
        work: impl FnOnce(Store<State>, types::Context) -> F,
    ) -> Result<W, Failure>
    where
        W: Send + 'static,
        F: Future<Output = wasmtime::Result<Result<W, types::Fault>>> + Send + 'static,
    {
        let gone = |_| Fault::new(FaultKind::Retry, "the service is stopping");
        let slot = self.shared.slots.clone().acquire_owned().await.map_err(gone)?;
        let speaker = Speaker {
            backend: self.revision.backend.to_string(),
            plugin: self.label().to_owned(),
            operation: call.operation.to_string(),
        };
        let egress = self.egress(&call, bounds, book.clone()).await?;
        let context = types::Context {
            operation: call.operation.0,
            attempt: call.attempt,
            budget: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
            settings: serde_json::Value::Object(self.revision.settings.clone()).to_string(),
            checkpoint: call.checkpoint,
        };
        let computed = Arc::new(Computed::counted_by(self.shared.ticker.clone()));
        let (clock, gate) = (self.shared.clock.clone(), Gate(Arc::new(egress)));
        let (store, stderr) = limits::store(&self.shared.engine, bounds, clock, gate, speaker, computed.clone());
        let work = work(store, context);
        let work = async move {
            let ended = work.await;
            // Free once its instance is gone, also where that takes until after the call was cut.
            drop(slot);
            ended
        };
        match self.shared.lane.work(computed, work).await {
            Ok(Ok(told)) => Ok(told),
            Ok(Err(fault)) => Err(Failure { fault: claims::fault(fault), broke: false }),
            Err(error) => {
                let ((kind, why), cause) = (verdict(&error, bounds), cause(&error));
                let words = text::tail(&String::from_utf8_lossy(&stderr.contents()), LAST_WORDS);
                let words = if words.is_empty() { words } else { format!("; its last words: {words}") };
                let at = trace::of(&error);
                let at = if at.is_empty() { at } else { format!("; in {at}") };
                let error = text::plain(&format!("{error:#}"), 4_000);
                tracing::warn!(plugin = self.label(), verb, error, "a driver's call broke");
                let message = format!("{} broke in {verb} ({cause}): {why}{words}{at}", self.label());
                Err(Fault::new(kind, message).by(cause).into())
            }
        }
    }

    /// A done that the manifest wants proven is believed only when the gate saw the proof in this call.
    fn proof<T: Settled>(
        &self,
        role: &str,
        verb: &str,
        answer: &T,
        exchanges: &[Exchange],
    ) -> Result<Option<Exchange>, Fault> {
        let proofs = by_verb(&self.plugin.manifest.proofs, role, verb).filter(|_| answer.is_done());
        let Some(proofs) = proofs.map(Proofs::all) else { return Ok(None) };
        let proven = exchanges.iter().rev().find(|seen| proofs.iter().any(|proof| proves(proof, seen)));
        if proven.is_some() {
            return Ok(proven.cloned());
        }
        let wanted = |proof: &Proof| {
            format!("{} http://{}{} answering {:?}", proof.method, proof.endpoint, proof.path, proof.status)
        };
        let wanted: Vec<_> = proofs.iter().map(wanted).collect();
        let why = format!("said done without the exchange that proves it: {}", wanted.join(", or "));
        Err(self.broken(verb, &why).by(Cause::NoProof))
    }

    fn broken(&self, verb: &str, why: &str) -> Fault {
        Fault::new(FaultKind::Broken, format!("{}, called for {verb}, {why}", self.label()))
    }
}

fn proves(proof: &Proof, seen: &Exchange) -> bool {
    seen.endpoint == proof.endpoint
        && seen.method == proof.method
        && seen.status.is_some_and(|status| proof.status.contains(&status))
        && is_like(&proof.path, &seen.path)
}

/// What a manifest says of a verb: under `enroll.find` where two roles have a verb of one name, else under `find`.
fn by_verb<'m, T>(said: &'m BTreeMap<String, T>, role: &str, verb: &str) -> Option<&'m T> {
    said.get(&format!("{role}.{verb}")).or_else(|| said.get(verb))
}

/// How a call that brought no answer ended: what can be done about it, and which limit with its figures.
fn verdict(error: &wasmtime::Error, bounds: &Bounds) -> (FaultKind, String) {
    if let Some(limit) = error.downcast_ref::<Limit>() {
        return (FaultKind::Broken, limit.to_string());
    }
    if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        return (FaultKind::Retry, "no room for one more instance in the pool".into());
    }
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return (FaultKind::Broken, format!("it ended itself with status {}", exit.0));
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        let why = match trap {
            Trap::UnreachableCodeReached => "it crashed".into(),
            Trap::StackOverflow => "it ran out of stack".into(),
            Trap::MemoryOutOfBounds => "it reached outside of its memory, or ran out of stack".into(),
            other => format!("it crashed: {other}"),
        };
        return (FaultKind::Broken, why);
    }
    match cause(error) {
        Cause::LimitResources => {
            let why = format!("it held more than {} requests, bodies and streams at once", bounds.resources);
            return (FaultKind::Broken, why);
        }
        Cause::LimitHeaderBytes => {
            return (
                FaultKind::Broken,
                format!("the headers of a request had more than {} bytes", bounds.header_bytes),
            );
        }
        _ => {}
    }
    let root = error.root_cause().to_string();
    (FaultKind::Broken, format!("the host ended it: {}", text::plain(&root, 300)))
}

/// The word for what [`verdict`] has in sentences.
fn cause(error: &wasmtime::Error) -> Cause {
    match error.downcast_ref::<Limit>() {
        Some(Limit::Cpu(_)) => return Cause::LimitCpu,
        Some(Limit::Memory { .. }) => return Cause::LimitMemory,
        Some(Limit::Tables { .. }) => return Cause::LimitTables,
        None => {}
    }
    let root = error.root_cause().to_string();
    if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        Cause::NoRoom
    } else if error.downcast_ref::<I32Exit>().is_some() {
        Cause::Exit
    } else if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
        Cause::LimitResources
    } else if matches!(error.downcast_ref(), Some(FieldMapError::TooManyFields | FieldMapError::TotalSizeTooBig)) {
        Cause::LimitHeaderBytes
    } else if root.contains("fuel allocated for hostcalls") {
        // wasmtime has no type for it, nor for the next.
        Cause::LimitHostBytes
    } else if root.starts_with("requested len ") && root.contains("exceeds limit") {
        Cause::LimitRandomBytes
    } else if error.downcast_ref::<Trap>().is_some() {
        Cause::Trap
    } else {
        Cause::Host
    }
}

/// A fault in whose call the gate denied or ended something says so: it is often the cause.
fn with_denials(fault: Fault, book: &Book) -> Fault {
    let over = book.over();
    let fault = match (over, book.denied()) {
        (None, None) => return fault,
        (_, Some((count, first))) => {
            let more = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
            Fault { message: format!("{} (the gate denied {first}{more})", fault.message), ..fault }
        }
        (Some(over), None) => Fault { message: format!("{} (the gate: {over})", fault.message), ..fault },
    };
    let cause = fault.cause.or(over).unwrap_or(Cause::Denied);
    fault.by(cause)
}

/// The timeline has a fault's message alone, so the word of its cause is in it.
fn named(fault: Fault) -> Fault {
    match fault.cause {
        Some(cause) if !fault.message.contains(cause.as_str()) => {
            Fault { message: format!("{} ({cause})", fault.message), ..fault }
        }
        _ => fault,
    }
}

/// For the count of calls: done or pending is `answered`, what the driver said itself `said`.
fn ended<T>(result: &Result<T, Failure>) -> &'static str {
    match result {
        Ok(_) => "answered",
        Err(Failure { fault, .. }) => fault.cause.map_or("said", Cause::as_str),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_limit_says_which_one_it_was_with_its_figures() {
        let bounds = Bounds::of(&crate::config::Sandbox::default(), &crate::model::Limits::default());
        let say = |error: wasmtime::Error| verdict(&error, &bounds);
        let (kind, why) = say(Limit::Memory { asked: 70 << 20, allowed: 64 << 20 }.into());
        assert_eq!(kind, FaultKind::Broken);
        assert!(why.contains("73400320") && why.contains("67108864"), "{why}");
        let (_, why) = say(Limit::Cpu(Duration::from_secs(1)).into());
        assert!(why.contains("1000 ms of CPU"), "{why}");
        assert_eq!(cause(&Limit::Tables { asked: 2, allowed: 1 }.into()), Cause::LimitTables);
        assert_eq!(cause(&Trap::StackOverflow.into()), Cause::Trap);
        let (_, why) = say(wasmtime::Error::from(ResourceTableError::Full).context("pushing"));
        assert!(why.contains("1024 requests, bodies and streams"), "{why}");
        assert_eq!(cause(&wasmtime::Error::msg("odd")), Cause::Host);
        let (_, why) = say(Trap::UnreachableCodeReached.into());
        assert_eq!(why, "it crashed");
        let (_, why) = say(wasmtime::Error::msg("odd\nthing"));
        assert_eq!(why, r"the host ended it: odd\nthing");
    }
}
