//! Programs on a leash: each is the leader of a process group that ends with us, however we end.
//!
//! Three things see to that. Dropping a [`Process`] kills its group. When we are killed, `leash.py` in the program finds
//! its standard input closed and kills the group. When it could not, the file `NAME.pid` lets the next start do it,
//! once pid and start time agree (`folder.rs`).

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::ports;

/// A running program. Its output is in `NAME.out`, its pid and start time are in `NAME.pid`.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Starts `command` with the folder as its home and with nothing of our environment but `PATH`.
    pub(crate) fn start(name: &'static str, folder: &Path, command: &mut Command) -> Result<Self> {
        let out = File::create(folder.join(format!("{name}.out")))?;
        let child = command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            .env("LANG", "C.UTF-8")
            .env("TMPDIR", folder.join("tmp"))
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let process = Self { name, child };
        let pid = process.child.id();
        let started = start_time(pid).with_context(|| format!("{name} has just ended"))?;
        fs::write(folder.join(format!("{name}.pid")), format!("{pid} {started}"))?;
        Ok(process)
    }

    /// Fails when the program has ended or cannot have its port, with what it said last. (Ironic tries for the port for ever.)
    pub(crate) fn check(&self, folder: &Path) -> Result<()> {
        let said = tail(&folder.join(format!("{}.out", self.name)), 20);
        ensure!(start_time(self.child.id()).is_some(), "{} ended:\n{said}", self.name);
        ensure!(!said.contains(ports::TAKEN), "{} cannot start:\n{said}", self.name);
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(group) = Pid::from_raw(self.child.id().cast_signed()) {
            // Fails when the group has ended already.
            kill_process_group(group, Signal::KILL).ok();
        }
        // Fails when it was waited for already.
        self.child.wait().ok();
    }
}

/// Kills the group of the process that a pid file names, unless its pid belongs to another process by now.
pub(crate) fn kill_left_over(pid_file: &Path) {
    if let Some(pid) = named_and_alive(pid_file)
        && let Some(group) = Pid::from_raw(pid.cast_signed())
    {
        // Fails when the group has ended in this very moment.
        kill_process_group(group, Signal::KILL).ok();
    }
}

/// The pid in a file `PID START_TIME`, when that very process is alive.
pub(crate) fn named_and_alive(pid_file: &Path) -> Option<u32> {
    let text = fs::read_to_string(pid_file).ok()?;
    let (pid, started) = text.trim().split_once(' ')?;
    let pid = pid.parse().ok()?;
    (start_time(pid)?.to_string() == started).then_some(pid)
}

/// When the process was started, in clock ticks since boot; none when it has ended. Source: proc(5), field 22 of stat.
pub(crate) fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name, in parentheses, and may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn tail(file: &Path, lines: usize) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let skip = text.lines().count().saturating_sub(lines);
    text.lines().skip(skip).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::find_python;
    use std::os::unix::process::ExitStatusExt;
    use tempfile::TempDir;

    const SLEEPER: &str = "import os, time\nos.fork()\ntime.sleep(600)\n";

    fn leashed_sleeper(folder: &Path) -> Process {
        let (python, _) = find_python().unwrap();
        let leash = concat!(env!("CARGO_MANIFEST_DIR"), "/ironic/leash.py");
        let program = folder.join("sleeper.py");
        fs::write(&program, SLEEPER).unwrap();
        let mut command = Command::new(python);
        Process::start("sleeper", folder, command.arg(leash).arg(program)).unwrap()
    }

    #[test]
    fn a_program_whose_starter_is_gone_ends_by_itself() {
        let folder = TempDir::new().unwrap();
        let mut sleeper = leashed_sleeper(folder.path());
        sleeper.check(folder.path()).unwrap();

        // What the kernel does when we are killed.
        drop(sleeper.child.stdin.take());

        assert_eq!(sleeper.child.wait().unwrap().signal(), Some(9));
    }

    #[test]
    fn an_ended_program_is_reported_with_its_last_words() {
        let folder = TempDir::new().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "read wait; echo no port"]);
        let mut program = Process::start("program", folder.path(), &mut command).unwrap();
        drop(program.child.stdin.take());
        program.child.wait().unwrap();

        let error = program.check(folder.path()).unwrap_err().to_string();

        assert!(error.contains("program ended") && error.contains("no port"), "{error}");
    }

    #[test]
    fn a_pid_file_of_another_start_time_names_nobody() {
        let folder = TempDir::new().unwrap();
        let sleeper = leashed_sleeper(folder.path());
        let file = folder.path().join("sleeper.pid");
        assert_eq!(named_and_alive(&file), Some(sleeper.child.id()));

        fs::write(&file, format!("{} 1", sleeper.child.id())).unwrap();

        assert_eq!(named_and_alive(&file), None);
    }
}
