//! `flavor`, `image` and `network`: put, list, show, remove.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;

use super::client::Client;
use super::file;
use super::output::{Column, Format};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Writes one from a TOML, YAML or JSON file, new or in place of the old one.
    Put {
        file: PathBuf,
    },
    List,
    Show {
        name: String,
    },
    Remove {
        name: String,
    },
}

/// One of the three catalogs.
#[derive(Clone, Copy)]
pub(super) struct Catalog {
    path: &'static str,
    columns: &'static [Column],
}

pub(super) const FLAVORS: Catalog = Catalog {
    path: "/v1/flavors",
    columns: &[
        ("NAME", "/name"),
        ("CORES", "/shape/cores"),
        ("MIB", "/shape/memory_mib"),
        ("DISKS GIB", "/shape/disks_gib"),
        ("CLAIM", "/route/claim"),
        ("COMPOSE", "/route/compose"),
        ("ENROLL", "/route/enroll"),
        ("DEPLOY", "/route/deploy"),
        ("ERASE", "/erase"),
    ],
};

pub(super) const IMAGES: Catalog =
    Catalog { path: "/v1/images", columns: &[("NAME", "/name"), ("BACKENDS", "/backends")] };

pub(super) const NETWORKS: Catalog =
    Catalog { path: "/v1/networks", columns: &[("NAME", "/name"), ("BACKENDS", "/backends")] };

impl Command {
    pub(super) async fn run(self, client: &Client, output: Format, catalog: Catalog) -> anyhow::Result<()> {
        let Catalog { path, columns } = catalog;
        match self {
            Self::Put { file } => {
                let (name, fields) = file::named(&file)?;
                output.one(&client.put(&format!("{path}/{name}"), &Value::Object(fields), None).await?);
            }
            Self::List => output.list(columns, &client.list(path).await?),
            Self::Show { name } => output.one(&client.get(&format!("{path}/{name}")).await?),
            Self::Remove { name } => {
                client.delete(&format!("{path}/{name}")).await?;
                output.done(&format!("{name} is removed"));
            }
        }
        Ok(())
    }
}
