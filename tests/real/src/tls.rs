//! HTTPS in front of a plain upstream, with certificates of an authority that the test has made for itself.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::packages::Packages;
use crate::python::{Environment, run};

const CERTIFICATES: &str = include_str!("../ironic/certificates.py");

/// Which certificate the server shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// For 127.0.0.1, of the authority in [`Tls::authority`].
    Good,
    OfAnotherAuthority,
    /// For `ironic.invalid`.
    OfAnotherName,
    /// Two days ago.
    Expired,
}

/// A TLS server on a free port of 127.0.0.1 that passes bytes to and from one upstream. It has a thread of its own and stops when it is
/// dropped.
#[derive(Debug)]
pub struct Tls {
    /// The certificate of the authority, PEM.
    pub authority: String,
    address: SocketAddr,
    _stop_when_dropped: oneshot::Sender<()>,
}

impl Tls {
    /// Starts in front of `upstream`, an origin such as `http://127.0.0.1:6385`. The first start makes a Python environment.
    pub fn start(upstream: &str, shown: Certificate) -> Result<Self> {
        // Fails when somebody has installed a provider before, which serves as well.
        rustls::crypto::ring::default_provider().install_default().ok();
        let environment = Environment::get(Packages::Ironic39)?;
        let folder = TempDir::new()?;
        run(Command::new(environment.python()).args(["-c", CERTIFICATES]).arg(folder.path()))?;
        let name = shown.name();
        let chain = vec![CertificateDer::from_pem_file(folder.path().join(format!("{name}.pem")))?];
        let key = PrivateKeyDer::from_pem_file(folder.path().join(format!("{name}.key")))?;
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen on loopback")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let upstream = upstream.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = serve(listener, TlsAcceptor::from(Arc::new(config)), upstream) => {}
                    _ = stopped => {}
                }
            });
        });
        let authority = fs::read_to_string(folder.path().join("authority.pem"))?;
        Ok(Self { authority, address, _stop_when_dropped: stop })
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

impl Certificate {
    fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::OfAnotherAuthority => "of-another-authority",
            Self::OfAnotherName => "of-another-name",
            Self::Expired => "expired",
        }
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, upstream: String) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, upstream) = (acceptor.clone(), upstream.clone());
        tokio::spawn(async move {
            // A handshake that the client broke off is what some tests want, and there is nobody to tell of the others.
            let mut inside = acceptor.accept(stream).await.ok()?;
            let mut outside = TcpStream::connect(upstream).await.ok()?;
            copy_bidirectional(&mut inside, &mut outside).await.ok()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Server;
    use axum::Router;
    use axum::routing::get;

    #[tokio::test]
    async fn only_the_good_certificate_is_trusted() {
        let upstream = Server::start(Router::new().route("/", get(|| async { "hello" }))).unwrap();
        for (shown, trusted) in [
            (Certificate::Good, true),
            (Certificate::OfAnotherAuthority, false),
            (Certificate::OfAnotherName, false),
            (Certificate::Expired, false),
        ] {
            let tls = Tls::start(&upstream.url(), shown).unwrap();
            let authority = reqwest::Certificate::from_pem(tls.authority.as_bytes()).unwrap();
            let client = reqwest::Client::builder().no_proxy().tls_certs_only([authority]).build().unwrap();
            let answer = client.get(tls.url()).send().await;
            assert_eq!(answer.is_ok(), trusted, "{shown:?}: {answer:?}");
        }
    }
}
