//! What is due: which flows the runner may call, and when it has to look again.

use std::ops::Deref;

use rusqlite::{Connection, params};

use super::flows::{flow_columns, read_flow};
use super::pauses::{self, stopped};
use super::rows::{all, from_text, from_text_or_null, to_json};
use super::{Lane, Operation, Result, Store, Wakes};
use crate::model::{Flow, FlowId, Millis, Name};
use crate::switch::{Guard, guarded};

/// One that is due, by name: its row is read before it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub id: FlowId,
    /// Of its row when that was due; none where a write named it.
    pub revision: Option<i64>,
    /// Which backend its task calls.
    pub backend: Option<Name>,
    /// Its call is the one that tries a plugin which broke too often: of each number one at a time.
    pub probes: Option<i64>,
}

/// A row of `flow` that is due at ?1, the first in its line, that nobody stopped, and whose plugin may be called. Who waits for a plugin, and has not
/// begun its turn, keeps nobody in its line.
macro_rules! due {
    () => {
        concat!(
            "wake IS NOT NULL AND wake <= ?1 AND NOT ",
            stopped!(),
            " AND NOT EXISTS (SELECT 1 FROM breaker k JOIN revision r ON r.backend = k.backend AND r.digest = k.digest
                              WHERE r.id = f.calls AND k.until > ?1)
              AND (exclusive IS NULL OR NOT EXISTS (
                SELECT 1 FROM flow o WHERE o.exclusive = f.exclusive AND (o.place, o.id) < (f.place, f.id)
                  AND NOT (o.place > 0 AND EXISTS (
                      SELECT 1 FROM revision r LEFT JOIN plugin p ON p.digest = r.digest
                      LEFT JOIN breaker k ON k.backend = r.backend AND k.digest = r.digest
                      WHERE r.id = o.calls AND (p.digest IS NOT NULL OR k.until > ?1)))))"
        )
    };
}

/// Whose probe the call of a row of `flow` is that is due.
macro_rules! probes {
    () => {
        "(SELECT k.id FROM breaker k JOIN revision r ON r.backend = k.backend AND r.digest = k.digest
          WHERE r.id = f.calls AND k.until IS NOT NULL)"
    };
}

/// A new run begins: what is due may have been in a call when the last one ended.
struct TakeOver(Millis);

impl Operation for TakeOver {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        db.execute("UPDATE flow SET attempt = attempt + 1 WHERE wake <= ?1", params![self.0])?;
        // Nobody looks for them any more.
        db.execute("UPDATE flow SET wake = ?1, shown = 0 WHERE shown AND wake > ?1", params![self.0])?;
        Ok(())
    }
}

/// A look saw that the waits of these flows are over: what they rest for is due now.
#[derive(Debug, Clone)]
pub struct Hasten {
    pub flows: Vec<FlowId>,
    pub at: Millis,
}

impl Operation for Hasten {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        let mut write =
            db.prepare_cached("UPDATE flow SET wake = ?2, shown = 0 WHERE public_id = ?1 AND shown AND wake > ?2")?;
        for flow in &self.flows {
            write.execute(params![flow.to_string(), self.at])?;
        }
        Ok(())
    }

    fn wakes(&self, (): &()) -> Wakes {
        Wakes::Any
    }
}

/// The query with its guards.
fn unstopped(query: &'static str) -> impl Deref<Target = str> {
    let query = guarded(Guard::Breaker, query, "k.until > ?1", "FALSE");
    pauses::guarded(guarded(Guard::Turn, query, "exclusive IS NULL OR", "TRUE OR"))
}

impl Store {
    /// Counts a try for each flow that may have been in a call when the last run ended.
    pub(crate) async fn take_over(&self, now: Millis) -> Result<()> {
        self.write(Lane::Flow, TakeOver(now)).await
    }

    /// What the runner may call now, the longest due first. Of flows that take turns at an exclusive backend only the first; none that
    /// somebody stopped, none at a backend of `full`, and no probe of `probing`.
    pub(crate) async fn due_flows(
        &self,
        now: Millis,
        limit: usize,
        full: &[Name],
        probing: &[i64],
    ) -> Result<Vec<Due>> {
        let (full, probing) = (to_json(&full)?, to_json(&probing)?);
        self.read(move |db| {
            let query = concat!(
                "SELECT public_id, revision, backend, ",
                probes!(),
                " AS probes FROM flow f WHERE ",
                due!(),
                " AND coalesce(backend, '') NOT IN (SELECT value FROM json_each(?3))
                  AND coalesce(",
                probes!(),
                ", 0) NOT IN (SELECT value FROM json_each(?4)) ORDER BY wake LIMIT ?2"
            );
            all(db, &unstopped(query), params![now, limit, full, probing], |row| {
                Ok(Due {
                    id: from_text(row, "public_id")?,
                    revision: row.get("revision")?,
                    backend: from_text_or_null(row, "backend")?,
                    probes: row.get("probes")?,
                })
            })
        })
        .await
    }

    /// The same as they stand, for a test that runs none of them.
    #[cfg(any(test, feature = "testing"))]
    pub async fn due_now(&self, now: Millis) -> Result<Vec<Flow>> {
        let due = self.due_flows(now, 100, &[], &[]).await?;
        let ids: Vec<_> = due.into_iter().map(|due| due.id).collect();
        let flows = self.flows_now(&ids, now).await?;
        Ok(flows.into_iter().map(|(flow, ..)| flow).collect())
    }

    /// These flows as they stand, each with whether it may be called now, and as whose probe.
    pub(crate) async fn flows_now(&self, ids: &[FlowId], now: Millis) -> Result<Vec<(Flow, bool, Option<i64>)>> {
        self.read_here(|db| {
            let mut flows = Vec::with_capacity(ids.len());
            let query = concat!(
                "SELECT ",
                flow_columns!(),
                ", ",
                due!(),
                " AS due, ",
                probes!(),
                " AS probes FROM flow f WHERE public_id = ?2"
            );
            let mut statement = db.prepare_cached(&unstopped(query))?;
            for id in ids {
                let mut rows = statement.query(params![now, id.to_string()])?;
                if let Some(row) = rows.next()? {
                    flows.push((read_flow(row)?, row.get("due")?, row.get("probes")?));
                }
            }
            Ok(flows)
        })
    }

    /// When the next flow after `now` becomes due, or a plugin that broke may be tried.
    pub(crate) async fn next_wake(&self, now: Millis) -> Result<Option<Millis>> {
        self.read_here(|db| {
            Ok(db
                .prepare_cached(
                    "SELECT min(next) FROM (SELECT min(wake) AS next FROM flow WHERE wake > ?1
                     UNION ALL SELECT min(until) FROM breaker WHERE until > ?1)",
                )?
                .query_row(params![now], |row| row.get(0))?)
        })
    }
}
