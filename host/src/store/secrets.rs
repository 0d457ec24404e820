//! Secrets as sealed bytes, and tokens as hashes: nothing here can be read back by who steals the file alone.

use rusqlite::{Connection, params};

use super::rows::{all, from_text, one};
use super::{Error, Operation, Result, Store};
use crate::model::{Millis, Name, ProjectRole};

/// Sealed by the driver module's vault.
pub struct PutSecret {
    pub name: Name,
    pub sealed: Vec<u8>,
    pub at: Millis,
}

impl Operation for PutSecret {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        db.execute(
            "INSERT INTO secret (name, sealed, updated_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET sealed = ?2, updated_at = ?3",
            params![self.name.as_str(), self.sealed, self.at],
        )?;
        Ok(())
    }
}

/// True when it was there.
#[derive(Debug, Clone)]
pub struct RemoveSecret(pub Name);

impl Operation for RemoveSecret {
    type Answer = bool;

    fn apply(&self, db: &Connection) -> Result<bool> {
        Ok(db.execute("DELETE FROM secret WHERE name = ?1", params![self.0.as_str()])? == 1)
    }
}

/// A bearer token, by the SHA-256 of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub name: Name,
    pub project: Name,
    pub role: ProjectRole,
    pub created_at: Millis,
}

/// Refused when a token of this name is there.
pub struct PutToken {
    pub token: Token,
    pub hash: Vec<u8>,
}

impl Operation for PutToken {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        let Token { name, project, role, created_at } = &self.token;
        let role = serde_json::to_value(role).map_err(|e| Error::Corrupt(e.to_string()))?;
        let inserted = db.execute(
            "INSERT OR IGNORE INTO token (hash, name, project, role, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![self.hash, name.as_str(), project.as_str(), role.as_str(), created_at],
        )?;
        if inserted == 0 {
            return Err(Error::Refused(format!("a token named {name} exists: remove it first, or give another name")));
        }
        Ok(())
    }
}

/// True when it was there.
#[derive(Debug, Clone)]
pub struct RemoveToken(pub Name);

impl Operation for RemoveToken {
    type Answer = bool;

    fn apply(&self, db: &Connection) -> Result<bool> {
        Ok(db.execute("DELETE FROM token WHERE name = ?1", params![self.0.as_str()])? == 1)
    }
}

impl Store {
    /// Sealed bytes.
    pub async fn secret(&self, name: &Name) -> Result<Option<Vec<u8>>> {
        self.read_here(|db| {
            one(db, "SELECT sealed FROM secret WHERE name = ?1", params![name.as_str()], |row| Ok(row.get(0)?))
        })
    }

    /// Names and times of the last change.
    pub async fn secrets(&self) -> Result<Vec<(Name, Millis)>> {
        self.read(|db| {
            all(db, "SELECT name, updated_at FROM secret ORDER BY name", [], |row| {
                Ok((from_text(row, "name")?, row.get(1)?))
            })
        })
        .await
    }

    pub async fn token(&self, hash: Vec<u8>) -> Result<Option<Token>> {
        self.read_here(|db| one(db, "SELECT * FROM token WHERE hash = ?1", params![hash], read_token))
    }

    /// Whether there is a token at all.
    pub async fn has_tokens(&self) -> Result<bool> {
        self.read_here(|db| Ok(db.prepare_cached("SELECT 1 FROM token LIMIT 1")?.exists([])?))
    }

    pub async fn tokens(&self) -> Result<Vec<Token>> {
        self.read(|db| all(db, "SELECT * FROM token ORDER BY name", [], read_token)).await
    }
}

fn read_token(row: &rusqlite::Row<'_>) -> Result<Token> {
    Ok(Token {
        name: from_text(row, "name")?,
        project: from_text(row, "project")?,
        role: from_text(row, "role")?,
        created_at: row.get("created_at")?,
    })
}
