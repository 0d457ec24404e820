//! How many instances a project may have. What counts is every instance that is not gone: the transition that marks one gone gives it
//! back, whatever is still owed.

use rusqlite::{Connection, Row, params};

use super::rows::{all, from_text, one};
use super::{Error, Operation, Result, Store};
use crate::model::{Millis, Name, Quota};

/// Writes a project's quota, new or in place of the old one. Instances that are there stay, also above it.
#[derive(Debug, Clone)]
pub struct PutQuota {
    pub project: Name,
    pub instances: u32,
    pub at: Millis,
}

impl Operation for PutQuota {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        db.prepare_cached(
            "INSERT INTO quota (project, instances, updated_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (project) DO UPDATE SET instances = ?2, updated_at = ?3",
        )?
        .execute(params![self.project.as_str(), self.instances, self.at])?;
        Ok(())
    }
}

/// The project may have as many as it likes. True when it had a quota.
#[derive(Debug, Clone)]
pub struct RemoveQuota(pub Name);

impl Operation for RemoveQuota {
    type Answer = bool;

    fn apply(&self, db: &Connection) -> Result<bool> {
        Ok(db.execute("DELETE FROM quota WHERE project = ?1", params![self.0.as_str()])? == 1)
    }
}

/// Whether a project is at its quota: the guard of the insert that makes an instance. `?1` is the project.
macro_rules! is_full {
    () => {
        "EXISTS (SELECT 1 FROM quota q WHERE q.project = ?1 AND q.instances <=
             (SELECT count(*) FROM instance i WHERE i.project = ?1 AND i.gone_at IS NULL))"
    };
}
pub(super) use is_full;

/// Why the guard did not let it in.
pub(super) fn full(db: &Connection, project: &str) -> Error {
    let quota = one(db, QUOTAS, params![project], read);
    match quota {
        Ok(Some(Quota { instances, used, .. })) => Error::OverQuota { project: project.to_owned(), used, instances },
        Ok(None) => Error::Conflict("the project's quota"),
        Err(error) => error,
    }
}

const QUOTAS: &str = "SELECT q.project, q.instances,
            (SELECT count(*) FROM instance i WHERE i.project = q.project AND i.gone_at IS NULL) AS used
     FROM quota q WHERE ?1 IS NULL OR q.project = ?1 ORDER BY q.project";

impl Store {
    /// Of this project; none when it may have as many as it likes.
    pub async fn quota(&self, project: &Name) -> Result<Option<Quota>> {
        let project = project.to_string();
        self.read(move |db| one(db, QUOTAS, params![project], read)).await
    }

    /// Of all projects that have one, by name.
    pub async fn quotas(&self) -> Result<Vec<Quota>> {
        self.read(|db| all(db, QUOTAS, params![None::<String>], read)).await
    }
}

fn read(row: &Row<'_>) -> Result<Quota> {
    Ok(Quota { project: from_text(row, "project")?, instances: row.get("instances")?, used: row.get("used")? })
}
