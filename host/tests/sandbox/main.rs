//! The promises of the sandbox, each kept against a component that tries to break it: `tests/misbehave`.
//!
//! Needs the packed components of `cargo xtask plugins`, and says so when they are missing.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bounds;
#[path = "../shared/compiled.rs"]
mod compiled;
mod gate;
mod limits;
mod plugins;
mod rig;
mod sessions;
