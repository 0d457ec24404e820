//! `sweep` and `orphan`: what far sides have of ours that no holding knows, and the other way round.

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::Client;
use super::output::{Column, Format, say};

#[derive(clap::Args)]
pub(super) struct Options {
    /// This backend alone.
    #[arg(long, value_name = "BACKEND")]
    backend: Option<String>,
    /// Shows what the last sweep found, and asks no far side.
    #[arg(long, conflicts_with_all = ["backend", "go_on"])]
    last: bool,
    /// Lets releases without a person's word go on at a backend where the brake holds.
    #[arg(long, value_name = "BACKEND", requires = "reason", conflicts_with = "backend")]
    go_on: Option<String>,
    /// Why: one line for the audit log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Subcommand)]
pub(super) enum Orphans {
    /// What the last sweep found: what bears one number of STACK is released together.
    List {
        /// Of this backend alone.
        #[arg(long, value_name = "BACKEND")]
        backend: Option<String>,
    },
    /// Gives one back, with all that belongs to it, last taken first.
    Release {
        id: i64,
        /// Why: one line for the audit log.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// none, quick or full. Left out: as its order said; where that is not known, quick if something was deployed.
        #[arg(long)]
        erase: Option<String>,
    },
    /// Leaves one alone, with all that belongs to it, whatever the policy says.
    Keep {
        id: i64,
        /// Why: one line for the audit log.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

const ORPHANS: [Column; 10] = [
    ("ID", "/id"),
    ("STACK", "/stack"),
    ("BACKEND", "/backend"),
    ("ROLE", "/role"),
    ("STATE", "/state"),
    ("HANDLE", "/handle"),
    ("AGE S", "/age_s"),
    ("OWNER", "/instance_name"),
    ("LATE SINCE", "/promised_at"),
    ("MARK", "/mark"),
];

const MISSING: [Column; 8] = [
    ("INSTANCE", "/instance"),
    ("NAME", "/instance_name"),
    ("BACKEND", "/backend"),
    ("ROLE", "/role"),
    ("STATE", "/state"),
    ("HANDLE", "/handle"),
    ("AGE S", "/age_s"),
    ("MARK", "/mark"),
];

const SWEPT: [Column; 8] = [
    ("BACKEND", "/backend"),
    ("POLICY", "/policy"),
    ("LOOKED AT", "/at"),
    ("NODES", "/nodes"),
    ("LATE", "/late_arrivals"),
    ("RELEASED", "/brake/released"),
    ("STOPPED", "/brake/why"),
    ("FAULT", "/fault"),
];

impl Options {
    pub(super) async fn run(self, client: &Client, output: Format) -> anyhow::Result<()> {
        if let Some(backend) = self.go_on {
            client.post(&format!("/v1/sweep/{backend}/go-on"), &json!({ "reason": self.reason })).await?;
            output.done(&format!("releases go on at {backend}, counted anew"));
            return Ok(());
        }
        let report = if self.last {
            client.get("/v1/sweep").await?
        } else {
            client.post("/v1/sweep", &json!({ "backend": self.backend })).await?
        };
        if output == Format::Json {
            output.one(&report);
            return Ok(());
        }
        backends(&report, output);
        say("\ntheirs and not ours:");
        output.list(&ORPHANS, &items(&report["theirs"]));
        say("\nours and not theirs:");
        output.list(&MISSING, &items(&report["ours"]));
        Ok(())
    }
}

impl Orphans {
    pub(super) async fn run(self, client: &Client, output: Format) -> anyhow::Result<()> {
        match self {
            Self::List { backend } => {
                let query: Vec<_> = backend.map(|name| format!("backend={name}")).into_iter().collect();
                output.list(&ORPHANS, &client.list_of("/v1/orphans", &query).await?);
            }
            Self::Release { id, reason, erase } => {
                let body = json!({ "reason": reason, "erase": erase });
                output.one(&client.post(&format!("/v1/orphans/{id}/release"), &body).await?);
            }
            Self::Keep { id, reason } => {
                client.post(&format!("/v1/orphans/{id}/keep"), &json!({ "reason": reason })).await?;
                output.done(&format!("orphan {id} is left alone, with all that belongs to it"));
            }
        }
        Ok(())
    }
}

pub(super) fn backends(report: &Value, output: Format) {
    output.list(&SWEPT, &items(&report["backends"]));
}

/// The parts of differences, with the decision beside each.
pub(super) fn differences(side: &Value, output: Format, theirs: bool) {
    let mut rows = Vec::new();
    for difference in items(side) {
        for mut part in items(&difference["parts"]) {
            part["decision"] = difference["decision"].clone();
            rows.push(part);
        }
    }
    let columns = if theirs { ORPHANS.as_slice() } else { MISSING.as_slice() };
    let columns: Vec<Column> = [("DECISION", "/decision")].into_iter().chain(columns.iter().copied()).collect();
    output.list(&columns, &rows);
}

fn items(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}
