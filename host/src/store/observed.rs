//! What runs, and what the last look at it found.

use rusqlite::{Connection, params};

use super::rows::{all, from_json, from_text, one};
use super::{Operation, Result, Store};
use crate::model::{InstanceId, Millis, Name, Node, RevisionId};

/// A deployed machine of an active instance, and the newest revision of the backend that runs it.
#[derive(Debug, Clone)]
pub struct Watched {
    pub instance: InstanceId,
    pub backend: Name,
    pub revision: RevisionId,
    pub handle: String,
    /// Somebody asked for it to be off.
    pub off: bool,
}

/// What is wrong with each, or that nothing is.
#[derive(Debug, Clone)]
pub struct WriteObserved {
    pub found: Vec<(InstanceId, Option<String>)>,
    pub at: Millis,
}

impl Operation for WriteObserved {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        let mut write = db.prepare_cached(
            // After a restore a look may find more, and only `reconcile` that all is well.
            "UPDATE instance SET degraded = ?2, updated_at = ?3 WHERE public_id = ?1 AND state = 'active' AND degraded IS NOT ?2
               AND (?2 IS NOT NULL OR (SELECT restored_at FROM site) IS NULL)
               AND NOT EXISTS (SELECT 1 FROM missing m JOIN holding h ON h.id = m.holding WHERE h.instance = public_id)",
        )?;
        for (instance, wrong) in &self.found {
            write.execute(params![instance.to_string(), wrong, self.at])?;
        }
        Ok(())
    }
}

impl Store {
    /// Active instances that no flow works on.
    pub async fn watched(&self) -> Result<Vec<Watched>> {
        self.read(|db| {
            all(
                db,
                "SELECT i.public_id, i.off, h.backend, b.revision, h.handle FROM instance i
                 JOIN flow f ON f.public_id = i.flow AND f.phase IN ('done', 'reverted')
                 JOIN holding h ON h.instance = i.public_id AND h.role = 'deploy' AND h.handle IS NOT NULL
                 JOIN backend b ON b.name = h.backend WHERE i.state = 'active' AND i.gone_at IS NULL ORDER BY i.id",
                [],
                |row| {
                    Ok(Watched {
                        instance: from_text(row, "public_id")?,
                        backend: from_text(row, "backend")?,
                        revision: RevisionId(row.get("revision")?),
                        handle: row.get("handle")?,
                        off: row.get("off")?,
                    })
                },
            )
        })
        .await
    }

    /// The machine that an instance has, as the managing side sees it.
    pub async fn node_of(&self, instance: InstanceId) -> Result<Option<Node>> {
        self.read(move |db| {
            one(
                db,
                "SELECT node FROM holding WHERE instance = ?1 AND role IN ('enroll', 'claim') AND node IS NOT NULL
                 ORDER BY id DESC LIMIT 1",
                params![instance.to_string()],
                |row| from_json(row, "node"),
            )
        })
        .await
    }
}
