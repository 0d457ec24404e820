//! Loads components and calls them, in a sandbox that gives them nothing but named HTTP endpoints.
//!
//! A component is compiled once, in a child process, and gets a fresh store for each call. Only this module names
//! wasmtime; only `egress.rs` sends HTTP for a driver. What a driver returns is a claim: shape and size are checked
//! here, ownership in the store. Read `call.rs` next.

mod answer;
mod arguments;
mod binding;
mod bindings;
mod bounds;
mod call;
mod claims;
mod compile;
mod contract;
mod egress;
mod engine;
mod grants;
mod kept;
mod lane;
mod library;
mod limits;
mod load;
mod manifest;
mod plugins;
mod roles;
mod secrets;
mod sessions;
mod tally;
mod text;
mod ticker;
mod trace;
mod weight;

pub use answer::{Answer, DeployOrder, Deployed, Doing, Held, Observed, Page, Pause, PowerWish, Presence};
pub use call::Call;
pub use compile::compile_child;
pub use egress::{Certificate, Reached, Unreached};
pub use manifest::{pack, read as read_manifest};
pub use plugins::{Drivers, OWN_PROGRAM, Plugin, PluginState, Refusal};
pub use roles::{Claimer, Composer, Deployer, Enroller, Prober};
pub use secrets::Vault;
pub use tally::{Denied, Pair};
