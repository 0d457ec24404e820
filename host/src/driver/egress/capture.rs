//! What the gate keeps of an answer: the sessions that the manifest declares, before the guest sees the answer.
//!
//! In its place stands the placeholder. Next: `echoes.rs`, for all the other places where it may stand.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value as Json;

use super::At;
use super::patterns::is_like;
use crate::driver::secrets::Secret;
use crate::model::Session;

/// Bytes of a value that is kept. A shorter one would be found everywhere by chance, a longer one is no token.
const LENGTH: std::ops::RangeInclusive<usize> = 4..=16 << 10;

/// A value that was in its place. None when it is not such as can be kept: then it is hidden all the same.
pub(super) struct Captured {
    pub(super) session: String,
    pub(super) value: Option<Secret>,
}

/// What an answer brought, as far as sessions may be in it.
pub(super) struct Brought<'a> {
    pub(super) status: u16,
    /// As they came.
    pub(super) came: &'a HeaderMap,
    /// As they go on to the guest.
    pub(super) passed: &'a mut HeaderMap,
    pub(super) body: &'a mut Vec<u8>,
}

/// Whether this request may bring a session: it changes nothing but who is logged in.
pub(super) fn is_login(declared: &[Session], at: At<'_>) -> bool {
    declared.iter().any(|session| is_of(session, at))
}

fn is_of(session: &Session, at: At<'_>) -> bool {
    session.endpoint == at.endpoint && session.method == at.method && is_like(&session.path, at.path)
}

/// Takes the declared values out of an answer to the request `at`.
pub(super) fn capture(declared: &[Session], at: At<'_>, mut answer: Brought<'_>) -> Vec<Captured> {
    let brings = |session: &&Session| is_of(session, at) && session.status.contains(&answer.status);
    let of_this: Vec<&Session> = declared.iter().filter(brings).collect();
    let taken = of_this.into_iter().filter_map(|session| {
        let value = match (&session.header, &session.pointer) {
            (Some(name), _) => from_header(name, &session.placeholder(), &mut answer),
            (None, Some(pointer)) => from_body(pointer, &session.placeholder(), answer.body),
            (None, None) => None,
        }?;
        let fits = LENGTH.contains(&value.len()) && !value.chars().any(char::is_control);
        if !fits {
            tracing::warn!(target: "gate", endpoint = at.endpoint, session = session.name, "a session that is too short, too long or no text is not kept");
        }
        Some(Captured { session: session.name.clone(), value: fits.then(|| Secret::of(&value)) })
    });
    taken.collect()
}

fn from_header(name: &str, placeholder: &str, answer: &mut Brought<'_>) -> Option<String> {
    let name = HeaderName::try_from(name).ok()?;
    let value = answer.came.get(&name)?;
    answer.passed.remove(&name);
    answer.passed.insert(name, HeaderValue::try_from(placeholder).ok()?);
    // What is no text becomes one with a control character: hidden, and not kept.
    Some(value.to_str().unwrap_or("\0").to_owned())
}

fn from_body(pointer: &str, placeholder: &str, body: &mut Vec<u8>) -> Option<String> {
    let mut json: Json = serde_json::from_slice(body).ok()?;
    let Some(Json::String(place)) = json.pointer_mut(pointer) else { return None };
    let value = std::mem::replace(place, placeholder.to_owned());
    *body = serde_json::to_vec(&json).ok()?;
    Some(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn declared(pointer: Option<&str>, header: Option<&str>) -> Session {
        Session {
            name: "token".into(),
            endpoint: "far".into(),
            method: "POST".into(),
            path: "/login/*".into(),
            status: vec![200, 201],
            pointer: pointer.map(Into::into),
            header: header.map(Into::into),
        }
    }

    /// What was captured, and what the guest sees.
    fn taken(session: &Session, at: (&str, &str, u16), body: &str) -> (Option<Option<String>>, String, HeaderMap) {
        let mut came = HeaderMap::new();
        came.insert("x-subject-token", HeaderValue::from_static("from-the-header"));
        let (mut passed, mut body) = (HeaderMap::new(), body.as_bytes().to_vec());
        let brought = Brought { status: at.2, came: &came, passed: &mut passed, body: &mut body };
        let at = At { endpoint: "far", method: at.0, path: at.1 };
        let captured = capture(std::slice::from_ref(session), at, brought).pop();
        let value = captured.map(|captured| captured.value.map(|value| value.reveal().to_owned()));
        (value, String::from_utf8(body).unwrap(), passed)
    }

    #[test]
    fn a_declared_value_is_taken_and_its_placeholder_stands_there() {
        let (value, body, _) = taken(
            &declared(Some("/Content/AccessToken"), None),
            ("POST", "/login/7?x=1", 200),
            r#"{"Content":{"AccessToken":"t0ken\u002d1","ID":1}}"#,
        );
        assert_eq!(value, Some(Some("t0ken-1".into())));
        assert_eq!(body, r#"{"Content":{"AccessToken":"{{session.token}}","ID":1}}"#);
        let (value, _, headers) = taken(&declared(None, Some("X-Subject-Token")), ("POST", "/login/7", 201), "");
        assert_eq!(value, Some(Some("from-the-header".into())));
        assert_eq!(headers["x-subject-token"], "{{session.token}}");
    }

    #[test]
    fn another_answer_is_left_as_it_is() {
        let session = declared(Some("/t"), None);
        let same = r#"{ "t" : "t0ken-1" }"#;
        for at in [("PUT", "/login/7", 200), ("POST", "/login", 200), ("POST", "/login/7", 401)] {
            assert_eq!(taken(&session, at, same), (None, same.into(), HeaderMap::new()), "{at:?}");
        }
        for body in ["", "no JSON", r#"{ "t": 7 }"#, r#"{ "u": "t0ken-1" }"#] {
            assert_eq!(
                taken(&session, ("POST", "/login/7", 200), body),
                (None, body.into(), HeaderMap::new()),
                "{body}"
            );
        }
    }

    #[test]
    fn what_cannot_be_kept_is_hidden_all_the_same() {
        let session = declared(Some("/t"), None);
        for value in ["abc".to_owned(), "x".repeat(17 << 10), "a\\nbcd".to_owned()] {
            let (taken, body, _) = taken(&session, ("POST", "/login/7", 200), &format!(r#"{{"t":"{value}"}}"#));
            assert_eq!((taken, body.as_str()), (Some(None), r#"{"t":"{{session.token}}"}"#));
        }
    }
}
