//! What the kernel says of this process and of the machine.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

/// Seconds of CPU that all threads of this process used.
pub(crate) fn cpu() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// MiB of memory, now (`VmRSS`) or at most (`VmHWM`); 0 where there is no /proc.
pub(crate) fn memory(line: &str) -> f64 {
    number("/proc/self/status", line) / 1024.0
}

/// The same of another process.
#[cfg(feature = "life")]
pub(crate) fn memory_of(pid: u32, line: &str) -> f64 {
    number(&format!("/proc/{pid}/status"), line) / 1024.0
}

/// What each thread of another process used so far, in seconds of CPU. What a thread used that has ended since is lost.
#[cfg(feature = "life")]
#[derive(Debug, Default)]
pub(crate) struct Used(std::collections::BTreeMap<std::ffi::OsString, f64>);

#[cfg(feature = "life")]
impl Used {
    /// Empty where there is no /proc.
    pub(crate) fn by(pid: u32) -> Self {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let used = threads.filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            let nanoseconds: f64 = text.split_whitespace().next()?.parse().ok()?;
            Some((thread.file_name(), nanoseconds / 1e9))
        });
        Self(used.collect())
    }

    /// Seconds of CPU from that moment to this one.
    pub(crate) fn since(&self, before: &Self) -> f64 {
        self.0.iter().map(|(thread, used)| used - before.0.get(thread).copied().unwrap_or_default()).sum()
    }
}

/// Bytes that this process gave to `write` since it began.
pub(crate) fn written() -> f64 {
    number("/proc/self/io", "wchar")
}

/// Microseconds in which somebody waited for a core, since the machine began.
pub(crate) fn pressure() -> f64 {
    let text = fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    let some = text.lines().find(|line| line.starts_with("some")).unwrap_or_default();
    some.rsplit('=').next().and_then(|total| total.parse().ok()).unwrap_or_default()
}

/// The first number after `name:`.
fn number(file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim_start_matches(':').split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or_default()
}

/// As `kill -9` would: nothing is closed, nothing is flushed.
pub(crate) fn die() -> ! {
    let me = rustix::process::getpid();
    rustix::process::kill_process(me, rustix::process::Signal::KILL).ok();
    std::process::abort()
}
