//! `secret`: set, list, remove, its copies, rotate. A value comes from stdin or a file, never from the command line, where others could read it.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde_json::json;

use super::Failed;
use super::client::Client;
use super::output::Format;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Sets a value, read from stdin or a file; one line's end is cut off.
    Set {
        name: String,
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
    },
    /// The names; there is no way to read a value.
    List,
    #[command(visible_alias = "delete")]
    Remove { name: String },
    /// The copies that far sides keep of it, in nodes that they manage.
    Copies { name: String },
    /// Writes those copies anew, after the value was changed here and on the machines.
    Refresh { name: String },
    /// Makes another master key: `secret.key` is a new one, and no value is touched. A backup that was made before opens with the key in it.
    Rotate {
        #[arg(long)]
        reason: String,
    },
}

impl Command {
    pub(super) async fn run(self, client: &Client, output: Format) -> anyhow::Result<()> {
        match self {
            Self::Set { name, from_file } => {
                let value = read(from_file)?;
                output.one(&client.put(&format!("/v1/secrets/{name}"), &json!({ "value": value }), None).await?);
            }
            Self::List => {
                let columns = [("NAME", "/name"), ("CHANGED", "/updated_at")];
                output.list(&columns, &client.list("/v1/secrets").await?);
            }
            Self::Remove { name } => {
                client.delete(&format!("/v1/secrets/{name}")).await?;
                output.done(&format!("{name} is removed"));
            }
            Self::Copies { name } => {
                let columns = [("INSTANCE", "/instance"), ("KEPT BY", "/backend"), ("ACCESS OF", "/of")];
                output.list(&columns, &client.list(&format!("/v1/secrets/{name}/copies")).await?);
            }
            Self::Refresh { name } => {
                let begun = client.post(&format!("/v1/secrets/{name}/refresh"), &json!({})).await?;
                let columns =
                    [("INSTANCE", "/instance"), ("KEPT BY", "/backend"), ("FLOW", "/flow"), ("REFUSED", "/refused")];
                output.list(&columns, begun["items"].as_array().map_or(&[], Vec::as_slice));
            }
            Self::Rotate { reason } => {
                client.post("/v1/master-key/rotate", &json!({ "reason": reason })).await?;
                output.done("the master key is a new one: make a backup, and destroy the copies of the old one");
            }
        }
        Ok(())
    }
}

fn read(file: Option<PathBuf>) -> anyhow::Result<String> {
    let mut value = String::new();
    match file {
        Some(file) => value = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?,
        None => {
            std::io::stdin().read_to_string(&mut value).context("reading the value from stdin")?;
        }
    }
    let value = value.strip_suffix('\n').unwrap_or(&value);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() {
        bail!(Failed::new("the value is empty", "pipe it in, or name a file with --from-file"));
    }
    Ok(value.to_owned())
}
