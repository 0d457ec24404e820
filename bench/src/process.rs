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
