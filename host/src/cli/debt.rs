//! `debt`: list, write-off.

use clap::Subcommand;
use serde_json::json;

use super::client::Client;
use super::output::Format;

#[derive(Subcommand)]
pub(super) enum Command {
    /// The worst first: may-be-running, holds-data, holds-hardware, holds-record.
    List,
    /// Takes a debt off the ledger that nobody will settle; the next sweep shows what the far side still has.
    WriteOff {
        /// As `debt list` shows it.
        id: i64,
        /// One line for the audit log.
        #[arg(long)]
        reason: String,
    },
}

impl Command {
    pub(super) async fn run(self, client: &Client, output: Format) -> anyhow::Result<()> {
        match self {
            Self::List => {
                let columns = [
                    ("ID", "/id"),
                    ("KIND", "/kind"),
                    ("BACKEND", "/backend"),
                    ("HANDLE", "/handle"),
                    ("INSTANCE", "/instance"),
                    ("SINCE", "/since"),
                    ("LAST ANSWER", "/last_answer/message"),
                ];
                output.list(&columns, &client.list("/v1/debts").await?);
            }
            Self::WriteOff { id, reason } => {
                client.post(&format!("/v1/debts/{id}/write-off"), &json!({ "reason": reason })).await?;
                output.done(&format!("debt {id} is written off"));
            }
        }
        Ok(())
    }
}
