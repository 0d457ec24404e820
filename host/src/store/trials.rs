//! Plugins on trial: a canary gets some of a backend's operations, any other swap all of them. Whoever breaks too often is taken back by
//! the transition in which it broke, and who was whole often enough stays.

use rusqlite::{Connection, Row, params};

use super::rows::{all, from_text, from_text_or_null, one};
use super::{Error, Operation, Result, Store, WriteRevision, audit, backends};
use crate::model::{By, Canary, Digest, InstanceId, Millis, Name, Revision, RevisionId, Trial};

/// Broken calls after which a plugin is taken back, where the swap does not say it.
pub const BREAKS: u32 = 3;

/// Operations that end whole before a swap of all of them counts as well done.
const ENOUGH: u32 = 100;

/// Another plugin for the next operations: all of them, or a canary's.
#[derive(Debug, Clone)]
pub struct Activate {
    pub write: WriteRevision,
    /// What is granted beyond the revision before, a line each.
    pub granted: Vec<String>,
    pub canary: Option<Canary>,
    /// Broken calls after which the one before takes over again.
    pub breaks: u32,
    pub by: By,
}

impl Operation for Activate {
    type Answer = RevisionId;

    fn apply(&self, db: &Connection) -> Result<RevisionId> {
        let Self { write, granted, canary, breaks, by } = self;
        backends::note_granted(db, write, granted, by)?;
        let (backend, at) = (write.revision.backend.as_str(), write.at);
        let subject = format!("{backend} to {}", write.revision.digest);
        let Some(canary) = canary else {
            let id = write.apply(db)?;
            db.prepare_cached("UPDATE trial SET most = ?2 WHERE backend = ?1")?.execute(params![backend, breaks])?;
            audit::note(db, by, "backend.swap", &subject, at)?;
            return Ok(id);
        };
        let before = write.newest(db)?;
        let id = backends::insert(db, write, false)?;
        let (remaining, instance, project) = match canary {
            Canary::Next(operations) => (Some(*operations), None, None),
            Canary::Instance { instance, project } => (None, Some(instance.as_str()), Some(project.as_str())),
        };
        db.prepare_cached(
            "INSERT OR REPLACE INTO trial (backend, revision, digest, before, canary, remaining, instance, project, enough, most, since)
             VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7, ?5, ?8, ?9)",
        )?
        .execute(params![
            backend,
            id.0,
            write.revision.digest.to_string(),
            before.map(|before| before.0),
            remaining,
            instance,
            project,
            breaks,
            at
        ])?;
        audit::note(db, by, "backend.canary", &subject, at)?;
        Ok(id)
    }
}

/// A canary's plugin gets all operations.
#[derive(Debug, Clone)]
pub struct Promote {
    pub backend: Name,
    pub by: By,
    pub at: Millis,
}

impl Operation for Promote {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        if promote(db, self.backend.as_str(), &self.by, self.at)? {
            return Ok(());
        }
        Err(Error::Refused("no canary runs at this backend".into()))
    }
}

/// The plugin that ran before runs again, or the canary ends.
#[derive(Debug, Clone)]
pub struct RollBack {
    pub backend: Name,
    /// The revision that is made anew; none: a canary ends.
    pub to: Option<RevisionId>,
    pub by: By,
    pub at: Millis,
}

impl Operation for RollBack {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        if back(db, self.backend.as_str(), self.to, &self.by, self.at)? {
            return Ok(());
        }
        Err(Error::Refused("there is nothing to go back to: it was changed by somebody else".into()))
    }
}

impl Store {
    /// The plugin that is on trial at this backend.
    pub async fn trial(&self, backend: &Name) -> Result<Option<Trial>> {
        let name = backend.clone();
        let query = "SELECT * FROM trial WHERE backend = ?1";
        self.read(move |db| one(db, query, params![name.as_str()], read)).await
    }

    /// All of them, by backend.
    pub async fn trials(&self) -> Result<Vec<Trial>> {
        self.read(|db| all(db, "SELECT * FROM trial ORDER BY backend", [], read)).await
    }

    /// The newest revision with another plugin than the backend's: one that ran there, was not taken back, and is not stopped.
    pub async fn ran_before(&self, backend: &Name) -> Result<Option<Revision>> {
        let name = backend.clone();
        self.read(move |db| {
            one(
                db,
                "SELECT r.* FROM revision r JOIN backend b ON b.name = r.backend JOIN revision n ON n.id = b.revision
                 WHERE b.name = ?1 AND r.id < n.id AND r.digest <> n.digest AND r.served AND r.withdrawn_at IS NULL
                   AND r.digest NOT IN (SELECT digest FROM plugin)
                 ORDER BY r.id DESC LIMIT 1",
                params![name.as_str()],
                backends::read_revision,
            )
        })
        .await
    }

    /// How many revisions of each backend were taken back, by persons and by themselves.
    pub async fn count_rolled_back(&self) -> Result<Vec<(Name, u64)>> {
        self.read(|db| {
            all(
                db,
                "SELECT backend, count(*) AS n FROM revision WHERE withdrawn_at IS NOT NULL GROUP BY backend ORDER BY backend",
                [],
                |row| Ok((from_text(row, "backend")?, row.get("n")?)),
            )
        })
        .await
    }
}

/// While a canary runs nobody else changes the backend.
pub(super) fn no_canary(db: &Connection, backend: &Name) -> Result<()> {
    let runs =
        db.prepare_cached("SELECT 1 FROM trial WHERE backend = ?1 AND canary")?.exists(params![backend.as_str()])?;
    if !runs {
        return Ok(());
    }
    Err(Error::Refused(format!("a canary runs at backend {backend}: promote it or roll it back first")))
}

/// The backend's newest revision is this one. Another plugin is on trial from now on; new settings of the same go on with its trial.
pub(super) fn begin(db: &Connection, id: RevisionId, before: Option<RevisionId>, at: Millis) -> Result<()> {
    let Some(before) = before else { return Ok(()) };
    let begun = db
        .prepare_cached(
            "INSERT OR REPLACE INTO trial (backend, revision, digest, before, canary, enough, most, since)
             SELECT n.backend, n.id, n.digest, o.id, 0, ?3, ?4, ?5 FROM revision n JOIN revision o ON o.id = ?2 AND o.digest <> n.digest
             WHERE n.id = ?1",
        )?
        .execute(params![id.0, before.0, ENOUGH, BREAKS, at])?;
    if begun == 0 {
        db.prepare_cached("UPDATE trial SET revision = ?1 WHERE revision = ?2")?.execute(params![id.0, before.0])?;
    }
    Ok(())
}

/// The canary's revision, for an operation that begins and that it gets.
pub(super) fn pin(db: &Connection, backend: &str, instance: InstanceId) -> Result<Option<RevisionId>> {
    one(
        db,
        "UPDATE trial SET remaining = remaining - 1 WHERE backend = ?1 AND canary AND (remaining > 0 OR EXISTS (
             SELECT 1 FROM instance i WHERE i.public_id = ?2
               AND (i.public_id = trial.instance OR (i.name = trial.instance AND i.project = trial.project))))
         RETURNING revision",
        params![backend, instance.to_string()],
        |row| Ok(RevisionId(row.get(0)?)),
    )
}

/// A call of this revision broke: once too often, and the plugin is taken back. A canary gets one operation more for it.
pub(super) fn broke(db: &Connection, revision: RevisionId, why: &str, at: Millis) -> Result<()> {
    let on_trial = one(
        db,
        "UPDATE trial SET broken = broken + 1, remaining = remaining + 1
         WHERE (backend, digest) = (SELECT backend, digest FROM revision WHERE id = ?1) RETURNING backend, broken, most, canary, before",
        params![revision.0],
        |row| {
            let (broken, most): (u32, u32) = (row.get(1)?, row.get(2)?);
            let before = (!row.get::<_, bool>(3)?).then_some(RevisionId(row.get(4)?));
            Ok((row.get::<_, String>(0)?, broken, broken >= most, before))
        },
    )?;
    let Some((backend, broken, true, before)) = on_trial else { return Ok(()) };
    let mut reason: String = format!("it broke {broken} times, the last: {why}").chars().take(500).collect();
    reason.retain(|c| !c.is_control());
    let by = By { who: WE.into(), reason };
    if back(db, &backend, before, &by, at)? {
        tracing::warn!(backend, reason = by.reason, "a plugin was taken back");
    }
    Ok(())
}

/// An operation of this revision ended. A canary that was whole often enough gets all of them; who has them all stays.
pub(super) fn ended(db: &Connection, revision: RevisionId, at: Millis) -> Result<()> {
    let on_trial = one(
        db,
        "UPDATE trial SET ended = ended + 1 WHERE (backend, digest) = (SELECT backend, digest FROM revision WHERE id = ?1)
         RETURNING backend, canary, ended - broken >= enough, enough",
        params![revision.0],
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?, row.get::<_, Option<bool>>(2)?, row.get::<_, Option<u32>>(3)?)),
    )?;
    match on_trial {
        Some((backend, true, Some(true), Some(enough))) => {
            let by = By { who: WE.into(), reason: format!("{enough} operations ended without a broken call") };
            promote(db, &backend, &by, at).map(drop)
        }
        Some((backend, false, Some(true), _)) => {
            db.prepare_cached("DELETE FROM trial WHERE backend = ?1")?.execute(params![backend])?;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Who decides where no person does, as the audit log knows it.
const WE: &str = "moganite";

/// False when no canary runs there.
fn promote(db: &Connection, backend: &str, by: &By, at: Millis) -> Result<bool> {
    let promoted = one(
        db,
        "UPDATE trial SET canary = 0, remaining = NULL, instance = NULL, project = NULL, enough = ?2, ended = 0, broken = 0, since = ?3
         WHERE backend = ?1 AND canary RETURNING revision, digest",
        params![backend, ENOUGH, at],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)),
    )?;
    let Some((revision, digest)) = promoted else { return Ok(false) };
    db.prepare_cached("UPDATE revision SET served = 1 WHERE id = ?1")?.execute(params![revision])?;
    db.prepare_cached("UPDATE backend SET revision = ?2 WHERE name = ?1")?.execute(params![backend, revision])?;
    audit::note(db, by, "backend.promote", &format!("{backend} to {digest}"), at)?;
    Ok(true)
}

/// Operations that run end on what they began with. `to`: what is newest again, as it was; none: a canary ends. False when that is not so
/// any more, or when an operator stopped the plugin to go back to.
fn back(db: &Connection, backend: &str, to: Option<RevisionId>, by: &By, at: Millis) -> Result<bool> {
    let Some(to) = to else {
        let ended = one(
            db,
            "DELETE FROM trial WHERE backend = ?1 AND canary RETURNING revision, digest",
            params![backend],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)),
        )?;
        let Some((revision, digest)) = ended else { return Ok(false) };
        db.prepare_cached("UPDATE revision SET withdrawn_at = ?2 WHERE id = ?1")?.execute(params![revision, at])?;
        audit::note(db, by, "backend.roll-back", &format!("{backend} from the canary {digest}"), at)?;
        return Ok(true);
    };
    let made = db
        .prepare_cached(
            "INSERT INTO revision (backend, digest, exclusive, body, created_at)
             SELECT backend, digest, exclusive, body, ?3 FROM revision
             WHERE id = ?1 AND backend = ?2 AND digest NOT IN (SELECT digest FROM plugin)",
        )?
        .execute(params![to.0, backend, at])?;
    if made == 0 {
        return Ok(false);
    }
    let id = db.last_insert_rowid();
    let (from, digest) = db
        .prepare_cached(
            "SELECT o.digest, n.digest FROM backend b JOIN revision o ON o.id = b.revision JOIN revision n ON n.id = ?2 WHERE b.name = ?1",
        )?
        .query_row(params![backend, id], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    db.prepare_cached(
        "UPDATE revision SET withdrawn_at = ?3 WHERE backend = ?1 AND digest = ?2 AND withdrawn_at IS NULL",
    )?
    .execute(params![backend, from, at])?;
    db.prepare_cached("UPDATE backend SET revision = ?2 WHERE name = ?1")?.execute(params![backend, id])?;
    db.prepare_cached("DELETE FROM trial WHERE backend = ?1")?.execute(params![backend])?;
    audit::note(db, by, "backend.roll-back", &format!("{backend} from {from} to {digest}"), at)?;
    Ok(true)
}

fn read(row: &Row<'_>) -> Result<Trial> {
    let remaining: Option<u32> = row.get("remaining")?;
    let (instance, project): (Option<String>, _) = (row.get("instance")?, from_text_or_null(row, "project")?);
    let canary = match (row.get::<_, bool>("canary")?, remaining, instance.zip(project)) {
        (true, _, Some((instance, project))) => Some(Canary::Instance { instance, project }),
        (true, remaining, None) => Some(Canary::Next(remaining.unwrap_or_default())),
        (false, ..) => None,
    };
    Ok(Trial {
        backend: from_text(row, "backend")?,
        revision: RevisionId(row.get("revision")?),
        digest: from_text::<Digest>(row, "digest")?,
        before: RevisionId(row.get("before")?),
        canary,
        enough: row.get("enough")?,
        ended: row.get("ended")?,
        broken: row.get("broken")?,
        most: row.get("most")?,
        since: row.get("since")?,
    })
}
