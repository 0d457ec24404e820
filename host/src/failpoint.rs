//! Places at which a test lets this process die, as a power cut would: killed by its own hand, nothing unwinds and nothing is flushed.
//!
//! Only with the feature `failpoints`, which is never shipped: a default build has nothing of this file. Two variables of the
//! environment: `MOGANITE_DIE_AT=N` dies at the Nth place that this process reaches, counted from 1; `MOGANITE_DIE_LOG=FILE` gets a
//! line for each place that was reached, and its last line is where it died. What reaches one: `store/writer.rs` around each commit
//! that moves a flow, `driver/egress.rs` around each request that a flow's call sends. `tests/chaos` counts and kills.
//!
//! A third, `MOGANITE_STORE_FAULT=FILE`, names a file whose word spoils the database while it is there: see [`store_fault`].

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::{LazyLock, Mutex, PoisonError};

static REACHED: LazyLock<Mutex<Reached>> = LazyLock::new(|| Mutex::new(Reached::of_environment()));

struct Reached {
    count: u64,
    die_at: Option<u64>,
    log: Option<File>,
}

/// One more place: whose (a driver's name, or `moganite`), when, what. Does not return from the one to die at.
pub(crate) fn reached(whose: &str, when: &str, what: &str) {
    // Held until it is dead, so that nobody gets any further.
    let mut reached = REACHED.lock().unwrap_or_else(PoisonError::into_inner);
    reached.count += 1;
    let count = reached.count;
    if let Some(log) = &mut reached.log {
        // In one piece; a harness without its log says so itself.
        log.write_all(format!("{count}\t{whose}\t{when}\t{what}\n").as_bytes()).ok();
    }
    if reached.die_at == Some(count) {
        die();
    }
}

/// True for a call of a flow; what looks at far sides by itself, now and then, would make every count another.
pub(crate) fn is_of_a_flow(operation: &str) -> bool {
    operation.get(..32).is_some_and(|flow| flow.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The word in the file that `MOGANITE_STORE_FAULT` names, if there is one now: `full`, `read-only`, or another for none.
pub(crate) fn store_fault() -> Option<String> {
    let file = std::env::var_os("MOGANITE_STORE_FAULT")?;
    Some(std::fs::read_to_string(file).unwrap_or_default().trim().to_owned())
}

/// The folders of the files that the environment names: to be kept when others are given up.
pub(crate) fn folders() -> Vec<std::path::PathBuf> {
    let named = ["MOGANITE_DIE_LOG", "MOGANITE_STORE_FAULT"].map(std::env::var_os);
    let files = named.into_iter().flatten().map(std::path::PathBuf::from);
    files.filter_map(|file| file.parent().map(std::path::Path::to_owned)).collect()
}

fn die() -> ! {
    // Cannot fail: it is our own process.
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).ok();
    loop {
        std::thread::park();
    }
}

impl Reached {
    fn of_environment() -> Self {
        let die_at = std::env::var("MOGANITE_DIE_AT").ok().and_then(|at| at.parse().ok());
        let log = std::env::var_os("MOGANITE_DIE_LOG");
        let log = log.and_then(|path| OpenOptions::new().create(true).append(true).open(path).ok());
        Self { count: 0, die_at, log }
    }
}
