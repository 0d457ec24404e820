//! Who asks: a project, and what its token may do.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Invalid, Name};

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

/// Whose instances may use a flavor or a backend: those of these projects, or of all when none is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Projects(Option<BTreeSet<Project>>);

impl Projects {
    pub fn of(projects: impl IntoIterator<Item = Project>) -> Self {
        Self(Some(projects.into_iter().collect()))
    }

    pub fn has(&self, project: &Project) -> bool {
        self.0.as_ref().is_none_or(|some| some.contains(project))
    }

    pub fn are_all(&self) -> bool {
        self.0.is_none()
    }

    pub fn check(&self) -> Result<(), Invalid> {
        match &self.0 {
            Some(some) if some.is_empty() => Err(Invalid::new("projects", "name one, or leave it out for all")),
            Some(some) if some.len() > 1000 => Err(Invalid::new("projects", "at most 1000")),
            _ => Ok(()),
        }
    }
}
