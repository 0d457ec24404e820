//! Bearer tokens: their text is shown once, when they are made; what is stored is a hash.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Operator, token_hash};
use super::body::{Asked, Body, Key, Named};
use super::error::{Problem, Result};
use super::page::{Page, Paging};
use super::time::show;
use crate::model::{Name, ProjectRole};
use crate::store::{Lane, PutToken, RemoveToken, Token};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(remove))
}

/// A token, without its text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
struct TokenView {
    name: String,
    project: String,
    /// reader, member or operator.
    #[schema(value_type = String)]
    role: ProjectRole,
    created_at: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    #[schema(value_type = String)]
    name: Name,
    #[schema(value_type = String)]
    project: Name,
    /// reader, member or operator.
    #[schema(value_type = String)]
    role: ProjectRole,
}

// No Debug: it would print the text.
#[derive(Serialize, ToSchema)]
struct MadeToken {
    #[serde(flatten)]
    about: TokenView,
    /// `mgt_` and 52 characters; shown this once.
    token: String,
}

/// All tokens, by name.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", params(Paging), responses((status = 200, body = Page<TokenView>)))]
async fn list(_: Operator, State(app): State<App>, Asked(paging): Asked<Paging>) -> Result<Json<Page<TokenView>>> {
    let page = Page::cut("tokens", &paging, app.store().tokens().await?, |token| token.name.to_string())?;
    Ok(Json(page.map(TokenView::from)))
}

/// Makes a token. From the first one on every request needs one, so the first must be an operator's.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = NewToken, responses((status = 201, body = MadeToken)))]
async fn create(
    _: Operator,
    State(app): State<App>,
    _: Key,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<MadeToken>)> {
    if new.role != ProjectRole::Operator && !app.store().has_tokens().await? {
        return Err(Problem::new(
            "first-token-operator",
            "there is no token yet: from this one on every request would need one",
        ));
    }
    let mut random = [0; 32];
    SystemRandom::new().fill(&mut random).map_err(|_| Problem::new("internal", "the system gives no random bytes"))?;
    let text = format!("mgt_{}", base32(&random));
    let token = Token { name: new.name, project: new.project, role: new.role, created_at: app.now() };
    let put = PutToken { token: token.clone(), hash: token_hash(&text) };
    app.store().write(Lane::Interactive, put).await.map_err(|error| match error {
        crate::store::Error::Refused(detail) => Problem::new("already-exists", detail),
        other => other.into(),
    })?;
    Ok((StatusCode::CREATED, Json(MadeToken { about: token.into(), token: text })))
}

/// Removes a token; from now on it opens nothing.
#[utoipa::path(delete, path = "/v1/tokens/{name}", tag = "tokens", params(("name" = String, Path)), responses((status = 204)))]
async fn remove(_: Operator, State(app): State<App>, Named(name): Named) -> Result<StatusCode> {
    let tokens = app.store().tokens().await?;
    let others = tokens.iter().filter(|token| token.name != name);
    let alone = !others.clone().any(|token| token.role == ProjectRole::Operator);
    let reachable = !app.config.listen.ip().is_loopback();
    if alone && (others.count() > 0 || reachable) && tokens.iter().any(|token| token.name == name) {
        return Err(Problem::new("last-operator-token", format!("{name} is the only operator's token")));
    }
    if !app.store().write(Lane::Interactive, RemoveToken(name.clone())).await? {
        return Err(Problem::not_found("token", name));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Five bits a character, without the letters that look like digits.
fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut text = String::new();
    let (mut held, mut bits) = (0u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(LETTERS[(held >> bits & 31) as usize]));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(char::from(LETTERS[(held << (5 - bits) & 31) as usize]));
    }
    text
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        Self {
            name: token.name.to_string(),
            project: token.project.to_string(),
            role: token.role,
            created_at: show(token.created_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_256_bits_are_in_the_text() {
        assert_eq!(base32(&[0; 32]).len(), 52);
        let one_bit = |n: usize| {
            let mut bytes = [0; 32];
            bytes[n / 8] = 1 << (n % 8);
            base32(&bytes)
        };
        let texts: std::collections::BTreeSet<_> = (0..256).map(one_bit).collect();
        assert_eq!(texts.len(), 256);
    }
}
