//! Flavors, images and networks: what users may name.

use rusqlite::{Connection, params};

use super::rows::{all, from_json, one, to_json};
use super::{Error, Operation, Result, Store};
use crate::model::{Flavor, Image, Millis, Name, Network};

/// Writes a flavor, an image or a network, new or in place of the old one. Instances keep what they were made from.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one at a time, on its way to the writer")]
pub enum Catalog {
    Flavor(Flavor, Millis),
    Image(Image, Millis),
    Network(Network, Millis),
}

impl Operation for Catalog {
    type Answer = ();

    fn apply(&self, db: &Connection) -> Result<()> {
        let (table, name, body, at) = match self {
            Self::Flavor(flavor, at) => ("flavor", &flavor.name, to_json(flavor)?, at),
            Self::Image(image, at) => ("image", &image.name, to_json(image)?, at),
            Self::Network(network, at) => ("network", &network.name, to_json(network)?, at),
        };
        db.prepare_cached(&format!(
            "INSERT INTO {table} (name, body, created_at) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET body = ?2"
        ))?
        .execute(params![name.as_str(), body, at])?;
        Ok(())
    }
}

/// Takes a flavor, an image or a network out of the catalog. True when it was there.
#[derive(Debug, Clone)]
pub enum Remove {
    Flavor(Name),
    Image(Name),
    Network(Name),
}

impl Operation for Remove {
    type Answer = bool;

    fn apply(&self, db: &Connection) -> Result<bool> {
        let removed = match self {
            Self::Flavor(name) => db.execute("DELETE FROM flavor WHERE name = ?1", params![name.as_str()]),
            Self::Image(name) => db.execute("DELETE FROM image WHERE name = ?1", params![name.as_str()]),
            Self::Network(name) => db.execute("DELETE FROM network WHERE name = ?1", params![name.as_str()]),
        };
        removed.map(|n| n == 1).map_err(Error::from)
    }
}

impl Store {
    pub async fn flavor(&self, name: &Name) -> Result<Option<Flavor>> {
        self.read_here(|db| {
            one(db, "SELECT body FROM flavor WHERE name = ?1", params![name.as_str()], |row| from_json(row, "body"))
        })
    }

    pub async fn flavors(&self) -> Result<Vec<Flavor>> {
        self.read(|db| all(db, "SELECT body FROM flavor ORDER BY name", [], |row| from_json(row, "body"))).await
    }

    pub async fn image(&self, name: &Name) -> Result<Option<Image>> {
        self.read_here(|db| {
            one(db, "SELECT body FROM image WHERE name = ?1", params![name.as_str()], |row| from_json(row, "body"))
        })
    }

    pub async fn images(&self) -> Result<Vec<Image>> {
        self.read(|db| all(db, "SELECT body FROM image ORDER BY name", [], |row| from_json(row, "body"))).await
    }

    pub async fn network(&self, name: &Name) -> Result<Option<Network>> {
        self.read_here(|db| {
            one(db, "SELECT body FROM network WHERE name = ?1", params![name.as_str()], |row| from_json(row, "body"))
        })
    }

    pub async fn networks(&self) -> Result<Vec<Network>> {
        self.read(|db| all(db, "SELECT body FROM network ORDER BY name", [], |row| from_json(row, "body"))).await
    }
}
