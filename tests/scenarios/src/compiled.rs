//! Compiled plugins, lent from one state folder to the next, so that a suite compiles each of them once. Their names hold digest and
//! engine, so a stale one is never taken for another; and they bear the tag of a master key, which is therefore lent with them.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::process::binary;

const MASTER: &[u8; 32] = b"the master key of all scenarios.";

/// Before the service starts: what an earlier one compiled.
pub(crate) fn lend(state: &Path) -> Result<()> {
    if let Some(mut key) = new_key(state)? {
        key.write_all(MASTER)?;
    }
    if is_lent(state)? { copy(&kept()?, &state.join("compiled")) } else { Ok(()) }
}

/// Once its plugins are ready.
pub(crate) fn keep(state: &Path) -> Result<()> {
    if is_lent(state)? { copy(&state.join("compiled"), &kept()?) } else { Ok(()) }
}

/// A folder without a database gets the master key that all have; one of another origin keeps its own.
fn new_key(state: &Path) -> Result<Option<File>> {
    if state.join("moganite.db").exists() || state.join("secret.key").exists() {
        return Ok(None);
    }
    Ok(Some(OpenOptions::new().write(true).create_new(true).mode(0o600).open(state.join("secret.key"))?))
}

fn is_lent(state: &Path) -> Result<bool> {
    let file = state.join("secret.key");
    Ok(file.exists() && fs::read(file)? == MASTER)
}

fn kept() -> Result<PathBuf> {
    Ok(binary("moganite-sim")?.with_file_name("compiled-plugins"))
}

/// What is not there yet; whole or not at all, since other tests look at the same time.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let Ok(files) = fs::read_dir(from) else { return Ok(()) };
    fs::create_dir_all(to)?;
    for file in files {
        let file = file?;
        let target = to.join(file.file_name());
        let is_compiled = file.path().extension().is_some_and(|extension| extension == "cwasm");
        if is_compiled && !target.exists() {
            let half = tempfile::NamedTempFile::new_in(to)?;
            fs::copy(file.path(), half.path())?;
            half.persist(target)?;
        }
    }
    Ok(())
}
