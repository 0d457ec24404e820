//! What the gate saw: each exchange of one call, and each request that it denied.
//!
//! An exchange is written down before it is sent, so that a call that was cut has it too.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::driver::bounds::Bounds;
use crate::model::{Cause, Exchange};

/// Denied requests that are kept in words; all are counted.
const DENIALS: usize = 16;

/// What the gate saw in one call. It outlives the call, however that ends.
pub(in super::super) struct Book(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    exchanges: Vec<Exchange>,
    denials: Vec<String>,
    denied: usize,
    /// The call has ended: nothing more goes out.
    closed: bool,
    /// A request waits until the service is no longer frozen.
    held: bool,
    /// Requests that the call may still send.
    left: u32,
    /// Bytes of bodies that it may still send and get.
    out: u64,
    brought: u64,
    /// The first limit that a request ran into.
    over: Option<Cause>,
}

impl Book {
    pub(in super::super) fn limited(bounds: &Bounds) -> Self {
        let Bounds { requests, bytes_out, bytes_in, .. } = *bounds;
        Self(Mutex::new(Pages { left: requests, out: bytes_out, brought: bytes_in, ..Pages::default() }))
    }

    /// The first limit that a request of the call ran into.
    pub(in super::super) fn over(&self) -> Option<Cause> {
        self.pages().over
    }

    /// Kept unless a request ran into another one before.
    pub(super) fn ran_into(&self, limit: Cause) {
        self.pages().over.get_or_insert(limit);
    }

    /// False when the call may not send so many bytes more.
    pub(super) fn sends(&self, bytes: usize) -> bool {
        let mut pages = self.pages();
        let left = pages.out.checked_sub(bytes as u64);
        pages.out = left.unwrap_or(pages.out);
        if left.is_none() {
            pages.over.get_or_insert(Cause::LimitBytesOut);
        }
        left.is_some()
    }

    /// False when the call may not get so many bytes more.
    pub(super) fn gets(&self, bytes: usize) -> bool {
        let mut pages = self.pages();
        let left = pages.brought.checked_sub(bytes as u64);
        pages.brought = left.unwrap_or(0);
        if left.is_none() {
            pages.over.get_or_insert(Cause::LimitBytesIn);
        }
        left.is_some()
    }

    /// Written before anything is sent, so that a call that is cut has it too. None when the call has no request left, or has ended.
    pub(super) fn begin(&self, exchange: Exchange) -> Option<usize> {
        let mut pages = self.pages();
        if pages.closed {
            return None;
        }
        let Some(left) = pages.left.checked_sub(1) else {
            pages.over.get_or_insert(Cause::LimitRequests);
            return None;
        };
        pages.left = left;
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

    /// All exchanges. From then on there is no other: what is left of a call that was cut may still run for a moment.
    pub(in super::super) fn close(&self) -> Vec<Exchange> {
        let mut pages = self.pages();
        pages.closed = true;
        pages.exchanges.clone()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.pages().closed
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sandbox;
    use crate::model::Limits;

    #[test]
    fn what_a_cut_call_still_asks_for_is_neither_sent_nor_written_down() {
        let book = Book::limited(&Bounds::of(&Sandbox::default(), &Limits::default()));
        let exchange = || Exchange {
            at: 1,
            endpoint: "far".into(),
            method: "GET".into(),
            path: "/".into(),
            status: None,
            body_sha256: None,
            bytes: 0,
            took_ms: 0,
        };
        assert_eq!(book.begin(exchange()), Some(0));
        assert_eq!(book.close().len(), 1);
        assert_eq!(book.begin(exchange()), None);
        assert_eq!((book.close().len(), book.is_closed(), book.over()), (1, true, None));
    }
}
