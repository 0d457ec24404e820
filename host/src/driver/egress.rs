//! The gate: the only way out of a driver, and the only place that puts a secret into a request.
//!
//! A request names an endpoint of the plugin's manifest; the operator bound that name to a URL. Everything else is
//! denied, and noted. Which requests may be sent there the manifest asks and the operator grants: both must fit. The gate writes down each exchange as it saw it: that, and not the driver's word, is what proofs
//! are checked against. Redirects are data. Read `egress/url.rs` next.

mod address;
mod book;
mod bucket;
mod capture;
mod certificate;
mod echoes;
mod escapes;
#[cfg(test)]
mod fuzz;
mod headers;
mod line;
mod patterns;
mod pin;
mod placeholder;
mod places;
mod reach;
mod url;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks};

pub(super) use book::Book;
pub use certificate::Certificate;
pub(super) use echoes::Echoes;
pub(super) use headers::{may_bring_session, may_hold_value};
pub(super) use line::{Line, Lines, certificates};
pub(super) use patterns::is_like;
pub(super) use pin::check_pin;
pub(super) use places::{Open, Places, With};
pub(super) use reach::reach;
pub use reach::{Reached, Unreached};
pub(super) use url::Base;

use capture::{Brought, Captured, capture, is_login};
use line::failure;
use places::Unfilled;

use super::library::Library;
use super::plugins::Plugin;
use super::secrets::Secret;
use super::sessions::Keeper;
use super::text;
use crate::clock::Clock;
use crate::model::{Ask, Cause, Exchange, Read, Revision, Session, Value};

/// Characters of a path that are written down.
const PATH: usize = 1024;
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

type Sent<T> = Box<dyn Future<Output = Result<T, Error>> + Send>;

/// One endpoint in one call.
pub(super) struct Bound {
    pub(super) line: Arc<Line>,
    pub(super) basic: Option<(String, Arc<Secret>)>,
}

/// What one call may send and to whom, and the book that the gate keeps of it.
pub(super) struct Egress {
    pub(super) endpoints: BTreeMap<String, Bound>,
    pub(super) places: Places,
    /// Whose manifest asks for requests, sessions and reads.
    pub(super) plugin: Arc<Plugin>,
    /// What the operator bound and granted.
    pub(super) revision: Arc<Revision>,
    pub(super) sessions: Keeper,
    /// Headers that are the gate's own and yet have a place or a session in this manifest.
    pub(super) opened: Vec<HeaderName>,
    /// Of the secrets; sessions come and go.
    pub(super) echoes: Echoes,
    pub(super) agent: String,
    pub(super) requests: u32,
    pub(super) request_body: usize,
    pub(super) response_body: usize,
    /// Of one request or answer.
    pub(super) header_bytes: usize,
    /// A whole exchange.
    pub(super) exchange: Duration,
    pub(super) clock: Clock,
    pub(super) book: Arc<Book>,
    /// Somebody froze the service: what changes something is held back.
    pub(super) shared: Arc<Library>,
    /// The plugin whose call this is, when it is a flow's.
    #[cfg(feature = "failpoints")]
    pub(super) may_die: Option<String>,
}

/// A request, as places and sessions are found by it.
#[derive(Debug, Clone, Copy)]
struct At<'a> {
    endpoint: &'a str,
    method: &'a str,
    /// With or without its query.
    path: &'a str,
}

/// The hooks of one store.
pub(super) struct Gate(pub(super) Arc<Egress>);

/// Why a request was not sent, or what went wrong with it.
enum Stop {
    /// One sentence for people, after "was denied: ".
    Denied(String),
    Failed(Error),
    /// Somebody froze the service.
    Held,
    /// The call was cut before it was sent.
    Ended,
    /// Answered by the gate itself: the driver must log in first.
    NoSession(String),
}

impl From<Unfilled> for Stop {
    fn from(unfilled: Unfilled) -> Self {
        match unfilled {
            Unfilled::Denied(why) => Self::Denied(why),
            Unfilled::NoSession(name) => Self::NoSession(name),
        }
    }
}

impl WasiHttpHooks for Gate {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        let opened = self.0.opened.clone();
        Arc::new(move |name| headers::is_forbidden(name) && !opened.contains(name))
    }

    /// The scheme is the operator's; what the guest says is not looked at.
    fn default_scheme(&mut self) -> Option<http::uri::Scheme> {
        Some(http::uri::Scheme::HTTP)
    }

    fn set_host_header(&mut self) -> bool {
        false
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        64 << 10
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Sent<(Response<WasiBody>, Sent<()>)> {
        let egress = self.0.clone();
        Box::new(async move {
            let (endpoint, method) = (egress.endpoint(request.uri()), request.method().to_string());
            let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
            let entry = egress.book.begin(Exchange {
                at: egress.clock.now(),
                endpoint: text::plain(&endpoint, 63),
                method: text::plain(&method, 16),
                path: text::plain(&path, PATH),
                status: None,
                body_sha256: None,
                bytes: 0,
                took_ms: 0,
            });
            let answered = |response: Response<Bytes>| {
                let response = response.map(|body| Full::new(body).map_err(|never| match never {}).boxed_unsync());
                Ok((response, Box::new(async { Ok(()) }) as Sent<()>))
            };
            match egress.exchange(&endpoint, request, options, entry).await {
                Ok(response) => answered(response),
                Err(Stop::NoSession(name)) => answered(egress.no_session(entry, &name)),
                Err(Stop::Failed(error)) => Err(error),
                Err(Stop::Ended) => Err(Error::ConnectionTerminated),
                Err(Stop::Held) => {
                    egress.book.hold();
                    Err(Error::HttpRequestDenied)
                }
                Err(Stop::Denied(why)) => {
                    let what = text::plain(&format!("{method} http://{endpoint}{path}"), PATH);
                    tracing::warn!(target: "gate", request = what, why, "denied a driver's request");
                    let denial = format!("{what}: {why}");
                    egress.shared.tally.deny(&egress.revision.backend, &egress.plugin.label, &denial);
                    egress.book.deny(denial);
                    Err(Error::HttpRequestDenied)
                }
            }
        })
    }
}

impl Egress {
    /// The whole authority: user and port included, so that nothing but the bare name is ever found.
    fn endpoint(&self, uri: &Uri) -> String {
        uri.authority().map_or_else(String::new, |authority| authority.as_str().to_owned())
    }

    async fn exchange(
        &self,
        endpoint: &str,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        entry: Option<usize>,
    ) -> Result<Response<Bytes>, Stop> {
        let denied = |why: &str| Stop::Denied(why.to_owned());
        let entry = entry.ok_or_else(|| self.no_entry())?;
        let bound = self
            .endpoints
            .get(endpoint)
            .ok_or_else(|| Stop::Denied(format!("{:?} is no endpoint of this backend", text::plain(endpoint, 63))))?;
        let (parts, body) = request.into_parts();
        let method = parts.method.as_str();
        if !METHODS.contains(&method) {
            return Err(denied("no such method passes the gate"));
        }
        if placeholder::has_placeholder(parts.uri.to_string().as_bytes()) {
            return Err(denied("a placeholder in the path or query"));
        }
        let path = parts.uri.path();
        // Before any pattern is looked at: a path that has two meanings fits none.
        let url = bound.line.base.join(path, parts.uri.query()).map_err(Stop::Denied)?;
        let at = At { endpoint, method, path };
        self.check_granted(at)?;
        let is_login = is_login(self.declared(), at);
        let changes = !matches!(method, "GET" | "HEAD") && !is_login && !self.is_read(at);
        if changes && self.shared.read_only.load(Ordering::SeqCst) {
            return Err(Stop::Held);
        }
        let limit = self.request_body;
        let body = Limited::new(body, limit).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                self.book.ran_into(Cause::LimitRequestBytes);
            }
            Stop::Failed(Error::HttpRequestBodySize(Some(limit as u64)))
        })?;
        let body = body.to_bytes();
        if is_login {
            self.sessions.take_turn().await;
        }
        let (filled, body) = match self.filled(at, &parts.headers, &body) {
            // Another call may be logging in: then this one need not.
            Err(Unfilled::NoSession(_)) if self.sessions.take_turn().await => {
                let filled = self.filled(at, &parts.headers, &body)?;
                self.sessions.give_turn();
                filled
            }
            filled => filled?,
        };

        if !self.book.sends(body.len()) {
            return Err(Stop::Failed(Error::HttpRequestBodySize(Some(body.len() as u64))));
        }

        let mut outgoing = headers::outgoing(&parts.headers);
        for name in filled.keys() {
            outgoing.remove(name);
        }
        outgoing.extend(filled);

        // Closed never, so waiting cannot fail; the call's wall time bounds it.
        let _turn = bound.line.turns.acquire().await.map_err(|_| Stop::Failed(Error::ConnectionLimitReached))?;
        bound.line.bucket.take(&self.clock).await;
        let mut sending = bound
            .line
            .client
            .request(parts.method.clone(), url.clone())
            .headers(outgoing)
            .header(header::USER_AGENT, &self.agent)
            .body(body);
        if let Some((username, password)) = &bound.basic {
            sending = sending.basic_auth(username, Some(password.reveal()));
        }
        let own = options.and_then(|options| options.first_byte_timeout).filter(|own| *own < self.exchange);
        sending = sending.timeout(own.unwrap_or(self.exchange));
        let began = self.clock.now();
        let failed = |error: &reqwest::Error| {
            let failure = failure(endpoint, error);
            let took = Duration::from_millis(u64::try_from(self.clock.now().saturating_sub(began)).unwrap_or(0));
            if let Some(limit) = limit_of(&failure, took, own, self.exchange) {
                self.book.ran_into(limit);
            }
            failure
        };
        if self.book.is_closed() {
            return Err(Stop::Ended);
        }
        self.may_die("before the request", at);
        let answer = sending.send().await.map_err(|error| Stop::Failed(failed(&error)))?;
        let status = answer.status();
        self.book.answered(entry, status.as_u16());
        self.may_die("before the answer is read", at);
        if headers::size(answer.headers()) > self.header_bytes {
            self.book.ran_into(Cause::LimitHeaderBytes);
            let most = u32::try_from(self.header_bytes).unwrap_or(u32::MAX);
            return Err(Stop::Failed(Error::HttpResponseHeaderSectionSize(Some(most))));
        }
        let (came, base) = (answer.headers().clone(), &bound.line.base);
        let mut headers = headers::incoming(&came, endpoint, base, &url);
        let mut body = self.receive(answer, failed).await.map_err(Stop::Failed)?;
        let (bytes, took) = (body.len(), self.clock.now().saturating_sub(began));

        let brought = Brought { status: status.as_u16(), came: &came, passed: &mut headers, body: &mut body };
        let captured = capture(self.declared(), at, brought).into_iter();
        self.sessions.keep(captured.filter_map(|Captured { session, value }| Some((session, value?))).collect()).await;
        if is_login {
            self.sessions.give_turn();
        }
        let echoes = self.echoes();
        echoes.hush_headers(&mut headers);
        let body = echoes.hush_body(body);
        // Of what the guest sees: a hash over a secret would be a thing to guess it by.
        self.book.read(entry, &body, bytes, took);
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        self.may_die("after the answer", at);
        Ok(response)
    }

    fn no_entry(&self) -> Stop {
        if self.book.is_closed() { Stop::Ended } else { Stop::Denied(format!("a call has {} requests", self.requests)) }
    }

    /// With what stands behind the placeholders now.
    fn filled(&self, at: At<'_>, sent: &HeaderMap, body: &Bytes) -> Result<(HeaderMap, Vec<u8>), Unfilled> {
        let ring = self.sessions.ring();
        Ok((self.places.fill_headers(at, sent, ring)?, self.places.fill_body(at, body.to_vec(), ring)?))
    }

    /// What the gate keeps of answers.
    fn declared(&self) -> &[Session] {
        &self.plugin.manifest.sessions
    }

    /// The manifest asks for this request, and the operator granted it.
    fn check_granted(&self, at: At<'_>) -> Result<(), Stop> {
        let Some(granted) = &self.revision.granted else { return Ok(()) };
        let fits = |asks: &[Ask]| asks.iter().any(|ask| is_asked(ask, at));
        if !fits(&self.plugin.manifest.requests) {
            return Err(Stop::Denied("the plugin's manifest does not ask for it".into()));
        }
        if !fits(granted.requests.as_deref().unwrap_or(&granted.asks.requests)) {
            return Err(Stop::Denied("the operator of the backend did not grant it".into()));
        }
        Ok(())
    }

    /// Whether the manifest says that this POST changes nothing.
    fn is_read(&self, at: At<'_>) -> bool {
        let is_it = |read: &Read| read.endpoint == at.endpoint && is_like(&read.path, at.path);
        at.method == "POST" && self.plugin.manifest.reads.iter().any(is_it)
    }

    /// A place at which a test lets the process die.
    #[cfg(feature = "failpoints")]
    fn may_die(&self, when: &str, At { endpoint, method, path }: At<'_>) {
        if let Some(plugin) = &self.may_die {
            crate::failpoint::reached(plugin, when, &format!("{method} {endpoint} {path}"));
        }
    }

    #[cfg(not(feature = "failpoints"))]
    fn may_die(&self, _when: &str, _at: At<'_>) {}

    /// With the sessions as they are now, this call's own login among them.
    fn echoes(&self) -> Echoes {
        let mut echoes = self.echoes.clone();
        for (name, session) in self.sessions.ring().all() {
            echoes.add(session, Value::Session(name).placeholder());
        }
        echoes
    }

    /// Nothing was sent. As a far side would refuse an old session: the driver logs in and sends again.
    fn no_session(&self, entry: Option<usize>, name: &str) -> Response<Bytes> {
        let body = serde_json::json!({ "gate": format!("no session {name}") }).to_string();
        if let Some(entry) = entry {
            self.book.answered(entry, StatusCode::UNAUTHORIZED.as_u16());
            self.book.read(entry, body.as_bytes(), body.len(), 0);
        }
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    async fn receive(
        &self,
        mut answer: reqwest::Response,
        failed: impl Fn(&reqwest::Error) -> Error,
    ) -> Result<Vec<u8>, Error> {
        let too_large = || {
            self.book.ran_into(Cause::LimitAnswerBytes);
            Error::HttpResponseBodySize(Some(self.response_body as u64))
        };
        if let Some(coding) = coded(answer.headers()) {
            return Err(Error::HttpResponseContentCoding(Some(coding)));
        }
        if answer.content_length().is_some_and(|length| length > self.response_body as u64) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| failed(&error))? {
            if body.len() + chunk.len() > self.response_body {
                return Err(too_large());
            }
            if !self.book.gets(chunk.len()) {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// The operator's limit that an exchange of this length ran into; none when the driver had less patience of its own.
fn limit_of(failure: &Error, took: Duration, own: Option<Duration>, exchange: Duration) -> Option<Cause> {
    match failure {
        Error::HttpResponseHeaderSectionSize(_) => Some(Cause::LimitHeaders),
        Error::ConnectionTimeout => Some(Cause::LimitConnect),
        Error::HttpResponseTimeout if own.is_some_and(|own| took >= own) => None,
        Error::HttpResponseTimeout if took >= exchange => Some(Cause::LimitExchange),
        Error::HttpResponseTimeout => Some(Cause::LimitFirstByte),
        _ => None,
    }
}

fn is_asked(ask: &Ask, at: At<'_>) -> bool {
    ask.endpoint == at.endpoint && ask.methods.iter().any(|method| method == at.method) && is_like(&ask.path, at.path)
}

/// An encoding that nobody asked for: such a body could not be searched for secrets.
fn coded(headers: &HeaderMap) -> Option<String> {
    let coding = headers.get(header::CONTENT_ENCODING)?.to_str().unwrap_or("?");
    (!coding.eq_ignore_ascii_case("identity")).then(|| text::plain(coding, 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_with_less_patience_than_the_operator_ran_into_no_limit() {
        let s = Duration::from_secs;
        let limit = |failure: Error, took, own| limit_of(&failure, took, own, s(300));
        assert_eq!(limit(Error::ConnectionTimeout, s(10), Some(s(20))), Some(Cause::LimitConnect));
        assert_eq!(limit(Error::HttpResponseTimeout, s(300), None), Some(Cause::LimitExchange));
        assert_eq!(limit(Error::HttpResponseTimeout, s(180), None), Some(Cause::LimitFirstByte));
        assert_eq!(limit(Error::HttpResponseTimeout, s(20), Some(s(20))), None);
        assert_eq!(limit(Error::ConnectionRefused, s(300), None), None);
    }
}
