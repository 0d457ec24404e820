//! A real Ironic and a real Redfish emulator on free loopback ports, for the end-to-end tests.
//!
//! [`RealIronic::start`] makes the Python environment on first use (`python.rs`), writes the settings into a folder of
//! its own (`settings.rs`, `folder.rs`), starts both programs on a leash (`process.rs`) and waits until they answer. [`Tap`] stands in
//! front of any and keeps what was sent, [`Tls`] makes HTTPS of it, and a [`Keystone`] is started where it is asked for. The Python side, with the pinned packages, is in `ironic/`.
//! `cargo xtask test --real` runs this crate's tests; `cargo xtask test` does not, as they need Python and PyPI.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod boot_iso;
mod clock;
mod folder;
mod http;
mod keystone;
mod options;
mod packages;
mod ports;
mod process;
mod python;
mod real_ironic;
mod settings;
mod tap;
mod tls;

pub use clock::until;
pub use http::client;
pub use keystone::{ApplicationCredential, Keystone};
pub use options::{Auth, Options, Release};
pub use real_ironic::RealIronic;
pub use tap::{Exchange, Tap};
pub use tls::{Certificate, Tls};
