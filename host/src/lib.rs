//! moganite: one service in front of all of an operator's bare metal.

pub mod clock;
pub mod config;
pub mod flow;
pub mod model;
pub mod store;
