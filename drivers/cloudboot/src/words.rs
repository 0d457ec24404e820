//! Which characters may be sent. CloudBoot splices what it is sent into SQL, and into shell scripts on its own host, so nothing
//! outside of these classes ever leaves (osinstall-server v1.5: seen on the wire, read in the source).

use moganite_driver::{Fault, fault};
use std::net::Ipv4Addr;

const LONGEST: usize = 200;

/// `[A-Za-z0-9._-]`, 1 to 200.
pub(crate) fn is_word(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Itself, or `rejected` with what it is.
pub(crate) fn word<'a>(what: &str, text: &'a str) -> Result<&'a str, Fault> {
    if is_word(text) {
        return Ok(text);
    }
    Err(fault::rejected(format!(
        "{what} {text:?} has characters that are never sent to CloudBoot; use A-Z a-z 0-9 . _ -"
    )))
}

/// A user of a BMC: a word, or one with `@`.
pub(crate) fn is_user(text: &str) -> bool {
    is_word(&text.replace('@', "-"))
}

/// An address in dotted form, without anything around it.
pub(crate) fn address(text: &str) -> Option<Ipv4Addr> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_sql_or_shell_is_never_sent() {
        for text in ["CB001", "centos6u7-x86_64", "a.b"] {
            assert!(is_word(text), "{text}");
        }
        for text in ["", "a b", "a'b", "$(id)", "a;b", "ü", &"a".repeat(201)] {
            assert!(!is_word(text), "{text}");
        }
        assert!(is_user("root@ipmi") && !is_user("root`id`"));
        assert!(address("10.8.0.1").is_some() && address("10.8.0.1;id").is_none() && address("10.8.0.01").is_none());
    }
}
