//! What this crate needs of HTTP: a client for loopback and a small server that outlives the runtime of a test.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use anyhow::{Context, Result};
use axum::Router;
use tokio::sync::oneshot;

/// A client that goes straight to loopback: no proxy, no redirect followed, no connection kept.
///
/// No connection is kept because one client may serve tests that each have a runtime of their own, and a kept
/// connection dies with the runtime that made it.
pub fn client() -> Result<reqwest::Client> {
    // Fails when somebody has installed a provider before, which serves as well.
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .build()
        .context("make an HTTP client")
}

/// A server on a free port of 127.0.0.1, in a thread of its own; dropping it stops it.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    _stop_when_dropped: oneshot::Sender<()>,
}

impl Server {
    pub(crate) fn start(router: Router) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen on loopback")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("make a runtime for a server")?;
        thread::spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
                    return;
                };
                tokio::select! {
                    _ = axum::serve(listener, router) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { address, _stop_when_dropped: stop })
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
