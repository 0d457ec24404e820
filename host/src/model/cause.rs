//! What ended a driver's call, in one word that stays the same: for faults, timelines and metrics.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a call brought no answer that counts. A fault that the driver says of its own has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    LimitCpu,
    LimitWall,
    LimitMemory,
    LimitTables,
    /// Bytes between host and guest in one host call.
    LimitHostBytes,
    /// Requests, bodies and streams held at once.
    LimitResources,
    /// Random bytes asked for at once.
    LimitRandomBytes,
    /// More headers in an answer than it may have, or more bytes of them than anybody's may have.
    LimitHeaders,
    /// Of one request or answer, as the next two.
    LimitHeaderBytes,
    LimitRequestBytes,
    LimitAnswerBytes,
    LimitRequests,
    LimitBytesOut,
    LimitBytesIn,
    /// The far side took no connection in time, brought no further byte in time, or no whole answer.
    LimitConnect,
    LimitFirstByte,
    LimitExchange,
    /// It crashed: a panic, an access out of bounds, no more stack.
    Trap,
    /// It ended itself.
    Exit,
    /// A request of it was denied, and it gave up.
    Denied,
    /// A request waits until the service is no longer frozen.
    Held,
    /// A person stopped its plugin.
    Stopped,
    /// The answer is out of shape or bounds.
    BadClaim,
    /// Done, without the exchange that proves it.
    NoProof,
    /// No room for one more instance.
    NoRoom,
    /// Something else of the host's.
    Host,
}

impl Cause {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LimitCpu => "limit-cpu",
            Self::LimitWall => "limit-wall",
            Self::LimitMemory => "limit-memory",
            Self::LimitTables => "limit-tables",
            Self::LimitHostBytes => "limit-host-bytes",
            Self::LimitResources => "limit-resources",
            Self::LimitRandomBytes => "limit-random-bytes",
            Self::LimitHeaders => "limit-headers",
            Self::LimitHeaderBytes => "limit-header-bytes",
            Self::LimitRequestBytes => "limit-request-bytes",
            Self::LimitAnswerBytes => "limit-answer-bytes",
            Self::LimitRequests => "limit-requests",
            Self::LimitBytesOut => "limit-bytes-out",
            Self::LimitBytesIn => "limit-bytes-in",
            Self::LimitConnect => "limit-connect",
            Self::LimitFirstByte => "limit-first-byte",
            Self::LimitExchange => "limit-exchange",
            Self::Trap => "trap",
            Self::Exit => "exit",
            Self::Denied => "denied",
            Self::Held => "held",
            Self::Stopped => "stopped",
            Self::BadClaim => "bad-claim",
            Self::NoProof => "no-proof",
            Self::NoRoom => "no-room",
            Self::Host => "host",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
