//! Which characters a value may consist of, as one character class: `[A-Za-z0-9._@-]`.

use serde::{Deserialize, Serialize};

use super::Invalid;

/// A character class as regular expressions write it, and no more than that: single characters, ranges, and `\` before
/// punctuation. No negation, no class within a class, no `\d`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Characters {
    text: String,
    /// First and last of each range.
    ranges: Vec<(char, char)>,
}

impl Characters {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = |why: String| Invalid::new("characters", format!("{text:?} is no character class: {why}"));
        let inside = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let inside = inside.ok_or_else(|| invalid("write it as [A-Za-z0-9]".into()))?;
        // In most dialects these mean sets of classes; here they mean nothing.
        if inside.starts_with('^') || ["&&", "--", "~~"].iter().any(|operator| inside.contains(operator)) {
            return Err(invalid("list what is allowed, without ^ in front and without &&, -- and ~~".into()));
        }
        let mut letters = Vec::new();
        let mut rest = inside.chars();
        while let Some(c) = rest.next() {
            match c {
                '\\' => {
                    let escaped = rest.next().filter(char::is_ascii_punctuation);
                    let escaped = escaped.ok_or_else(|| invalid("\\ stands before punctuation alone".into()))?;
                    letters.push((escaped, true));
                }
                '[' | ']' => return Err(invalid(format!("write {c} as \\{c}"))),
                _ => letters.push((c, false)),
            }
        }
        let mut ranges = Vec::new();
        let mut rest = letters.as_slice();
        while let [(first, _), after @ ..] = rest {
            rest = match after {
                [('-', false), (last, _), after @ ..] if first <= last => {
                    ranges.push((*first, *last));
                    after
                }
                [('-', false), (last, _), ..] => return Err(invalid(format!("{first}-{last} runs backwards"))),
                _ => {
                    ranges.push((*first, *first));
                    after
                }
            };
        }
        if ranges.is_empty() {
            return Err(invalid("it is empty".into()));
        }
        Ok(Self { text: text.to_owned(), ranges })
    }

    /// Whether each character of `value` is in the class.
    pub fn allow(&self, value: &str) -> bool {
        value.chars().all(|c| self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&c)))
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl TryFrom<String> for Characters {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl From<Characters> for String {
    fn from(characters: Characters) -> Self {
        characters.text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_class_allows_its_characters_and_no_other() {
        let class = Characters::parse("[A-Za-z0-9._@-]").unwrap();
        assert!(class.allow("Root_7") == class.allow("_") && class.allow("a.B-9_@"));
        assert!(!class.allow("a b") && !class.allow("a\"") && !class.allow("é") && !class.allow("a\n"));
        let class = Characters::parse(r"[\]\[\\\-a]").unwrap();
        assert!(class.allow(r"a][\-") && !class.allow("b") && !class.allow("^"));
        // A dash that is escaped makes no range.
        assert!(!Characters::parse(r"[a\-z]").unwrap().allow("b"));
    }

    #[test]
    fn what_is_more_or_less_than_one_class_is_refused() {
        for bad in
            ["", "a-z", "[a-z]+", "[]", "[^a]", "[z-a]", r"[\d]", r"[\w]", "[[:alpha:]]", "[a]b]", "[a&&b]", r"[a\]"]
        {
            assert!(Characters::parse(bad).is_err(), "{bad}");
        }
    }
}
