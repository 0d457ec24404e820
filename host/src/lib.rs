//! moganite: one service in front of all of an operator's bare metal.
//!
//! Read the modules in this order, bottom layer first. `model` is data and rules without IO. `archive` is the form of a
//! backup's file. `store` is the only SQL. `flow` runs durable lists of tasks and knows no driver; `driver` loads and calls
//! sandboxed components and knows no flow. `lifecycle` joins the two: what happens to an instance. `api` is HTTP in and out,
//! `cli` the command line. Imports point down this list, never up; `tests/layers.rs` holds them to it. The feature `service`,
//! on by default, is `driver` and all above.

#![cfg_attr(not(feature = "service"), expect(dead_code, reason = "only the service asks for it"))]

#[cfg(feature = "service")]
pub mod api;
#[cfg(feature = "service")]
pub mod archive;
#[cfg(feature = "service")]
pub mod cli;
pub mod clock;
pub mod config;
#[cfg(feature = "service")]
pub mod driver;
#[cfg(feature = "failpoints")]
mod failpoint;
pub mod flow;
#[cfg(feature = "service")]
mod folder;
#[cfg(feature = "service")]
mod harden;
#[cfg(feature = "service")]
pub mod lifecycle;
pub mod model;
pub mod seal;
pub mod store;
#[cfg(not(any(test, feature = "testing")))]
#[expect(dead_code, unreachable_pub, reason = "a test alone takes protections away")]
mod switch;
#[cfg(any(test, feature = "testing"))]
pub mod switch;
