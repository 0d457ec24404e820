//! `quarantine`: list, clear.

use clap::Subcommand;

use super::client::{Client, segment};
use super::output::Format;

#[derive(Subcommand)]
pub(super) enum Command {
    List,
    /// Lets a node be taken again: you looked at it.
    Clear {
        backend: String,
        /// What the backend calls the node, as `quarantine list` shows it.
        handle: String,
    },
}

impl Command {
    pub(super) async fn run(self, client: &Client, output: Format) -> anyhow::Result<()> {
        match self {
            Self::List => {
                let columns = [
                    ("BACKEND", "/backend"),
                    ("HANDLE", "/handle"),
                    ("STRIKES", "/strikes"),
                    ("SINCE", "/since"),
                    ("CAUSE", "/cause/message"),
                ];
                output.list(&columns, &client.list("/v1/quarantine").await?);
            }
            Self::Clear { backend, handle } => {
                client.delete(&format!("/v1/quarantine/{}/{}", segment(&backend), segment(&handle))).await?;
                output.done(&format!("{handle} of {backend} may be taken again"));
            }
        }
        Ok(())
    }
}
