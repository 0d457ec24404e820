//! State folders that other versions left (`tests/fixtures`), opened by today's binary beside today's simulators.
//!
//! The far sides are empty then: what the folder says that it holds is not there any more, which is for the service to find out.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, params};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::service::{Patience, Service};
use crate::sim::Sim;
use crate::stack::{BMC_PASSWORD, Stack};

impl Stack {
    /// A copy of the folder, with the words that stand for addresses and plugins' digests replaced by today's.
    pub async fn opened(fixture: &Path, patience: Patience) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let state = folder.path().join("state");
        std::fs::create_dir(&state)?;
        for name in ["moganite.db", "secret.key"] {
            std::fs::copy(fixture.join(name), state.join(name)).with_context(|| format!("copying {name}"))?;
        }
        // As git keeps it, it is open to others.
        private(&state.join("secret.key"))?;
        let sim = Sim::start(&["--bmc-password", BMC_PASSWORD], folder.path()).await?;
        let about: Value = serde_json::from_slice(&std::fs::read(fixture.join("about.json"))?)?;
        let db = Connection::open(state.join("moganite.db"))?;
        for (word, url) in [("valence", &sim.valence), ("podm", &sim.podm), ("ironic", &sim.ironic)] {
            replace_everywhere(&db, &format!("http://{word}.fixture"), url)?;
        }
        for (plugin, digest) in about["plugins"].as_object().into_iter().flatten() {
            let file = std::fs::read(crate::plugins().join(format!("{plugin}.wasm")))?;
            let digest = digest.as_str().context("a plugin without digest")?;
            replace_everywhere(&db, digest, &format!("sha256:{}", hex(&file)))?;
        }
        db.close().map_err(|(_, error)| error)?;
        let service = Service::start(&state, &crate::plugins(), patience).await?;
        Ok(Self { sim, service, folder, patience, program: crate::Program::default() })
    }
}

/// The plain files of a backup that belong in a state folder, but for plugins.
pub fn unpacked(backup: &Path, to: &Path) -> Result<()> {
    for entry in tar::Archive::new(File::open(backup)?).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.display().to_string();
        if ["moganite.db", "secret.key"].contains(&name.as_str()) {
            std::io::copy(&mut entry, &mut File::create(to.join(name))?)?;
        }
    }
    Ok(())
}

/// The host's migrations, in order: name, text.
fn migrations() -> Result<Vec<(String, String)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../host/migrations");
    let mut all = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        all.push((file.file_name().to_string_lossy().into_owned(), std::fs::read_to_string(file.path())?));
    }
    all.sort();
    Ok(all)
}

/// What a fixture keeps of the migrations that wrote it: name and SHA-256.
pub fn fingerprints() -> Result<Value> {
    let of = |(name, text): (String, String)| (name, Value::String(hex(text.as_bytes())));
    Ok(Value::Object(migrations()?.into_iter().map(of).collect()))
}

/// Pours a fixture's rows into today's schema, for a migration that was edited before its release. A new column without a default needs
/// the fixture to be made anew.
pub fn poured(fixture: &Path) -> Result<()> {
    let (old, new) = (fixture.join("moganite.db"), fixture.join("poured.db"));
    let db = Connection::open(&new)?;
    db.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA page_size = 512;")?;
    let migrations = migrations()?;
    migrations.iter().try_for_each(|(_, text)| db.execute_batch(text))?;
    db.pragma_update(None, "user_version", migrations.len())?;
    db.execute("ATTACH ?1 AS old", params![old.to_str().context("a path that is no text")?])?;
    for table in
        texts(&db, "SELECT name FROM old.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite^_%' ESCAPE '^'")?
    {
        let columns = texts(&db, &format!("SELECT name FROM pragma_table_info('{table}', 'old')"))?.join(", ");
        db.execute(&format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM old.{table}"), [])?;
    }
    db.execute_batch("DETACH old; VACUUM;")?;
    db.close().map_err(|(_, error)| error)?;
    std::fs::rename(new, old)?;
    let file = fixture.join("about.json");
    let mut about: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    about["migrations"] = fingerprints()?;
    Ok(std::fs::write(file, format!("{about:#}\n"))?)
}

/// In every text of every table, and in every blob that is a text.
pub fn replace_everywhere(db: &Connection, what: &str, with: &str) -> Result<()> {
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite^_%' ESCAPE '^'";
    for table in texts(db, tables)? {
        for column in
            texts(db, &format!("SELECT name FROM pragma_table_info('{table}') WHERE type IN ('TEXT', 'BLOB')"))?
        {
            let mut values =
                db.prepare(&format!("SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL"))?;
            let values: Vec<Cell> = values.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            for value in values {
                let Some(changed) = replaced(&value, what, with) else { continue };
                db.execute(&format!("UPDATE {table} SET {column} = ?2 WHERE {column} = ?1"), params![value, changed])?;
            }
        }
    }
    Ok(())
}

fn replaced(value: &Cell, what: &str, with: &str) -> Option<Cell> {
    match value {
        Cell::Text(text) if text.contains(what) => Some(Cell::Text(text.replace(what, with))),
        Cell::Blob(bytes) => {
            let text = std::str::from_utf8(bytes).ok().filter(|text| text.contains(what))?;
            Some(Cell::Blob(text.replace(what, with).into_bytes()))
        }
        _ => None,
    }
}

fn texts(db: &Connection, sql: &str) -> Result<Vec<String>> {
    let mut rows = db.prepare(sql)?;
    Ok(rows.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn private(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?)
}
