//! Where the workspace keeps things, and cargo and other programs run in it, each announced.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The workspace as `cargo metadata` shows it.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Where cargo builds: `target`, or what `CARGO_TARGET_DIR` or cargo's configuration say.
    pub(crate) target: PathBuf,
    pub(crate) members: Vec<Member>,
}

pub(crate) struct Member {
    pub(crate) package: String,
    pub(crate) folder: PathBuf,
    /// Its library is built as a file of its own (`cdylib`), as only a driver's is.
    pub(crate) is_driver: bool,
}

impl Workspace {
    pub(crate) fn find() -> Result<Self> {
        let output = Command::new(cargo())
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::inherit())
            .output()
            .context("run cargo metadata")?;
        ensure!(output.status.success(), "cargo metadata: {}", output.status);
        Self::parse(&output.stdout).context("read what cargo metadata says")
    }

    fn parse(metadata: &[u8]) -> Result<Self> {
        let metadata: Value = serde_json::from_slice(metadata)?;
        let packages = metadata["packages"].as_array().context("no packages")?;
        Ok(Self {
            root: path(&metadata["workspace_root"])?,
            target: path(&metadata["target_directory"])?,
            members: packages.iter().map(member).collect::<Result<_>>()?,
        })
    }

    /// Where cargo puts a program of ours.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name)
    }

    /// Runs cargo to do `what`; fails when it fails.
    pub(crate) fn cargo(&self, what: &str, arguments: &[&str]) -> Result<()> {
        self.cargo_with(what, arguments, &[])
    }

    /// As [`Self::cargo`], with these environment variables.
    pub(crate) fn cargo_with(&self, what: &str, arguments: &[&str], environment: &[(&str, String)]) -> Result<()> {
        say(&format!("{what}: cargo {}", arguments.join(" ")));
        let status = self
            .command(Path::new(&cargo()))
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .status()
            .context("run cargo")?;
        ensure!(status.success(), "{what}: {status}");
        Ok(())
    }

    /// Runs a program and answers how it ended.
    pub(crate) fn status(&self, program: &Path, arguments: &[&str]) -> Result<ExitStatus> {
        say(&format!("{} {}", program.display(), arguments.join(" ")));
        self.command(program).args(arguments).status().with_context(|| format!("run {}", program.display()))
    }

    /// Runs a program in place of this one; comes back only when that fails.
    pub(crate) fn become_program(&self, program: &Path) -> Result<()> {
        say(&program.display().to_string());
        let failed = self.command(program).exec();
        Err(failed).with_context(|| format!("run {}", program.display()))
    }

    /// In the root, and told where cargo builds: the tests and the demo look for programs and plugins there.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        command
    }
}

/// One line on standard error, so that standard output is what the programs say.
pub(crate) fn say(line: &str) {
    eprintln!("xtask: {line}");
}

/// The cargo that runs us.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

fn member(package: &Value) -> Result<Member> {
    let mut folder = path(&package["manifest_path"])?;
    folder.pop();
    let targets = package["targets"].as_array().context("no targets")?;
    Ok(Member {
        package: package["name"].as_str().context("no name")?.to_owned(),
        folder,
        is_driver: targets
            .iter()
            .filter_map(|target| target["crate_types"].as_array())
            .flatten()
            .any(|kind| kind == "cdylib"),
    })
}

fn path(value: &Value) -> Result<PathBuf> {
    Ok(PathBuf::from(value.as_str().context("no path")?))
}
