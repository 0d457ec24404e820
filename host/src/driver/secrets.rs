//! Secret values: sealed at rest, open only between here and the gate.
//!
//! A [`Secret`] cannot be printed, serialised or compared; `egress` alone asks for its text. Next: `egress/places.rs`.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context as _, bail};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::model::Name;

/// Bytes of the key.
const KEY: usize = 32;

/// Seals and opens the operator's secrets with one key of this installation.
pub struct Vault {
    key: LessSafeKey,
    random: SystemRandom,
}

/// A value that never leaves the process but in a request. It has no `Debug`, `Display` or `Serialize`, and is
/// overwritten when it is dropped.
pub(super) struct Secret(Vec<u8>);

/// Why a sealed value did not open.
#[derive(Debug, thiserror::Error)]
#[error("the secret {0} does not open: it was sealed under another name or with another key file")]
pub(super) struct Unsealable(String);

impl Vault {
    /// Reads the key at `path`, or makes it: 32 random bytes, mode 0600. A key that others may read is refused.
    pub(super) fn open_or_make(path: &Path) -> anyhow::Result<Self> {
        let random = SystemRandom::new();
        let mut key = [0; KEY];
        match fs::File::open(path) {
            Ok(mut file) => {
                let mode = file.metadata()?.permissions().mode();
                if mode & 0o077 != 0 {
                    bail!("{} is open to others (mode {:o}): chmod 600 it", path.display(), mode & 0o777);
                }
                file.read_exact(&mut key).with_context(|| format!("{} is shorter than {KEY} bytes", path.display()))?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                random.fill(&mut key).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
                let mut file = fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(path)
                    .with_context(|| format!("making {}", path.display()))?;
                file.write_all(&key)?;
                file.sync_all()?;
            }
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        }
        let unbound = UnboundKey::new(&CHACHA20_POLY1305, &key).map_err(|_| anyhow::anyhow!("the key does not fit"))?;
        Ok(Self { key: LessSafeKey::new(unbound), random })
    }

    /// Nonce, then ciphertext with its tag. The name goes into the tag, so that a row copied to another name does not
    /// open.
    pub fn seal(&self, name: &Name, value: &[u8]) -> anyhow::Result<Vec<u8>> {
        self.seal_as(name.as_str(), value)
    }

    pub(super) fn open(&self, name: &Name, sealed: &[u8]) -> Result<Secret, Unsealable> {
        self.open_as(name.as_str(), sealed)
    }

    /// What has no name of its own is sealed as what it is; no name has a space, so the two never meet.
    pub(super) fn seal_as(&self, what: &str, value: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
        let mut text = value.to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(what), &mut text)
            .map_err(|_| anyhow::anyhow!("sealing {what} failed"))?;
        Ok([&nonce[..], &text].concat())
    }

    pub(super) fn open_as(&self, what: &str, sealed: &[u8]) -> Result<Secret, Unsealable> {
        let unsealable = || Unsealable(what.to_owned());
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or_else(unsealable)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| unsealable())?;
        let mut text = text.to_vec();
        let length = self.key.open_in_place(nonce, Aad::from(what), &mut text).map_err(|_| unsealable())?.len();
        text.truncate(length);
        let secret = Secret(text);
        std::str::from_utf8(&secret.0).map_err(|_| unsealable())?;
        Ok(secret)
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
        self.0.fill(0);
        // Keeps the writes: the optimiser must believe that someone looks.
        std::hint::black_box(&self.0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn name(text: &str) -> Name {
        Name::parse("name", text).unwrap()
    }

    #[test]
    fn a_sealed_secret_opens_again_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        let sealed = Vault::open_or_make(&path).unwrap().seal(&name("bmc"), b"hunter2").unwrap();
        assert!(!sealed.windows(7).any(|w| w == b"hunter2"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let opened = Vault::open_or_make(&path).unwrap().open(&name("bmc"), &sealed);
        assert_eq!(opened.ok().map(|s| s.reveal().to_owned()), Some("hunter2".into()));
    }

    #[test]
    fn a_sealed_secret_does_not_open_under_another_name_or_when_changed() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open_or_make(&folder.path().join("secret.key")).unwrap();
        let mut sealed = vault.seal(&name("bmc"), b"hunter2").unwrap();
        assert!(vault.open(&name("pool"), &sealed).is_err());
        let last = sealed.len() - 1;
        sealed[last] ^= 1;
        assert!(vault.open(&name("bmc"), &sealed).is_err());
        assert!(vault.open(&name("bmc"), b"short").is_err());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        fs::write(&path, [7; KEY]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Vault::open_or_make(&path).is_err_and(|e| e.to_string().contains("chmod 600")));
    }
}
