//! What operators say of plugins as shipped: which are not called any more, and how old one may be.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Digest, Invalid, Millis, Name, Paused};

/// How a plugin is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginStop {
    /// Not called until it is enabled.
    Disabled,
    /// Nor added, nor bound: until an operator takes it from the list.
    Denied,
}

impl PluginStop {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Denied => "denied",
        }
    }
}

/// A plugin that is stopped in at least one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    pub digest: Digest,
    pub disabled: Option<Paused>,
    pub denied: Option<Paused>,
}

impl Stopped {
    /// The stop that weighs more.
    pub fn by(&self) -> Option<(PluginStop, &Paused)> {
        let denied = self.denied.as_ref().map(|paused| (PluginStop::Denied, paused));
        denied.or(self.disabled.as_ref().map(|paused| (PluginStop::Disabled, paused)))
    }
}

/// A plugin whose last calls at a backend broke: traps, limits, answers that no driver may give. What it says in a fault of its own, and a
/// far side that does not answer in time, are no breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub backend: Name,
    pub digest: Digest,
    /// In a row.
    pub calls: u32,
    /// Nobody calls it there before then, and from then on one flow alone. None: it did not break often enough for that.
    pub until: Option<Millis>,
    /// Of the last one.
    pub why: String,
    pub since: Millis,
}

/// No version of this plugin before `version` is bound any more, but by a roll-back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Floor {
    /// The plugin's.
    pub name: Name,
    pub version: Version,
    pub why: String,
    pub at: Millis,
}

/// Three numbers, ordered as versions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version([u32; 3]);

impl FromStr for Version {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let numbers: Option<Vec<u32>> = text.split('.').map(|number| number.parse().ok()).collect();
        let numbers = numbers.and_then(|numbers| <[u32; 3]>::try_from(numbers).ok());
        numbers.map(Self).ok_or_else(|| Invalid::new("version", "three numbers with dots, such as 0.1.0"))
    }
}

impl TryFrom<String> for Version {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn versions_are_ordered_by_their_numbers_and_not_by_their_letters() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("0.10.0") > version("0.9.9"));
        assert_eq!(version("1.2.3").to_string(), "1.2.3");
        for bad in ["1.2", "1.2.3.4", "1.2.x", ""] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }
}
