//! `plugin`: add, list, show, and pack, which needs no service.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;

use super::client::Client;
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
    /// Puts a manifest into a component: the file that is shipped.
    Pack {
        component: PathBuf,
        /// TOML; `settings` in it is the path of a JSON Schema beside it.
        manifest: PathBuf,
        #[arg(long)]
        output: PathBuf,
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

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("reading {}", file.display()))
}
