//! Secrets that an answer repeats become their placeholder again, before the guest sees them.
//!
//! Searched are the bytes as they stand, the secret as JSON writes it within text, and in JSON the strings as they
//! read, however they are escaped. A far side that encodes a secret in a way of its own (base64 of a part, reversed)
//! passes: see ARCHITECTURE.md, residual risks.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue};
use serde_json::Value as Json;

use crate::driver::secrets::Secret;

/// A shorter secret would be found everywhere by chance. Unit: bytes.
const SHORTEST: usize = 4;

/// What must not come back, and what stands in its place.
#[derive(Clone, Default)]
pub(in super::super) struct Echoes(Vec<Echo>);

#[derive(Clone)]
struct Echo {
    /// As it is, as JSON writes it, and as JSON writes that again; only those that differ.
    forms: Vec<Arc<Secret>>,
    placeholder: String,
}

impl Echoes {
    pub(in super::super) fn add(&mut self, secret: Arc<Secret>, placeholder: String) {
        if secret.reveal().len() < SHORTEST {
            return;
        }
        let mut forms = vec![secret];
        for _ in 0..2 {
            let written = forms.last().and_then(|last| escaped(last));
            forms.extend(written.map(Arc::new));
        }
        // The longest first: a shorter one may be a part of it.
        forms.reverse();
        self.0.push(Echo { forms, placeholder });
    }

    pub(super) fn hush_headers(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            if let Some(text) = self.hush(value.as_bytes()) {
                // Replacing printable text by printable text keeps a value valid; if not, it is better gone.
                *value = HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""));
            }
        }
    }

    pub(super) fn hush_body(&self, body: Vec<u8>) -> Vec<u8> {
        if self.0.is_empty() {
            return body;
        }
        let body = self.hush(&body).unwrap_or(body);
        if !matches!(body.iter().find(|byte| !byte.is_ascii_whitespace()), Some(b'{' | b'[' | b'"')) {
            return body;
        }
        let Ok(mut json) = serde_json::from_slice::<Json>(&body) else { return body };
        if self.hush_json(&mut json) { serde_json::to_vec(&json).unwrap_or_default() } else { body }
    }

    /// True when something was replaced.
    fn hush_json(&self, json: &mut Json) -> bool {
        match json {
            Json::String(text) => match self.hush(text.as_bytes()) {
                Some(hushed) => {
                    *text = String::from_utf8_lossy(&hushed).into_owned();
                    true
                }
                None => false,
            },
            Json::Array(items) => items.iter_mut().fold(false, |changed, item| self.hush_json(item) | changed),
            Json::Object(fields) => {
                let mut changed = false;
                let told: Vec<String> =
                    fields.keys().filter(|key| self.hush(key.as_bytes()).is_some()).cloned().collect();
                for key in told {
                    changed = true;
                    if let (Some(value), Some(hushed)) = (fields.remove(&key), self.hush(key.as_bytes())) {
                        fields.insert(String::from_utf8_lossy(&hushed).into_owned(), value);
                    }
                }
                fields.values_mut().fold(changed, |changed, item| self.hush_json(item) | changed)
            }
            _ => false,
        }
    }

    /// None when there is nothing to hush.
    fn hush(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut hushed: Option<Vec<u8>> = None;
        for echo in &self.0 {
            for form in &echo.forms {
                let now = hushed.as_deref().unwrap_or(bytes);
                if let Some(next) = replaced(now, form.reveal().as_bytes(), echo.placeholder.as_bytes()) {
                    hushed = Some(next);
                }
            }
        }
        hushed
    }
}

/// As JSON writes it between quotes; none when that is no different.
fn escaped(secret: &Secret) -> Option<Secret> {
    let written = Json::from(secret.reveal()).to_string();
    let inside = written.strip_prefix('"')?.strip_suffix('"')?;
    (inside != secret.reveal()).then(|| Secret::of(inside))
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(at) = find(rest, from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    (rest.len() < bytes.len()).then(|| [&out[..], rest].concat())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    while let Some(at) = bytes.get(from..)?.iter().position(|byte| *byte == first) {
        if bytes[from + at..].starts_with(wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn echoes() -> Echoes {
        let mut echoes = Echoes::default();
        echoes.add(Arc::new(Secret::of("p/ss\"wörd")), "{{access.password}}".into());
        echoes.add(Arc::new(Secret::of("abc")), "{{secret.short}}".into());
        echoes
    }

    fn hushed(body: &str) -> String {
        String::from_utf8(echoes().hush_body(body.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn an_echoed_password_becomes_the_placeholder_however_it_is_escaped() {
        assert_eq!(hushed("p/ss\"wörd, twice: p/ss\"wörd"), "{{access.password}}, twice: {{access.password}}");
        for json in
            [r#"{"a":["p/ss\"wörd"]}"#, r#"{"a":["p\/ss\u0022w\u00f6rd"]}"#, r#" {"a": ["p\u002fss\"w\u00F6rd"]} "#]
        {
            assert_eq!(hushed(json), r#"{"a":["{{access.password}}"]}"#, "{json}");
        }
        assert_eq!(hushed(r#"{"p\/ss\"wörd":1}"#), r#"{"{{access.password}}":1}"#);
    }

    #[test]
    fn an_answer_without_a_secret_keeps_its_bytes() {
        let body = "{ \"b\" : 1.000000000000000000001, \"a\": \"abc\" }";
        assert_eq!(hushed(body), body);
    }

    #[test]
    fn headers_are_hushed_too() {
        let mut echoes = Echoes::default();
        echoes.add(Arc::new(Secret::of("hunter22")), "{{access.password}}".into());
        let mut headers = HeaderMap::new();
        headers.insert("x-debug", HeaderValue::from_static("pw=hunter22;"));
        echoes.hush_headers(&mut headers);
        assert_eq!(headers["x-debug"], "pw={{access.password}};");
    }

    #[test]
    fn a_secret_in_json_within_text_is_found() {
        assert_eq!(hushed(r#"said {"a": "p/ss\"wörd"}"#), r#"said {"a": "{{access.password}}"}"#);
        assert_eq!(hushed(r#"said "{\"a\": \"p/ss\\\"wörd\"}""#), r#"said "{\"a\": \"{{access.password}}\"}""#);
    }
}
