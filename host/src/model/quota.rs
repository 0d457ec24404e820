//! How much a project may have.

use super::Project;

/// A project's quota, and how much of it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    pub project: Project,
    /// Instances that are not gone.
    pub instances: u32,
    pub used: u32,
}
