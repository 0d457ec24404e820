//! The engine at work: the real store, runner and list, so many flows at once, each followed by the next.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use moganite::clock::Clock;
use moganite::config::Flows;
use moganite::flow::{Book, Runner};
use moganite::model::{Name, Site};
use moganite::store::{BeginFlow, Lane, PutSession, Store};
use tokio::sync::{Notify, watch};

use crate::clock::{Moment, pause};
use crate::figures::{Figures, quantile};
use crate::process;
use crate::work::{self, Calls, TASKS, Then};

/// Flows called at once, whatever is due.
pub(crate) const AT_ONCE: usize = 1024;

/// A service without drivers and API, as far as flows go.
pub(crate) struct Engine {
    pub(crate) store: Store,
    pub(crate) book: Book,
    pub(crate) clock: Clock,
    pub(crate) site: Site,
    pub(crate) calls: Arc<Calls>,
    project: Name,
}

impl Engine {
    pub(crate) fn open(folder: &Path, then: Then) -> Result<Self> {
        let calls = Arc::new(Calls::default());
        Ok(Self {
            store: Store::open(folder)?,
            book: work::book(&calls, then),
            clock: Clock::system(),
            site: Site::parse("bench0").context("a site")?,
            calls,
            project: Name::parse("project", "default")?,
        })
    }

    pub(crate) fn runner(&self) -> Runner {
        let patience = Flows { at_once: AT_ONCE, ..Flows::default() };
        Runner::new(self.store.clone(), self.book.clone(), self.clock.clone(), self.site.clone(), patience)
    }

    /// A new flow, due at once.
    pub(crate) fn new_flow(&self, number: usize) -> Box<BeginFlow> {
        let (flow, event) = work::flow(&self.book, &self.site, &self.project, number, self.clock.now());
        Box::new(BeginFlow { flow, event, effects: Vec::new() })
    }

    pub(crate) async fn begin(&self, number: usize) -> Result<()> {
        Ok(self.store.write(Lane::Interactive, self.new_flow(number)).await?)
    }
}

/// So many flows at once for so long: rates, CPU time and bytes of a transition, the wait of a small write beside them.
pub(crate) async fn many(folder: &Path, at_once: usize, seconds: f64) -> Result<Figures> {
    let ended: Arc<Vec<Notify>> = Arc::new((0..at_once).map(|_| Notify::new()).collect());
    let engine = {
        let ended = ended.clone();
        Arc::new(Engine::open(folder, Arc::new(move |number| ended[number].notify_one()))?)
    };
    let (stop, stopped) = watch::channel(false);
    let runner = engine.runner();
    let running = tokio::spawn(async move { runner.run(stopped).await });
    let begun = Arc::new(AtomicU64::new(0));
    let over = Arc::new(AtomicBool::new(false));
    for number in 0..at_once {
        let (engine, ended, begun, over) = (engine.clone(), ended.clone(), begun.clone(), over.clone());
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                // What cannot be begun is missing at the end, where all are waited for.
                if engine.begin(number).await.is_ok() {
                    begun.fetch_add(1, Ordering::Relaxed);
                }
                ended[number].notified().await;
            }
        });
    }
    until(|| engine.calls.last() >= at_once as u64, "the first flows end").await?;

    let from = Mark::now(&engine, &begun);
    let waits = small_writes(&engine, seconds).await?;
    let to = Mark::now(&engine, &begun);

    over.store(true, Ordering::Relaxed);
    until(|| engine.calls.last() == begun.load(Ordering::Relaxed), "the last flows end").await?;
    stop.send(true).ok();
    running.await.ok();
    let flows = begun.load(Ordering::Relaxed) as f64;
    drop(engine);

    let transitions = to.transitions - from.transitions;
    let wall = to.at - from.at;
    let commits = to.commits - from.commits;
    Ok(Figures::from([
        ("flows_per_s".into(), transitions / (1.0 + TASKS.len() as f64) / wall),
        ("per_s".into(), transitions / wall),
        ("cpu_us".into(), (to.cpu - from.cpu) / transitions * 1e6),
        ("batch".into(), transitions / commits),
        ("batch_ms".into(), wall / commits * 1e3),
        ("written_bytes".into(), (to.written - from.written) / transitions),
        ("write_p50_ms".into(), quantile(waits.clone(), 0.5)),
        ("write_p99_ms".into(), quantile(waits, 0.99)),
        ("disk_bytes".into(), disk(folder)? / flows),
        ("memory_mib".into(), process::memory("VmHWM")),
    ]))
}

/// One flow after the other, each begun when the one before is durable to its end.
pub(crate) async fn alone(folder: &Path, seconds: f64) -> Result<Figures> {
    let engine = Engine::open(folder, Arc::new(|_| ()))?;
    let (_stop, stopped) = watch::channel(false);
    let runner = engine.runner();
    let running = tokio::spawn(async move { runner.run(stopped).await });
    let mut changes = engine.store.watch_flows();
    let (begun, cpu, commits) = (Moment::now(), process::cpu(), engine.store.commits());
    let mut each = Vec::new();
    while begun.seconds() < seconds {
        let one = Moment::now();
        engine.begin(0).await?;
        for _ in 0..=TASKS.len() {
            changes.recv().await?;
        }
        each.push(one.seconds() * 1e3);
    }
    running.abort();
    let flows = each.len() as f64;
    let transitions = flows * (1.0 + TASKS.len() as f64);
    Ok(Figures::from([
        ("flows_per_s".into(), flows / begun.seconds()),
        ("p50_ms".into(), quantile(each.clone(), 0.5)),
        ("p99_ms".into(), quantile(each, 0.99)),
        ("cpu_us".into(), (process::cpu() - cpu) / transitions * 1e6),
        ("commits_per_flow".into(), (engine.store.commits() - commits) as f64 / flows),
    ]))
}

/// As a person's request: one small write every 10 ms. Answers how long each took, in milliseconds.
async fn small_writes(engine: &Engine, seconds: f64) -> Result<Vec<f64>> {
    let begun = Moment::now();
    let mut waits = Vec::new();
    while begun.seconds() < seconds {
        let one = Moment::now();
        let write = PutSession { backend: engine.project.clone(), name: "small".into(), sealed: vec![0; 32], at: 0 };
        engine.store.write(Lane::Interactive, write).await?;
        waits.push(one.seconds() * 1e3);
        pause(0.01).await;
    }
    Ok(waits)
}

/// Counters at one moment.
struct Mark {
    at: f64,
    cpu: f64,
    transitions: f64,
    commits: f64,
    written: f64,
}

impl Mark {
    fn now(engine: &Engine, begun: &AtomicU64) -> Self {
        Self {
            at: engine.clock.now() as f64 / 1e3,
            cpu: process::cpu(),
            transitions: (begun.load(Ordering::Relaxed) + engine.calls.all()) as f64,
            commits: engine.store.commits() as f64,
            written: process::written(),
        }
    }
}

/// Asks every millisecond, for a minute at most.
pub(crate) async fn until(is: impl Fn() -> bool, what: &str) -> Result<()> {
    let begun = Moment::now();
    while !is() {
        if begun.seconds() > 60.0 {
            bail!("after a minute still waiting until {what}");
        }
        pause(0.001).await;
    }
    Ok(())
}

/// Bytes of the database after all of the journal was brought into it.
pub(crate) fn disk(folder: &Path) -> Result<f64> {
    let path = folder.join("moganite.db");
    let db = rusqlite::Connection::open(&path)?;
    db.busy_timeout(std::time::Duration::from_secs(10))?;
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(std::fs::metadata(path)?.len() as f64)
}
