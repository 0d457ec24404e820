//! moganite: one service in front of all of an operator's bare metal.

pub mod model;
