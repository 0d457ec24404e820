//! Every setting of the service: unit, default, range. Built by `cli/serve.rs`, read by all.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Config {
    /// Database, plugins, compiled files, secrets' key. One `serve` per folder.
    pub state: PathBuf,
    /// Plugin files that `serve` offers at start, beside those in the state folder.
    pub plugins: Option<PathBuf>,
    /// Loopback only, while no token exists.
    pub listen: SocketAddr,
    pub sandbox: Sandbox,
    pub flows: Flows,
}

/// What one call of a driver may use, where a backend's `limits` say nothing. `model/limits.rs` has how far those may go.
#[derive(Debug, Clone)]
pub struct Sandbox {
    /// Calls at once; more wait in line. Each slot reserves address space, and keeps at most 512 KiB once it was used.
    pub slots: u32,
    /// Bytes, of all linear memories of one instance together.
    pub memory: usize,
    /// CPU time of one call, counted in ticks of 2 ms.
    pub cpu: Duration,
    /// Wall time of one call that the manifest says nothing of.
    pub wall: Duration,
    /// The most that a manifest gets.
    pub wall_max: Duration,
    /// Elements of all tables of one instance together.
    pub table_elements: usize,
    /// Bytes that pass between host and guest in one host call.
    pub host_bytes: usize,
    /// Requests, bodies and streams that one call holds at once.
    pub resources: usize,
    /// Random bytes that a call gets at once.
    pub random_bytes: u64,
    /// Headers of one answer.
    pub headers: usize,
    /// Bytes of the headers of one request or answer.
    pub header_bytes: usize,
    /// Lines of log of one call; more are counted.
    pub log_lines: u32,
    /// Until a connection stands; until an answer's first byte, and from one piece of it to the next; a whole exchange.
    pub connect: Duration,
    pub first_byte: Duration,
    pub exchange: Duration,
    /// Requests to one endpoint at once, over all calls: BMCs freeze under more.
    pub at_once: usize,
    /// Requests to one endpoint in a second, over all calls; as many may come at once.
    pub per_second: u32,
    /// Bytes of all bodies that one call sends, and of all that it gets.
    pub bytes_out: u64,
    pub bytes_in: u64,
    /// Requests of one call.
    pub requests: u32,
    /// Bytes of one request's body.
    pub request_body: usize,
    /// Bytes of one answer's body.
    pub response_body: usize,
    /// Bytes of one checkpoint and of one JSON text.
    pub text: usize,
    /// Bytes of a plugin file.
    pub plugin: usize,
    /// Wall time of compiling one plugin in its child process, which stands back for all else and may wait long for a processor. How much of
    /// that it gets, `driver/compile.rs` has.
    pub compile: Duration,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            slots: 64,
            memory: 64 << 20,
            cpu: Duration::from_secs(1),
            wall: Duration::from_secs(30),
            wall_max: Duration::from_secs(300),
            table_elements: 20_000,
            host_bytes: 16 << 20,
            resources: 1024,
            random_bytes: 64 << 10,
            headers: 100,
            header_bytes: 64 << 10,
            log_lines: 64,
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(180),
            exchange: Duration::from_secs(300),
            at_once: 4,
            per_second: 500,
            bytes_out: 4 << 20,
            bytes_in: 64 << 20,
            requests: 64,
            request_body: 256 << 10,
            response_body: 4 << 20,
            text: 64 << 10,
            plugin: 64 << 20,
            compile: Duration::from_secs(1_800),
        }
    }
}

/// How patient flows are.
#[derive(Debug, Clone)]
pub struct Flows {
    /// Task calls at once.
    pub at_once: usize,
    /// Of them to one backend, so that one that does not answer leaves room for the others.
    pub at_once_per_backend: usize,
    /// Wait after the first failed attempt; doubles up to `backoff_max`, of an undo up to `revert_backoff_max`.
    pub backoff: Duration,
    pub backoff_max: Duration,
    pub revert_backoff_max: Duration,
    /// Attempts of an execute before it counts as failed.
    pub attempts: u32,
    /// Attempts of a revert before a person must look: a day and more at the longest back-off.
    pub revert_attempts: u32,
    /// Time for one task in one round and direction, pending included.
    pub deadline: Duration,
    /// Takes the place of every longer wait that a driver asks for; for demonstrations and tests.
    pub longest_wait: Duration,
    /// From one look at the machines of a backend that flows wait for to the next, at the least; four times as long as it took, if that is more.
    pub notice_every: Duration,
    /// How long a flow rests whose wait such a look ends.
    pub shown_wait: Duration,
    /// From one look at the active instances to the next, one list per backend.
    pub observe_every: Duration,
    /// From one sweep of the backends for orphans to the next.
    pub sweep_every: Duration,
}

impl Flows {
    /// Whether the end of a wait may be left to a look at many machines: who wants to be called sooner than that is.
    pub fn is_long(&self, wait: Duration) -> bool {
        wait.min(self.longest_wait) > self.notice_every / 2
    }
}

impl Default for Flows {
    fn default() -> Self {
        Self {
            at_once: 64,
            at_once_per_backend: 16,
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
            revert_backoff_max: Duration::from_secs(600),
            attempts: 8,
            revert_attempts: 160,
            deadline: Duration::from_secs(2 * 3600),
            longest_wait: Duration::from_secs(3600),
            notice_every: Duration::from_millis(1_500),
            shown_wait: Duration::from_secs(300),
            observe_every: Duration::from_secs(60),
            sweep_every: Duration::from_secs(15 * 60),
        }
    }
}
