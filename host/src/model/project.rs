//! Who asks: a project, and what its token may do.

use serde::{Deserialize, Serialize};

use super::Name;

/// The tenant that an instance belongs to.
pub type Project = Name;

/// What a bearer token may do in its project; an operator may do everything in every project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Reader,
    Member,
    Operator,
}
