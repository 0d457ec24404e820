//! Reading connections, made when they are needed and kept: short transactions, no writes. There are as many as were needed at once: of the
//! threads that serve, and of [`AT_ONCE`] beside them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Result;
use super::site::keep_prepared;

pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    turns: Arc<Semaphore>,
}

/// Reads on threads of their own at once. A new connection reads the whole schema first, and has nothing prepared.
const AT_ONCE: usize = 4;

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::new(Vec::new()), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// For a read on a thread of its own, as long as that takes. Never none, since nobody closes it.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.turns.clone().acquire_owned().await.ok()
    }

    pub(super) fn with<T>(&self, query: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = idle.map_or_else(|| self.open(), Ok)?;
        let answer = query(&connection);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        answer
    }

    fn open(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.pragma_update(None, "query_only", true)?;
        // The service writes nowhere but in its own folder.
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        keep_prepared(&connection, 64)?;
        Ok(connection)
    }
}
