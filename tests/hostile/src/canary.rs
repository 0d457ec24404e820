//! Secrets that are planted, and the search for them in everything that leaves the process or is written: the log, the files of the
//! state folder, the answers of the API, and what far sides got where no secret was granted.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use scenarios::BMC_PASSWORD;

use crate::far::{Far, Got, SUBJECT, TOKEN};

/// The password of the machines of the attacker's backend; JSON must escape it.
pub(crate) const ACCESS: &str = "hostile-canary/\"access\"-91d4";
/// What the operator granted the attacker for its login.
pub(crate) const LOGIN: &str = "hostile-canary-login-c05e";

/// Nothing of it may be seen, in none of its forms.
pub(crate) struct Canaries {
    /// Name of the secret and of the form, and the bytes.
    forms: Vec<(String, Vec<u8>)>,
    seen: RefCell<BTreeSet<String>>,
}

impl Canaries {
    pub(crate) fn plant() -> Self {
        let mut canaries = Self { forms: Vec::new(), seen: RefCell::default() };
        for (name, secret) in [
            ("the BMC's password", BMC_PASSWORD),
            ("the access", ACCESS),
            ("the login", LOGIN),
            ("the session", TOKEN),
            ("the subject", SUBJECT),
        ] {
            canaries.add(name, secret);
        }
        canaries
    }

    fn add(&mut self, name: &str, secret: &str) {
        let escaped = secret.replace('/', "\\/").replace('"', "\\\"");
        let percent: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let forms = [
            ("as it is", secret.to_owned()),
            ("in JSON", secret.replace('"', "\\\"")),
            ("in JSON in JSON", secret.replace('"', "\\\\\\\"")),
            ("with slashes escaped", escaped),
            ("percent-encoded", percent),
            ("in hex", hex),
            ("in base64", base64(secret.as_bytes())),
            ("backwards", secret.chars().rev().collect()),
        ];
        for (form, text) in forms {
            // Most secrets look alike in some forms: told once.
            let form = (format!("{name} {form}"), text.into_bytes());
            if !self.forms.iter().any(|(_, known)| *known == form.1) {
                self.forms.push(form);
            }
        }
    }

    /// Looks through what came out at `place`.
    pub(crate) fn scan(&self, place: &str, bytes: &[u8]) {
        for (what, form) in &self.forms {
            if contains(bytes, form) {
                self.seen.borrow_mut().insert(format!("{what} in {place}"));
            }
        }
    }

    /// The folder and everything below it, but for the key, which is a secret by itself.
    pub(crate) fn scan_folder(&self, folder: &Path) -> Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                self.scan_folder(&path)?;
            } else if path.extension().is_none_or(|extension| extension != "cwasm" && extension != "wasm") {
                // A file may be gone by now: SQLite's own come and go.
                self.scan(&path.display().to_string(), &std::fs::read(&path).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// What a far side got: each secret where it was granted, and nowhere else.
    pub(crate) fn scan_far(&self, far: &Far) -> Vec<Got> {
        let got = far.take();
        for one in &got {
            let place = format!("a request {} {}", one.method, one.path);
            self.scan(&place, one.path.as_bytes());
            if !matches!((one.method.as_str(), one.path.as_str()), ("POST", "/keep" | "/login" | "/jobs/7")) {
                self.scan(&place, one.body.as_bytes());
            }
            if !one.path.starts_with("/jobs/") && one.path != "/subject" {
                self.scan(&place, one.headers.as_bytes());
            }
        }
        got
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.borrow().iter().cloned().collect()
    }
}

/// By the first byte, so that a debug build is through a database in a moment.
fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else { return false };
    let mut rest = haystack;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        if rest[at..].starts_with(needle) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..=chunk.len() {
            out.push(char::from(LETTERS[(bits >> (18 - 6 * at) & 63) as usize]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_secret_is_found_and_nothing_else() {
        let found = |text: &str| {
            let canaries = Canaries::plant();
            canaries.scan("here", text.as_bytes());
            canaries.seen()
        };
        assert_eq!(found("{{access.password}}"), Vec::<String>::new());
        assert_eq!(found(&format!("x{LOGIN}y")), ["the login as it is in here"]);
        assert_eq!(found(&format!("{:?}", ACCESS)), ["the access in JSON in here"]);
        assert!(found(&format!("aG9: {}", base64(TOKEN.as_bytes())))[0].contains("base64"));
    }

    #[test]
    fn base64_is_as_everybody_writes_it() {
        assert_eq!(
            (base64(b"Man"), base64(b"Ma"), base64(b"light work.")),
            ("TWFu".into(), "TWE".into(), "bGlnaHQgd29yay4".into())
        );
    }
}
