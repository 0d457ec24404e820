//! The only SQL: SQLite, one writer that commits many callers' operations together, readers beside it.
//!
//! A write is a typed [`Operation`]: a few guarded statements, the guard first. Its answer comes after the commit is
//! durable. `writer.rs` has the group commit, the other files one table each.

mod audit;
mod backends;
mod backup;
mod begin;
mod breakers;
mod catalog;
mod copies;
mod due;
mod effects;
mod flows;
mod holdings;
mod idempotency;
mod instances;
mod observed;
mod obstacles;
mod operators;
mod orphans;
mod pauses;
mod plugins;
mod promises;
mod quarantine;
mod quotas;
mod reader;
mod reconcile;
mod release;
mod rows;
mod sealing;
mod secrets;
mod sessions;
mod site;
mod sweeps;
mod told;
mod trials;
mod trouble;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use tokio::sync::broadcast;

pub use backends::{Bind, WriteRevision, Written};
pub use backup::{HandOut, Restored, Snapshot, restored};
pub use begin::BeginFlow;
pub use catalog::{Catalog, Remove};
pub use copies::Copied;
pub use due::{Due, Hasten};
pub use effects::{Effect, Intent};
pub use flows::{FlowUpdate, Moved, NEXT, Transition};
pub use holdings::{HoldingFilter, Undone};
pub use instances::{CreateInstance, Created, DeleteInstance, Deleting, InstanceChange, StartFlow, Started};
pub use observed::{Watched, WriteObserved};
pub use obstacles::{Ahead, Obstacles};
pub use operators::{Abandon, HandOver, RetryFlow, WriteOff};
pub use orphans::{HeldAt, Theirs, WriteLook};
pub use pauses::{Freeze, Pause, Resume, Standing, Stop, Thaw};
pub use plugins::{LetGoOn, PutFloor, RemoveFloor, StopPlugin, TakeOverWaiting};
pub use quarantine::ClearQuarantine;
pub use quotas::{PutQuota, RemoveQuota};
pub use reconcile::{EndReconcile, Excuse, ForgetMissing, GoOn, Judge, KeepMissing, KeepOrphans};
pub use release::{ReleaseStack, Released};
pub use sealing::secret as sealed_as;
pub use secrets::{PutSecret, PutToken, RemoveSecret, RemoveToken, Token};
pub use sessions::PutSession;
pub use site::SCHEMA;
pub use sweeps::EndLook;
pub use told::{Wakes, Watch, Woken};
pub use trials::{Activate, BREAKS, Promote, RollBack};
pub use trouble::Trouble;
pub use writer::{Lane, Operation};

use crate::model::FlowId;
use crate::seal::Masters;
use told::Told;

/// What a write or a read can say beside its answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A guard did not hold: the row was moved on by somebody else.
    #[error("{0} was changed by somebody else")]
    Conflict(&'static str),
    /// Another instance has what a driver answered with; nothing was written.
    #[error("{0}")]
    Owned(String),
    /// The same, and that instance is about to have it no more; nothing was written.
    #[error("{0}")]
    Leaving(String),
    /// Refused by a rule of the data; nothing was written.
    #[error("{0}")]
    Refused(String),
    /// The project has as many as it may have; nothing was written.
    #[error("project {project} has {used} of {instances} instances")]
    OverQuota { project: String, used: u32, instances: u32 },
    #[error("the database did not do it: {0}")]
    Unavailable(Arc<rusqlite::Error>),
    #[error("the state folder did not do it: {0}")]
    Files(Arc<std::io::Error>),
    #[error("a row cannot be read: {0}")]
    Corrupt(String),
    #[error("the store is closed")]
    Closed,
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(Arc::new(error))
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Files(Arc::new(error))
    }
}

pub type Result<T> = std::result::Result<T, Error>;

/// Cheap to clone. The last clone that goes closes the database.
#[derive(Clone)]
pub struct Store {
    writer: writer::Writer,
    readers: Arc<reader::Readers>,
    told: Arc<Told>,
    key: sealing::Key,
    /// None: the master key was given.
    key_file: Option<PathBuf>,
    /// One rotation of the master key at a time.
    rotating: Arc<tokio::sync::Mutex<()>>,
    /// Where the one snapshot goes that is made at a time.
    snapshot: Arc<Mutex<PathBuf>>,
}

impl Store {
    /// Opens or makes `moganite.db` in the folder and brings its schema up to date. The master key is `secret.key` beside it, made at the
    /// first start.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::open_with(folder, Masters::in_file(folder.join("secret.key")))
    }

    /// The same, with the master key from elsewhere.
    pub fn open_with(folder: &Path, masters: Masters) -> Result<Self> {
        let path = folder.join("moganite.db");
        let mut connection = Connection::open(&path)?;
        site::prepare(&mut connection)?;
        let key_file = masters.given.is_none().then(|| masters.file.clone());
        let key = sealing::open(&mut connection, masters)?;
        let told = Arc::<Told>::default();
        Ok(Self {
            readers: Arc::new(reader::Readers::new(path)),
            writer: writer::Writer::spawn(connection, key.clone(), told.clone()),
            told,
            key,
            key_file,
            rotating: Arc::default(),
            snapshot: Arc::new(Mutex::new(folder.join("snapshot.db"))),
        })
    }

    /// Applies one operation and answers when it is durable. Once it is, the runner and those who watch are told, also when the caller
    /// is dropped meanwhile.
    pub async fn write<O: Operation>(&self, lane: Lane, operation: O) -> Result<O::Answer> {
        self.writer.write(lane, operation).await
    }

    /// Reads a few rows by their keys, on the caller's own thread: handing the question to another thread and the answer back takes longer than
    /// finding it. Sees what was durable when it began.
    pub(crate) fn read_here<T>(&self, query: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.key.during(|| self.readers.with(query))
    }

    /// The same for what may read many rows, on a thread that nothing else waits for.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = self.readers.turn().await;
        let (readers, key) = (self.readers.clone(), self.key.clone());
        let read = move || {
            let _turn = turn;
            key.during(|| readers.with(query))
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Closed),
        }
    }

    /// Returns after a write by which a flow may be due. For the runner alone.
    pub async fn flows_woke(&self) {
        self.told.bell().await;
    }

    /// This flow may be due, as after a write. For the runner alone.
    pub fn wake(&self, flow: FlowId) {
        self.told.wake(Wakes::Only(flow));
    }

    /// Which flows those are since this was asked last. For the runner alone.
    pub fn take_woken(&self) -> Woken {
        self.told.take_woken()
    }

    /// Tells when this flow changes from now on.
    pub fn watch_flow(&self, flow: FlowId) -> Watch {
        self.told.watch(flow)
    }

    /// The flows that change from now on, all of them.
    pub fn watch_flows(&self) -> broadcast::Receiver<FlowId> {
        self.told.watch_all()
    }

    /// How many commits the writer made since it was opened.
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }
}
