//! Keys that make a repeat harmless: each with the request that it came with first, and what that one began.

use rusqlite::{Connection, params};

use super::rows::{from_text, one};
use super::{Result, Store};
use crate::model::{Flow, FlowId, InstanceId, Name};
use crate::switch::{Guard, Switch, holds};

/// What a key was sent with before.
pub(super) enum Once {
    First,
    Before(InstanceId, FlowId),
    KeyReused,
}

impl Store {
    /// The instance that this request made when the key first came with it.
    pub(crate) async fn made_before(
        &self,
        project: &Name,
        (key, request): (String, Vec<u8>),
    ) -> Result<Option<InstanceId>> {
        let project = project.to_string();
        self.read(move |db| {
            let query = "SELECT instance FROM idempotency WHERE project = ?1 AND key = ?2 AND request = ?3";
            one(db, query, params![project, key, request], |row| from_text(row, "instance"))
        })
        .await
    }
}

/// Keeps the key with what it makes, or says what it made before.
pub(super) fn once(
    db: &Connection,
    project: &str,
    key: &str,
    request: &[u8],
    made: (InstanceId, &Flow),
) -> Result<Once> {
    let (instance, flow) = made;
    let inserted = db
        .prepare_cached(
            "INSERT OR IGNORE INTO idempotency (project, key, request, instance, flow, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![project, key, request, instance.to_string(), flow.id.to_string(), flow.created_at])?;
    if inserted == 1 || !holds(Switch::Guard(Guard::Idempotency)) {
        return Ok(Once::First);
    }
    let before = one(
        db,
        "SELECT request, instance, flow FROM idempotency WHERE project = ?1 AND key = ?2",
        params![project, key],
        |row| Ok((row.get::<_, Vec<u8>>(0)?, from_text(row, "instance")?, from_text(row, "flow")?)),
    )?;
    Ok(match before {
        Some((before, instance, flow)) if before == request || !holds(Switch::Guard(Guard::SameRequest)) => {
            Once::Before(instance, flow)
        }
        _ => Once::KeyReused,
    })
}
