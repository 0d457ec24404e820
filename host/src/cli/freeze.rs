//! `freeze`, `unfreeze`, `audit`: stop everything, let it go on, and who decided what.

use serde_json::json;

use super::client::Client;
use super::output::Format;

#[derive(clap::Args)]
pub(super) struct Reason {
    /// One line for the audit log.
    #[arg(long)]
    pub(super) reason: String,
}

pub(super) async fn freeze(Reason { reason }: Reason, client: &Client, output: Format) -> anyhow::Result<()> {
    output.one(&client.post("/v1/freeze", &json!({ "reason": reason })).await?);
    Ok(())
}

pub(super) async fn unfreeze(Reason { reason }: Reason, client: &Client, output: Format) -> anyhow::Result<()> {
    output.one(&client.post("/v1/unfreeze", &json!({ "reason": reason })).await?);
    Ok(())
}

pub(super) async fn audit(client: &Client, output: Format) -> anyhow::Result<()> {
    let columns = [("AT", "/at"), ("WHO", "/who"), ("VERB", "/verb"), ("SUBJECT", "/subject"), ("REASON", "/reason")];
    output.list(&columns, &client.list("/v1/audit").await?);
    Ok(())
}
