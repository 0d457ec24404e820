//! Copies of the database: taken while it is written to, and taken into use again by a restore.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::PoisonError;

use rusqlite::{Connection, OpenFlags, params};

use super::rows::{all, from_text};
use super::site::{MIGRATIONS, SCHEMA, prepare};
use super::{Error, Operation, Result, Store, audit};
use crate::model::{By, Digest, Millis, Name};

/// What stands at an active instance until its machine was compared.
pub(super) const NOT_COMPARED: &str = "not compared with the far side since the restore";

/// The database as it was at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// It has no name any more: closing it removes it.
    pub file: File,
    pub schema: u32,
    pub site: String,
    pub epoch: i64,
    /// Plugins that a revision names.
    pub plugins: Vec<Digest>,
}

/// What a restored database has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    pub epoch: i64,
    pub instances: u64,
    /// Flows that have not ended.
    pub flows: u64,
    pub holdings: u64,
    pub secrets: Vec<Name>,
}

/// Notes who was handed a backup.
#[derive(Debug, Clone)]
pub struct HandOut {
    pub with_key: bool,
    pub by: By,
    pub at: Millis,
}

impl Operation for HandOut {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        let verb = if self.with_key { "backup.with-key" } else { "backup" };
        audit::note(db, &self.by, verb, "everything", self.at)
    }
}

impl Store {
    /// Copies the database while it is written to. Needs as much room in the state folder as the database has. One at a time: others
    /// wait. What a process that died left of one is overwritten.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let (place, readers) = (self.snapshot.clone(), self.readers.clone());
        let copying = tokio::task::spawn_blocking(move || {
            let path = place.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = snapshot(readers.path(), &path);
            // The file stays as long as it is open; after a failure there may be none.
            fs::remove_file(&*path).ok();
            taken
        });
        copying.await.unwrap_or(Err(Error::Closed))
    }
}

fn snapshot(database: &Path, to: &Path) -> Result<Snapshot> {
    match fs::remove_file(to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => (),
    }
    // Made first, for its mode: SQLite fills a file that is empty.
    let file = fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(to)?;
    // Not one of the readers: those are kept from writing anything, a copy included.
    let db = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    // The service writes nowhere but in its own folder.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    let name = to.to_str().ok_or_else(|| Error::Refused("the state folder's name is no UTF-8".into()))?;
    db.execute("VACUUM INTO ?1", params![name])?;
    drop(db);
    let copy = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let (site, epoch) = copy.query_row("SELECT name, epoch FROM site", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let plugins =
        all(&copy, "SELECT DISTINCT digest FROM revision ORDER BY digest", [], |row| from_text(row, "digest"))?;
    Ok(Snapshot {
        file,
        schema: copy.pragma_query_value(None, "user_version", |row| row.get(0))?,
        site,
        epoch,
        plugins,
    })
}

/// Takes the restored `moganite.db` of a folder into use: checks it, brings its schema up to date, gives it an epoch that was never
/// used, and marks it as restored, so that nothing is changed on a far side before `reconcile`. `source`: of what it is, for the audit.
pub fn restored(folder: &Path, source: &str, at: Millis) -> Result<Restored> {
    let mut db = Connection::open_with_flags(folder.join("moganite.db"), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // It may come from anywhere.
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "cell_size_check", true)?;
    check(&db)?;
    prepare(&mut db)?;
    let change = db.transaction()?;
    change.execute("UPDATE site SET epoch = max(epoch + 1, ?1), restored_at = ?1", params![at])?;
    change.execute(
        "UPDATE instance SET degraded = ?1 WHERE state = 'active' AND gone_at IS NULL",
        params![NOT_COMPARED],
    )?;
    // Logins of another time; each is made anew when it is missed.
    change.execute("DELETE FROM session", [])?;
    let by = By { who: "moganite restore".into(), reason: source.to_owned() };
    audit::note(&change, &by, "restore", "everything", at)?;
    let count = |sql: &str| change.query_row(sql, [], |row| row.get::<_, u64>(0));
    let found = Restored {
        epoch: change.query_row("SELECT epoch FROM site", [], |row| row.get(0))?,
        instances: count("SELECT count(*) FROM instance WHERE gone_at IS NULL")?,
        flows: count("SELECT count(*) FROM flow WHERE phase NOT IN ('done', 'reverted')")?,
        holdings: count("SELECT count(*) FROM holding")?,
        secrets: all(&change, "SELECT name FROM secret ORDER BY name", [], |row| from_text(row, "name"))?,
    };
    change.commit()?;
    // Into the one file, all of it on the disk.
    db.close().map_err(|(_, error)| error)?;
    Ok(found)
}

/// A database of ours, whole, and with nothing of anybody else in its schema. Nothing of it is run before that.
fn check(db: &Connection) -> Result<()> {
    let schema: usize = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if schema > SCHEMA {
        return Err(Error::Refused(format!(
            "the backup was made by a newer moganite (schema {schema}, this one knows {SCHEMA}): use that version"
        )));
    }
    let ours = Connection::open_in_memory()?;
    MIGRATIONS.iter().take(schema).try_for_each(|migration| ours.execute_batch(migration))?;
    if schema == 0 || shape(db)? != shape(&ours)? {
        return Err(Error::Refused("the database in it is not one of moganite, or its schema was changed".into()));
    }
    let verdict: String = db.pragma_query_value(None, "integrity_check", |row| row.get(0))?;
    if verdict != "ok" {
        return Err(Error::Refused(format!("the database in it is damaged: {verdict}")));
    }
    let one: i64 = db.query_row("SELECT count(*) FROM site", [], |row| row.get(0))?;
    if one != 1 {
        return Err(Error::Refused("the database in it was never used".into()));
    }
    Ok(())
}

/// Tables and indexes as they were written; SQLite's own are its own.
fn shape(db: &Connection) -> Result<Vec<(String, String)>> {
    all(
        db,
        "SELECT type || ' ' || name AS what, coalesce(sql, '') AS text FROM sqlite_schema WHERE name NOT LIKE 'sqlite^_%' ESCAPE '^'
         ORDER BY what",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}
