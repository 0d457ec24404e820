//! What stands sealed in the database, and the key to it.
//!
//! Sealed are the order of an instance, a flow's state and checkpoint, and a holding's trail: what users sent, and what drivers keep. Each is
//! bound to its row. The key belongs to whoever works on the database at this moment, the writer's thread or a reader's query, so that no
//! operation carries it: [`Key::during`].

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use hmac::Key as Authentic;
use ring::hmac;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Error, Operation, Result, audit};
use crate::model::{By, Millis};
use crate::seal::{Master, Masters, NoKey, Sealer};

thread_local! {
    static KEY: RefCell<Option<Arc<Sealer>>> = const { RefCell::new(None) };
}

/// The store's key, and what was derived from the master key.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) sealer: Arc<Sealer>,
    pub(super) authentic: Authentic,
}

impl Key {
    /// Whatever is read or written in here is opened and sealed with this key.
    pub(super) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        /// Also when the work panics.
        struct Back(Option<Arc<Sealer>>);
        impl Drop for Back {
            fn drop(&mut self) {
                KEY.set(self.0.take());
            }
        }
        let _back = Back(KEY.replace(Some(self.sealer.clone())));
        work()
    }
}

pub(super) fn sealed(what: &str, value: &[u8]) -> Result<Vec<u8>> {
    KEY.with_borrow(|key| key.as_ref().and_then(|key| key.seal(what, value)))
        .ok_or_else(|| Error::Corrupt(format!("{what} could not be sealed")))
}

/// None: it was sealed as something else, or changed. The log says so.
pub(super) fn opened(what: &str, sealed: &[u8]) -> Option<Vec<u8>> {
    let opened = KEY.with_borrow(|key| key.as_ref().and_then(|key| key.open(what, sealed)));
    if opened.is_none() {
        tracing::error!(what, "does not open: it was changed, or belongs to another row");
    }
    opened
}

pub(super) fn state(flow: &str) -> String {
    format!("flow {flow} state")
}

pub(super) fn checkpoint(flow: &str) -> String {
    format!("flow {flow} checkpoint")
}

pub(super) fn order(instance: &str) -> String {
    format!("instance {instance} order")
}

pub(super) fn trail(operation: &str) -> String {
    format!("operation {operation} trail")
}

/// The database's key; at the first start it is made, and what is there in clear is sealed.
pub(super) fn open(db: &mut Connection, masters: Masters) -> Result<Key> {
    let file = masters.file.clone();
    let wrapped: Option<Vec<u8>> = db.query_row("SELECT wrapped FROM store_key", [], |row| row.get(0)).optional()?;
    let Some(wrapped) = wrapped else {
        let master = masters.first().map_err(no_key)?;
        return first(db, &master);
    };
    let Some((master, sealer, rewrapped)) = masters.opening(&wrapped).map_err(no_key)? else {
        return Err(Error::Refused(format!(
            "no key that is here opens the database: put back the {} that it had, or give the key that was given before \
             (MOGANITE_SECRET_KEY, MOGANITE_OLD_SECRET_KEY)",
            file.display()
        )));
    };
    if let Some(rewrapped) = rewrapped {
        keep(db, &rewrapped)?;
        tracing::warn!(
            "the store's key is wrapped by the master key that was given: the one before opens nothing any more"
        );
    }
    Ok(Key { sealer: Arc::new(sealer), authentic: master.authentic() })
}

fn no_key(error: NoKey) -> Error {
    Error::Refused(error.to_string())
}

fn keep(db: &Connection, wrapped: &[u8]) -> Result<()> {
    db.execute(
        "INSERT INTO store_key (one, wrapped) VALUES (1, ?1) ON CONFLICT DO UPDATE SET wrapped = ?1",
        params![wrapped],
    )?;
    Ok(())
}

/// One transaction: with the key or without, nothing is half sealed.
fn first(db: &mut Connection, master: &Master) -> Result<Key> {
    let (sealer, wrapped) = master.new_sealer().map_err(no_key)?;
    let key = Key { sealer: Arc::new(sealer), authentic: master.authentic() };
    // What was there in clear is overwritten, in the file and in the log.
    db.pragma_update(None, "secure_delete", true)?;
    let change = db.transaction()?;
    keep(&change, &wrapped)?;
    key.during(|| seal_all(&change, master, &key))?;
    change.commit()?;
    db.pragma_update(None, "secure_delete", false)?;
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(key)
}

fn seal_all(db: &Connection, master: &Master, key: &Key) -> Result<()> {
    /// What is there in clear, how it is put back, and as what it is sealed.
    type Column = (&'static str, &'static str, fn(&str) -> String);
    let columns: [Column; 4] = [
        ("SELECT id, public_id, state FROM flow", "UPDATE flow SET state = ?2 WHERE id = ?1", state),
        (
            "SELECT id, public_id, checkpoint FROM flow WHERE checkpoint IS NOT NULL",
            "UPDATE flow SET checkpoint = ?2 WHERE id = ?1",
            checkpoint,
        ),
        (
            "SELECT id, operation, trail FROM holding WHERE trail IS NOT NULL",
            "UPDATE holding SET trail = ?2 WHERE id = ?1",
            trail,
        ),
        (
            "SELECT id, public_id, CAST(ordered AS BLOB) FROM instance",
            "UPDATE instance SET sealed_order = ?2, ordered = '' WHERE id = ?1",
            order,
        ),
    ];
    for (select, update, what) in columns {
        // By number first: a table is not changed while it is read.
        let mut rows = db.prepare(select)?;
        let ids = rows.query_map([], |row| row.get::<_, i64>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
        let wheres = if select.contains("WHERE") { "AND" } else { "WHERE" };
        let mut one = db.prepare(&format!("{select} {wheres} id = ?1"))?;
        let mut update = db.prepare(update)?;
        for id in ids {
            let (name, clear): (String, Vec<u8>) = one.query_row([id], |row| Ok((row.get(1)?, row.get(2)?)))?;
            update.execute(params![id, sealed(&what(&name), &clear)?])?;
        }
    }
    let mut secrets = db.prepare("SELECT name, sealed FROM secret")?;
    let secrets = secrets.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (name, old) in secrets.collect::<rusqlite::Result<Vec<(String, Vec<u8>)>>>()? {
        // One of another key file did not open before, and does not now.
        let Some(mut value) = master.open_old(&name, &old) else { continue };
        let new = key.sealer.seal(&secret(&name), &value);
        crate::seal::wipe(&mut value);
        db.execute("UPDATE secret SET sealed = ?2 WHERE name = ?1", params![name, new])?;
    }
    // A login is made anew when it is missed.
    db.execute("DELETE FROM session", [])?;
    Ok(())
}

/// As what a secret's value is sealed.
pub fn secret(name: &str) -> String {
    format!("secret {name}")
}

/// The store's key as another master key wraps it.
struct Rewrap {
    wrapped: Vec<u8>,
    by: By,
    at: Millis,
}

impl Operation for Rewrap {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        keep(db, &self.wrapped)?;
        audit::note(db, &self.by, "master-key.rotate", "everything", self.at)
    }
}

impl super::Store {
    /// Seals and opens the values of this database.
    pub fn sealer(&self) -> &Arc<Sealer> {
        &self.key.sealer
    }

    /// Authenticates files beside the database: a key of its own, derived from the master key as it was at the start.
    pub fn authentic(&self) -> &Authentic {
        &self.key.authentic
    }

    /// The master key's file; none when it was given.
    pub fn key_file(&self) -> Option<&Path> {
        self.key_file.as_deref()
    }

    /// Makes another master key, and wraps the store's key by it. No value is touched. A death in between is ended by the next start.
    pub async fn rotate(&self, by: By, at: Millis) -> Result<()> {
        let Some(file) = &self.key_file else {
            return Err(Error::Refused(
                "the master key is given by the environment or a command: start `serve` with another one, and with this one as \
                 MOGANITE_OLD_SECRET_KEY"
                    .into(),
            ));
        };
        let _turn = self.rotating.lock().await;
        let next = Masters::next_file(file);
        let wrapped = self.read(|db| Ok(db.query_row("SELECT wrapped FROM store_key", [], |row| row.get(0))?)).await;
        let wrapped: Vec<u8> = wrapped?;
        let old = Master::read(file).map_err(no_key)?;
        let broken =
            || Error::Refused(format!("{} does not open the database: put back the one that does", file.display()));
        let old = old.filter(|old| old.unwrap(&wrapped).is_some()).ok_or_else(broken)?;
        match std::fs::remove_file(&next) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            // Of one that was refused.
            _ => (),
        }
        let new = Master::make(&next).map_err(no_key)?;
        let rewrapped = old.rewrap(&wrapped, &new).ok_or_else(broken)?;
        self.write(super::Lane::Interactive, Rewrap { wrapped: rewrapped, by, at }).await?;
        std::fs::rename(&next, file)?;
        std::fs::File::open(file.parent().unwrap_or(file))?.sync_all()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
