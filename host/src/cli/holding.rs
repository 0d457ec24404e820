//! `holding list` and `node list`: what was taken from backends, as an operator and as a user see it.

use clap::Subcommand;

use super::client::{Client, segment};
use super::instance;
use super::output::Format;

#[derive(Subcommand)]
pub(super) enum Command {
    /// What is held or owed, oldest first.
    List {
        /// Of this instance alone, by name or id.
        #[arg(long)]
        instance: Option<String>,
    },
}

#[derive(Subcommand)]
pub(super) enum Nodes {
    /// The machines under instances.
    List,
}

impl Command {
    pub(super) async fn run(self, client: &Client, output: Format) -> anyhow::Result<()> {
        let Self::List { instance } = self;
        let of = match instance {
            Some(name_or_id) => Some(instance::find(client, &name_or_id).await?),
            None => None,
        };
        let query: Vec<_> = of.map(|id| format!("instance={}", segment(&id))).into_iter().collect();
        let columns = [
            ("INSTANCE", "/instance"),
            ("ROLE", "/role"),
            ("BACKEND", "/backend"),
            ("STATE", "/state"),
            ("HANDLE", "/handle"),
            ("MARK", "/mark"),
            ("SINCE", "/since"),
            ("FAULT", "/fault/message"),
        ];
        output.list(&columns, &client.list_of("/v1/holdings", &query).await?);
        Ok(())
    }
}

impl Nodes {
    pub(super) async fn run(self, client: &Client, output: Format) -> anyhow::Result<()> {
        let columns = [
            ("INSTANCE", "/instance"),
            ("BACKEND", "/backend"),
            ("HANDLE", "/handle"),
            ("COMPOSED", "/composed"),
            ("STATE", "/state"),
            ("SERIAL", "/identity/serial"),
            ("MACS", "/identity/macs"),
            ("ENROLLED", "/enrolled/backend"),
        ];
        output.list(&columns, &client.list("/v1/nodes").await?);
        Ok(())
    }
}
