//! Whether an endpoint answers at all: one request without a driver and without credentials, for an operator who binds it.

use std::net::SocketAddr;
use std::time::Duration;

use http::header;
use reqwest::tls::TlsInfo;

use super::address::{Names, Prohibited};
use super::certificate::Certificate;
use super::line::{self, chain, is_tls, sources};
use super::url::Base;
use crate::clock::Clock;
use crate::model::Endpoint;

/// From the first packet to the answer's head.
const WITHIN: Duration = Duration::from_secs(10);

/// What the answer showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Any will do: without credentials most far sides refuse.
    pub status: u16,
    pub address: Option<SocketAddr>,
    pub took_ms: u64,
    /// None for http.
    pub certificate: Option<Certificate>,
    /// How far its clock is ahead of ours, by the answer's Date, which has whole seconds. Unit: milliseconds.
    pub ahead_ms: Option<i64>,
}

/// How far it came, each with the reason in full: it is for the operator, who wrote the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    #[error("{0}")]
    Binding(String),
    #[error("the name leads to no address: {0}")]
    Name(String),
    #[error("{0}")]
    Prohibited(String),
    #[error("no connection: {0}")]
    Connection(String),
    #[error("the certificate is not taken: {0}")]
    Certificate(String),
    #[error("no answer: {0}")]
    Answer(String),
}

/// `GET` of the bound URL itself.
pub(in super::super) async fn reach(endpoint: &Endpoint, clock: &Clock) -> Result<Reached, Unreached> {
    let base = Base::parse(&endpoint.url).map_err(Unreached::Binding)?;
    let url = base.join("/", None).map_err(Unreached::Binding)?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let found = tokio::net::lookup_host((host.as_str(), 0)).await;
    let mut found = found.map_err(|error| Unreached::Name(error.to_string()))?.peekable();
    if found.peek().is_none() {
        return Err(Unreached::Name(format!("{host} has none")));
    }
    let client = line::builder(&base, &endpoint.tls, Names::default()).map_err(Unreached::Binding)?;
    let client = client.tls_info(true).connect_timeout(WITHIN).timeout(WITHIN).build();
    let client = client.map_err(|error| Unreached::Binding(chain(&error)))?;
    let began = clock.now();
    let answer = client.get(url).send().await.map_err(|error| unreached(&error))?;
    let took = clock.now().saturating_sub(began);
    let info = answer.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
    let date = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok());
    Ok(Reached {
        status: answer.status().as_u16(),
        address: answer.remote_addr(),
        took_ms: u64::try_from(took).unwrap_or_default(),
        certificate: info.and_then(Certificate::read),
        ahead_ms: date.map(|date| date.as_millisecond().saturating_sub(began + took / 2)),
    })
}

fn unreached(error: &reqwest::Error) -> Unreached {
    let why = chain(error);
    let io = || sources(error).filter_map(|source| source.downcast_ref::<std::io::Error>());
    if sources(error).any(|source| source.is::<Prohibited>()) {
        Unreached::Prohibited(why)
    } else if io().any(is_tls) {
        Unreached::Certificate(why)
    } else if error.is_connect() {
        Unreached::Connection(why)
    } else {
        Unreached::Answer(why)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::Arc;

    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    use super::*;
    use crate::model::{Auth, Digest, Tls};

    const PEM: &str = include_str!("../../../tests/far-side.pem");
    const ANSWER: &[u8] =
        b"HTTP/1.1 401 Unauthorized\r\nDate: Tue, 14 Nov 2023 22:15:00 GMT\r\nContent-Length: 0\r\n\r\n";

    /// Answers one request on a free port, over TLS with the certificate of `PEM` or without.
    fn far_side(tls: bool) -> SocketAddr {
        rustls::crypto::ring::default_provider().install_default().ok();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            if tls {
                let chain = vec![CertificateDer::from_pem_slice(PEM.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(PEM.as_bytes()).unwrap();
                let config =
                    rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
                let mut session = rustls::ServerConnection::new(Arc::new(config)).unwrap();
                let mut stream = rustls::Stream::new(&mut session, &mut stream);
                // A handshake that the other side ends is its right.
                if stream.read(&mut request).is_ok() {
                    stream.write_all(ANSWER).unwrap();
                }
            } else {
                let read = stream.read(&mut request).unwrap();
                let text = String::from_utf8_lossy(&request[..read]).to_lowercase();
                assert!(!text.contains("authorization"), "{text}");
                stream.write_all(ANSWER).unwrap();
            }
        });
        address
    }

    async fn reached(url: String, ca: Option<&str>) -> Result<Reached, Unreached> {
        reached_with(url, Tls { ca: ca.map(str::to_owned), pin: None }).await
    }

    async fn reached_with(url: String, tls: Tls) -> Result<Reached, Unreached> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let password_secret = crate::model::Name::parse("name", "unused").unwrap();
        let auth = Auth::Basic { username: "u".into(), password_secret };
        let endpoint = Endpoint { url, auth, tls };
        reach(&endpoint, &Clock::by_hand(1_700_000_000_000)).await
    }

    #[tokio::test]
    async fn an_answer_of_any_status_shows_address_and_clock_and_costs_no_credential() {
        let address = far_side(false);
        let reached = reached(format!("http://{address}/prefix"), None).await.unwrap();
        assert_eq!((reached.status, reached.address), (401, Some(address)));
        // 22:13:20 here, 22:15:00 there.
        assert_eq!((reached.ahead_ms, reached.certificate), (Some(100_000), None));
    }

    #[tokio::test]
    async fn a_certificate_is_shown_when_it_is_taken_and_named_when_it_is_not() {
        let reached_with = |ca| reached(format!("https://{}", far_side(true)), ca);
        let certificate = reached_with(Some(PEM)).await.unwrap().certificate.unwrap();
        assert_eq!(certificate.subject, "far side");
        let strange = reached_with(None).await;
        assert!(matches!(strange, Err(Unreached::Certificate(_))), "{strange:?}");
    }

    #[tokio::test]
    async fn a_pinned_certificate_is_taken_and_another_is_refused_in_words() {
        let shown = Digest::of(&CertificateDer::from_pem_slice(PEM.as_bytes()).unwrap()).to_string();
        let other = Digest::of(b"another").to_string();
        let reached = async |ca: Option<&str>, pin: &str| {
            let tls = Tls { ca: ca.map(str::to_owned), pin: Some(pin.to_owned()) };
            reached_with(format!("https://{}", far_side(true)), tls).await
        };
        // Whoever signed it, and where its authority is named too.
        for ca in [None, Some(PEM)] {
            assert_eq!(reached(ca, &shown).await.unwrap().certificate.unwrap().subject, "far side");
            let Err(Unreached::Certificate(why)) = reached(ca, &other).await else { panic!("it was taken") };
            assert!(why.contains(&shown) && why.contains(&other), "{why}");
        }
        let Err(Unreached::Binding(why)) = reached(None, "sha256:12").await else { panic!("it was taken") };
        assert!(why.contains("64 lower-case hex digits"), "{why}");
    }

    #[tokio::test]
    async fn each_way_not_to_be_there_is_told_apart() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = reached(format!("http://{closed}"), None).await;
        assert!(matches!(refused, Err(Unreached::Connection(_))), "{refused:?}");
        let nameless = reached("http://no-such-name.invalid".into(), None).await;
        assert!(matches!(nameless, Err(Unreached::Name(_))), "{nameless:?}");
        let odd = reached("http://169.254.169.254".into(), None).await;
        assert!(matches!(odd, Err(Unreached::Binding(_))), "{odd:?}");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mute = listener.local_addr().unwrap();
        std::thread::spawn(move || drop(listener.accept()));
        let cut = reached(format!("http://{mute}"), None).await;
        assert!(matches!(cut, Err(Unreached::Answer(_))), "{cut:?}");
    }
}
