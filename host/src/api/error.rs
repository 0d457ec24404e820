//! What goes wrong, as `application/problem+json` (RFC 9457). Everything that fails comes through here; `codes.rs` has the table from
//! code to status.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::codes;
use crate::driver::Refusal;
use crate::model::Invalid;
use crate::store::Trouble;
use crate::{lifecycle, store};

/// Why a request was not done. The code is stable, the words are for people.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Problem {
    /// `urn:moganite:problem:` and the code.
    r#type: String,
    title: &'static str,
    status: u16,
    /// One sentence about this request.
    detail: String,
    code: &'static str,
    /// The same request may work later.
    retryable: bool,
    what_to_do: &'static str,
    /// What a plugin asks for beyond what was granted, a line each; repeated in `grant`, they are granted.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<String>)]
    asks_more: Box<[String]>,
}

pub(super) type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    /// Status and words are those of `codes.rs`.
    pub(super) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        let row = codes::find(code);
        Self {
            r#type: format!("urn:moganite:problem:{code}"),
            title: row.title,
            status: row.status,
            detail: detail.into(),
            code,
            retryable: matches!(row.status, 502 | 503 | 507),
            what_to_do: row.what_to_do,
            asks_more: Box::default(),
        }
    }

    pub(super) fn not_found(what: &str, name: impl std::fmt::Display) -> Self {
        Self::new("not-found", format!("no {what} is named {name}"))
    }

    /// For what the body names, and not the path.
    pub(super) fn in_body(error: lifecycle::Error) -> Self {
        let lifecycle::Error::NotFound { what, name } = error else { return error.into() };
        let code = match what {
            "flavor" => "unknown-flavor",
            "image" => "unknown-image",
            "backend" => "unknown-backend",
            "plugin" => "plugin-unknown",
            "network" => "unknown-network",
            "secret" => "unknown-secret",
            _ => "unknown-reference",
        };
        Self::new(code, format!("no {what} is named {name}"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<lifecycle::Error> for Problem {
    fn from(error: lifecycle::Error) -> Self {
        match error {
            lifecycle::Error::NotFound { what, name } => Self::not_found(what, name),
            lifecycle::Error::Invalid(invalid) => invalid.into(),
            lifecycle::Error::Refused { code, message } => Self::new(code, message),
            lifecycle::Error::AsksMore { ref more, .. } => {
                Self { asks_more: more.clone().into(), ..Self::new("plugin-asks-more", error.to_string()) }
            }
            lifecycle::Error::Store(error) => error.into(),
        }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Conflict(_) => Self::new("stale-revision", error.to_string()),
            store::Error::Refused(detail) => Self::new("refused", detail),
            store::Error::Owned(detail) | store::Error::Leaving(detail) => Self::new("refused", detail),
            store::Error::OverQuota { .. } => Self::new("quota-exceeded", error.to_string()),
            store::Error::Unavailable(_) | store::Error::Files(_) | store::Error::Closed => {
                tracing::error!(error = &error as &dyn std::error::Error, "the store did not do it");
                match error.trouble() {
                    Some(Trouble::Full) => Self::new("disk-full", "the database has no room to write"),
                    Some(Trouble::Locked) => Self::new("database-locked", "another process holds the database's lock"),
                    Some(Trouble::ReadOnly) => Self::new("database-read-only", "the database cannot be written"),
                    None => Self::new("unavailable", "the database did not do it"),
                }
            }
            store::Error::Corrupt(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a row cannot be read");
                Self::new("internal", "a stored row cannot be read")
            }
        }
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::new("invalid-field", invalid.to_string())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code, refusal.message)
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        match rejection {
            JsonRejection::JsonDataError(error) => Self::new("invalid-field", reason(&error.body_text())),
            JsonRejection::JsonSyntaxError(error) => Self::new("malformed-json", reason(&error.body_text())),
            other => Self::new("unreadable-body", other.body_text()),
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new("invalid-parameter", reason(&rejection.body_text()))
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new("invalid-parameter", reason(&rejection.body_text()))
    }
}

/// What follows axum's own first words, which only say that something failed.
fn reason(text: &str) -> String {
    text.split_once(": ").map_or(text, |(_, reason)| reason).to_owned()
}

pub(super) async fn no_such_route(uri: Uri) -> Problem {
    Problem::new("no-such-route", format!("{} is no route", uri.path()))
}

pub(super) async fn no_such_method(method: axum::http::Method, uri: Uri) -> Problem {
    Problem::new("no-such-method", format!("{} does not take {method}", uri.path()))
}
