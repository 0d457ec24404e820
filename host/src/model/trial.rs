//! A plugin on trial at a backend: it stays when its operations end whole, and is taken back when it breaks.

use super::{Digest, Millis, Name, RevisionId};

/// Which operations a canary gets; all others go to the plugin that was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Canary {
    /// So many that are to begin.
    Next(u32),
    /// All of one instance, by its id, or by its name in this project.
    Instance { instance: String, project: Name },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    pub backend: Name,
    pub revision: RevisionId,
    pub digest: Digest,
    /// What is newest again when it is taken back.
    pub before: RevisionId,
    /// None: it gets all operations.
    pub canary: Option<Canary>,
    /// So many operations that end without a broken call, and it stays, as a canary for all of them. None: a person says so.
    pub enough: Option<u32>,
    /// Operations.
    pub ended: u32,
    /// Calls.
    pub broken: u32,
    /// So many broken calls, and it is taken back.
    pub most: u32,
    pub since: Millis,
}
