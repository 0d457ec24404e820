//! What stands in the way of flows, read at once for a whole list of them.

use std::collections::BTreeMap;

use rusqlite::params;

use super::pauses::stopped;
use super::rows::{all, from_text, one, to_json};
use super::{Result, Standing, Store, breakers, flows, pauses, plugins};
use crate::model::{Broken, Flow, FlowId, Millis, Name, Paused, Stopped};

#[derive(Debug, Clone, Default)]
pub struct Obstacles {
    /// What keeps all of them.
    pub standing: Standing,
    /// Backends that an operator paused.
    pub paused: BTreeMap<Name, Paused>,
    /// By flow: the plugin that it calls, where an operator stopped that.
    pub stopped: BTreeMap<FlowId, Stopped>,
    /// By flow: the plugin that it calls, where nobody calls that for a while because it broke.
    pub broken: BTreeMap<FlowId, Broken>,
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
        let calling =
            to_json(&of.iter().filter(|flow| flow.backend.is_some()).map(|flow| flow.id).collect::<Vec<_>>())?;
        let following: Vec<_> = of.iter().filter_map(|flow| Some((flow.id, flow.follows?))).collect();
        self.read(move |db| {
            let paused =
                all(db, "SELECT name, paused_at, paused_why FROM backend WHERE paused_at IS NOT NULL", [], |row| {
                    Ok((from_text(row, "name")?, pauses::read(row)?))
                })?;
            let mut found = Obstacles { standing: pauses::standing(db)?, ..Obstacles::default() };
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
            let broken = "SELECT f.public_id AS flow, k.* FROM flow f JOIN revision r ON r.id = f.calls
                          JOIN breaker k ON k.backend = r.backend AND k.digest = r.digest
                          WHERE f.public_id IN (SELECT value FROM json_each(?1)) AND k.until IS NOT NULL";
            let broken = all(db, broken, params![calling], |row| Ok((from_text(row, "flow")?, breakers::read(row)?)))?;
            found.broken.extend(broken);
            let stopped = "SELECT f.public_id AS flow, p.* FROM flow f JOIN revision r ON r.id = f.calls
                           JOIN plugin p ON p.digest = r.digest WHERE f.public_id IN (SELECT value FROM json_each(?1))";
            let stopped =
                all(db, stopped, params![calling], |row| Ok((from_text(row, "flow")?, plugins::read_stopped(row)?)))?;
            found.stopped.extend(stopped);
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
