//! A backup's file: a tar of plain files. The first is `manifest.json`, which says what the others are and in which order.
//!
//! Whoever writes one knows every size before the first byte, so that its length is known, too. Whoever reads one believes nothing
//! of it: `read.rs` has the checks.

mod read;
mod write;

use serde::{Deserialize, Serialize};

use crate::config::Sandbox;
use crate::model::{Digest, Millis};

pub use read::{Unreadable, check, manifest, unpack};
pub use write::{digest_of, length, write};

/// The form of the file that this moganite writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
pub const DATABASE: &str = "moganite.db";
pub const KEY: &str = "secret.key";

/// The first file of the tar.
const MANIFEST: &str = "manifest.json";
/// Bytes of the manifest, at most.
const LONGEST_MANIFEST: u64 = 4 << 20;
/// Bytes of the key's file, at most.
const LONGEST_KEY: u64 = 1 << 10;
/// Files after the manifest, at most.
const MOST_PARTS: usize = 10_000;

/// What a backup is of, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of the file itself: [`FORMAT`].
    pub format: u32,
    /// The version that wrote it.
    pub moganite: String,
    /// Number of the last migration of the database in it.
    pub schema: u32,
    pub site: String,
    pub epoch: i64,
    pub made_at_ms: Millis,
    /// In the order in which they follow.
    pub parts: Vec<Part>,
    /// Plugins that a revision names and whose files were not there.
    pub missing_plugins: Vec<Digest>,
}

/// One file in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Where it goes in the state folder: `moganite.db`, `secret.key` or `plugins/<hex>.wasm`.
    pub name: String,
    pub bytes: u64,
    pub digest: Digest,
}

impl Manifest {
    /// Without it the secrets in the database do not open.
    pub fn has_key(&self) -> bool {
        self.parts.iter().any(|part| part.name == KEY)
    }
}

impl Part {
    /// The name under which a plugin's file is kept in a state folder, and in a backup.
    pub fn plugin(digest: &Digest) -> String {
        format!("plugins/{}.wasm", digest.hex())
    }

    /// A part that belongs in a state folder, and not larger than what is read there.
    fn fits(&self) -> bool {
        if Digest::parse(&self.digest.to_string()).is_none() {
            return false;
        }
        match self.name.as_str() {
            DATABASE => true,
            KEY => self.bytes <= LONGEST_KEY,
            // By its content, so that no other path can be said.
            name => name == Self::plugin(&self.digest) && self.bytes <= Sandbox::default().plugin as u64,
        }
    }
}
