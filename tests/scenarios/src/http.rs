//! Requests to the service and to the simulator's control.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use canary::Canaries;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// One origin.
#[derive(Clone)]
pub struct Http {
    base: String,
    client: reqwest::Client,
    headers: Vec<(&'static str, String)>,
    /// None of them may be in an answer.
    canaries: Arc<Canaries>,
}

/// Status and body; null for a body that is no JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Http {
    pub fn to(base: impl Into<String>) -> Result<Self> {
        // Installing it twice is harmless.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { base: base.into(), client, headers: Vec::new(), canaries: Arc::default() })
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.send(Method::DELETE, path, None).await
    }

    /// An answer that is no JSON.
    pub async fn text(&self, path: &str) -> Result<String> {
        let (status, _, body) = self.sent(path, self.request(Method::GET, path)).await?;
        ensure!((200..300).contains(&status), "{path} answered {status}");
        Ok(String::from_utf8(body)?)
    }

    /// One header of an answer.
    pub async fn header(&self, path: &str, name: &str) -> Result<Option<String>> {
        let (_, headers, _) = self.sent(path, self.request(Method::GET, path)).await?;
        Ok(headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned))
    }

    /// A file's bytes as they are.
    pub async fn upload(&self, path: &str, bytes: Vec<u8>) -> Result<Answer> {
        let request = self.client.post(format!("{}{path}", self.base)).header("content-type", "application/wasm");
        self.answer(path, request.body(bytes)).await
    }

    /// With a header that every request of this origin gets.
    #[must_use]
    pub fn always(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The same origin, looked through in the same way, over connections of its own: for another thread.
    pub fn apart(&self) -> Result<Self> {
        Ok(Self { headers: self.headers.clone(), ..Self::to(self.base.clone())?.watched(self.canaries.clone()) })
    }

    /// Every answer is looked through for these.
    #[must_use]
    pub(crate) fn watched(self, canaries: Arc<Canaries>) -> Self {
        Self { canaries, ..self }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let request = self.request(method, path);
        self.answer(path, body.into_iter().fold(request, RequestBuilder::json)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value))
    }

    async fn answer(&self, path: &str, request: RequestBuilder) -> Result<Answer> {
        let (status, _, body) = self.sent(path, request).await?;
        Ok(Answer { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
    }

    async fn sent(&self, path: &str, request: RequestBuilder) -> Result<(u16, HeaderMap, Vec<u8>)> {
        let answer = request.send().await.with_context(|| format!("asking {}{path}", self.base))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await?.to_vec();
        let place = format!("the answer to {path}");
        for (name, value) in &headers {
            self.canaries.scan(&format!("{name} of {place}"), value.as_bytes());
        }
        self.canaries.scan(&place, &body);
        Ok((status, headers, body))
    }
}

impl Answer {
    /// The body of a success; an error with the body of anything else.
    pub fn ok(self) -> Result<Value> {
        ensure!((200..300).contains(&self.status), "answered {}: {}", self.status, self.body);
        Ok(self.body)
    }
}
