//! The file itself: its pragmas, its schema, and this installation's name.

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Error, Result, Store};
use crate::model::Site;

/// Numbered, never edited after a release.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_core.sql"),
    include_str!("../../migrations/0002_lines.sql"),
    include_str!("../../migrations/0003_plugins.sql"),
    include_str!("../../migrations/0004_sealed.sql"),
    include_str!("../../migrations/0005_shown.sql"),
];

/// Number of the last migration that this moganite knows.
pub const SCHEMA: usize = MIGRATIONS.len();

/// A power cut loses nothing that was answered: WAL with a sync at each commit.
pub(super) fn prepare(db: &mut Connection) -> Result<()> {
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "wal_autocheckpoint", 1000)?;
    db.pragma_update(None, "cache_size", -65536)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    keep_prepared(db, 128)?;
    migrate(db)
}

/// So many statements stay prepared, and as they are: SQLite else makes a plan anew for each value that it might have looked at, which takes longer
/// than what is planned. No query of ours is better with another plan for another value.
pub(super) fn keep_prepared(db: &Connection, statements: usize) -> Result<()> {
    db.set_prepared_statement_cache_capacity(statements);
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

fn migrate(db: &mut Connection) -> Result<()> {
    let done: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(done).unwrap_or(usize::MAX);
    if done > MIGRATIONS.len() {
        return Err(Error::Refused(format!(
            "the state folder was written by a newer moganite (schema {done}, this one knows {}): start that version",
            MIGRATIONS.len()
        )));
    }
    for (number, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        let change = db.transaction()?;
        change.execute_batch(migration)?;
        change.pragma_update(None, "user_version", number + 1)?;
        change.commit()?;
    }
    Ok(())
}

impl Store {
    /// This installation's name; `fresh` becomes it at the first start.
    pub async fn site(&self, fresh: Site) -> Result<Site> {
        self.write(super::Lane::Interactive, Settle(fresh)).await
    }
}

struct Settle(Site);

impl super::Operation for Settle {
    type Answer = Site;

    fn apply(&self, db: &Connection) -> Result<Site> {
        db.execute("INSERT OR IGNORE INTO site (one, name, epoch) VALUES (1, ?1, 1)", params![self.0.as_str()])?;
        let name: Option<String> = db.query_row("SELECT name FROM site", [], |row| row.get(0)).optional()?;
        name.as_deref().and_then(Site::parse).ok_or_else(|| Error::Corrupt("the site's name".into()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn a_statement_is_prepared_once_whatever_it_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let mut db = Connection::open(folder.path().join("moganite.db")).unwrap();
        prepare(&mut db).unwrap();
        let query = "SELECT handle FROM holding WHERE instance = ?1 AND role = ?2 ORDER BY id DESC LIMIT 1";
        for role in ["compose", "enroll", "deploy"] {
            db.prepare_cached(query).unwrap().exists(["one", role]).unwrap();
        }
        assert_eq!(db.prepare_cached(query).unwrap().get_status(StatementStatus::RePrepare), 0);
    }
}
