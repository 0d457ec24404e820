//! Keys, and what is sealed with them: the values in the database that only this installation may read.
//!
//! Two layers. The **master key** stands outside of the database, in a file or given at the start, and opens one thing: the **store's key**,
//! which stands in the database and seals every value. So the master key can be changed without touching a value. Neither can be printed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

/// Bytes of a key.
const KEY: usize = 32;

/// As what the store's key is wrapped. No value has this name.
const STORE_KEY: &str = "the store's key";

/// Opens the store's key, and authenticates what is kept beside the database.
pub struct Master {
    cipher: Cipher,
    authentic: hmac::Key,
}

/// The store's key.
pub struct Sealer(Cipher);

/// Where master keys are looked for.
#[derive(Default)]
pub struct Masters {
    /// From the environment or a command. None: the file.
    pub given: Option<Master>,
    /// The one that was given before: opens once more, and the store's key is wrapped by the new one from then on.
    pub given_before: Option<Master>,
    /// 32 bytes, mode 0600.
    pub file: PathBuf,
}

/// The master key that opens a database, the sealer, and what is to be kept from now on in place of the wrapped key.
pub type Opening = (Master, Sealer, Option<Vec<u8>>);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum NoKey {
    #[error("{} is open to others (mode {mode:o}): chmod 600 it", path.display())]
    OpenToOthers { path: PathBuf, mode: u32 },
    #[error("{} is no key: it has not {KEY} bytes", .0.display())]
    NotAKey(PathBuf),
    #[error("the key file {}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("the system gives no random bytes")]
    NoRandom,
}

struct Cipher {
    key: LessSafeKey,
    random: SystemRandom,
}

impl Master {
    /// The key in this file; none when there is no file. A key that others may read is refused.
    pub fn read(path: &Path) -> Result<Option<Self>, NoKey> {
        let failed = |error| NoKey::File { path: path.to_owned(), error };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(NoKey::OpenToOthers { path: path.to_owned(), mode });
        }
        let mut bytes = Vec::with_capacity(KEY);
        file.take(KEY as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        let master = Self::of(&bytes).ok_or_else(|| NoKey::NotAKey(path.to_owned()));
        wipe(&mut bytes);
        master.map(Some)
    }

    /// A new key in a file that was not there, on the disk when this returns.
    pub fn make(path: &Path) -> Result<Self, NoKey> {
        let mut bytes = random_key(&SystemRandom::new())?;
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()?;
            File::open(path.parent().unwrap_or(path))?.sync_all()
        });
        let master = Self::of(&bytes).ok_or(NoKey::NoRandom);
        wipe(&mut bytes);
        written.map_err(|error| NoKey::File { path: path.to_owned(), error })?;
        master
    }

    /// 32 bytes as 64 hexadecimal digits or in base64, with white space around them. None: it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let mut bytes = hex(text).or_else(|| STANDARD.decode(text).ok())?;
        let master = Self::of(&bytes);
        wipe(&mut bytes);
        master
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            cipher: Cipher::of(bytes)?,
            // Of its own, so that a tag says nothing of the key that seals.
            authentic: hmac::Key::new(
                hmac::HMAC_SHA256,
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), b"moganite: authentic files").as_ref(),
            ),
        })
    }

    /// A new store's key, and how it is kept.
    pub fn new_sealer(&self) -> Result<(Sealer, Vec<u8>), NoKey> {
        let mut bytes = random_key(&self.cipher.random)?;
        let made = Cipher::of(&bytes).zip(self.cipher.seal(STORE_KEY, &bytes));
        wipe(&mut bytes);
        made.map(|(cipher, wrapped)| (Sealer(cipher), wrapped)).ok_or(NoKey::NoRandom)
    }

    /// None: it was wrapped by another master key.
    pub fn unwrap(&self, wrapped: &[u8]) -> Option<Sealer> {
        let mut bytes = self.cipher.open(STORE_KEY, wrapped)?;
        let cipher = Cipher::of(&bytes);
        wipe(&mut bytes);
        cipher.map(Sealer)
    }

    /// The same store's key, for another master key. None: this one does not open it.
    pub fn rewrap(&self, wrapped: &[u8], to: &Self) -> Option<Vec<u8>> {
        let mut bytes = self.cipher.open(STORE_KEY, wrapped)?;
        let rewrapped = to.cipher.seal(STORE_KEY, &bytes);
        wipe(&mut bytes);
        rewrapped
    }

    /// What was sealed by the master key itself, before there was a store's key.
    pub fn open_old(&self, what: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        self.cipher.open(what, sealed)
    }

    /// For what stands in a file beside the database, and must be what this installation put there.
    pub fn authentic(&self) -> hmac::Key {
        self.authentic.clone()
    }
}

impl Sealer {
    /// Nonce, then ciphertext with its tag. What it is goes into the tag: copied to another place it does not open. None: the system gives
    /// no random bytes.
    pub fn seal(&self, what: &str, value: &[u8]) -> Option<Vec<u8>> {
        self.0.seal(what, value)
    }

    /// None: it was changed, or is something else, or was sealed with another key.
    pub fn open(&self, what: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.open(what, sealed)
    }
}

impl Cipher {
    fn of(key: &[u8]) -> Option<Self> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).ok()?;
        Some(Self { key: LessSafeKey::new(key), random: SystemRandom::new() })
    }

    fn seal(&self, what: &str, value: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + value.len() + CHACHA20_POLY1305.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(value);
        let text = sealed.get_mut(NONCE_LEN..)?;
        let tag =
            self.key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(what.as_bytes()), text);
        sealed.extend_from_slice(tag.ok()?.as_ref());
        Some(sealed)
    }

    fn open(&self, what: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let length = self.key.open_in_place(nonce, Aad::from(what.as_bytes()), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

fn random_key(random: &SystemRandom) -> Result<[u8; KEY], NoKey> {
    let mut bytes = [0; KEY];
    random.fill(&mut bytes).map_err(|_| NoKey::NoRandom)?;
    Ok(bytes)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 2 * KEY || !text.is_ascii() {
        return None;
    }
    (0..KEY).map(|n| u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok()).collect()
}

/// Overwrites what is no more needed.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    // Keeps the writes: the optimiser must believe that someone looks.
    std::hint::black_box(bytes);
}

impl Masters {
    pub fn in_file(file: PathBuf) -> Self {
        Self { file, ..Self::default() }
    }

    /// The master key of a store that has no key of its own yet.
    pub fn first(self) -> Result<Master, NoKey> {
        match self.given {
            Some(given) => Ok(given),
            None => Ok(match Master::read(&self.file)? {
                Some(master) => master,
                None => Master::make(&self.file)?,
            }),
        }
    }

    /// The file of a rotation that was not ended: see [`Masters::file`].
    pub fn next_file(file: &Path) -> PathBuf {
        file.with_extension("key.next")
    }

    /// The master key that opens this, with its sealer, and what is to be kept from now on in place of it. None: no key that is there opens it.
    pub fn opening(self, wrapped: &[u8]) -> Result<Option<Opening>, NoKey> {
        let next = Self::next_file(&self.file);
        if let Some(given) = self.given {
            if let Some(sealer) = given.unwrap(wrapped) {
                return Ok(Some((given, sealer, None)));
            }
            let before = [Ok(self.given_before), Master::read(&self.file), Master::read(&next)];
            for master in before {
                let Some(master) = master? else { continue };
                if let Some((rewrapped, sealer)) = master.rewrap(wrapped, &given).zip(master.unwrap(wrapped)) {
                    return Ok(Some((given, sealer, Some(rewrapped))));
                }
            }
            return Ok(None);
        }
        let failed = |error| NoKey::File { path: next.clone(), error };
        if let Some(master) = Master::read(&self.file)?
            && let Some(sealer) = master.unwrap(wrapped)
        {
            // Of a rotation that was cut before it was committed.
            if next.exists() {
                fs::remove_file(&next).map_err(failed)?;
            }
            return Ok(Some((master, sealer, None)));
        }
        // One that was committed and not ended.
        let opened = Master::read(&next)?.and_then(|master| master.unwrap(wrapped).map(|sealer| (master, sealer)));
        let Some((master, sealer)) = opened else { return Ok(None) };
        fs::rename(&next, &self.file).map_err(failed)?;
        Ok(Some((master, sealer, None)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn master(byte: u8) -> Master {
        Master::of(&[byte; KEY]).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_as_what_it_is_and_as_nothing_else() {
        let (sealer, wrapped) = master(1).new_sealer().unwrap();
        let mut sealed = sealer.seal("flow 1 state", b"hunter2").unwrap();
        assert!(!sealed.windows(7).any(|part| part == b"hunter2"));
        assert_ne!(sealed, sealer.seal("flow 1 state", b"hunter2").unwrap(), "never the same twice");
        assert_eq!(sealer.open("flow 1 state", &sealed).as_deref(), Some(&b"hunter2"[..]));
        assert_eq!(master(1).unwrap(&wrapped).unwrap().open("flow 1 state", &sealed).as_deref(), Some(&b"hunter2"[..]));
        assert_eq!(sealer.open("flow 2 state", &sealed), None);
        assert_eq!(sealer.open("flow 1 state", b"short"), None);
        let last = sealed.len() - 1;
        sealed[last] ^= 1;
        assert_eq!(sealer.open("flow 1 state", &sealed), None);
    }

    #[test]
    fn another_master_key_opens_after_it_was_wrapped_anew_and_the_old_one_no_more() {
        let (sealer, wrapped) = master(1).new_sealer().unwrap();
        let sealed = sealer.seal("x", b"value").unwrap();
        assert!(master(2).unwrap(&wrapped).is_none());
        assert!(master(2).rewrap(&wrapped, &master(3)).is_none());
        let rewrapped = master(1).rewrap(&wrapped, &master(2)).unwrap();
        assert!(master(1).unwrap(&rewrapped).is_none());
        assert_eq!(master(2).unwrap(&rewrapped).unwrap().open("x", &sealed).as_deref(), Some(&b"value"[..]));
    }

    #[test]
    fn a_key_is_read_as_hex_and_as_base64_and_as_nothing_else() {
        let (_, wrapped) = master(0xab).new_sealer().unwrap();
        let opens = |text: &str| Master::parse(text).is_some_and(|master| master.unwrap(&wrapped).is_some());
        assert!(opens(&format!(" {}\n", "ab".repeat(KEY))));
        assert!(opens(&STANDARD.encode([0xab; KEY])));
        for text in ["", "hunter2", &"ab".repeat(16), &STANDARD.encode([0xab; 16]), &"zz".repeat(KEY)] {
            assert!(Master::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        assert!(Master::read(&path).unwrap().is_none());
        Master::make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Master::read(&path).unwrap().is_some());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Master::read(&path).is_err_and(|e| e.to_string().contains("chmod 600")));
    }

    #[test]
    fn a_rotation_that_was_cut_is_ended_or_forgotten_by_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret.key");
        let next = Masters::next_file(&file);
        let old = Master::make(&file).unwrap();
        let new = Master::make(&next).unwrap();
        let (_, wrapped) = old.new_sealer().unwrap();
        let rewrapped = old.rewrap(&wrapped, &new).unwrap();

        // Cut after the commit: the new key gets its name.
        assert!(Masters::in_file(file.clone()).opening(&rewrapped).unwrap().is_some());
        assert!(!next.exists());
        assert!(Master::read(&file).unwrap().unwrap().unwrap(&rewrapped).is_some());
        // Cut before it: what was made is removed.
        Master::make(&next).unwrap();
        assert!(Masters::in_file(file.clone()).opening(&rewrapped).unwrap().is_some());
        assert!(!next.exists());
        // And with neither it does not open.
        assert!(Masters::in_file(file).opening(&wrapped).unwrap().is_none());
    }

    #[test]
    fn a_key_that_is_given_takes_over_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret.key");
        let (_, wrapped) = Master::make(&file).unwrap().new_sealer().unwrap();
        let masters = Masters { given: Some(master(7)), given_before: None, file };
        let (_, _, rewrapped) = masters.opening(&wrapped).unwrap().unwrap();
        let before = Some(master(7));
        let masters = Masters { given: Some(master(8)), given_before: before, file: folder.path().join("none") };
        let (_, _, again) = masters.opening(&rewrapped.unwrap()).unwrap().unwrap();
        assert!(master(8).unwrap(&again.unwrap()).is_some());
    }
}
