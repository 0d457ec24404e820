//! Requests to the service and to the simulator's control.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// One origin.
#[derive(Clone)]
pub struct Http {
    base: String,
    client: reqwest::Client,
    headers: Vec<(&'static str, String)>,
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
        Ok(Self { base: base.into(), client, headers: Vec::new() })
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(reqwest::Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(reqwest::Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(reqwest::Method::PUT, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(reqwest::Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.send(reqwest::Method::DELETE, path, None).await
    }

    /// An answer that is no JSON.
    pub async fn text(&self, path: &str) -> Result<String> {
        let request = self.client.get(format!("{}{path}", self.base));
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        Ok(request.send().await?.error_for_status()?.text().await?)
    }

    /// One header of an answer.
    pub async fn header(&self, path: &str, name: &str) -> Result<Option<String>> {
        let request = self.client.get(format!("{}{path}", self.base));
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let answer = request.send().await?;
        Ok(answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned))
    }

    /// A file's bytes as they are.
    pub async fn upload(&self, path: &str, bytes: Vec<u8>) -> Result<Answer> {
        let request = self.client.post(format!("{}{path}", self.base)).header("content-type", "application/wasm");
        Self::answer(request.body(bytes).send().await?).await
    }

    /// With a header that every request of this origin gets.
    #[must_use]
    pub fn always(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let request = self.client.request(method, format!("{}{path}", self.base));
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        Self::answer(request.send().await.with_context(|| format!("asking {}{path}", self.base))?).await
    }

    async fn answer(response: reqwest::Response) -> Result<Answer> {
        let status = response.status().as_u16();
        let body = response.bytes().await?;
        Ok(Answer { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
    }
}

impl Answer {
    /// The body of a success; an error with the body of anything else.
    pub fn ok(self) -> Result<Value> {
        ensure!((200..300).contains(&self.status), "answered {}: {}", self.status, self.body);
        Ok(self.body)
    }
}
