//! Where things are kept: the cache that outlives us, and one folder a run that does not.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::process::{kill_left_over, named_and_alive, start_time};

const OWNER: &str = "owner.pid";

/// `$MOGANITE_CACHE`, or `~/.cache/moganite`.
pub(crate) fn cache() -> Result<PathBuf> {
    let cache = match std::env::var_os("MOGANITE_CACHE") {
        Some(cache) => PathBuf::from(cache),
        None => std::env::home_dir()
            .context("no home folder: set MOGANITE_CACHE to a folder for the cache")?
            .join(".cache/moganite"),
    };
    fs::create_dir_all(&cache).with_context(|| format!("make {}", cache.display()))?;
    // The settings of Ironic need absolute paths.
    cache.canonicalize().with_context(|| format!("find {}", cache.display()))
}

/// Takes turns: holds the lock file of that name in `folder` until the answer is dropped.
pub(crate) fn lock(folder: &Path, name: &str) -> Result<File> {
    let path = folder.join(name);
    let file = File::create(&path).with_context(|| format!("make {}", path.display()))?;
    file.lock().with_context(|| format!("lock {}", path.display()))?;
    Ok(file)
}

/// A new empty folder for this run, after those of runs that were killed are swept, with what still runs in them.
pub(crate) fn new_run() -> Result<TempDir> {
    let runs = cache()?.join("run");
    fs::create_dir_all(&runs)?;
    // A folder without its owner's file would look left over to a run that sweeps at this moment.
    let _one_at_a_time = lock(&runs, "lock")?;
    sweep(&runs)?;
    let run = TempDir::new_in(&runs).context("make the run's folder")?;
    let us = process::id();
    let started = start_time(us).context("read our own start time")?;
    fs::write(run.path().join(OWNER), format!("{us} {started}"))?;
    for name in ["tmp", "locks", "http", "emulator", "images", "tftp"] {
        fs::create_dir(run.path().join(name))?;
    }
    Ok(run)
}

fn sweep(runs: &Path) -> Result<()> {
    for run in fs::read_dir(runs)? {
        let run = run?.path();
        if !run.is_dir() || named_and_alive(&run.join(OWNER)).is_some() {
            continue;
        }
        for file in fs::read_dir(&run)? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "pid") {
                kill_left_over(&file);
            }
        }
        fs::remove_dir_all(&run).with_context(|| format!("remove {}", run.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    #[test]
    fn the_next_start_ends_what_a_killed_run_left_and_spares_what_lives() {
        let runs = TempDir::new().unwrap();
        let left = runs.path().join("left");
        let living = runs.path().join("living");
        fs::create_dir(&left).unwrap();
        fs::create_dir(&living).unwrap();
        let us = process::id();
        let our_start = start_time(us).unwrap();
        // The same pid with another start time is another process: the owner is gone.
        fs::write(left.join(OWNER), format!("{us} {}", our_start + 1)).unwrap();
        fs::write(living.join(OWNER), format!("{us} {our_start}")).unwrap();
        let mut program =
            Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0).spawn().unwrap();
        let started = start_time(program.id()).unwrap();
        fs::write(left.join("program.pid"), format!("{} {started}", program.id())).unwrap();

        sweep(runs.path()).unwrap();

        assert!(!program.wait().unwrap().success());
        assert!(!left.exists());
        assert!(living.exists());
    }
}
