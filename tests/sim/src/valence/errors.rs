//! Valence's one error body, and its three kinds of code: its own errors have HTTP's reason phrase, the pod manager's keep their
//! Redfish code, and Python's have the exception's class name, always with 500.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::call::Answer;

/// The request id never changes.
pub(super) const REQUEST_ID: &str = "00000000-0000-0000-0000-000000000000";

/// An error of Valence's own.
pub(super) fn own(status: StatusCode, detail: &str) -> Answer {
    let reason = status.canonical_reason().unwrap_or("Error");
    body(status, reason, reason, detail)
}

/// An error of the pod manager, passed on.
pub(crate) fn from_pod_manager(status: StatusCode, code: &str, title: &str, detail: &str) -> Answer {
    body(status, code, title, detail)
}

/// The same, read from the pod manager's answer, with a status of the caller's choice: the tree of 2017 takes that of an earlier
/// call. An answer that lacks one of the three keys is a KeyError.
pub(super) fn passed_on(answer: &Answer, status: StatusCode) -> Answer {
    let value = answer.value();
    let error = &value["error"];
    let (Some(code), Some(title), Some(infos)) =
        (error["code"].as_str(), error["message"].as_str(), error["@Message.ExtendedInfo"].as_array())
    else {
        return python("KeyError", "'error'");
    };
    let details: Vec<&str> = infos.iter().filter_map(|info| info["Message"].as_str()).collect();
    body(status, code, title, &details.join("; "))
}

/// An exception that nobody caught.
pub(super) fn python(class: &str, detail: &str) -> Answer {
    body(StatusCode::INTERNAL_SERVER_ERROR, class, "Internal Server Error", detail)
}

/// 500, not 404.
pub(super) fn no_such_url() -> Answer {
    python("NotFound", "404 Not Found: The requested URL was not found on the server.")
}

/// What a JSON schema without a match answers.
pub(super) fn invalid(value: &Value) -> Answer {
    let detail = match value {
        Value::Object(_) => format!("{value} is not valid under any of the given schemas"),
        Value::Null => "None is not of type 'object'".to_owned(),
        other => format!("{other} is not of type 'object'"),
    };
    body(StatusCode::BAD_REQUEST, "Bad Request", "Validation Error", &detail)
}

pub(super) fn deleted(detail: &str) -> Value {
    json!({"code": "DELETED", "detail": detail, "request_id": REQUEST_ID})
}

fn body(status: StatusCode, code: &str, title: &str, detail: &str) -> Answer {
    let value =
        json!({"code": code, "detail": detail, "request_id": REQUEST_ID, "status": status.as_u16(), "title": title});
    Answer::pretty(status, &value)
}
