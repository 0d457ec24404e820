//! The ports that the programs of a run listen on.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Error, Result};

/// What each of the programs says when it finds its port taken.
pub(crate) const TAKEN: &str = "Address already in use";

/// Where the programs will listen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) ironic: u16,
    pub(crate) redfish: u16,
    /// Of nobody, without Keystone.
    pub(crate) keystone: u16,
}

impl Ports {
    /// Three ports that nobody listens on now. Each program listens seconds later, and until then another one of the machine may
    /// take its port: [`were_taken`].
    pub(crate) fn free() -> Result<Self> {
        Ok(Self { ironic: free_port()?, redfish: free_port()?, keystone: free_port()? })
    }
}

/// Whether a start failed because somebody else listens on a port of it by now.
pub(crate) fn were_taken(error: &Error) -> bool {
    format!("{error:#}").contains(TAKEN)
}

/// A free port of loopback, below those that Linux gives out by itself (32,768 and up), so that no connection takes it.
fn free_port() -> Result<u16> {
    let begin = RandomState::new().hash_one(0) % 12_000;
    (0..12_000)
        .filter_map(|i| u16::try_from(20_000 + (begin + i) % 12_000).ok())
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("no free port from 20,000 to 31,999")
}
