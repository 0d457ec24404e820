//! What stands between a driver that a test calls natively and a far side that listens: `host` calls a verb until it ends, `wire` is a
//! very small HTTP client, `sims` starts the simulators and sets their switches. Each driver's tests add what they say to it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's own tool: what does not work ends the test")]

mod host;
mod sims;
mod wire;

pub use host::{Did, Ends, Host, Trail};
pub use sims::{Sims, Wrong};
pub use wire::send;
