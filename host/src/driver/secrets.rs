//! Secret values: sealed at rest, open only between here and the gate.
//!
//! A [`Secret`] cannot be printed, serialised or compared; `egress` alone asks for its text. Next: `egress/places.rs`.

use std::sync::Arc;

use crate::model::Name;
use crate::seal::{Sealer, wipe};
use crate::store::sealed_as;

/// Seals and opens the operator's secrets with the store's key.
pub struct Vault(Arc<Sealer>);

/// A value that never leaves the process but in a request. It has no `Debug`, `Display` or `Serialize`, and is
/// overwritten when it is dropped.
pub(super) struct Secret(Vec<u8>);

/// Why a value is not sealed: the system gives no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("{0} was not sealed: the system gives no random bytes")]
pub struct Unsealed(String);

/// Why a sealed value did not open.
#[derive(Debug, thiserror::Error)]
#[error("the secret {0} does not open: it was sealed under another name or with another key")]
pub(super) struct Unsealable(String);

impl Vault {
    pub(super) fn of(sealer: Arc<Sealer>) -> Self {
        Self(sealer)
    }

    /// Bound to the name: a row copied to another name does not open.
    pub fn seal(&self, name: &Name, value: &[u8]) -> Result<Vec<u8>, Unsealed> {
        self.seal_as(&sealed_as(name.as_str()), value)
    }

    pub(super) fn open(&self, name: &Name, sealed: &[u8]) -> Result<Secret, Unsealable> {
        self.open_as(&sealed_as(name.as_str()), sealed)
    }

    /// What has no name of its own is sealed as what it is.
    pub(super) fn seal_as(&self, what: &str, value: &[u8]) -> Result<Vec<u8>, Unsealed> {
        self.0.seal(what, value).ok_or_else(|| Unsealed(what.to_owned()))
    }

    pub(super) fn open_as(&self, what: &str, sealed: &[u8]) -> Result<Secret, Unsealable> {
        let secret = self.0.open(what, sealed).map(Secret);
        // Wiped also when it is no text.
        secret.filter(|secret| std::str::from_utf8(&secret.0).is_ok()).ok_or_else(|| Unsealable(what.to_owned()))
    }
}

impl Secret {
    /// For the request that is about to be sent, and for nothing else.
    pub(super) fn reveal(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(super) fn of(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}
