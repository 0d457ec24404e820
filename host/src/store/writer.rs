//! Group commit: one thread owns the only writing connection, takes what is queued, applies it in one transaction, commits, answers.
//!
//! There is no linger: a lone operation is committed at once, and what arrives meanwhile makes the next batch. Each operation runs in
//! a savepoint, so one that is refused undoes itself and not its neighbours. After an error of the disk the batch fails to all its
//! callers and the thread goes on with the next: nothing that was not committed was answered.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{Error, Result};
use crate::model::FlowId;

/// Operations of one batch, at most.
const BATCH: usize = 1024;

/// A few guarded statements, the guard first; never one that reads and then decides.
pub trait Operation: Send + 'static {
    type Answer: Send + 'static;

    fn apply(&self, db: &Connection) -> Result<Self::Answer>;

    /// The flow that it touches, for those who wait for one.
    fn flow(&self) -> Option<FlowId> {
        None
    }

    /// Whether a flow may be due by it.
    fn wakes_flows(&self) -> bool {
        self.flow().is_some()
    }

    /// Where a test may let the process die: whose step it is, and which. None: it moves no flow.
    #[cfg(feature = "failpoints")]
    fn place(&self) -> Option<(String, String)> {
        let name = std::any::type_name::<Self>().rsplit("::").next().unwrap_or_default();
        self.flow().map(|_| ("moganite".to_owned(), name.to_owned()))
    }
}

/// Who waits: a person, or a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Interactive,
    Flow,
}

#[derive(Clone)]
pub(super) struct Writer(Arc<Handle>);

struct Handle {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    lanes: Mutex<Lanes>,
    filled: Condvar,
    commits: AtomicU64,
}

#[derive(Default)]
struct Lanes {
    interactive: VecDeque<Box<dyn Job>>,
    flow: VecDeque<Box<dyn Job>>,
    closed: bool,
}

/// One operation with whoever waits for it.
trait Job: Send {
    /// An error only when it took the whole batch with it.
    fn apply(&mut self, db: &Connection) -> Result<()>;
    fn answer(self: Box<Self>, commit: &Result<()>);
    #[cfg(feature = "failpoints")]
    fn place(&self) -> Option<(String, String)>;
}

struct Waiting<O: Operation> {
    operation: O,
    result: Option<Result<O::Answer>>,
    answer: oneshot::Sender<Result<O::Answer>>,
}

impl Writer {
    pub(super) fn spawn(db: Connection) -> Self {
        let queue = Arc::new(Queue::default());
        let of_thread = queue.clone();
        std::thread::spawn(move || of_thread.run(&db));
        Self(Arc::new(Handle { queue }))
    }

    pub(super) async fn write<O: Operation>(&self, lane: Lane, operation: O) -> Result<O::Answer> {
        let (answer, answered) = oneshot::channel();
        self.0.queue.push(lane, Box::new(Waiting { operation, result: None, answer }));
        answered.await.unwrap_or(Err(Error::Closed))
    }

    pub(super) fn commits(&self) -> u64 {
        self.0.queue.commits.load(Ordering::Relaxed)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.filled.notify_one();
    }
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, Lanes> {
        // A panic inside an operation leaves the queue itself whole.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, lane: Lane, job: Box<dyn Job>) {
        let mut lanes = self.lock();
        match lane {
            Lane::Interactive => lanes.interactive.push_back(job),
            Lane::Flow => lanes.flow.push_back(job),
        }
        self.filled.notify_one();
    }

    /// Until the store is closed and the lanes are empty.
    fn run(&self, db: &Connection) {
        while let Some(mut batch) = self.next_batch() {
            let committed = commit(db, &mut batch);
            if committed.is_ok() {
                self.commits.fetch_add(1, Ordering::Relaxed);
            }
            for job in batch {
                job.answer(&committed);
            }
        }
    }

    fn next_batch(&self) -> Option<Vec<Box<dyn Job>>> {
        let mut lanes = self.lock();
        while lanes.interactive.is_empty() && lanes.flow.is_empty() {
            if lanes.closed {
                return None;
            }
            lanes = self.filled.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        }
        let mut batch: Vec<_> = drain(&mut lanes.interactive, BATCH);
        let room = BATCH - batch.len();
        batch.extend(drain(&mut lanes.flow, room));
        Some(batch)
    }
}

fn drain(lane: &mut VecDeque<Box<dyn Job>>, room: usize) -> Vec<Box<dyn Job>> {
    let n = lane.len().min(room);
    lane.drain(..n).collect()
}

fn commit(db: &Connection, batch: &mut [Box<dyn Job>]) -> Result<()> {
    spoil(db)?;
    db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    for job in &mut *batch {
        job.apply(db)?;
    }
    may_die("before the commit", batch);
    let committed = db.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
    if let Err(error) = committed {
        // The commit's own error is the one to tell.
        db.execute_batch("ROLLBACK").ok();
        return Err(error.into());
    }
    may_die("after the commit", batch);
    Ok(())
}

impl<O: Operation> Job for Waiting<O> {
    fn apply(&mut self, db: &Connection) -> Result<()> {
        let result = in_savepoint(db, &self.operation);
        // After some errors of the disk SQLite takes back the whole transaction; what came next would commit on its own.
        let gone = db.is_autocommit().then(|| result.as_ref().err().cloned().unwrap_or(Error::Closed));
        self.result = Some(result);
        gone.map_or(Ok(()), Err)
    }

    fn answer(self: Box<Self>, commit: &Result<()>) {
        let result = match (commit, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(Error::Closed),
            (Err(error), _) => Err(error.clone()),
        };
        // The caller may have gone; what is committed stays committed.
        self.answer.send(result).ok();
    }

    #[cfg(feature = "failpoints")]
    fn place(&self) -> Option<(String, String)> {
        self.operation.place().filter(|_| matches!(self.result, Some(Ok(_))))
    }
}

/// A place at which a test lets the process die, when the batch moves a flow.
#[cfg(feature = "failpoints")]
fn may_die(when: &str, batch: &[Box<dyn Job>]) {
    for (whose, what) in batch.iter().filter_map(|job| job.place()) {
        crate::failpoint::reached(&whose, when, &what);
    }
}

#[cfg(not(feature = "failpoints"))]
fn may_die(_when: &str, _batch: &[Box<dyn Job>]) {}

/// The database as a test spoils it: no page more than it has now, or read-only.
#[cfg(feature = "failpoints")]
fn spoil(db: &Connection) -> Result<()> {
    let Some(fault) = crate::failpoint::store_fault() else { return Ok(()) };
    db.pragma_update(None, "query_only", fault == "read-only")?;
    // SQLite takes the present size for what is smaller.
    let pages = if fault == "full" { 1 } else { 0xffff_fffe_u32 };
    db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    Ok(())
}

#[cfg(not(feature = "failpoints"))]
fn spoil(_db: &Connection) -> Result<()> {
    Ok(())
}

fn in_savepoint<O: Operation>(db: &Connection, operation: &O) -> Result<O::Answer> {
    db.prepare_cached("SAVEPOINT operation")?.execute([])?;
    let result = operation.apply(db);
    if result.is_err() && db.is_autocommit() {
        return result;
    }
    if result.is_err() {
        db.prepare_cached("ROLLBACK TO operation")?.execute([])?;
    }
    db.prepare_cached("RELEASE operation")?.execute([])?;
    result
}
