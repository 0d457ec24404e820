//! A folder of files whose names come from elsewhere: no name and no link leads out of it.

use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};

/// How the name of a file ends that is not whole yet.
pub(crate) const HALF: &str = "part";

/// Bytes of what glibc's malloc maps by itself, whatever came before, and gives back whole. A large file that is read into less leaves holes of its
/// size between what is allocated meanwhile and stays. Only the pages that are touched are memory.
const MAPPED: usize = 32 << 20;
/// Below this a hole is no matter.
const SMALL: usize = 128 << 10;

/// Held open: what is put at its path later is not looked at.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: Dir,
    path: PathBuf,
}

impl Folder {
    /// One that is there; it may itself be a link to where it is.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { dir: Dir::open_ambient_dir(path, ambient_authority())?, path: path.to_owned() })
    }

    /// Made with those above it, for its owner alone, unless it is there.
    pub(crate) fn make(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Self::open(path)
    }

    /// For another process, and in words.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        self.dir.entries()?.map(|entry| Ok(entry?.file_name())).collect()
    }

    pub(crate) fn has(&self, name: impl AsRef<Path>) -> bool {
        self.dir.exists(name)
    }

    /// Of a longer file one byte more than this. Nothing but a file is read: a pipe would keep its reader waiting.
    pub(crate) fn read(&self, name: impl AsRef<Path>, most: usize) -> io::Result<Vec<u8>> {
        let name = name.as_ref();
        let metadata = self.dir.metadata(name)?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
        }
        let length = usize::try_from(metadata.len()).map_or(most, |length| length.min(most));
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(if length > SMALL { length.max(MAPPED) } else { length } + 1)?;
        self.dir.open(name)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// On the disk and whole, or not there. Whoever reads an older one at this moment reads it to its end.
    pub(crate) fn write(&self, name: impl AsRef<Path>, parts: &[&[u8]]) -> io::Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let fresh = name.as_ref().with_extension(format!("{}-{number}.{HALF}", std::process::id()));
        // Left over from a process that died: nobody else uses this name.
        self.dir.remove_file(&fresh).ok();
        let written = self.create(&fresh).and_then(|mut file| {
            parts.iter().try_for_each(|part| file.write_all(part))?;
            file.sync_all()?;
            self.dir.rename(&fresh, &self.dir, name)
        });
        if written.is_err() {
            // Half of it is of no use.
            self.dir.remove_file(&fresh).ok();
        }
        written
    }

    /// A new file that its owner alone reads and writes.
    pub(crate) fn create(&self, name: impl AsRef<Path>) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        Ok(self.dir.open_with(name, &options)?.into_std())
    }

    pub(crate) fn remove(&self, name: impl AsRef<Path>) -> io::Result<()> {
        self.dir.remove_file(name)
    }

    /// What a process that died was writing. Only while no other one writes here.
    pub(crate) fn remove_halves(&self) -> io::Result<()> {
        let is_half = |name: &OsString| Path::new(name).extension().is_some_and(|extension| extension == HALF);
        self.names()?.into_iter().filter(is_half).try_for_each(|name| self.remove(name))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn what_was_written_is_read_and_its_owner_alone_reads_it() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::make(&place.path().join("a/b")).unwrap();
        folder.write("file", &[b"first"]).unwrap();
        folder.write("file", &[b"se", b"cond"]).unwrap();
        assert_eq!(folder.read("file", 6).unwrap(), b"second");
        assert_eq!(folder.read("file", 3).unwrap(), b"seco", "one more than was asked for shows that there is more");
        assert_eq!(folder.names().unwrap(), ["file"]);
        for (path, mode) in [("a", 0o700), ("a/b", 0o700), ("a/b/file", 0o600)] {
            assert_eq!(fs::metadata(place.path().join(path)).unwrap().permissions().mode() & 0o777, mode, "{path}");
        }
        assert!(folder.create("file").is_err(), "nothing is written over");
        folder.remove("file").unwrap();
        assert!(!folder.has("file"));
    }

    #[test]
    fn no_name_and_no_link_leads_out() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::make(&place.path().join("inside")).unwrap();
        fs::write(place.path().join("outside"), "another's").unwrap();
        symlink("../outside", folder.path("link")).unwrap();
        symlink(place.path(), folder.path("up")).unwrap();
        let absolute = place.path().join("outside");
        let ways = ["../outside", "link", "up/outside", absolute.to_str().unwrap()];
        for way in ways {
            assert!(folder.read(way, 100).is_err(), "read {way}");
            assert!(!folder.has(way), "has {way}");
        }
        for way in ["../outside", "up/outside", "../new", "up/new"] {
            assert!(folder.create(way).is_err(), "create {way}");
            assert!(folder.write(way, &[b"ours"]).is_err(), "write {way}");
            assert!(folder.remove(way).is_err(), "remove {way}");
        }
        // The link itself is a name inside: it goes, and what it led to stays.
        folder.write("link", &[b"ours"]).unwrap();
        assert_eq!(fs::read_to_string(absolute).unwrap(), "another's");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::make(place.path()).unwrap();
        let made = std::process::Command::new("mkfifo").arg(folder.path("pipe.wasm")).status().unwrap();
        assert!(made.success());
        assert!(folder.read("pipe.wasm", 100).is_err_and(|error| error.to_string().contains("no file")));
    }
}
