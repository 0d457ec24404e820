//! Who asks: a bearer token, looked up by the SHA-256 of its text, or anybody on this machine while no token exists.
//!
//! A handler says what it needs by the argument it takes: [`Reader`], [`Member`] or [`Operator`]. Without credentials the service
//! listens on loopback only, and a browser is kept out: the Host header must name the service, and no other origin's page may ask.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::App;
use super::body::Asked;
use super::error::{Problem, Result};
use crate::config::Config;
use crate::model::{By, Name, Project, ProjectRole};
use crate::store::Store;

/// The project of who asks without a token.
const DEFAULT: &str = "default";

/// Who asks without a token, as the audit log knows it.
const NOBODY: &str = "this machine";

/// Who asks, and for which project.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The token's name.
    pub(super) name: String,
    pub(super) role: ProjectRole,
    /// Where new things go.
    pub(super) project: Project,
    /// What is seen: one project, or all of them for an operator who named none.
    pub(super) scope: Option<Project>,
}

/// May look at its project.
pub(super) struct Reader(pub(super) Caller);
/// May also make and delete there.
pub(super) struct Member(pub(super) Caller);
/// May do everything in every project.
pub(super) struct Operator(pub(super) Caller);

/// What a token's text is stored as.
pub fn token_hash(text: &str) -> Vec<u8> {
    Sha256::digest(text).to_vec()
}

/// Refuses an address that others reach, while nobody could be told from anybody.
pub async fn may_listen(store: &Store, config: &Config) -> anyhow::Result<bool> {
    let credentials = store.has_tokens().await?;
    if !credentials && !config.listen.ip().is_loopback() {
        anyhow::bail!(
            "without credentials this listens on loopback only, and {} is not: start on 127.0.0.1, make an operator token with `moganite token create`, then listen there",
            config.listen
        );
    }
    Ok(credentials)
}

impl FromRequestParts<App> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        caller(parts, app, ProjectRole::Reader).await.map(Self)
    }
}

impl FromRequestParts<App> for Member {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        caller(parts, app, ProjectRole::Member).await.map(Self)
    }
}

impl FromRequestParts<App> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        caller(parts, app, ProjectRole::Operator).await.map(Self)
    }
}

impl Caller {
    /// This caller's decision, for the audit log.
    pub(super) fn says(&self, reason: impl Into<String>) -> Result<By> {
        Ok(By::checked(self.name.clone(), reason)?)
    }

    pub(super) fn is_operator(&self) -> bool {
        self.role == ProjectRole::Operator
    }
}

async fn caller(parts: &mut Parts, app: &App, needed: ProjectRole) -> Result<Caller> {
    let (name, role, own) = match bearer(&parts.headers)? {
        Some(text) => with_token(app, text).await?,
        None => without_token(app, &parts.headers).await?,
    };
    if role < needed {
        let word = match needed {
            ProjectRole::Reader => "reader",
            ProjectRole::Member => "member",
            ProjectRole::Operator => "operator",
        };
        return Err(Problem::new("role-too-small", format!("this needs the role {word}")));
    }
    #[derive(Deserialize)]
    struct Query {
        project: Option<Name>,
    }
    let Asked(Query { project: asked }) = Asked::from_request_parts(parts, app).await?;
    if role == ProjectRole::Operator {
        return Ok(Caller { name, role, project: asked.clone().unwrap_or(own), scope: asked });
    }
    if asked.is_some_and(|asked| asked != own) {
        return Err(Problem::new("role-too-small", "only an operator looks into another project"));
    }
    Ok(Caller { name, role, project: own.clone(), scope: Some(own) })
}

async fn with_token(app: &App, text: &str) -> Result<(String, ProjectRole, Project)> {
    let token = app.store().token(token_hash(text)).await?;
    let token = token.ok_or_else(|| Problem::new("unknown-token", "no token of this installation has this text"))?;
    Ok((token.name.to_string(), token.role, token.project))
}

async fn without_token(app: &App, headers: &HeaderMap) -> Result<(String, ProjectRole, Project)> {
    // The listener was checked at start; the last token may have gone since.
    if !app.config.listen.ip().is_loopback() || app.store().has_tokens().await? {
        return Err(Problem::new("no-token", "the request carries no token"));
    }
    from_this_machine(headers, &app.config)?;
    Ok((NOBODY.to_owned(), ProjectRole::Operator, Name::parse("project", DEFAULT)?))
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let text = value.to_str().ok().and_then(|value| value.split_once(' '));
    match text {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(Problem::new("unknown-token", "the Authorization header is no bearer token")),
    }
}

/// Keeps out pages in this machine's browser: a name that was rebound to loopback, and posts across origins.
fn from_this_machine(headers: &HeaderMap, config: &Config) -> Result<()> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !names_us(host, config) {
        return Err(Problem::new("wrong-host", format!("the Host header says {host:?}")));
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let ours = origin
            .to_str()
            .ok()
            .and_then(|origin| origin.strip_prefix("http://"))
            .is_some_and(|name| names_us(name, config));
        if !ours {
            return Err(Problem::new("cross-origin", "the Origin header names another site"));
        }
    }
    Ok(())
}

fn names_us(host: &str, config: &Config) -> bool {
    let ours = config.listen.port();
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
        _ => (host, Some(80)),
    };
    let known = name.eq_ignore_ascii_case("localhost") || matches!(name, "127.0.0.1" | "[::1]");
    port == Some(ours) && (known || name == config.listen.ip().to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_loopback_with_our_port_names_us() {
        let config = Config {
            state: ".".into(),
            plugins: None,
            listen: "127.0.0.1:8787".parse().unwrap(),
            sandbox: crate::config::Sandbox::default(),
            flows: crate::config::Flows::default(),
        };
        for ours in ["127.0.0.1:8787", "localhost:8787", "LOCALHOST:8787", "[::1]:8787"] {
            assert!(names_us(ours, &config), "{ours}");
        }
        for other in [
            "",
            "localhost",
            "127.0.0.1:80",
            "evil.example:8787",
            "127.0.0.1.evil.example:8787",
            "[::1]",
            "localhost:x",
        ] {
            assert!(!names_us(other, &config), "{other}");
        }
    }
}
