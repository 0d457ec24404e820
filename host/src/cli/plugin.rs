//! `plugin`: add, list, show, disable, enable, deny, allow, stopped, floor, and pack, which needs no service.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Client, segment};
use super::freeze::Reason;
use super::output::Format;
use crate::driver;
use crate::model::Digest;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Sends a packed plugin; answers when it is compiled.
    Add {
        file: PathBuf,
    },
    List,
    /// By digest, the first digits of it, name, or name@version.
    Show {
        plugin: String,
    },
    /// Calls it no more, from the answer on; its flows wait, or are handed over.
    Disable {
        plugin: String,
        #[command(flatten)]
        why: Reason,
    },
    /// Lets a disabled plugin be called again.
    Enable {
        plugin: String,
        #[command(flatten)]
        why: Reason,
    },
    /// Keeps a file out, whether it is here or not: not called, not added, not bound.
    Deny {
        /// The whole digest, where the file is not here.
        plugin: String,
        #[command(flatten)]
        why: Reason,
    },
    /// Takes a file from the deny list.
    Allow {
        plugin: String,
        #[command(flatten)]
        why: Reason,
    },
    /// Those that are disabled or denied, and why.
    Stopped,
    /// The oldest version of each plugin that may still be bound.
    #[command(subcommand)]
    Floor(Floor),
    /// Puts a manifest into a component: the file that is shipped.
    Pack {
        component: PathBuf,
        /// TOML; `settings` in it is the path of a JSON Schema beside it.
        manifest: PathBuf,
        #[arg(long)]
        output: PathBuf,
    },
}

#[derive(Subcommand)]
pub(super) enum Floor {
    /// No version before this one is bound any more, but by a roll-back.
    Set {
        /// The plugin's.
        name: String,
        #[arg(value_name = "VERSION")]
        oldest: String,
        #[command(flatten)]
        why: Reason,
    },
    List,
    /// Any version may be bound again.
    Remove {
        name: String,
    },
}

impl Command {
    pub(super) async fn run(self, client: impl Fn() -> anyhow::Result<Client>, output: Format) -> anyhow::Result<()> {
        match self {
            Self::Add { file } => output.one(&client()?.post_file("/v1/plugins", read(&file)?).await?),
            Self::List => {
                let columns = [
                    ("NAME", "/name"),
                    ("VERSION", "/version"),
                    ("STATE", "/state"),
                    ("ROLES", "/roles"),
                    ("BACKENDS", "/backends"),
                    ("DIGEST", "/digest"),
                ];
                output.list(&columns, &client()?.list("/v1/plugins").await?);
            }
            Self::Show { plugin } => output.one(&client()?.get(&format!("/v1/plugins/{plugin}")).await?),
            Self::Disable { plugin, why } => output.one(&decide(&client()?, &plugin, "disable", why).await?),
            Self::Enable { plugin, why } => output.one(&decide(&client()?, &plugin, "enable", why).await?),
            Self::Deny { plugin, why } => output.one(&decide(&client()?, &plugin, "deny", why).await?),
            Self::Allow { plugin, why } => output.one(&decide(&client()?, &plugin, "allow", why).await?),
            Self::Stopped => {
                let columns = [
                    ("PLUGIN", "/plugin"),
                    ("DISABLED", "/disabled/why"),
                    ("DENIED", "/denied/why"),
                    ("DIGEST", "/digest"),
                ];
                output.list(&columns, &client()?.list("/v1/stopped-plugins").await?);
            }
            Self::Floor(command) => command.run(&client()?, output).await?,
            Self::Pack { component, manifest, output: out } => {
                let text = String::from_utf8(read(&manifest)?).context("the manifest is no text")?;
                let base = manifest.parent().unwrap_or(Path::new("."));
                let packed = driver::pack(&read(&component)?, &text, base)?;
                std::fs::write(&out, &packed).with_context(|| format!("writing {}", out.display()))?;
                output.done(&format!("{} is {}, {} bytes", out.display(), Digest::of(&packed), packed.len()));
            }
        }
        Ok(())
    }
}

impl Floor {
    async fn run(self, client: &Client, output: Format) -> anyhow::Result<()> {
        let path = |name: &str| format!("/v1/plugin-floors/{}", segment(name));
        match self {
            Self::Set { name, oldest, why: Reason { reason } } => {
                let body = json!({ "version": oldest, "reason": reason });
                output.one(&client.put(&path(&name), &body, None).await?);
            }
            Self::List => {
                let columns = [("NAME", "/name"), ("VERSION", "/version"), ("WHY", "/why"), ("SINCE", "/since")];
                output.list(&columns, &client.list("/v1/plugin-floors").await?);
            }
            Self::Remove { name } => {
                client.delete(&path(&name)).await?;
                output.done(&format!("any version of {name} may be bound again"));
            }
        }
        Ok(())
    }
}

async fn decide(client: &Client, plugin: &str, verb: &str, Reason { reason }: Reason) -> anyhow::Result<Value> {
    client.post(&format!("/v1/plugins/{}/{verb}", segment(plugin)), &json!({ "reason": reason })).await
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("reading {}", file.display()))
}
