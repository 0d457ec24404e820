//! The limit: what `SQLite` alone does on this disk, one thread, no queue, no tasks, the journal synced at each commit.

use std::path::Path;

use anyhow::Result;
use rusqlite::{Connection, params};

use crate::clock::Moment;
use crate::figures::{Figures, quantile};
use crate::process;

/// One row of 100 bytes a commit: what a single durable write costs.
pub(crate) fn commit(folder: &Path, seconds: f64) -> Result<Figures> {
    let db = open(folder)?;
    db.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, flow BLOB, step INTEGER, body TEXT)")?;
    let body = "x".repeat(100);
    let (begun, mut each) = (Moment::now(), Vec::new());
    while begun.seconds() < seconds {
        let one = Moment::now();
        db.prepare_cached("INSERT INTO t (flow, step, body) VALUES (?1, ?2, ?3)")?.execute(params![
            [7_u8; 16],
            each.len(),
            body
        ])?;
        each.push(one.seconds() * 1e3);
    }
    Ok(Figures::from([("p50_ms".into(), quantile(each.clone(), 0.5)), ("p99_ms".into(), quantile(each, 0.99))]))
}

/// Transitions of the engine's shape, a guarded update of the flow and a line of its timeline, so many a commit.
pub(crate) fn transitions(folder: &Path, batch: i64, seconds: f64) -> Result<Figures> {
    let db = open(folder)?;
    db.execute_batch(
        "CREATE TABLE flow (id INTEGER PRIMARY KEY, ver INT NOT NULL, step INT NOT NULL, state INT NOT NULL, wake INT NOT NULL, ctx BLOB);
         CREATE TABLE event (flow INT NOT NULL, seq INT NOT NULL, step INT, state INT, at INT, data BLOB, PRIMARY KEY (flow, seq)) WITHOUT ROWID;
         CREATE INDEX flow_live ON flow (id) WHERE state < 8;",
    )?;
    let (begun, cpu) = (Moment::now(), process::cpu());
    let (mut done, mut first) = (0_u32, 1);
    while begun.seconds() < seconds {
        // A batch of flows, step by step: the create and four steps.
        for step in 0..5 {
            db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            for flow in first..first + batch {
                transition(&db, flow, step)?;
                done += 1;
            }
            db.prepare_cached("COMMIT")?.execute([])?;
        }
        first += batch;
    }
    let (seconds, done) = (begun.seconds(), f64::from(done));
    Ok(Figures::from([("per_s".into(), done / seconds), ("cpu_us".into(), (process::cpu() - cpu) / done * 1e6)]))
}

fn transition(db: &Connection, flow: i64, step: i64) -> Result<()> {
    let state = if step == 4 { 9 } else { 0 };
    let ctx = vec![b's'; 64 + 32 * usize::try_from(step)?];
    if step == 0 {
        db.prepare_cached("INSERT INTO flow (id, ver, step, state, wake, ctx) VALUES (?1, 1, ?2, ?3, 0, ?4)")?
            .execute(params![flow, step, state, ctx])?;
    } else {
        db.prepare_cached(
            "UPDATE flow SET ver = ver + 1, step = ?3, state = ?4, wake = 0, ctx = ?5 WHERE id = ?1 AND ver = ?2",
        )?
        .execute(params![flow, step, step, state, ctx])?;
    }
    db.prepare_cached("INSERT INTO event (flow, seq, step, state, at, data) VALUES (?1, ?2, ?3, ?4, 0, ?5)")?
        .execute(params![flow, step + 1, step, state, [b'a'; 96]])?;
    Ok(())
}

fn open(folder: &Path) -> Result<Connection> {
    let db = Connection::open(folder.join("raw.db"))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "wal_autocheckpoint", 4096)?;
    db.pragma_update(None, "cache_size", -65536)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}
