//! A state folder made from a backup. It is whole, or it is not there: until the end a file says that it is half made.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use crate::archive::{self, DATABASE, KEY, Manifest, Unreadable};
use crate::folder::Folder;
use crate::model::Millis;
use crate::store;

/// Stands in a folder as long as a restore into it has not ended.
const MARK: &str = "restoring";
const PLUGINS: &str = "plugins";

/// What the backup was of, and what is in the folder now.
#[derive(Debug)]
pub struct Restored {
    pub manifest: Manifest,
    pub found: store::Restored,
}

/// Why nothing was restored, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct NotRestored {
    pub what: String,
    pub to_do: &'static str,
}

/// Makes the state folder of a backup's file. The folder must be empty, or not be there. Waits for the disk.
pub fn restore(file: &Path, folder: &Path, now: Millis) -> Result<Restored, NotRestored> {
    let of_file = |error: Unreadable| NotRestored {
        what: format!("{} is no backup that can be restored: {error}", file.display()),
        to_do: "take another copy of it, or another backup",
    };
    let of_folder = |error: io::Error| NotRestored {
        what: format!("restoring into {}: {error}", folder.display()),
        to_do: "look at the folder and its disk; what was written there is removed",
    };
    let backup = File::open(file).map_err(|error| of_file(error.into()))?;
    let manifest = archive::manifest(&backup).map_err(of_file)?;
    if usize::try_from(manifest.schema).unwrap_or(usize::MAX) > store::SCHEMA {
        let what = format!(
            "{} was made by moganite {} (schema {}, this one knows {})",
            file.display(),
            manifest.moganite,
            manifest.schema,
            store::SCHEMA
        );
        return Err(NotRestored { what, to_do: "restore it with that version or a newer one" });
    }
    let was_there = folder.exists();
    if was_there && !is_empty(folder).map_err(of_folder)? {
        return Err(NotRestored {
            what: format!("{} is not empty", folder.display()),
            to_do: "name a folder that is empty or does not exist: a restore never writes over anything",
        });
    }
    let made = begin(folder).map_err(of_folder).and_then(|into| {
        let manifest = unpack(&backup, &into).map_err(of_file)?;
        let source = format!("a backup by moganite {}, of the epoch {}", manifest.moganite, manifest.epoch);
        let found = store::restored(folder, &source, now).map_err(|error| NotRestored {
            what: format!("{} cannot be taken into use: {error}", file.display()),
            to_do: "restore another backup",
        })?;
        end(folder).map_err(of_folder)?;
        Ok(Restored { manifest, found })
    });
    if made.is_err() {
        clear(folder, was_there);
    }
    made
}

/// Whether a restore into this folder began and did not end.
pub fn is_half_restored(folder: &Path) -> bool {
    folder.join(MARK).exists()
}

fn is_empty(folder: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(folder)?.next().is_none())
}

/// Marks the folder before anything is in it. A `serve` that starts meanwhile sees the mark, or we see its lock.
fn begin(folder: &Path) -> io::Result<Folder> {
    let into = Folder::make(folder)?;
    into.create(MARK)?.sync_all()?;
    if into.names()?.len() > 1 {
        into.remove(MARK)?;
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, "somebody else writes into it"));
    }
    DirBuilder::new().mode(0o700).create(folder.join(PLUGINS))?;
    Ok(into)
}

fn unpack(backup: &File, into: &Folder) -> Result<Manifest, Unreadable> {
    archive::unpack(backup, |part| into.create(&part.name).map(Synced))
}

/// A file that is on the disk when it was flushed.
struct Synced(File);

impl Write for Synced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// All of it is on the disk before the mark goes.
fn end(folder: &Path) -> io::Result<()> {
    for folder in [&folder.join(PLUGINS), folder] {
        File::open(folder)?.sync_all()?;
    }
    fs::remove_file(folder.join(MARK))?;
    File::open(folder)?.sync_all()
}

/// As it was before. What cannot be removed stays, with the mark beside it.
fn clear(folder: &Path, was_there: bool) {
    if !is_half_restored(folder) {
        return;
    }
    fs::remove_dir_all(folder.join(PLUGINS)).ok();
    for name in [DATABASE, "moganite.db-wal", "moganite.db-shm", KEY] {
        // Most of them were never made.
        fs::remove_file(folder.join(name)).ok();
    }
    let left = fs::read_dir(folder).map_or(usize::MAX, Iterator::count);
    if left == 1 {
        fs::remove_file(folder.join(MARK)).ok();
        if !was_there {
            fs::remove_dir(folder).ok();
        }
    }
}
