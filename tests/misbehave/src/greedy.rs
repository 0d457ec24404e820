//! Time, memory, stack and log: taken without end.

use crate::case::Act;
use moganite_driver::{Fault, fault};
use serde_json::Value;
use std::hint::black_box;
use std::time::Duration;

pub(crate) const HUGE: usize = 1 << 20;

pub(crate) fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

pub(crate) fn grow() -> ! {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        taken.push(vec![1; HUGE]);
        black_box(&taken);
    }
}

#[allow(clippy::disallowed_methods, reason = "the host's time is what it asks for")]
pub(crate) fn spin_in_host() -> ! {
    loop {
        black_box(std::time::Instant::now());
    }
}

/// How many bytes came.
pub(crate) fn random_flood() -> usize {
    wasi::random(1 << 40)
}

/// How many the host gave before it said no, which ends the call.
pub(crate) fn resource_flood() -> usize {
    wasi::resources(10_000_000)
}

pub(crate) fn output_flood() -> ! {
    use std::io::Write as _;
    let line = "flood ".repeat(10_000);
    loop {
        // What the host does not take is the host's business.
        std::io::stdout().write_all(line.as_bytes()).ok();
        std::io::stderr().write_all(line.as_bytes()).ok();
    }
}

/// Objects in each other, as many as are read at all; then all that calls itself for each: a copy, a comparison, a text.
pub(crate) fn deepest_json() -> Result<usize, Fault> {
    let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let read = |levels: &usize| serde_json::from_str::<Value>(&nested(*levels)).ok();
    let levels = (1..1_000).take_while(|levels| read(levels).is_some()).count();
    let deepest = read(&levels).unwrap_or_default();
    let copy = black_box(&deepest).clone();
    let written = serde_json::to_string(&copy).unwrap_or_default();
    if copy != deepest || written != nested(levels) {
        return Err(fault::broken("what was read is not what was written"));
    }
    Ok(levels)
}

#[cfg(target_arch = "wasm32")]
mod wasi {
    pub(super) fn random(bytes: u64) -> usize {
        wasip2::random::random::get_random_bytes(bytes).len()
    }

    pub(super) fn resources(many: usize) -> usize {
        let held: Vec<_> =
            (0..many).map(|_| wasip2::clocks::monotonic_clock::subscribe_duration(3_600_000_000_000)).collect();
        held.len()
    }
}

/// A native test has no host.
#[cfg(not(target_arch = "wasm32"))]
mod wasi {
    pub(super) fn random(_: u64) -> usize {
        0
    }

    pub(super) fn resources(_: usize) -> usize {
        0
    }
}

#[inline(never)]
pub(crate) fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if depth == 0 { 0 } else { frame[3] + recurse(black_box(depth + 1)) + frame[1] }
}

#[allow(clippy::disallowed_methods, reason = "a driver must never sleep, which is the point")]
pub(crate) fn sleep() -> Act {
    std::thread::sleep(Duration::from_secs(3_600));
    Act::Behave
}

pub(crate) fn log_flood() -> Act {
    let long = "long ".repeat(2_000);
    for line in 0..10_000 {
        moganite_driver::warn!("line {line}\n\u{1b}[31m{{\"level\": \"error\", \"forged\": true}}\r {long}");
    }
    Act::Behave
}
