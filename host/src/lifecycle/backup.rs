//! A backup of this installation: the database as it is now, the plugins that its revisions name, and the secrets' key when asked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, Write};
use std::path::{Path, PathBuf};

use super::{Error, Lifecycle};
use crate::archive::{self, DATABASE, KEY, Manifest, Part};
use crate::driver::Drivers;
use crate::model::{By, Millis};
use crate::store::{HandOut, Lane, Snapshot};

/// What was collected; [`Backup::write`] makes the file of it.
#[derive(Debug)]
pub struct Backup {
    pub manifest: Manifest,
    database: File,
    /// Of the other parts, by name.
    files: BTreeMap<String, PathBuf>,
}

impl Lifecycle {
    /// Who it is handed out to stands in the audit log. The service goes on meanwhile; what is committed after the snapshot began is not in it.
    pub async fn backup(&self, with_key: bool, by: By) -> Result<Backup, Error> {
        let at = self.clock.now();
        self.store.write(Lane::Interactive, HandOut { with_key, by, at }).await?;
        let snapshot = self.store.snapshot().await?;
        let drivers = self.drivers.clone();
        // A master key that was given is not ours to hand out.
        let key = self.store.key_file().filter(|_| with_key).map(Path::to_owned);
        let collecting = tokio::task::spawn_blocking(move || Backup::collect(snapshot, &drivers, key, at));
        let failed = |error: &dyn std::fmt::Display| Error::Refused {
            code: "backup-not-made",
            message: format!("the state folder's files were not read: {error}"),
        };
        collecting.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }
}

impl Backup {
    fn collect(snapshot: Snapshot, drivers: &Drivers, key: Option<PathBuf>, now: Millis) -> io::Result<Self> {
        let Snapshot { mut file, schema, site, epoch, plugins } = snapshot;
        file.rewind()?;
        let (digest, bytes) = archive::digest_of(&file)?;
        let mut parts = vec![Part { name: DATABASE.to_owned(), bytes, digest }];
        let mut files = BTreeMap::new();
        let mut missing_plugins = Vec::new();
        if let Some(key) = key {
            let (digest, bytes) = archive::digest_of(File::open(&key)?)?;
            parts.push(Part { name: KEY.to_owned(), bytes, digest });
            files.insert(KEY.to_owned(), key);
        }
        for plugin in plugins {
            let path = drivers.plugin_file(&plugin);
            match File::open(&path).and_then(archive::digest_of) {
                Ok((digest, bytes)) if digest == plugin => {
                    let name = Part::plugin(&plugin);
                    parts.push(Part { name: name.clone(), bytes, digest });
                    files.insert(name, path);
                }
                read => {
                    let why = read.map_or_else(|error| error.to_string(), |_| "it was changed".into());
                    tracing::warn!(%plugin, why, "a plugin that a revision names is not in the backup");
                    missing_plugins.push(plugin);
                }
            }
        }
        let manifest = Manifest {
            format: archive::FORMAT,
            moganite: env!("CARGO_PKG_VERSION").to_owned(),
            schema,
            site,
            epoch,
            made_at_ms: now,
            parts,
            missing_plugins,
        };
        Ok(Self { manifest, database: file, files })
    }

    /// Bytes of the file.
    pub fn length(&self) -> u64 {
        archive::length(&self.manifest)
    }

    /// Writes the file; waits for the disk and for whoever takes it.
    pub fn write(mut self, out: impl Write) -> io::Result<()> {
        self.database.rewind()?;
        archive::write(&self.manifest, out, |part| {
            let content: Box<dyn Read> = match self.files.get(&part.name) {
                Some(path) => Box::new(File::open(path)?),
                None => Box::new(&self.database),
            };
            Ok(content)
        })
    }
}
