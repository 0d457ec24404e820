//! Sessions: values that the gate kept of an answer, for later requests of any call to the same backend.
//!
//! What is in memory is the truth while the service runs; the store has the newest of each name, sealed, for the next
//! start. Next: `egress/capture.rs`, which finds them in answers.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::library::Library;
use super::secrets::Secret;
use crate::model::{Digest, Fault, FaultKind, Name, Revision};
use crate::store::{Lane, PutSession};

/// Values of one name that are still kept out of answers, the newest included: a far side may honour an older one.
const REMEMBERED: usize = 8;

/// The rings that were asked for since the start.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<Whose, Arc<Ring>>>);

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
    ring: Arc<Ring>,
}

impl Sessions {
    pub(super) async fn keeper(library: &Arc<Library>, revision: &Revision) -> Result<Keeper, Fault> {
        let whose = Whose::of(revision);
        if let Some(ring) = library.sessions.rings().get(&whose).cloned() {
            return Ok(Keeper { shared: library.clone(), whose, ring });
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
        let ring = library.sessions.rings().entry(whose.clone()).or_insert_with(|| Arc::new(stored)).clone();
        Ok(Keeper { shared: library.clone(), whose, ring })
    }

    fn rings(&self) -> MutexGuard<'_, HashMap<Whose, Arc<Ring>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        &self.ring
    }

    /// All that one answer brought: in memory together, before another call can use a part of it and be told the rest; on disk
    /// when this returns. What cannot be written down serves until the service stops.
    pub(super) async fn keep(&self, brought: Vec<(String, Secret)>) {
        let brought: Vec<_> = brought.into_iter().map(|(name, secret)| (name, Arc::new(secret))).collect();
        self.ring.put_all(&brought);
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

    #[test]
    fn the_same_value_again_takes_no_room() {
        let ring = Ring::default();
        for _ in 0..20 {
            ring.put_all(&[("token".to_owned(), secret("same"))]);
        }
        assert_eq!(ring.all().len(), 1);
    }
}
