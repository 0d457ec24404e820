//! What stands in the way of flows, read at once for a whole list of them.

use std::collections::BTreeMap;

use rusqlite::params;

use super::pauses::stopped;
use super::rows::{all, from_text, one};
use super::{Result, Standing, Store, flows, pauses};
use crate::model::{Flow, FlowId, Millis, Name, Paused};

#[derive(Debug, Clone, Default)]
pub struct Obstacles {
    /// What keeps all of them.
    pub standing: Standing,
    /// Backends that an operator paused.
    pub paused: BTreeMap<Name, Paused>,
    /// By flow: who is before it at an exclusive backend.
    pub ahead: BTreeMap<FlowId, Ahead>,
    /// By flow: the one that has to end before.
    pub before: BTreeMap<FlowId, Flow>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// Whose turn it is.
    pub first: FlowId,
    /// All that come before it, the first counted.
    pub in_line: u64,
}

impl Store {
    pub async fn obstacles(&self, of: &[Flow]) -> Result<Obstacles> {
        let in_line: Vec<_> = of.iter().filter(|flow| flow.exclusive.is_some()).map(|flow| flow.id).collect();
        let following: Vec<_> = of.iter().filter_map(|flow| Some((flow.id, flow.follows?))).collect();
        let standing = self.standing().await?;
        self.read(move |db| {
            let paused =
                all(db, "SELECT name, paused_at, paused_why FROM backend WHERE paused_at IS NOT NULL", [], |row| {
                    Ok((from_text(row, "name")?, pauses::read(row)?))
                })?;
            let mut found = Obstacles { standing, ..Obstacles::default() };
            found.paused = paused.into_iter().filter_map(|(name, paused)| Some((name, paused?))).collect();
            for id in in_line {
                let ahead = one(
                    db,
                    "SELECT o.public_id, count(*) OVER () AS n FROM flow f
                     JOIN flow o ON o.exclusive = f.exclusive AND (o.place, o.id) < (f.place, f.id)
                     WHERE f.public_id = ?1 ORDER BY o.place, o.id LIMIT 1",
                    params![id.to_string()],
                    |row| Ok(Ahead { first: from_text(row, "public_id")?, in_line: row.get("n")? }),
                )?;
                found.ahead.extend(ahead.map(|ahead| (id, ahead)));
            }
            for (id, before) in following {
                let query = concat!("SELECT ", flows::flow_columns!(), " FROM flow WHERE public_id = ?1");
                let before = one(db, query, params![before.to_string()], flows::read_flow)?;
                found.before.extend(before.map(|before| (id, before)));
            }
            Ok(found)
        })
        .await
    }

    /// How many flows of each kind run longer at their task than it may take. `usual`: where nothing was said of it.
    pub async fn count_overdue(&self, now: Millis, usual: Millis) -> Result<Vec<(String, u64)>> {
        self.read(move |db| {
            all(
                db,
                concat!(
                    "SELECT kind, count(*) FROM flow WHERE wake IS NOT NULL AND ?1 - task_since > coalesce(budget, ?2) AND coalesce(place, 0) = 0 AND NOT ",
                    stopped!(),
                    " GROUP BY kind ORDER BY kind"
                ),
                params![now, usual],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
        })
        .await
    }
}
