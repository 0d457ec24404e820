//! Compiled plugins, lent from one state folder to the next, so that a suite compiles each of them once. Their names hold digest and
//! engine, so a stale one is never taken for another.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::process::binary;

/// Before the service starts: what an earlier one compiled.
pub(crate) fn lend(state: &Path) -> Result<()> {
    copy(&kept()?, &state.join("compiled"))
}

/// Once its plugins are ready.
pub(crate) fn keep(state: &Path) -> Result<()> {
    copy(&state.join("compiled"), &kept()?)
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
