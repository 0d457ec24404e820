//! Writing: the manifest, then each part as long as the manifest says, or not at all.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::{MANIFEST, Manifest, Part};
use crate::model::Digest;

/// A block of a tar: headers are one, contents are filled up to it.
const BLOCK: u64 = 512;

/// Bytes that [`write()`] will write.
pub fn length(manifest: &Manifest) -> u64 {
    let of_manifest = to_json(manifest).map_or(0, |text| text.len() as u64);
    let sizes = manifest.parts.iter().map(|part| part.bytes).chain([of_manifest]);
    sizes.map(|bytes| BLOCK + bytes.next_multiple_of(BLOCK)).sum::<u64>() + 2 * BLOCK
}

/// Writes the whole file; `open` gives the content of each part. A content that is not as long as its part says ends it with an error.
pub fn write<R: Read>(
    manifest: &Manifest,
    out: impl Write,
    mut open: impl FnMut(&Part) -> io::Result<R>,
) -> io::Result<()> {
    let text = to_json(manifest)?;
    let mut tar = Builder::new(out);
    tar.append(&header(MANIFEST, text.len() as u64, manifest)?, &text[..])?;
    for part in &manifest.parts {
        let mut content = open(part)?.take(part.bytes);
        tar.append(&header(&part.name, part.bytes, manifest)?, &mut content)?;
        if content.limit() > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{} became shorter", part.name)));
        }
    }
    tar.into_inner()?.flush()
}

/// Of what is left to be read, and how many bytes that were.
pub fn digest_of(mut content: impl Read) -> io::Result<(Digest, u64)> {
    let mut hash = Hashing(Sha256::new());
    let bytes = io::copy(&mut content, &mut hash)?;
    Ok((hash.done(), bytes))
}

/// Takes what is written into a digest.
pub(super) struct Hashing(pub(super) Sha256);

impl Hashing {
    pub(super) fn done(self) -> Digest {
        Digest::of_hash(&self.0.finalize())
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn header(name: &str, bytes: u64, manifest: &Manifest) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(manifest.made_at_ms / 1000).unwrap_or(0));
    header.set_entry_type(EntryType::Regular);
    header.set_cksum();
    Ok(header)
}

fn to_json(manifest: &Manifest) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(manifest)?;
    text.push(b'\n');
    Ok(text)
}
