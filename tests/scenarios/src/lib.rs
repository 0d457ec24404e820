//! The real binary, the real components and the simulators, started on free loopback ports.
//!
//! [`Stack`] is all of it together; [`Sim`] and [`Service`] are its halves. What a test asks about the end it asks of the simulator's
//! own ledger, never of a driver. `tests/` has the scenarios, `demo.rs` the ones that are shown.

mod backup;
mod clock;
mod compiled;
mod held;
mod http;
mod more;
mod plugin;
mod preset;
mod process;
mod service;
mod sim;
mod stack;
mod state;

pub use clock::{pause, stopwatch, until};
pub use held::Position;
pub use http::{Answer, Http};
pub use plugin::{for_tests, repacked, repacked_for_tests, repacked_with};
pub use process::binary;
pub use service::{Patience, Program, Service};
pub use sim::Sim;
pub use stack::{BMC_PASSWORD, Elsewhere, Options, Stack};
pub use state::{fingerprints, poured, replace_everywhere, unpacked};

/// Where `cargo xtask plugins` puts the packed drivers.
pub fn plugins() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins")
}
