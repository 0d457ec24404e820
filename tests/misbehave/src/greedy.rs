//! Time, memory, stack and log: taken without end.

use crate::case::Act;
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
