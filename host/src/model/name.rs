//! The names that people give, and what is wrong with a bad one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is wrong with a value that a person or a far side gave: which field, which rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct Invalid {
    pub field: String,
    pub rule: String,
}

impl Invalid {
    pub fn new(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { field: field.into(), rule: rule.into() }
    }
}

/// Of an instance, flavor, image, backend, secret, project: `[a-z][a-z0-9-]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    pub fn parse(field: &str, text: &str) -> Result<Self, Invalid> {
        let letters = text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if text.len() > 63 || !letters || !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(Invalid::new(field, "a name is 1 to 63 characters of a-z, 0-9 and -, beginning with a letter"));
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse("name", &text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_letters_digits_and_dashes() {
        for good in ["a", "web-1", &"x".repeat(63)] {
            assert!(Name::parse("name", good).is_ok(), "{good}");
        }
        for bad in ["", "1a", "-a", "Web", "a_b", "a b", "é", &"x".repeat(64)] {
            assert!(Name::parse("name", bad).is_err(), "{bad}");
        }
    }
}
