//! What a new process finds: many unfinished flows beside many finished ones, and many that wait.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use moganite::model::{Phase, Position};
use moganite::store::Lane;
use tokio::sync::watch;

use crate::clock::{Moment, pause};
use crate::figures::Figures;
use crate::process;
use crate::running::{Engine, until};

const DAY_MS: i64 = 86_400_000;

/// How many flows a folder is filled with.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fill {
    /// Two of four tasks done, due now.
    pub(crate) unfinished: usize,
    pub(crate) finished: usize,
    /// Due in a day.
    pub(crate) parked: usize,
}

/// Fills a folder, then dies as a crash does: the journal stays behind.
pub(crate) async fn fill(folder: &Path, fill: Fill) -> Result<Figures> {
    let engine = Arc::new(Engine::open(folder, Arc::new(|_| ()))?);
    let begun = Moment::now();
    // The finished ones are the oldest, as in life.
    write(&engine, fill.finished, Phase::Done, None).await?;
    write(&engine, fill.parked, Phase::Forward, Some(DAY_MS)).await?;
    write(&engine, fill.unfinished, Phase::Forward, Some(0)).await?;
    println!("{}", crate::figures::to_line(&Figures::from([("seconds".into(), begun.seconds())])));
    process::die()
}

async fn write(engine: &Arc<Engine>, flows: usize, phase: Phase, wake: Option<i64>) -> Result<()> {
    let mut left = flows;
    while left > 0 {
        let now = left.min(4096);
        let writes: Vec<_> = (0..now)
            .map(|_| {
                let engine = engine.clone();
                tokio::spawn(async move {
                    let mut new = engine.new_flow(0);
                    new.flow.position = Position { phase, task: 2, attempt: 1, round: 1 };
                    new.flow.wake = wake.map(|after| new.flow.created_at + after);
                    engine.store.write(Lane::Flow, new).await
                })
            })
            .collect();
        for write in writes {
            write.await??;
        }
        left -= now;
    }
    Ok(())
}

/// From the start of the process until every unfinished flow counts its lost try, durably, and the first one was called; how long
/// the longest read took meanwhile. Then it dies, or runs them all to their end.
pub(crate) async fn recover(folder: &Path, start: Moment, to_the_end: bool) -> Result<Figures> {
    let engine = Arc::new(Engine::open(folder, Arc::new(|_| ()))?);
    let opened = start.seconds();
    // Some of those that an earlier round took over came to their end before it died.
    let unfinished = if to_the_end { unfinished(folder)? } else { 0 };
    let reads = {
        let engine = engine.clone();
        tokio::spawn(async move {
            let mut longest = 0_f64;
            while engine.calls.all() == 0 {
                let one = Moment::now();
                if engine.store.flows(None, None, 20).await.is_ok() {
                    longest = longest.max(one.seconds());
                }
                pause(0.005).await;
            }
            longest
        })
    };
    let (_stop, stopped) = watch::channel(false);
    let runner = engine.runner();
    runner.take_over().await?;
    let taken_over = start.seconds();
    tokio::spawn(async move { runner.run(stopped).await });
    until(|| engine.calls.all() > 0, "the first flow is called").await?;
    let queued = start.seconds();
    let mut figures = Figures::from([
        ("open_s".into(), opened),
        ("taken_over_s".into(), taken_over),
        ("queued_s".into(), queued),
        ("longest_read_ms".into(), reads.await? * 1e3),
    ]);
    if to_the_end {
        until(|| engine.calls.last() == unfinished, "all flows end").await?;
        figures.insert("all_ended_s".into(), start.seconds());
    }
    figures.insert("memory_mib".into(), process::memory("VmHWM"));
    println!("{}", crate::figures::to_line(&figures));
    process::die()
}

fn unfinished(folder: &Path) -> Result<u64> {
    let db = rusqlite::Connection::open(folder.join("moganite.db"))?;
    Ok(db.query_row("SELECT count(*) FROM flow WHERE phase = 'forward'", [], |row| row.get::<_, i64>(0))?.try_into()?)
}

/// Memory of a service whose flows all wait.
pub(crate) async fn park(folder: &Path) -> Result<Figures> {
    let engine = Engine::open(folder, Arc::new(|_| ()))?;
    let (_stop, stopped) = watch::channel(false);
    let runner = engine.runner();
    runner.take_over().await?;
    tokio::spawn(async move { runner.run(stopped).await });
    pause(1.0).await;
    Ok(Figures::from([("memory_mib".into(), process::memory("VmRSS")), ("most_mib".into(), process::memory("VmHWM"))]))
}
