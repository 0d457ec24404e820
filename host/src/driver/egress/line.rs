//! A far side as the operator bound it: one HTTP client per URL, trusted certificates and pace, and how many requests at
//! once and in a second.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::redirect;
use tokio::sync::Semaphore;
use wasmtime_wasi_http::Error;

use super::address::{Names, Prohibited, Vetting};
use super::bucket::Bucket;
use super::pin::pinned;
use super::url::Base;
use crate::driver::bounds::Pace;
use crate::driver::text;
use crate::model::{Endpoint, Tls};

/// A far side as one operator's binding has it: where, and how many at once. Shared by all calls to it.
pub(in super::super) struct Line {
    pub(super) base: Base,
    pub(super) client: reqwest::Client,
    pub(super) turns: Semaphore,
    pub(super) bucket: Bucket,
}

/// The lines that are open, by URL, trusted certificates and pace.
#[derive(Default)]
pub(in super::super) struct Lines {
    open: Mutex<HashMap<Key, Arc<Line>>>,
    names: Names,
}

/// URL, certificates in PEM, the pinned one, pace.
type Key = (String, Option<String>, Option<String>, Pace);

impl Lines {
    /// The error says what is wrong with the binding.
    pub(in super::super) fn line(&self, endpoint: &Endpoint, pace: Pace) -> Result<Arc<Line>, String> {
        let mut lines = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Tls { ca, pin } = endpoint.tls.clone();
        let key = (endpoint.url.clone(), ca, pin, pace);
        if let Some(line) = lines.get(&key) {
            return Ok(line.clone());
        }
        let base = Base::parse(&endpoint.url)?;
        let client = builder(&base, &endpoint.tls, self.names.clone())?
            .connect_timeout(pace.connect)
            .read_timeout(pace.first_byte)
            .http1_max_headers(pace.headers)
            .pool_max_idle_per_host(pace.at_once)
            .build();
        let client = client.map_err(|error| format!("no HTTP client for this endpoint: {}", chain(&error)))?;
        let (turns, bucket) = (Semaphore::new(pace.at_once.max(1)), Bucket::of(pace.per_second));
        let line = Arc::new(Line { base, client, turns, bucket });
        lines.insert(key, line.clone());
        Ok(line)
    }
}

/// Without redirects and proxies, which would walk around the binding; every address vetted; the operator's own
/// certificates in place of the system's where there are some.
pub(super) fn builder(base: &Base, tls: &Tls, names: Names) -> Result<reqwest::ClientBuilder, String> {
    let mut builder = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .retry(reqwest::retry::never())
        .dns_resolver(Vetting { loopback: base.is_loopback(), names });
    if let Some(config) = pinned(tls)? {
        builder = builder.tls_backend_preconfigured(config);
    } else if let Some(pem) = &tls.ca {
        builder = builder.tls_certs_only(certificates(pem)?);
    } else if !base.is_https() {
        // Nothing to trust, so the system's store is not read.
        builder = builder.tls_certs_only([]);
    }
    Ok(builder)
}

/// At least one certificate in PEM.
pub(in super::super) fn certificates(pem: &str) -> Result<Vec<reqwest::Certificate>, String> {
    let found = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).unwrap_or_default();
    if found.is_empty() { Err("tls.ca holds no certificate in PEM".into()) } else { Ok(found) }
}

/// What the guest may know of a failed exchange. The reason in full is for the operator's log: it names hosts.
pub(super) fn failure(endpoint: &str, error: &reqwest::Error) -> Error {
    let why = chain(error);
    tracing::warn!(target: "gate", endpoint, why = text::plain(&why, 500), "an exchange failed");
    let sources = || sources(error);
    let io = || sources().filter_map(|source| source.downcast_ref::<std::io::Error>());
    if error.is_timeout() && error.is_connect() {
        Error::ConnectionTimeout
    } else if error.is_timeout() {
        Error::HttpResponseTimeout
    } else if sources().filter_map(|source| source.downcast_ref::<hyper::Error>()).any(hyper::Error::is_parse_too_large)
    {
        Error::HttpResponseHeaderSectionSize(None)
    } else if sources().any(|source| source.is::<Prohibited>()) {
        Error::DestinationIpProhibited
    } else if io().any(is_tls) {
        Error::TlsCertificateError
    } else if io().any(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
        Error::ConnectionRefused
    } else if error.is_connect() {
        Error::DestinationUnavailable
    } else if error.is_body() || error.is_decode() {
        Error::HttpResponseIncomplete
    } else {
        Error::ConnectionTerminated
    }
}

/// An error of the handshake, wrapped once or twice.
pub(super) fn is_tls(error: &std::io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<rustls::Error>() || inner.downcast_ref::<std::io::Error>().is_some_and(is_tls))
}

/// Without the error itself, which names the URL.
pub(super) fn chain(error: &reqwest::Error) -> String {
    sources(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

pub(super) fn sources<'e>(error: &'e reqwest::Error) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(error.source(), |error: &&'e (dyn StdError + 'static)| (*error).source())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::Sandbox;
    use crate::driver::bounds::Bounds;
    use crate::model::{Auth, Limits};

    fn pace() -> Pace {
        Bounds::of(&Sandbox::default(), &Limits::default()).pace
    }

    fn bound(url: &str) -> Result<Arc<Line>, String> {
        rustls::crypto::ring::default_provider().install_default().ok();
        Lines::default().line(&Endpoint { url: url.into(), auth: Auth::None, tls: Tls::default() }, pace())
    }

    async fn failed(url: &str) -> Error {
        let line = bound(url).unwrap();
        let error = line.client.get(line.base.join("/", None).unwrap()).send().await.unwrap_err();
        failure("far", &error)
    }

    #[tokio::test]
    async fn a_failed_connection_says_how_and_not_where() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(matches!(failed(&format!("http://{closed}")).await, Error::ConnectionRefused));
        assert!(matches!(failed("http://no-such-name.invalid").await, Error::DestinationUnavailable));
        // Speaks no TLS: the handshake fails, whatever is trusted.
        let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = plain.local_addr().unwrap().port();
        std::thread::spawn(move || {
            use std::io::Write as _;
            let (mut stream, _) = plain.accept().unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        });
        let error = failed(&format!("https://127.0.0.1:{port}")).await;
        assert!(matches!(error, Error::TlsCertificateError), "{error:?}");
    }

    /// A line to a name of the operator's that leads to one of these after the other.
    fn named(url: &str, turns: &[&str]) -> Arc<Line> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let told = turns.iter().map(|ip| ip.parse().unwrap()).collect();
        let lines = Lines { names: Names::Told(Arc::new(Mutex::new(told))), ..Lines::default() };
        let endpoint = Endpoint { url: url.into(), auth: Auth::None, tls: Tls::default() };
        lines.line(&endpoint, Pace { connect: std::time::Duration::from_millis(100), ..pace() }).unwrap()
    }

    async fn asked(line: &Line) -> Result<u16, Error> {
        let answer = line.client.get(line.base.join("/", None).unwrap()).send().await;
        answer.map(|answer| answer.status().as_u16()).map_err(|error| failure("far", &error))
    }

    #[tokio::test]
    async fn a_name_that_turns_to_this_host_or_to_metadata_is_refused_at_the_connection() {
        // Answers once and closes: whoever asks again connects again.
        let here = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = here.local_addr().unwrap().port();
        let answering = here.try_clone().unwrap();
        let answered = std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            let (mut stream, _) = answering.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
        });
        let own = named(&format!("http://localhost:{port}"), &["127.0.0.1", "169.254.169.254", "127.0.0.1"]);
        assert_eq!(asked(&own).await.unwrap(), 204);
        answered.join().unwrap();
        assert!(matches!(asked(&own).await, Err(Error::DestinationIpProhibited)), "metadata");

        // A documentation address: nobody is there, and that is all that is wrong with it.
        let far = named(&format!("http://pod.example:{port}"), &["192.0.2.1", "127.0.0.1", "169.254.169.254", "::1"]);
        let first = asked(&far).await.unwrap_err();
        assert!(!matches!(first, Error::DestinationIpProhibited), "{first:?}");
        for turned in ["this host", "metadata", "this host by its other address"] {
            assert!(matches!(asked(&far).await, Err(Error::DestinationIpProhibited)), "{turned}");
        }
        here.set_nonblocking(true).unwrap();
        assert!(here.accept().is_err(), "it was connected to");
    }

    #[tokio::test]
    async fn a_line_is_opened_once() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let lines = Lines::default();
        let endpoint = Endpoint { url: "http://127.0.0.1:1".into(), auth: Auth::None, tls: Tls::default() };
        let line = || lines.line(&endpoint, pace()).unwrap();
        assert!(Arc::ptr_eq(&line(), &line()));
        let slower = Pace { at_once: 1, ..pace() };
        assert!(!Arc::ptr_eq(&line(), &lines.line(&endpoint, slower).unwrap()));
    }
}
