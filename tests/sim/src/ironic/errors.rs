//! Ironic's error bodies: JSON in a JSON string. Controllers answer `faultcode`, `faultstring`, `debuginfo` inside; routing and version
//! checks `code`, `title`, `description`; http_basic has a shape of its own.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::call::Answer;

/// An error of a controller.
pub(crate) fn client(status: StatusCode, sentence: &str) -> Answer {
    let code = if status.is_server_error() { "Server" } else { "Client" };
    wrapped(status, &json!({"faultcode": code, "faultstring": sentence, "debuginfo": null}))
}

pub(super) fn bad_request(sentence: &str) -> Answer {
    client(StatusCode::BAD_REQUEST, sentence)
}

pub(super) fn conflict(sentence: &str) -> Answer {
    client(StatusCode::CONFLICT, sentence)
}

pub(super) fn not_found(sentence: &str) -> Answer {
    client(StatusCode::NOT_FOUND, sentence)
}

pub(super) fn locked(node: &str) -> Answer {
    conflict(&format!(
        "Node {node} is locked by host {}, please retry after the current operation is completed.",
        super::state::CONDUCTOR
    ))
}

/// A field that the chosen version does not know: 406, not 400.
pub(super) fn unknown_to_version() -> Answer {
    client(StatusCode::NOT_ACCEPTABLE, "Request not acceptable.")
}

pub(super) fn version(description: &str) -> Answer {
    routing(StatusCode::NOT_ACCEPTABLE, description)
}

pub(super) fn no_route() -> Answer {
    routing(StatusCode::NOT_FOUND, "The resource could not be found.")
}

pub(super) fn no_method() -> Answer {
    routing(StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed for this resource.")
}

pub(super) fn unauthorized(message: &str) -> Answer {
    let body = json!({"error": {"message": message, "code": 401}});
    Answer::json(StatusCode::UNAUTHORIZED, &body).with_header("www-authenticate", "Basic realm=\"Baremetal API\"")
}

pub(super) fn wrong_scheme() -> Answer {
    Answer::json(
        StatusCode::BAD_REQUEST,
        &json!({"error": {"message": "Only Basic authorization is supported", "code": 400}}),
    )
}

fn routing(status: StatusCode, description: &str) -> Answer {
    wrapped(status, &json!({"code": status.as_u16(), "title": status.canonical_reason(), "description": description}))
}

fn wrapped(status: StatusCode, inner: &Value) -> Answer {
    Answer::json(status, &json!({"error_message": inner.to_string()}))
}
