//! A request as the faces see it, and an answer as they give it: plain data, the same whether it came over a socket or from another
//! face (Valence calls the pod manager, Ironic the BMC, through the same switches and into the same log as everybody).

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Query, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// The largest body that is read, bytes.
const BODY_LIMIT: usize = 4 << 20;

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// As sent, without the query.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    /// A request of one face to another.
    pub(crate) fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), query: Vec::new(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub(crate) fn with_json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into();
        self.with_header(header::CONTENT_TYPE, "application/json")
    }

    /// None: the body was over the limit, or broke off.
    pub(crate) async fn read(request: Request) -> Option<Self> {
        let (head, body) = request.into_parts();
        let body = to_bytes(body, BODY_LIMIT).await.ok()?;
        let query = query_of(&head.uri);
        Some(Self { method: head.method, path: head.uri.path().to_owned(), query, headers: head.headers, body })
    }

    /// The path's parts; a trailing slash makes none.
    pub(crate) fn segments(&self) -> Vec<&str> {
        self.path.split('/').filter(|part| !part.is_empty()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_json(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.starts_with("application/json"))
    }

    /// The body as JSON; null when it is empty or none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

fn query_of(uri: &Uri) -> Vec<(String, String)> {
    Query::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default()
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: Vec<(&'static str, HeaderValue)>,
    pub(crate) body: Bytes,
}

impl Answer {
    /// No body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    /// Indented, as Valence writes it.
    pub(crate) fn pretty(status: StatusCode, body: &Value) -> Self {
        Self::text(status, "application/json", format!("{body:#}\n"))
    }

    pub(crate) fn text(status: StatusCode, kind: &'static str, body: String) -> Self {
        let answer = Self::empty(status).with_header("content-type", kind);
        Self { body: body.into(), ..answer }
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).and_then(|(_, value)| value.to_str().ok())
    }

    /// The body as JSON; null when it is empty or none.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, Body::from(self.body)).into_response();
        response
            .headers_mut()
            .extend(self.headers.into_iter().map(|(name, value)| (HeaderName::from_static(name), value)));
        response
    }
}
