//! The faces over real connections: what their contracts quote, and what each switch does to them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bench;
mod cloudboot;
mod composition;
mod faults;
mod ironic_api;
mod ironic_faults;
mod ironic_records;
mod ironic_states;
mod life;
mod podm;
mod process;
mod valence;
