//! What the gate saw: each exchange of one call, and each request that it denied.
//!
//! An exchange is written down before it is sent, so that a call that was cut has it too.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::model::Exchange;

/// Denied requests that are kept in words; all are counted.
const DENIALS: usize = 16;

/// What the gate saw in one call. It outlives the call, however that ends.
pub(in super::super) struct Book(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    exchanges: Vec<Exchange>,
    denials: Vec<String>,
    denied: usize,
    /// A request waits until the service is no longer frozen.
    held: bool,
    /// Requests that the call may still send.
    left: u32,
}

impl Book {
    pub(in super::super) fn limited(requests: u32) -> Self {
        Self(Mutex::new(Pages { left: requests, ..Pages::default() }))
    }

    /// Written before anything is sent, so that a call that is cut has it too. None when the call has no request left.
    pub(super) fn begin(&self, exchange: Exchange) -> Option<usize> {
        let mut pages = self.pages();
        pages.left = pages.left.checked_sub(1)?;
        pages.exchanges.push(exchange);
        Some(pages.exchanges.len() - 1)
    }

    pub(super) fn answered(&self, entry: usize, status: u16) {
        if let Some(exchange) = self.pages().exchanges.get_mut(entry) {
            exchange.status = Some(status);
        }
    }

    pub(super) fn read(&self, entry: usize, body: &[u8], bytes: usize, took: i64) {
        let hash = Sha256::digest(body).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        if let Some(exchange) = self.pages().exchanges.get_mut(entry) {
            exchange.body_sha256 = Some(hash);
            exchange.bytes = bytes as u64;
            exchange.took_ms = u64::try_from(took).unwrap_or(0);
        }
    }

    pub(super) fn hold(&self) {
        self.pages().held = true;
    }

    /// Whether a request was held back since the service is frozen.
    pub(in super::super) fn has_held(&self) -> bool {
        self.pages().held
    }

    pub(super) fn deny(&self, what: String) {
        let mut pages = self.pages();
        pages.denied += 1;
        if pages.denials.len() < DENIALS {
            pages.denials.push(what);
        }
    }

    pub(in super::super) fn exchanges(&self) -> Vec<Exchange> {
        self.pages().exchanges.clone()
    }

    /// How many were denied, and the first of them.
    pub(in super::super) fn denied(&self) -> Option<(usize, String)> {
        let pages = self.pages();
        pages.denials.first().map(|first| (pages.denied, first.clone()))
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
