//! A boot ISO that can be downloaded, which is all that the emulator does with it; no machine boots from it.

use anyhow::Result;
use axum::Router;
use axum::routing::get;
use bytes::Bytes;

use crate::http::Server;

const SECTOR: usize = 2048;

/// Serves the ISO for as long as it lives.
#[derive(Debug)]
pub(crate) struct BootIso {
    server: Server,
}

impl BootIso {
    pub(crate) fn start() -> Result<Self> {
        let iso = Bytes::from(empty_iso());
        let router = Router::new().route("/boot.iso", get(|| async move { iso }));
        Ok(Self { server: Server::start(router)? })
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/boot.iso", self.server.url())
    }
}

/// Sixteen empty sectors, then the primary volume descriptor and the end of the list (ECMA-119, 8.4 and 8.3).
fn empty_iso() -> Vec<u8> {
    let mut iso = vec![0; 18 * SECTOR];
    iso[16 * SECTOR..16 * SECTOR + 7].copy_from_slice(b"\x01CD001\x01");
    iso[17 * SECTOR..17 * SECTOR + 7].copy_from_slice(b"\xffCD001\x01");
    iso
}
