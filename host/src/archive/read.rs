//! Reading what may come from anywhere: every name, size and digest is checked, a link or anything else that is no plain file ends it.

use std::fs::File;
use std::io::{self, Read, Seek as _, Write};

use sha2::{Digest as _, Sha256};
use tar::{Archive, Entry, EntryType};

use super::write::Hashing;
use super::{DATABASE, FORMAT, LONGEST_MANIFEST, MANIFEST, MOST_PARTS, Manifest, Part};

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// One sentence about the file.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Io(#[from] io::Error),
}

type Result<T> = std::result::Result<T, Unreadable>;

/// What the file says that it is. Nothing after it was looked at.
pub fn manifest(mut file: &File) -> Result<Manifest> {
    file.rewind()?;
    let length = file.metadata()?.len();
    let mut tar = Archive::new(file);
    match tar.entries()?.raw(true).next() {
        Some(first) => read_manifest(first, length),
        None => Err(refused("it is empty")),
    }
}

/// Reads all of it and keeps nothing.
pub fn check(file: &File) -> Result<Manifest> {
    unpack(file, |_| Ok(io::sink()))
}

/// Writes each part where `place` says. A part that is not as the manifest says is an error, but was written: use nothing of it then.
pub fn unpack<W: Write>(mut file: &File, mut place: impl FnMut(&Part) -> io::Result<W>) -> Result<Manifest> {
    file.rewind()?;
    let length = file.metadata()?.len();
    let mut tar = Archive::new(file);
    // Raw: a long name or another extension is an entry like others, and refused as no plain file.
    let mut entries = tar.entries()?.raw(true);
    let manifest = read_manifest(entries.next().ok_or_else(|| refused("it is empty"))?, length)?;
    for part in &manifest.parts {
        let entry = entries.next().ok_or_else(|| refused(&format!("it ends before {}", part.name)))?;
        let mut entry = plain(entry, &part.name)?;
        if entry.size() != part.bytes {
            return Err(refused(&format!("{} has not the size that the manifest says", part.name)));
        }
        let mut copy = Copying { hash: Hashing(Sha256::new()), out: place(part)? };
        if io::copy(&mut entry, &mut copy)? != part.bytes {
            return Err(refused(&format!("it is cut off within {}", part.name)));
        }
        copy.out.flush()?;
        if copy.hash.done() != part.digest {
            return Err(refused(&format!("{} has not the SHA-256 that the manifest says", part.name)));
        }
    }
    if entries.next().is_some() {
        return Err(refused("more follows than the manifest says"));
    }
    Ok(manifest)
}

/// What is written goes into the hash and to its place.
struct Copying<W> {
    hash: Hashing,
    out: W,
}

impl<W: Write> Write for Copying<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write_all(bytes)?;
        self.hash.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn refused(why: &str) -> Unreadable {
    Unreadable::Refused(why.to_owned())
}

fn plain<'a, R: Read>(entry: io::Result<Entry<'a, R>>, name: &str) -> Result<Entry<'a, R>> {
    let entry = entry.map_err(|error| refused(&format!("it is no whole tar: {error}")))?;
    if entry.header().entry_type() != EntryType::Regular || *entry.path_bytes() != *name.as_bytes() {
        return Err(refused(&format!("where {name} should follow there is something else")));
    }
    Ok(entry)
}

fn read_manifest<R: Read>(first: io::Result<Entry<'_, R>>, length: u64) -> Result<Manifest> {
    let entry = plain(first, MANIFEST)?;
    let mut text = Vec::new();
    entry.take(LONGEST_MANIFEST).read_to_end(&mut text)?;
    // First the form alone: a newer one may say everything else otherwise.
    #[derive(serde::Deserialize)]
    struct Form {
        format: u32,
    }
    let form: Form = serde_json::from_slice(&text).map_err(|error| refused(&format!("its manifest: {error}")))?;
    if form.format != FORMAT {
        let why =
            format!("it has the form {}, and this moganite knows {FORMAT}: use the version that wrote it", form.format);
        return Err(refused(&why));
    }
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| refused(&format!("its manifest: {error}")))?;
    let names: std::collections::BTreeSet<_> = manifest.parts.iter().map(|part| &part.name).collect();
    if manifest.parts.len() > MOST_PARTS || names.len() < manifest.parts.len() {
        return Err(refused("its manifest names too many files, or one twice"));
    }
    if let Some(part) = manifest.parts.iter().find(|part| !part.fits()) {
        return Err(refused(&format!("{:?} is nothing that belongs in a state folder", part.name)));
    }
    // Nothing is compressed: what is longer than the file is a lie.
    let all = manifest.parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.bytes));
    if all.is_none_or(|all| all > length) {
        return Err(refused("it is cut off, or its manifest says more than there is"));
    }
    if !names.contains(&DATABASE.to_owned()) {
        return Err(refused("it has no database"));
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests;
