//! Every request has an id, is counted, and leaves a line in the log.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;
use uuid::Uuid;

use super::App;

const ID: HeaderName = HeaderName::from_static("x-request-id");

/// Takes the caller's X-Request-Id, or makes one, and answers it.
pub(super) async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = request.headers().get(&ID).filter(|id| is_short(id)).cloned();
    let id = id.or_else(|| HeaderValue::try_from(Uuid::now_v7().to_string()).ok());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let shown = id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default();
    let span = tracing::info_span!("request", id = shown, %method, path = request.uri().path());
    let began = app.now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    span.in_scope(|| tracing::info!(route, status, took_ms = app.now() - began, "answered"));
    app.counts.add(known(&method), &route, status);
    let headers = response.headers_mut();
    // An answer quotes what drivers and tenants wrote: no browser may take it for a page.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    if let Some(id) = id {
        headers.insert(ID, id);
    }
    response
}

fn is_short(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    (1..=64).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Callers may invent methods; the counts may not grow by that.
fn known(method: &axum::http::Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "PATCH" | "OPTIONS") => known,
        _ => "other",
    }
}
