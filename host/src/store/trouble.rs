//! What keeps the database from writing, where a person can do something about it. Nothing is lost meanwhile: a write that was refused
//! was not answered, and a flow makes its step again.

use rusqlite::ErrorCode;

use super::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The disk, or the quota, has no room.
    Full,
    /// Another process holds the lock, longer than a write waits for it.
    Locked,
    /// The file, its folder or its file system cannot be written.
    ReadOnly,
}

impl Error {
    /// None for every other cause.
    pub fn trouble(&self) -> Option<Trouble> {
        let Self::Unavailable(error) = self else { return None };
        match error.sqlite_error_code()? {
            ErrorCode::DiskFull => Some(Trouble::Full),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Some(Trouble::Locked),
            ErrorCode::ReadOnly => Some(Trouble::ReadOnly),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rusqlite::Connection;

    use super::*;
    use crate::store::{Lane, Operation, Result, Store};

    /// So many bytes in a table of its own.
    struct Put(usize);

    impl Operation for Put {
        type Answer = ();

        fn apply(&self, db: &Connection) -> Result<()> {
            db.execute("CREATE TABLE IF NOT EXISTS ballast (bytes BLOB)", [])?;
            db.execute("INSERT INTO ballast VALUES (zeroblob(?1))", [self.0])?;
            Ok(())
        }
    }

    struct Pragma(&'static str);

    impl Operation for Pragma {
        type Answer = ();

        fn apply(&self, db: &Connection) -> Result<()> {
            Ok(db.execute_batch(&format!("PRAGMA {}", self.0))?)
        }
    }

    fn rows(store: &Store) -> impl Future<Output = Result<u64>> {
        store.read(|db| Ok(db.query_row("SELECT count(*) FROM ballast", [], |row| row.get(0))?))
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_and_what_was_answered_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.write(Lane::Flow, Put(10)).await.unwrap();
        store.write(Lane::Flow, Pragma("max_page_count = 1")).await.unwrap();
        // Together with one that fits: in one batch SQLite takes both back.
        let (large, small) =
            tokio::join!(store.write(Lane::Flow, Put(1 << 20)), store.write(Lane::Interactive, Put(10)));
        assert_eq!(large.unwrap_err().trouble(), Some(Trouble::Full));
        let stored = 1 + u64::from(small.is_ok());
        assert_eq!(rows(&store).await.unwrap(), stored, "{small:?}");
        store.write(Lane::Flow, Pragma("max_page_count = 4294967294")).await.unwrap();
        store.write(Lane::Flow, Put(1 << 20)).await.unwrap();
        assert_eq!(rows(&store).await.unwrap(), stored + 1);
    }

    #[tokio::test]
    async fn a_database_that_cannot_be_written_says_so_and_is_read_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.write(Lane::Flow, Put(10)).await.unwrap();
        store.write(Lane::Flow, Pragma("query_only = 1")).await.unwrap();
        let refused = store.write(Lane::Interactive, Put(10)).await;
        assert_eq!(refused.unwrap_err().trouble(), Some(Trouble::ReadOnly));
        assert_eq!(rows(&store).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_lock_that_another_process_holds_is_named_and_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.write(Lane::Flow, Pragma("busy_timeout = 1")).await.unwrap();
        let other = Connection::open(folder.path().join("moganite.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let refused = store.write(Lane::Interactive, Put(10)).await;
        assert_eq!(refused.unwrap_err().trouble(), Some(Trouble::Locked));
        other.execute_batch("ROLLBACK").unwrap();
        store.write(Lane::Interactive, Put(10)).await.unwrap();
    }
}
