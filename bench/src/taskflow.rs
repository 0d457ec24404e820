//! TaskFlow, the engine of the OpenStack services that moganite takes after: in an environment of its own, made once.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::figures::{Figures, from_output};

/// What pip installs; the rest follows from them.
const PACKAGES: [&str; 3] = ["taskflow==6.5.0", "sqlalchemy>=2,<3", "alembic>=1.13,<2"];

const SCRIPT: &str = include_str!("../peer.py");

pub(crate) struct TaskFlow {
    folder: PathBuf,
}

impl TaskFlow {
    /// The environment in this folder, made if need be: a minute, with the ordinary index of Python packages.
    pub(crate) fn prepare(folder: &Path) -> Result<Self> {
        let environment = Self { folder: folder.join("taskflow-6.5.0") };
        let stamp = environment.folder.join("whole");
        if !stamp.exists() {
            eprintln!("bench: making a Python environment with TaskFlow 6.5.0 (once)");
            say_and_run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment.folder))?;
            let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
            say_and_run(Command::new(environment.python()).args(pip).args(PACKAGES))?;
            std::fs::write(stamp, "")?;
        }
        std::fs::write(environment.folder.join("peer.py"), SCRIPT)?;
        Ok(environment)
    }

    /// `sqlite` or `memory`, in a fresh folder.
    pub(crate) fn run(&self, backend: &str, folder: &Path, seconds: f64) -> Result<Figures> {
        std::fs::create_dir_all(folder)?;
        let output = Command::new(self.python())
            .arg(self.folder.join("peer.py"))
            .arg(backend)
            .arg(folder)
            .arg(seconds.to_string())
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("start TaskFlow")?;
        ensure!(output.status.success(), "TaskFlow with {backend}: {}", output.status);
        from_output(&output.stdout).context("TaskFlow")
    }

    fn python(&self) -> PathBuf {
        self.folder.join("bin/python")
    }
}

fn say_and_run(command: &mut Command) -> Result<()> {
    let what = format!("{command:?}");
    let status = command.status().with_context(|| what.clone())?;
    ensure!(
        status.success(),
        "{what}: {status}: TaskFlow is measured with Python 3 (venv, pip) from the ordinary index"
    );
    Ok(())
}
