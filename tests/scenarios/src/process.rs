//! Programs of this workspace, started as children and ended by pid. What they say is written down to its end.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, PipeReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::oneshot;

/// A program that cargo built into the folder that this one stands in, or above it.
pub fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folders = own.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built: `cargo xtask test` and `cargo xtask demo` build it first"))
}

/// Ends with this value: killed when it is dropped, and by itself when its standard input closes.
pub(crate) struct Process {
    pub(crate) child: Child,
    first: Option<oneshot::Receiver<String>>,
    reader: Option<JoinHandle<io::Result<()>>>,
    _stdin: Option<ChildStdin>,
}

impl Process {
    /// What it says on standard error is appended to `log`, what it says on standard output to [`said_beside`] it.
    pub(crate) fn spawn(
        program: &Path,
        arguments: &[String],
        environment: &[(&str, String)],
        log: &Path,
    ) -> Result<Self> {
        let open = |path: &Path| OpenOptions::new().create(true).append(true).open(path);
        let (said, its_end) = io::pipe()?;
        let mut child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(its_end)
            .stderr(open(log)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let stdin = child.stdin.take();
        let (tell, first) = oneshot::channel();
        let file = open(&said_beside(log))?;
        // A thread and no task: it goes on while whoever drops this waits for it.
        let reader = std::thread::spawn(move || write_down(said, file, tell));
        Ok(Self { _stdin: stdin, child, first: Some(first), reader: Some(reader) })
    }

    /// Its first line, once.
    pub(crate) async fn line(&mut self) -> Result<String> {
        let first = self.first.take().context("its first line was read before")?;
        first.await.context("the program ended before it was ready")
    }

    /// As a power cut would. Then all that it ever said is written down.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.child.kill().await?;
        self.heard_out();
        Ok(())
    }

    /// Nothing more comes once the process is dead, so this does not wait for long.
    fn heard_out(&mut self) {
        if let Some(reader) = self.reader.take() {
            // What could not be written down is missed by whoever looks for it.
            reader.join().ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails when it has ended already.
        self.child.start_kill().ok();
        self.heard_out();
    }
}

/// Where the standard output of a program with this log stands.
pub(crate) fn said_beside(log: &Path) -> PathBuf {
    log.with_extension("out")
}

/// The first line is for who waits for it; the rest is nobody's until somebody looks for a secret in it.
fn write_down(said: PipeReader, mut file: File, first: oneshot::Sender<String>) -> io::Result<()> {
    let (mut said, mut line) = (BufReader::new(said), String::new());
    if said.read_line(&mut line)? == 0 {
        return Ok(());
    }
    file.write_all(line.as_bytes())?;
    // Whoever waited may have gone.
    first.send(line.trim_end().to_owned()).ok();
    io::copy(&mut said, &mut file).map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use canary::{Canaries, Watch};

    use super::*;

    #[tokio::test]
    async fn what_a_program_says_after_its_first_line_is_looked_through_to_its_end() {
        for (place, script) in [
            ("program.out", "echo ready; cat; echo canary-0815"),
            ("program.log", "echo ready; cat; echo canary-0815 >&2"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let log = folder.path().join("program.log");
            let words = ["-c".to_owned(), script.to_owned()];
            let mut program = Process::spawn(Path::new("/bin/sh"), &words, &[], &log).unwrap();
            assert_eq!(program.line().await.unwrap(), "ready");
            let canaries = Arc::new(Canaries::of(&[("the secret", "canary-0815")]));
            let watch = Watch { canaries: canaries.clone(), over: vec![folder.path().to_owned()] };
            // It says the rest once its input ends.
            program._stdin.take();
            program.child.wait().await.unwrap();
            drop(program);
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(watch))).unwrap_err();
            let said = ended.downcast::<String>().unwrap();
            assert!(said.contains(place), "{said}");
        }
    }
}
