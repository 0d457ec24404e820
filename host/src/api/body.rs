//! What a handler takes from a request: body, path, query and key, with problems in place of axum's own words.

use std::fmt;

use axum::body::{self, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use http_body_util::LengthLimitError;
use hyper::body::Body as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::error::{Problem, Result};
use crate::model::{FlowId, HoldingId, InstanceId, Name, OrphanId};

/// Bytes of a JSON body; a plugin's file has its own limit.
const JSON: usize = 1 << 20;

/// A JSON body: an object.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        if !is_json(request.headers()) {
            return Err(Problem::new("not-acceptable-type", "this route takes application/json"));
        }
        let bytes = whole(request, JSON).await?;
        // serde would fill a struct from a list, by position.
        if bytes.trim_ascii_start().starts_with(b"[") {
            return Err(Problem::new("invalid-field", "the body is a list and not an object"));
        }
        let axum::Json(body) = axum::Json::from_bytes(&bytes)?;
        Ok(Self(body))
    }
}

/// All of a body. One that announces more than `most` bytes is not read.
pub(super) async fn whole(request: Request, most: usize) -> Result<Bytes> {
    let too_large = || Problem::new("body-too-large", format!("the body has more than the {most} bytes that are read"));
    if request.body().size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    let read = body::to_bytes(request.into_body(), most).await;
    read.map_err(|error| {
        let error = error.into_inner();
        if error.is::<LengthLimitError>() { too_large() } else { Problem::new("unreadable-body", error.to_string()) }
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// The path's only parameter, when it is a name.
pub(super) struct Named(pub(super) Name);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await?;
        Name::parse("name", &text).map(Self).map_err(|invalid| Problem::new("invalid-parameter", invalid.to_string()))
    }
}

/// The path's only parameter, when it is an id.
pub(super) struct Id<T>(pub(super) T);

/// An id as it stands in a path.
pub(super) trait Identifies: Sized {
    /// What it is, for who wrote something else.
    const IS: &'static str;

    fn parse(text: &str) -> Option<Self>;
}

impl Identifies for InstanceId {
    const IS: &'static str = "an instance's is a UUID, as GET /v1/instances has it";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Identifies for FlowId {
    const IS: &'static str = "a flow's is a UUID, as GET /v1/flows has it";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Identifies for OrphanId {
    const IS: &'static str = "an orphan's is a whole number, as GET /v1/orphans has it";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl Identifies for HoldingId {
    const IS: &'static str = "a debt's is a whole number, as GET /v1/debts has it";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl<S: Send + Sync, T: Identifies> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await?;
        let other = || Problem::new("invalid-parameter", format!("{text:?} is no id: {}", T::IS));
        T::parse(&text).map(Self).ok_or_else(other)
    }
}

/// The query string.
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Query(query) = Query::from_request_parts(parts, state).await?;
        Ok(Self(query))
    }
}

/// The caller's Idempotency-Key. Every POST takes it; where the work is the same when it is repeated it has nothing to do.
pub(super) struct Key(Option<String>);

impl Key {
    /// The key with the SHA-256 of the request as it was understood, so that spaces and the order of fields do not matter.
    pub(super) fn of(self, request: &impl Serialize) -> Result<Option<(String, Vec<u8>)>> {
        let Some(key) = self.0 else { return Ok(None) };
        let request = serde_json::to_value(request).map_err(|e| Problem::new("internal", e.to_string()))?;
        Ok(Some((key, Sha256::digest(Canonical(&request).to_string()).to_vec())))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let Some(key) = text(&parts.headers, "idempotency-key")? else { return Ok(Self(None)) };
        if key.is_empty() || key.len() > 255 || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Problem::new(
                "invalid-idempotency-key",
                "the Idempotency-Key is not 1 to 255 visible ASCII characters",
            ));
        }
        Ok(Self(Some(key.to_owned())))
    }
}

/// A header as text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    value
        .to_str()
        .map(Some)
        .map_err(|_| Problem::new("invalid-parameter", format!("the header {name} is not visible ASCII")))
}

/// JSON with the keys of each object in order, whatever map holds them.
struct Canonical<'a>(&'a Value);

impl fmt::Display for Canonical<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_by_key(|(name, _)| *name);
                f.write_str("{")?;
                for (name, value) in fields {
                    write!(f, "{name:?}:{},", Self(value))?;
                }
                f.write_str("}")
            }
            Value::Array(items) => {
                f.write_str("[")?;
                items.iter().try_for_each(|item| write!(f, "{},", Self(item)))?;
                f.write_str("]")
            }
            plain => plain.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_fields_is_not_part_of_a_request() {
        let one: Value = serde_json::from_str(r#"{"a": [1, {"x": 1, "y": 2}], "b": "t"}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{"b": "t", "a": [1, {"y": 2, "x": 1}]}"#).unwrap();
        assert_eq!(Canonical(&one).to_string(), Canonical(&two).to_string());
        assert_ne!(Canonical(&one).to_string(), Canonical(&json!({"a": [{"x": 1, "y": 2}, 1], "b": "t"})).to_string());
    }
}
