//! Where the gate puts a value into a driver's request, and where it keeps one from an answer. `plugin.rs` has the
//! manifest that declares both.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Characters, Invalid};

/// Where the gate may put a value in the guest's request, once the operator granted it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Places of one name have one value: a grant opens them together.
    pub name: String,
    pub endpoint: String,
    pub methods: Vec<String>,
    /// `*` stands for one segment; the query is not looked at. With a header, a last segment `**` stands for all that
    /// may follow.
    pub path: String,
    /// Into the request's JSON body, where `*` stands for any index or key; the string there must be exactly the
    /// placeholder. Either this or `header`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// A header of the request; its value must be exactly the placeholder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    pub value: Value,
    /// What the value must consist of; a request that would carry another one is denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub characters: Option<Characters>,
}

/// A value that the gate keeps from an answer: a token, mostly. The guest sees its placeholder alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Several places may give one session: the last one counts.
    pub name: String,
    pub endpoint: String,
    pub method: String,
    /// `*` stands for one segment; the query is not looked at.
    pub path: String,
    pub status: Vec<u16>,
    /// Into the answer's JSON body, to a string. Either this or `header`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
}

/// What goes to a place, as the manifest writes it: `access.password`, `secret.NAME`, `session.NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Value {
    AccessAddress,
    AccessUsername,
    AccessPassword,
    /// The plugin's own name for it; the operator's grant says which secret that is.
    Secret(String),
    Session(String),
}

impl Place {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        one_spot("places", self.pointer.as_deref(), self.header.as_deref())?;
        check_path("places.path", &self.path, self.header.is_some())
    }
}

impl Session {
    pub fn placeholder(&self) -> String {
        Value::Session(self.name.clone()).placeholder()
    }

    pub(super) fn check(&self) -> Result<(), Invalid> {
        if !is_name(&self.name) {
            return Err(Invalid::new("sessions.name", format!("{:?} is no name: [a-z][a-z0-9-]{{0,30}}", self.name)));
        }
        one_spot("sessions", self.pointer.as_deref(), self.header.as_deref())?;
        if self.pointer.as_deref().is_some_and(|pointer| pointer.split('/').any(|segment| segment == "*")) {
            return Err(Invalid::new("sessions.pointer", "one string of the answer: `*` is for places"));
        }
        if self.status.is_empty() {
            return Err(Invalid::new("sessions.status", "the statuses of an answer that has it, such as [200]"));
        }
        check_path("sessions.path", &self.path, false)
    }
}

impl Value {
    /// What the guest writes where it belongs.
    pub fn placeholder(&self) -> String {
        format!("{{{{{self}}}}}")
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccessAddress => f.write_str("access.address"),
            Self::AccessUsername => f.write_str("access.username"),
            Self::AccessPassword => f.write_str("access.password"),
            Self::Secret(name) => write!(f, "secret.{name}"),
            Self::Session(name) => write!(f, "session.{name}"),
        }
    }
}

impl TryFrom<String> for Value {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        let known = match text.split_once('.') {
            Some(("access", "address")) => Some(Self::AccessAddress),
            Some(("access", "username")) => Some(Self::AccessUsername),
            Some(("access", "password")) => Some(Self::AccessPassword),
            Some(("secret", name)) if is_name(name) => Some(Self::Secret(name.to_owned())),
            Some(("session", name)) if is_name(name) => Some(Self::Session(name.to_owned())),
            _ => None,
        };
        known.ok_or_else(|| {
            let forms = "access.address, access.username, access.password, secret.NAME or session.NAME";
            Invalid::new("places.value", format!("{text:?} is none of {forms}; NAME is [a-z][a-z0-9-]{{0,30}}"))
        })
    }
}

impl From<Value> for String {
    fn from(value: Value) -> Self {
        value.to_string()
    }
}

/// `[a-z][a-z0-9-]{0,30}`: of endpoints, secrets and sessions in a manifest.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= 31
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// A pattern of paths; only `is_open` ones may end in `**`.
pub(super) fn check_path(field: &str, path: &str, is_open: bool) -> Result<(), Invalid> {
    if !path.starts_with('/') {
        return Err(Invalid::new(field, format!("{path:?} does not begin with /")));
    }
    let mut segments = path.split('/').rev();
    let last = segments.next();
    if segments.any(|segment| segment == "**") || (last == Some("**") && !is_open) {
        return Err(Invalid::new(field, format!("{path:?}: ** is the last segment of a place with a header")));
    }
    Ok(())
}

fn one_spot(field: &str, pointer: Option<&str>, header: Option<&str>) -> Result<(), Invalid> {
    match (pointer, header) {
        (Some(pointer), None) if pointer.starts_with('/') => Ok(()),
        (Some(pointer), None) => {
            Err(Invalid::new(format!("{field}.pointer"), format!("{pointer:?} is no JSON pointer")))
        }
        (None, Some(_)) => Ok(()),
        _ => Err(Invalid::new(field, "either a pointer or a header, and not both")),
    }
}
