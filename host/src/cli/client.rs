//! Speaks to a service: JSON in and out, problems as errors, all pages of a list.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, header};
use serde_json::Value;

use super::Failed;

/// Where the service is, and as whom it is asked.
#[derive(clap::Args)]
pub(super) struct At {
    /// The service's address.
    #[arg(long, global = true, env = "MOGANITE_API", default_value = "http://127.0.0.1:8787", value_name = "URL")]
    api: Url,
    /// A file with the bearer token; MOGANITE_TOKEN has the token itself.
    #[arg(long, global = true, env = "MOGANITE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Client {
    pub(super) fn new(at: &At) -> anyhow::Result<Self> {
        // Another part of the process may have chosen it already: then it is the same one.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut http = reqwest::Client::builder().user_agent(concat!("moganite/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&at.api) {
            // A proxy would look for its own loopback.
            http = http.no_proxy();
        }
        let token = match &at.token_file {
            Some(file) => Some(std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?),
            None => std::env::var("MOGANITE_TOKEN").ok(),
        };
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        Ok(Self { http: http.build()?, base: at.api.as_str().trim_end_matches('/').to_owned(), token })
    }

    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self.send(self.request(Method::GET, path)).await?.json().await?)
    }

    /// The body, and the ETag for the next change.
    pub(super) async fn get_tagged(&self, path: &str) -> anyhow::Result<(Value, Option<String>)> {
        let response = self.send(self.request(Method::GET, path)).await?;
        let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        Ok((response.json().await?, tag))
    }

    /// The items of all pages.
    pub(super) async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        self.list_of(path, &[]).await
    }

    /// The items of all pages that fit each `name=value`.
    pub(super) async fn list_of(&self, path: &str, query: &[String]) -> anyhow::Result<Vec<Value>> {
        let query: String = query.iter().map(|pair| format!("&{pair}")).collect();
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            // A cursor is letters and digits.
            let after = cursor.as_ref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let mut page: Value = self.get(&format!("{path}?limit=500{after}{query}")).await?;
            if let Some(Value::Array(more)) = page.get_mut("items").map(Value::take) {
                items.extend(more);
            }
            cursor = page["next"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return Ok(items);
            }
        }
    }

    /// Null when the answer has no body.
    pub(super) async fn put(&self, path: &str, body: &Value, if_match: Option<&str>) -> anyhow::Result<Value> {
        let mut request = self.request(Method::PUT, path).json(body);
        if let Some(tag) = if_match {
            request = request.header(header::IF_MATCH, tag);
        }
        json(self.send(request).await?).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        json(self.send(self.request(Method::POST, path).json(body)).await?).await
    }

    /// The key makes a repeat harmless.
    pub(super) async fn post_once(&self, path: &str, body: &Value, key: &str) -> anyhow::Result<Value> {
        json(self.send(self.request(Method::POST, path).json(body).header("idempotency-key", key)).await?).await
    }

    /// The answer is a file, to be read piece by piece.
    pub(super) async fn post_for_file(&self, path: &str, body: &Value) -> anyhow::Result<Response> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub(super) async fn post_file(&self, path: &str, file: Vec<u8>) -> anyhow::Result<Value> {
        let request = self.request(Method::POST, path).header(header::CONTENT_TYPE, "application/wasm").body(file);
        json(self.send(request).await?).await
    }

    pub(super) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        json(self.send(self.request(Method::DELETE, path)).await?).await
    }

    /// A flow's events after number `after`; None when there is nothing more to come.
    pub(super) async fn events(&self, flow: &str, after: &str) -> anyhow::Result<Option<Response>> {
        let request = self.request(Method::GET, &format!("/v1/flows/{flow}/events")).header("last-event-id", after);
        let response = self.send(request).await?;
        Ok((response.status() != StatusCode::NO_CONTENT).then_some(response))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let response = request.send().await.map_err(|error| {
            let to_do = "start it with `moganite serve`, or name its address with --api";
            let cause = innermost(&error);
            anyhow::Error::new(Unreachable)
                .context(Failed::new(format!("no service answers at {}: {cause}", self.base), to_do))
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let problem: Value = response.json().await.unwrap_or_default();
        let Some(detail) = problem["detail"].as_str() else {
            return Err(Failed { what: format!("the service answered {status}"), to_do: None }.into());
        };
        let code = problem["code"].as_str().unwrap_or_default();
        let to_do = problem["what_to_do"].as_str().map(str::to_owned);
        Err(Failed { what: format!("{detail} ({code})"), to_do }.into())
    }
}

/// One segment of a path, whatever is in it.
pub(super) fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes().fold(String::new(), |path, byte| {
        if plain(byte) { path + char::from(byte).encode_utf8(&mut [0]) } else { path + &format!("%{byte:02X}") }
    })
}

/// The cause of an error that waiting may cure.
#[derive(Debug, thiserror::Error)]
#[error("is it running?")]
struct Unreachable;

/// A service that is away, or went away within an answer.
pub(super) fn is_passing(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<Unreachable>() || cause.is::<reqwest::Error>())
}

async fn json(response: Response) -> anyhow::Result<Value> {
    let body = response.bytes().await?;
    if body.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&body)?) }
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let bare = host.trim_matches(['[', ']']);
        host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
