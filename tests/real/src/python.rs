//! The Python environments with Ironic and the emulator, and with Keystone: made once, from pinned packages, and kept in the cache.
//!
//! A folder is named after everything that it depends on. It is whole when its stamp is there, which is written last;
//! one without a stamp is made anew. Who comes while it is being made waits for the lock.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::folder;
use crate::keystone;
use crate::packages::Packages;

const STAMP: &str = "whole";

/// Tried in this order; the pins were made with the first.
const PYTHONS: [&str; 5] = ["python3.11", "python3.12", "python3.13", "python3", "python"];

/// Prints `3.11.7` when it is new enough and can make environments, else fails.
const ASK_VERSION: &str = "import sys, venv, ensurepip; assert sys.version_info >= (3, 11); \
                           print('.'.join(map(str, sys.version_info[:3])))";

/// A folder that holds `bin/python` with every package, and what a first start would make: an empty database.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    folder: PathBuf,
    packages: Packages,
}

impl Environment {
    /// The environment, made if need be: 30 to 160 s with progress on standard error. Blocks.
    pub(crate) fn get(packages: Packages) -> Result<Self> {
        let (python, version) = find_python()?;
        let cache = folder::cache()?;
        let name = format!("{}-{}", packages.name(), key(packages, &version));
        let environment = Self { folder: cache.join(&name), packages };
        let _one_at_a_time = folder::lock(&cache, &format!("{name}.lock"))?;
        if !environment.is_whole() {
            environment.make(python, &version).with_context(|| format!("make {}", environment.folder.display()))?;
        }
        Ok(environment)
    }

    pub(crate) fn python(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// A program that a package has brought; Python runs it.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// What was made beside the packages.
    pub(crate) fn made(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The stamp is there and the Python that it was made of still is, too.
    fn is_whole(&self) -> bool {
        self.folder.join(STAMP).exists()
            && Command::new(self.python())
                .args(["-c", &format!("import {}", self.packages.module())])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
    }

    fn make(&self, python: &str, version: &str) -> Result<()> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)?;
        }
        say(&format!("making a Python {version} environment in {} (once)", self.folder.display()));
        run(Command::new(python).args(["-m", "venv"]).arg(&self.folder))?;
        let requirements = self.folder.join("requirements.txt");
        let constraints = self.folder.join("constraints.txt");
        fs::write(&requirements, self.packages.requirements())?;
        fs::write(&constraints, self.packages.constraints())?;
        run_with_progress(
            Command::new(self.python())
                .args(["-m", "pip", "install", "--disable-pip-version-check"])
                .arg("--requirement")
                .arg(requirements)
                .arg("--constraint")
                .arg(constraints),
            self.packages.constraints().lines().count(),
        )?;
        match self.packages {
            Packages::Ironic39 | Packages::Ironic26 => self.make_ironic_database()?,
            Packages::Keystone30 => keystone::make(self)?,
        }
        fs::write(self.folder.join(STAMP), "")?;
        say("the environment is ready");
        Ok(())
    }

    fn make_ironic_database(&self) -> Result<()> {
        say("making the empty database of Ironic");
        let settings = self.folder.join("empty.conf");
        let database = self.made("empty.sqlite");
        fs::write(&settings, format!("[database]\nconnection = sqlite:///{}\n", database.display()))?;
        run(Command::new(self.program("ironic-dbsync")).arg("--config-file").arg(&settings).arg("create_schema"))
    }
}

/// The first Python that is new enough, and its version.
pub(crate) fn find_python() -> Result<(&'static str, String)> {
    for python in PYTHONS {
        let asked = Command::new(python).args(["-c", ASK_VERSION]).stderr(Stdio::null()).output();
        if let Ok(answer) = asked
            && answer.status.success()
        {
            let version = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
            return Ok((python, version));
        }
    }
    bail!(
        "no Python 3.11 or newer with venv and pip was found (tried {}): \
         install one, on Debian the packages python3 and python3-venv",
        PYTHONS.join(", ")
    )
}

/// Sixteen hex digits that change with the packages, with Python and with how the environment is made (`v1`).
fn key(packages: Packages, version: &str) -> String {
    let (requirements, constraints) = (packages.requirements(), packages.constraints());
    let digest = Sha256::digest(format!("v1\n{version}\n{requirements}\n{constraints}"));
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs a program to its end; a failure says what it said.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let what = format!("{command:?}");
    let output = command.output().with_context(|| what.clone())?;
    ensure!(
        output.status.success(),
        "{what}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Runs pip and shows how many of the packages that are wanted it has got so far.
fn run_with_progress(command: &mut Command, wanted: usize) -> Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let out = child.stdout.take().context("the output of pip")?;
    let mut collected = 0;
    let mut last = Vec::new();
    for line in BufReader::new(out).lines() {
        let line = line?;
        if line.starts_with("Collecting ") {
            collected += 1;
            if collected % 20 == 0 {
                say(&format!("{collected} of {wanted} packages"));
            }
        } else if line.starts_with("Installing ") {
            say("installing them");
        }
        last.push(line);
    }
    let status = child.wait()?;
    let skip = last.len().saturating_sub(10);
    ensure!(status.success(), "pip: {status}\n{}", last[skip..].join("\n"));
    Ok(())
}

/// One line on standard error, past the capture of the test harness: a first run would look stuck without it.
fn say(line: &str) {
    // Nobody to tell when standard error is closed.
    writeln!(std::io::stderr(), "real: {line}").ok();
}
