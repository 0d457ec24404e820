//! The driver against the project's simulator, without the sandbox. `far.rs` is the way between the two; each other module is a role or a
//! promise.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod adopt;
mod claim;
mod erase;
mod far;
