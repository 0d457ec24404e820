//! Where the far sides keep copies of a backend's access: with each enrolled node of what it composed.

use super::rows::{all, from_text};
use super::{Result, Store};
use crate::model::{InstanceId, Name};

/// An instance whose enrolled node bears the access of the backend that composed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    pub instance: InstanceId,
    /// Who keeps the copy.
    pub backend: Name,
    /// Whose access it is.
    pub of: Name,
}

impl Store {
    /// Every enrolled node of an instance that is not gone, oldest first, beside what composed it.
    pub(crate) async fn copied(&self) -> Result<Vec<Copied>> {
        self.read(|db| {
            all(
                db,
                "SELECT e.instance, e.backend, c.backend AS composer FROM holding e
                 JOIN holding c ON c.instance = e.instance AND c.role = 'compose' AND c.handle IS NOT NULL
                 JOIN instance i ON i.public_id = e.instance AND i.gone_at IS NULL
                 WHERE e.role = 'enroll' AND e.handle IS NOT NULL ORDER BY e.id",
                [],
                |row| {
                    Ok(Copied {
                        instance: from_text(row, "instance")?,
                        backend: from_text(row, "backend")?,
                        of: from_text(row, "composer")?,
                    })
                },
            )
        })
        .await
    }
}
