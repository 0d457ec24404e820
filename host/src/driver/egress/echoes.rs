//! Secrets that an answer repeats become their placeholder again, before the guest sees them.
//!
//! Searched are the bytes as they stand, and as a reader of JSON would read them, also of JSON in a text of JSON (`escapes.rs`). A far
//! side that encodes a secret in a way of its own (base64 of a part, reversed) passes: see ARCHITECTURE.md, residual risks.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue};

use super::escapes::readings;
use crate::driver::secrets::Secret;

/// A shorter secret would be found everywhere by chance. Unit: bytes.
const SHORTEST: usize = 4;

/// What must not come back, and what stands in its place.
#[derive(Clone, Default)]
pub(in super::super) struct Echoes(Vec<Echo>);

#[derive(Clone)]
struct Echo {
    secret: Arc<Secret>,
    placeholder: String,
}

impl Echoes {
    pub(in super::super) fn add(&mut self, secret: Arc<Secret>, placeholder: String) {
        if secret.reveal().len() >= SHORTEST {
            self.0.push(Echo { secret, placeholder });
        }
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
        self.hush(&body).unwrap_or(body)
    }

    /// None when there is nothing to hush.
    fn hush(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut hushed: Option<Vec<u8>> = None;
        for Echo { secret, placeholder } in &self.0 {
            let (secret, placeholder) = (secret.reveal().as_bytes(), placeholder.as_bytes());
            if let Some(next) = replaced(hushed.as_deref().unwrap_or(bytes), secret, placeholder) {
                hushed = Some(next);
            }
        }
        let mut all = readings(hushed.as_deref().unwrap_or(bytes));
        for Echo { secret, placeholder } in &self.0 {
            let mut depth = 0;
            while let Some(reading) = all.get(depth) {
                let places = reading.of_escaped(secret.reveal().as_bytes(), find);
                if !places.is_empty() {
                    let next = put(hushed.as_deref().unwrap_or(bytes), &places, placeholder.as_bytes());
                    all = readings(&next);
                    hushed = Some(next);
                }
                depth += 1;
            }
        }
        hushed
    }
}

/// Places follow each other.
fn put(bytes: &[u8], places: &[(usize, usize)], instead: &[u8]) -> Vec<u8> {
    let (mut out, mut from) = (Vec::with_capacity(bytes.len()), 0);
    for &(begin, end) in places {
        out.extend_from_slice(&bytes[from..begin]);
        out.extend_from_slice(instead);
        from = end;
    }
    out.extend_from_slice(&bytes[from..]);
    out
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
            [r#"{"a":["p/ss\"wörd"]}"#, r#"{"a":["p\/ss\u0022w\u00f6rd"]}"#, r#"{"a":["p\u002fss\"w\u00F6rd"]}"#]
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

    /// A reader that is laxer than a parser of JSON would read it there.
    #[test]
    fn a_secret_is_found_also_in_json_that_a_parser_refuses_or_folds() {
        let told = r#""p\u002fss\"w\u00f6rd""#;
        let deep = |text: &str| format!("{}{text}{}", "[".repeat(200), "]".repeat(200));
        for (body, hushed_body) in [
            (format!(r#"{{"a":{told},"a":1}}"#), r#"{"a":"{{access.password}}","a":1}"#.to_owned()),
            (deep(told), deep(r#""{{access.password}}""#)),
            (format!("{{}}\n[{told}]"), "{}\n[\"{{access.password}}\"]".to_owned()),
            (format!("\u{feff}[{told}"), "\u{feff}[\"{{access.password}}\"".to_owned()),
        ] {
            assert_eq!(hushed(&body), hushed_body);
        }
    }

    #[test]
    fn a_placeholder_that_has_a_secret_in_it_is_put_once() {
        let mut echoes = Echoes::default();
        echoes.add(Arc::new(Secret::of("access")), "{{access.password}}".into());
        let hushed = echoes.hush_body(br#"access \u0061ccess"#.to_vec());
        assert_eq!(String::from_utf8_lossy(&hushed), "{{access.password}} {{access.password}}");
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
