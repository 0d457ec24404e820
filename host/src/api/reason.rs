//! Why a person decides something: a line of the audit log.

use serde::Deserialize;
use utoipa::ToSchema;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    /// One line of 1 to 500 characters.
    pub(super) reason: String,
}

/// Where a reason may be left out.
pub(super) fn unsaid() -> String {
    "no reason was given".into()
}
