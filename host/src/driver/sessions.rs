//! Sessions: values that the gate kept of an answer, for later requests of any call to the same backend.
//!
//! What is in memory is the truth while the service runs; the store has the newest of each name, sealed, for the next
//! start. Next: `egress/capture.rs`, which finds them in answers.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::library::Library;
use super::secrets::Secret;
use crate::clock::Clock;
use crate::model::{Digest, Fault, FaultKind, Millis, Name, Revision};
use crate::store::{Lane, PutSession};

/// Values of one name that are still kept out of answers, the newest included: a far side may honour an older one.
const REMEMBERED: usize = 8;

/// How long a call waits for another one's login before it logs in beside it. Unit: milliseconds.
const LEASE: Millis = 10_000;

/// The rings that were asked for since the start.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<Whose, Rings>>);

/// Of one backend.
#[derive(Clone)]
struct Rings {
    ring: Arc<Ring>,
    turns: Turns,
}

/// One call at a time logs in; the others wait for what it brings.
#[derive(Clone)]
struct Turns(Arc<Semaphore>);

/// A backend as it is bound. With other endpoints the far side is another one, and must not get this one's sessions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Whose {
    backend: Name,
    endpoints: Digest,
}

/// The sessions of one backend. Shared by all its calls, so that one call's login serves the others at once.
#[derive(Default)]
pub(super) struct Ring(Mutex<BTreeMap<String, VecDeque<Arc<Secret>>>>);

/// A backend's sessions, as one call has them.
pub(super) struct Keeper {
    shared: Arc<Library>,
    whose: Whose,
    of: Rings,
    /// As long as this call is the one that logs in.
    turn: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Sessions {
    pub(super) async fn keeper(library: &Arc<Library>, revision: &Revision) -> Result<Keeper, Fault> {
        let whose = Whose::of(revision);
        if let Some(of) = library.sessions.rings().get(&whose).cloned() {
            return Ok(Keeper { shared: library.clone(), whose, of, turn: Mutex::default() });
        }
        let kept = library.store.sessions(&whose.backend).await;
        let kept = kept.map_err(|error| Fault::new(FaultKind::Retry, format!("the store does not answer: {error}")))?;
        // One of other endpoints does not open, and is no loss: the driver logs in again.
        let open = |(name, sealed): (String, Vec<u8>)| {
            library.vault.open_as(&whose.seal(&name), &sealed).ok().map(|secret| (name, Arc::new(secret)))
        };
        let stored = Ring::default();
        stored.put_all(&kept.into_iter().filter_map(open).collect::<Vec<_>>());
        // Another call may have been here meanwhile, and even have logged in: its ring stays.
        let fresh = || Rings { ring: Arc::new(stored), turns: Turns::default() };
        let of = library.sessions.rings().entry(whose.clone()).or_insert_with(fresh).clone();
        Ok(Keeper { shared: library.clone(), whose, of, turn: Mutex::default() })
    }

    fn rings(&self) -> MutexGuard<'_, HashMap<Whose, Rings>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Turns {
    /// None: whoever has it did not log in as long as its lease was.
    async fn take(&self, clock: &Clock) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            // Never closed.
            turn = self.0.clone().acquire_owned() => turn.ok(),
            () = clock.until(clock.now().saturating_add(LEASE)) => None,
        }
    }
}

impl Whose {
    fn of(revision: &Revision) -> Self {
        // Serialising strings and maps of strings does not fail.
        let endpoints = serde_json::to_vec(&revision.endpoints).unwrap_or_default();
        Self { backend: revision.backend.clone(), endpoints: Digest::of(&endpoints) }
    }

    fn seal(&self, name: &str) -> String {
        format!("session {name} of {} at {}", self.backend, self.endpoints)
    }
}

impl Ring {
    pub(super) fn newest(&self, name: &str) -> Option<Arc<Secret>> {
        self.kept().get(name).and_then(|values| values.back().cloned())
    }

    /// Under one lock: nobody sees a part of them.
    pub(super) fn put_all(&self, secrets: &[(String, Arc<Secret>)]) {
        let mut kept = self.kept();
        for (name, secret) in secrets {
            let values = kept.entry(name.clone()).or_default();
            values.retain(|value| value.reveal() != secret.reveal());
            values.push_back(secret.clone());
            if values.len() > REMEMBERED {
                values.pop_front();
            }
        }
    }

    /// All that must not be seen, older ones included.
    pub(super) fn all(&self) -> Vec<(String, Arc<Secret>)> {
        let kept = self.kept();
        kept.iter().flat_map(|(name, values)| values.iter().map(|value| (name.clone(), value.clone()))).collect()
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, VecDeque<Arc<Secret>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    pub(super) fn ring(&self) -> &Ring {
        &self.of.ring
    }

    /// Before this call logs in, or is told that it must. Another call's login is waited for, until it brought something, its call ended, or
    /// its lease did. False: this call had the turn already.
    pub(super) async fn take_turn(&self) -> bool {
        if self.turn().is_some() {
            return false;
        }
        let turn = self.of.turns.take(&self.shared.clock).await;
        *self.turn() = turn;
        true
    }

    /// This call has what it needs.
    pub(super) fn give_turn(&self) {
        self.turn().take();
    }

    fn turn(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that one answer brought: in memory together, before another call can use a part of it and be told the rest; on disk
    /// when this returns. What cannot be written down serves until the service stops.
    pub(super) async fn keep(&self, brought: Vec<(String, Secret)>) {
        let brought: Vec<_> = brought.into_iter().map(|(name, secret)| (name, Arc::new(secret))).collect();
        self.of.ring.put_all(&brought);
        for (name, secret) in brought {
            if let Err(error) = self.write_down(&name, &secret).await {
                tracing::warn!(backend = %self.whose.backend, session = name, %error, "a session is kept in memory alone");
            }
        }
    }

    async fn write_down(&self, name: &str, secret: &Secret) -> anyhow::Result<()> {
        let sealed = self.shared.vault.seal_as(&self.whose.seal(name), secret.reveal().as_bytes())?;
        let backend = self.whose.backend.clone();
        let put = PutSession { backend, name: name.to_owned(), sealed, at: self.shared.clock.now() };
        Ok(self.shared.store.write(Lane::Flow, put).await?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use super::*;

    fn secret(text: &str) -> Arc<Secret> {
        Arc::new(Secret::of(text))
    }

    #[test]
    fn the_newest_counts_and_older_ones_are_still_kept_out_of_answers() {
        let ring = Ring::default();
        assert!(ring.newest("token").is_none());
        for n in 0..20 {
            ring.put_all(&[("token".to_owned(), secret(&format!("value-{n}")))]);
        }
        ring.put_all(&[("other".to_owned(), secret("value-x"))]);
        assert_eq!(ring.newest("token").unwrap().reveal(), "value-19");
        let all = ring.all();
        assert_eq!(all.len(), REMEMBERED + 1);
        assert!(all.iter().any(|(name, value)| name == "token" && value.reveal() == "value-12"));
    }

    /// What it has once it waits no more: the turn, or leave to go on without it.
    fn looks<T>(waiting: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match waiting.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn a_turn_passes_on_when_it_is_given_and_is_not_waited_for_beyond_its_lease() {
        let (clock, turns) = (Clock::by_hand(1_000), Turns::default());
        let first = turns.take(&clock).await;
        let (mut second, mut third) = (pin!(turns.take(&clock)), pin!(turns.take(&clock)));
        assert!(looks(second.as_mut()).is_none() && looks(third.as_mut()).is_none());
        drop(first);
        let second = looks(second.as_mut()).unwrap();
        assert!(second.is_some());
        clock.advance(Duration::from_millis(LEASE.unsigned_abs() - 1));
        assert!(looks(third.as_mut()).is_none());
        clock.advance(Duration::from_millis(1));
        assert!(looks(third.as_mut()).unwrap().is_none(), "it logs in beside whoever hangs");
    }

    #[test]
    fn the_same_value_again_takes_no_room() {
        let ring = Ring::default();
        for _ in 0..20 {
            ring.put_all(&[("token".to_owned(), secret("same"))]);
        }
        assert_eq!(ring.all().len(), 1);
    }
}
