//! The API as its callers see it: over HTTP, on a service in this process whose clock and flows stand still.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod adopt;
mod backends;
mod backup;
mod bad_input;
mod credentials;
mod document;
mod events;
mod instances;
mod networks;
mod plugins;
mod projects;
mod quarantine;
mod quotas;
mod server;
mod sweep;
mod tenants;
mod verbs;
