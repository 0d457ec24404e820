//! A reverse proxy that keeps what passed: for the question of what a far side was really sent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use crate::clock::Moment;
use crate::http::{self, Server};

/// Forwards everything to one upstream, from a free port of 127.0.0.1, and keeps each exchange.
///
/// `Location` headers that name the upstream name the tap instead; bodies are not touched.
/// It has a thread of its own and stops when it is dropped.
#[derive(Debug)]
pub struct Tap {
    server: Server,
    kept: Kept,
}

/// A request as it came, and how it was answered.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub method: Method,
    /// With the query, as it was sent.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// None while the upstream has not answered; 502 when it did not answer at all.
    pub status: Option<StatusCode>,
    /// Since the tap's start.
    pub asked: Duration,
    /// Since the tap's start, once it is answered.
    pub answered: Option<Duration>,
}

type Kept = Arc<Mutex<Vec<Exchange>>>;

impl Tap {
    /// Starts in front of `upstream`, an origin such as `http://127.0.0.1:6385`.
    pub fn start(upstream: &str) -> Result<Self> {
        let kept = Kept::default();
        let forward = Forward {
            upstream: upstream.trim_end_matches('/').to_owned(),
            client: http::client()?,
            kept: Arc::clone(&kept),
            began: Moment::now(),
        };
        let router = Router::new().fallback(pass).with_state(forward);
        Ok(Self { server: Server::start(router)?, kept })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Every exchange so far, in the order of arrival.
    pub fn exchanges(&self) -> Vec<Exchange> {
        open(&self.kept).clone()
    }
}

#[derive(Debug, Clone)]
struct Forward {
    upstream: String,
    client: reqwest::Client,
    kept: Kept,
    began: Moment,
}

async fn pass(State(forward): State<Forward>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match to_bytes(body, usize::MAX).await {
        Ok(body) => body,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let path = parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    let number = {
        let mut kept = open(&forward.kept);
        kept.push(Exchange {
            method: parts.method.clone(),
            path: path.clone(),
            headers: parts.headers.clone(),
            body: body.clone(),
            status: None,
            asked: forward.began.elapsed(),
            answered: None,
        });
        kept.len() - 1
    };
    let own = parts.headers.get(header::HOST).cloned();
    let answer = forward
        .client
        .request(parts.method, format!("{}{path}", forward.upstream))
        .headers(end_to_end(parts.headers))
        .body(body)
        .send()
        .await;
    let response = match answer {
        Ok(answer) => forward.give_back(answer, own).await,
        Err(error) => Err(error),
    };
    let response = response.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, format!("{error:?}")).into_response());
    let mut kept = open(&forward.kept);
    kept[number].status = Some(response.status());
    kept[number].answered = Some(forward.began.elapsed());
    drop(kept);
    response
}

impl Forward {
    async fn give_back(&self, answer: reqwest::Response, own: Option<HeaderValue>) -> reqwest::Result<Response> {
        let status = answer.status();
        let mut headers = end_to_end(answer.headers().clone());
        if let Some(location) = headers.get(header::LOCATION).and_then(|at| at.to_str().ok())
            && let Some(path) = location.strip_prefix(&self.upstream)
            && let Some(own) = own.as_ref().and_then(|own| own.to_str().ok())
            && let Ok(location) = HeaderValue::from_str(&format!("http://{own}{path}"))
        {
            headers.insert(header::LOCATION, location);
        }
        let mut response = Body::from(answer.bytes().await?).into_response();
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

/// Without the headers that belong to one connection, and to one length of body: both are set anew.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH] {
        headers.remove(name);
    }
    headers
}

/// A test that panicked while it held the lock has not spoiled a list that only grows.
fn open(kept: &Kept) -> MutexGuard<'_, Vec<Exchange>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::post;
    use std::net::TcpListener;

    /// Names itself in `Location`, as Ironic does.
    async fn created(headers: HeaderMap) -> impl IntoResponse {
        let own = headers[header::HOST].to_str().unwrap();
        let location = format!("http://{own}/v1/nodes/1");
        (StatusCode::CREATED, [(header::LOCATION, location)], "made")
    }

    #[tokio::test]
    async fn what_was_sent_is_kept_and_what_was_answered_comes_back() {
        let upstream = Server::start(Router::new().route("/v1/nodes", post(created))).unwrap();
        let tap = Tap::start(&upstream.url()).unwrap();

        let answer = http::client()
            .unwrap()
            .post(format!("{}/v1/nodes?a=b", tap.url()))
            .header("x-mark", "mine")
            .body("secret")
            .send()
            .await
            .unwrap();

        assert_eq!(answer.status(), StatusCode::CREATED);
        let location = format!("{}/v1/nodes/1", tap.url());
        assert_eq!(answer.headers()[header::LOCATION], location);
        assert_eq!(answer.text().await.unwrap(), "made");
        let exchanges = tap.exchanges();
        assert_eq!(exchanges.len(), 1);
        assert_eq!(exchanges[0].method, Method::POST);
        assert_eq!(exchanges[0].path, "/v1/nodes?a=b");
        assert_eq!(exchanges[0].headers["x-mark"], "mine");
        assert_eq!(exchanges[0].body, "secret");
        assert_eq!(exchanges[0].status, Some(StatusCode::CREATED));
        assert!(exchanges[0].answered > Some(exchanges[0].asked));
    }

    #[tokio::test]
    async fn an_upstream_that_is_not_there_is_a_bad_gateway() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let tap = Tap::start(&format!("http://{gone}")).unwrap();

        let answer = http::client().unwrap().get(tap.url()).send().await.unwrap();

        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
        assert_eq!(tap.exchanges()[0].status, Some(StatusCode::BAD_GATEWAY));
    }
}
