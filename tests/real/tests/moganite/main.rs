//! The whole of moganite on a real Ironic: what runs here is what an operator runs, but for the pod manager.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod main_job;
mod preset;
mod world;
