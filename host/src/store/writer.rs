//! Group commit: one thread owns the only writing connection, takes what is queued, applies it in one transaction, commits, answers.
//!
//! There is no linger: a lone operation is committed at once, and what arrives meanwhile makes the next batch. An operation that is
//! refused undoes itself and not its neighbours: when it had written something, the batch is made again with a savepoint around each.
//! After an error of the disk the batch fails to all its callers and the thread goes on with the next: nothing that was not committed
//! was answered.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::sealing::Key;
use super::told::{Told, Wakes};
use super::{Error, Result};
use crate::model::FlowId;

/// Operations of one batch, at most.
const BATCH: usize = 1024;

/// Flows' operations beside those of a person, who waits for the batch to end.
const BESIDE: usize = 128;

/// From so many on, flows get their answers from the runtime's threads: waking each one takes a fifth of the writer's time.
const MANY: usize = 32;

/// A few guarded statements, the guard first; never one that reads and then decides.
pub trait Operation: Send + 'static {
    type Answer: Send + 'static;

    fn apply(&self, db: &Connection) -> Result<Self::Answer>;

    /// The flow that it touches, for those who wait for one.
    fn flow(&self) -> Option<FlowId> {
        None
    }

    /// Which flows may be due by it, once it was answered so.
    fn wakes(&self, _answer: &Self::Answer) -> Wakes {
        if self.flow().is_some() { Wakes::Any } else { Wakes::Nobody }
    }

    /// Where a test may let the process die: whose step it is, and which. None: it moves no flow.
    #[cfg(feature = "failpoints")]
    fn place(&self) -> Option<(String, String)> {
        let name = std::any::type_name::<Self>().rsplit("::").next().unwrap_or_default();
        self.flow().map(|_| ("moganite".to_owned(), name.to_owned()))
    }
}

impl<O: Operation> Operation for Box<O> {
    type Answer = O::Answer;

    fn apply(&self, db: &Connection) -> Result<Self::Answer> {
        (**self).apply(db)
    }

    fn flow(&self) -> Option<FlowId> {
        (**self).flow()
    }

    fn wakes(&self, answer: &Self::Answer) -> Wakes {
        (**self).wakes(answer)
    }

    #[cfg(feature = "failpoints")]
    fn place(&self) -> Option<(String, String)> {
        (**self).place()
    }
}

/// Who waits: a person, or a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Interactive,
    Flow,
}

#[derive(Clone)]
pub(super) struct Writer(Arc<Held>);

struct Held {
    queue: Arc<Queue>,
    told: Arc<Told>,
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
    /// The writer waits to be told.
    idle: bool,
}

/// One operation with whoever waits for it.
trait Job: Send {
    /// Whether it was applied; an error only when it took the whole batch with it.
    fn apply(&mut self, db: &Connection, way: Way) -> Result<bool>;
    fn answer(self: Box<Self>, commit: &Result<()>);
    #[cfg(feature = "failpoints")]
    fn place(&self) -> Option<(String, String)>;
}

#[derive(Clone, Copy)]
enum Way {
    /// One that fails may leave a part of itself.
    Bare,
    InSavepoint,
}

struct Waiting<O: Operation> {
    operation: O,
    result: Option<Result<O::Answer>>,
    answer: oneshot::Sender<Result<O::Answer>>,
    /// Whom else a commit concerns, whether or not the caller is still there.
    told: Arc<Told>,
}

impl Writer {
    /// Seals and opens with this key.
    pub(super) fn spawn(db: Connection, key: Key, told: Arc<Told>) -> Self {
        let queue = Arc::new(Queue::default());
        let of_thread = queue.clone();
        let runtime = Handle::try_current().ok();
        std::thread::spawn(move || key.during(|| of_thread.run(&db, runtime.as_ref())));
        Self(Arc::new(Held { queue, told }))
    }

    pub(super) async fn write<O: Operation>(&self, lane: Lane, operation: O) -> Result<O::Answer> {
        let (answer, answered) = oneshot::channel();
        let told = self.0.told.clone();
        self.0.queue.push(lane, Box::new(Waiting { operation, result: None, answer, told }));
        answered.await.unwrap_or(Err(Error::Closed))
    }

    pub(super) fn commits(&self) -> u64 {
        self.0.queue.commits.load(Ordering::Relaxed)
    }
}

impl Drop for Held {
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
        let idle = std::mem::take(&mut lanes.idle);
        drop(lanes);
        if idle {
            self.filled.notify_one();
        }
    }

    /// Until the store is closed and the lanes are empty.
    fn run(&self, db: &Connection, runtime: Option<&Handle>) {
        while let Some((mut batch, interactive)) = self.next_batch() {
            let committed = commit(db, &mut batch);
            if committed.is_ok() {
                self.commits.fetch_add(1, Ordering::Relaxed);
            }
            let flows = batch.split_off(interactive);
            batch.into_iter().for_each(|job| job.answer(&committed));
            match runtime.filter(|_| flows.len() >= MANY) {
                Some(runtime) => {
                    runtime.spawn(async move { flows.into_iter().for_each(|job| job.answer(&committed)) });
                }
                None => flows.into_iter().for_each(|job| job.answer(&committed)),
            }
        }
    }

    /// And how many of it, the first ones, are interactive.
    fn next_batch(&self) -> Option<(Vec<Box<dyn Job>>, usize)> {
        let mut lanes = self.lock();
        while lanes.interactive.is_empty() && lanes.flow.is_empty() {
            if lanes.closed {
                return None;
            }
            lanes.idle = true;
            lanes = self.filled.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        }
        let mut batch: Vec<_> = drain(&mut lanes.interactive, BATCH);
        let interactive = batch.len();
        let room = if interactive == 0 { BATCH } else { BESIDE };
        batch.extend(drain(&mut lanes.flow, room));
        Some((batch, interactive))
    }
}

fn drain(lane: &mut VecDeque<Box<dyn Job>>, room: usize) -> Vec<Box<dyn Job>> {
    let n = lane.len().min(room);
    lane.drain(..n).collect()
}

fn commit(db: &Connection, batch: &mut [Box<dyn Job>]) -> Result<()> {
    spoil(db)?;
    db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    if !apply_bare(db, batch)? {
        db.execute_batch("ROLLBACK; BEGIN IMMEDIATE")?;
        for job in &mut *batch {
            job.apply(db, Way::InSavepoint)?;
        }
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

/// False when one was refused after it had written something: a savepoint around each costs more than making such a batch again.
fn apply_bare(db: &Connection, batch: &mut [Box<dyn Job>]) -> Result<bool> {
    for job in batch {
        let before = db.total_changes();
        if !job.apply(db, Way::Bare)? && db.total_changes() != before {
            return Ok(false);
        }
    }
    Ok(true)
}

impl<O: Operation> Job for Waiting<O> {
    fn apply(&mut self, db: &Connection, way: Way) -> Result<bool> {
        let result = match way {
            Way::Bare => self.operation.apply(db),
            Way::InSavepoint => in_savepoint(db, &self.operation),
        };
        // After some errors of the disk SQLite takes back the whole transaction; what came next would commit on its own.
        let gone = db.is_autocommit().then(|| result.as_ref().err().cloned().unwrap_or(Error::Closed));
        let applied = result.is_ok();
        self.result = Some(result);
        gone.map_or(Ok(applied), Err)
    }

    fn answer(self: Box<Self>, commit: &Result<()>) {
        let result = match (commit, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(Error::Closed),
            (Err(error), _) => Err(error.clone()),
        };
        if let Ok(answer) = &result {
            self.told.committed(&self.operation, answer);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a row, and then may fail.
    struct Note(i64, bool);

    impl Operation for Note {
        type Answer = i64;

        fn apply(&self, db: &Connection) -> Result<i64> {
            db.execute("INSERT INTO note (n) VALUES (?1)", [self.0])?;
            if self.1 { Err(Error::Refused("half-way".into())) } else { Ok(self.0) }
        }
    }

    #[test]
    fn who_fails_half_way_leaves_nothing_and_takes_no_neighbour_along() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE note (n INTEGER PRIMARY KEY)").unwrap();
        let (mut batch, mut answers): (Vec<Box<dyn Job>>, Vec<_>) = (Vec::new(), Vec::new());
        for operation in [Note(1, false), Note(2, true), Note(3, false)] {
            let (answer, answered) = oneshot::channel();
            batch.push(Box::new(Waiting { operation, result: None, answer, told: Arc::default() }));
            answers.push(answered);
        }
        let committed = commit(&db, &mut batch);
        batch.into_iter().for_each(|job| job.answer(&committed));
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.blocking_recv().unwrap()).collect();
        assert!(matches!(&answers[..], [Ok(1), Err(Error::Refused(_)), Ok(3)]), "{answers:?}");
        let sum: i64 = db.query_row("SELECT sum(n) FROM note", [], |row| row.get(0)).unwrap();
        assert_eq!(sum, 4);
    }
}
