//! A far side that means harm: it echoes what it gets, sends elsewhere, answers for ever, or never. It keeps what it got.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use scenarios::pause;
use serde_json::json;

/// What a login brings; found anywhere but in a request to `/jobs`, it has leaked.
pub(crate) const TOKEN: &str = "hostile-canary-token-5f1c";
pub(crate) const SUBJECT: &str = "hostile-canary-subject-77ab";

/// On a free loopback port.
#[derive(Clone)]
pub(crate) struct Far {
    pub(crate) url: String,
    got: Arc<Mutex<Vec<Got>>>,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Far {
    pub(crate) async fn serve() -> Result<Self> {
        let got: Arc<Mutex<Vec<Got>>> = Arc::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let app = Router::new().fallback(answer).with_state(got.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { url, got })
    }

    /// What came since the last time that this was asked.
    pub(crate) fn take(&self) -> Vec<Got> {
        std::mem::take(&mut lock(&self.got))
    }
}

async fn answer(State(got): State<Arc<Mutex<Vec<Got>>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 4 << 20).await.unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    let headers = format!("{:?}", parts.headers);
    let path = parts.uri.to_string();
    lock(&got).push(Got { method: parts.method.to_string(), path: path.clone(), headers, body: body.clone() });
    match parts.uri.path() {
        "/drip" => drip(),
        "/silence" => std::future::pending().await,
        "/endless" => endless(),
        "/packed" => ([(header::CONTENT_ENCODING, "gzip")], vec![0x1f, 0x8b, 0, 0, 0, 0]).into_response(),
        "/headers" => many_headers(),
        "/deep" => "[".repeat(200_000).into_response(),
        "/login" => login(),
        path => match path.strip_prefix("/away/") {
            Some(to) => away(to, &body),
            None => echo(&body),
        },
    }
}

/// The body in the body, in a header, in a cookie and in a link.
fn echo(body: &str) -> Response {
    let value = HeaderValue::from_str(body).unwrap_or(HeaderValue::from_static("not a header"));
    let mut response = body.to_owned().into_response();
    for name in ["x-echo", "set-cookie", "location", "x-auth-token"] {
        response.headers_mut().insert(HeaderName::from_static(name), value.clone());
    }
    response
}

fn login() -> Response {
    let body = json!({ "Content": { "AccessToken": TOKEN } }).to_string();
    ([("x-subject-token", SUBJECT)], body).into_response()
}

/// To another origin, with whatever came along.
fn away(to: &str, body: &str) -> Response {
    let to = AWAY.iter().find(|(name, _)| *name == to).map_or("/", |(_, to)| to);
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)], body.to_owned()).into_response()
}

/// Where `/away/NAME` sends to.
const AWAY: [(&str, &str); 5] = [
    ("metadata", "http://169.254.169.254/latest"),
    ("far-side", "http://127.0.0.1:1/steal"),
    ("scheme", "gopher://127.0.0.1:1/"),
    ("api", "http://localhost:8787/v1/secrets"),
    ("user", "http://root:pw@127.0.0.1:1/"),
];

/// A byte, and another one when everybody has forgotten the first.
fn drip() -> Response {
    streamed(Duration::from_millis(100), Bytes::from_static(b" "))
}

fn endless() -> Response {
    streamed(Duration::ZERO, Bytes::from(vec![b'x'; 64 << 10]))
}

fn streamed(every: Duration, piece: Bytes) -> Response {
    let pieces = stream::unfold(piece, move |piece| async move {
        if !every.is_zero() {
            pause(every).await;
        }
        Some((Ok::<_, std::convert::Infallible>(piece.clone()), piece))
    });
    Body::from_stream(pieces).into_response()
}

fn many_headers() -> Response {
    let mut response = "".into_response();
    for n in 0..300 {
        let name = HeaderName::try_from(format!("x-{n}")).unwrap_or(header::WARNING);
        response
            .headers_mut()
            .insert(name, HeaderValue::try_from("y".repeat(4_000)).unwrap_or(HeaderValue::from_static("")));
    }
    response
}

fn lock(got: &Mutex<Vec<Got>>) -> MutexGuard<'_, Vec<Got>> {
    got.lock().unwrap_or_else(PoisonError::into_inner)
}
