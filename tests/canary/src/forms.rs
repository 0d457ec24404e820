//! The ways in which a secret may be written, and the search for all of them at once.

/// One of them, as bytes.
pub(crate) struct Form {
    /// Of the secret.
    pub(crate) name: String,
    pub(crate) how: &'static str,
    pub(crate) bytes: Vec<u8>,
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub(crate) fn of(name: &str, secret: &str) -> Vec<Form> {
    let bytes = |write: fn(u8) -> String| secret.bytes().map(write).collect::<String>();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let reserved: String = secret
        .bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    let mut forms = vec![
        ("as it is", secret.to_owned()),
        ("in JSON", json(secret)),
        ("in JSON in JSON", json(&json(secret))),
        ("with slashes escaped", json(secret).replace('/', "\\/")),
        ("percent-encoded", reserved),
        ("percent-encoded", bytes(|byte| format!("%{byte:02X}"))),
        ("percent-encoded", bytes(|byte| format!("%{byte:02x}"))),
        ("in hex", bytes(|byte| format!("{byte:02x}"))),
        ("in hex", bytes(|byte| format!("{byte:02X}"))),
        ("backwards", secret.chars().rev().collect()),
    ];
    // Behind a user's name and a colon it begins anywhere in a group.
    for ahead in 0..3 {
        forms.push(("in base64", base64(BASE64, secret.as_bytes(), ahead)));
        forms.push(("in base64", base64(BASE64_URL, secret.as_bytes(), ahead)));
    }
    let form = |(how, text): (_, String)| Form { name: name.to_owned(), how, bytes: text.into_bytes() };
    forms.into_iter().map(form).collect()
}

/// The first of each form, and where it begins: one way through the bytes.
pub(crate) fn found<'a>(forms: &'a [Form], bytes: &[u8]) -> Vec<(&'a Form, usize)> {
    let mut begins = [false; 256];
    forms.iter().filter_map(|form| form.bytes.first()).for_each(|first| begins[usize::from(*first)] = true);
    let mut found: Vec<(&Form, usize)> = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        if !begins[usize::from(*byte)] {
            continue;
        }
        for form in forms.iter().filter(|form| bytes[at..].starts_with(&form.bytes)) {
            if !found.iter().any(|(known, _)| known.bytes == form.bytes) {
                found.push((form, at));
            }
        }
    }
    found
}

/// As JSON writes it between quotes; canaries have no control characters.
fn json(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// What of base64 depends on these bytes alone, when so many others stand ahead in the group. Without padding.
fn base64(letters: &[u8; 64], bytes: &[u8], ahead: usize) -> String {
    let whole = [vec![0; ahead], bytes.to_vec()].concat();
    let mut out = String::new();
    for chunk in whole.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..=chunk.len() {
            out.push(char::from(letters[(bits >> (18 - 6 * at) & 63) as usize]));
        }
    }
    out[(8 * ahead).div_ceil(6)..8 * whole.len() / 6].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How `text` writes the secret, as far as it is found.
    fn ways(secret: &str, text: &str) -> Vec<&'static str> {
        let forms = of("the secret", secret);
        found(&forms, text.as_bytes()).into_iter().map(|(form, _)| form.how).collect()
    }

    #[test]
    fn every_form_of_a_secret_is_found() {
        let secret = r#"s/"cret"#;
        for (text, how) in [
            (r#"x s/"cret y"#, "as it is"),
            (r#"{"a":"s/\"cret"}"#, "in JSON"),
            (r#"{"a":"{\"b\":\"s/\\\"cret\"}"}"#, "in JSON in JSON"),
            (r#"{"a":"s\/\"cret"}"#, "with slashes escaped"),
            ("?a=s%2F%22cret", "percent-encoded"),
            ("?a=%73%2f%22%63%72%65%74", "percent-encoded"),
            ("732f2263726574", "in hex"),
            (r#"terc"/s"#, "backwards"),
        ] {
            assert!(ways(secret, text).contains(&how), "{text}");
        }
    }

    #[test]
    fn a_secret_is_found_in_the_base64_of_more() {
        // As `base64` of coreutils writes them.
        for text in ["Y2FuYXJ5LTA4MTU=", "YTpjYW5hcnktMDgxNQ==", "cm9vdDpjYW5hcnktMDgxNTp4", "YWI6Y2FuYXJ5LTA4MTU="] {
            assert_eq!(ways("canary-0815", text), ["in base64"], "{text}");
        }
        assert_eq!(ways("canary-0815", "Y2FuYXJ5LTA3MTU="), Vec::<&str>::new());
    }
}
