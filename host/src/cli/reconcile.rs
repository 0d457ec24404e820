//! `reconcile`: after a restore, what differs between this database and the far sides, and what is to become of it.

use clap::ValueEnum;
use serde_json::{Value, json};

use super::client::Client;
use super::output::{Format, say};
use super::sweep;

/// Looks at every backend and lists what differs; with an option it decides.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Shows what the last look found, and asks no far side.
    #[arg(long)]
    last: bool,
    /// What becomes of the differences that `--of` names.
    #[arg(long, value_name = "DECISION", requires_all = ["of", "reason"])]
    decide: Option<Decision>,
    /// theirs: release or keep. ours: forget or keep.
    #[arg(long, value_name = "SIDE")]
    of: Option<Side>,
    /// One difference alone: the STACK of theirs, or the INSTANCE of ours.
    #[arg(long, value_name = "ID", requires = "decide")]
    id: Option<String>,
    /// Goes on without a backend that cannot be seen.
    #[arg(long, value_name = "BACKEND", requires = "reason", conflicts_with = "decide")]
    without: Option<String>,
    /// All is decided: flows run from now on.
    #[arg(long, requires = "reason", conflicts_with_all = ["decide", "without"])]
    done: bool,
    /// Why: one line for the audit log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Decision {
    /// Theirs is given back, as soon as flows run.
    Release,
    /// Ours is written off; the instance has failed.
    Forget,
    /// It is left as it is, and remembered.
    Keep,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Side {
    Theirs,
    Ours,
}

impl Options {
    pub(super) async fn run(self, client: &Client, output: Format) -> anyhow::Result<()> {
        let reason = &self.reason;
        let reconcile = match (self.decide, &self.without) {
            (Some(decision), _) => {
                let of = self.of.map_or("theirs", Side::word);
                let body = json!({ "of": of, "decision": decision.word(), "id": self.id, "reason": reason });
                let decided = client.post("/v1/reconcile/decide", &body).await?;
                output.done(&format!("{} decided: {} {of}\n", decided["decided"], decision.word()));
                client.get("/v1/reconcile").await?
            }
            (None, Some(backend)) => {
                client.post("/v1/reconcile/without", &json!({ "backend": backend, "reason": reason })).await?
            }
            (None, None) if self.done => client.post("/v1/reconcile/done", &json!({ "reason": reason })).await?,
            (None, None) if self.last => client.get("/v1/reconcile").await?,
            (None, None) => client.post("/v1/reconcile", &json!({})).await?,
        };
        show(&reconcile, output);
        Ok(())
    }
}

fn show(reconcile: &Value, output: Format) {
    if output == Format::Json {
        return output.one(reconcile);
    }
    sweep::backends(reconcile, output);
    say("\ntheirs and not ours:");
    sweep::differences(&reconcile["theirs"], output, true);
    say("\nours and not theirs:");
    sweep::differences(&reconcile["ours"], output, false);
    say("");
    match reconcile["restored_at"].as_str() {
        None => say("nothing waits for a reconcile: flows run"),
        Some(at) => {
            say(&format!("restored at {at}; flows run when this is done:"));
            for line in reconcile["to_do"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                say(&format!("- {line}"));
            }
        }
    }
}

impl Decision {
    fn word(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Forget => "forget",
            Self::Keep => "keep",
        }
    }
}

impl Side {
    fn word(self) -> &'static str {
        match self {
            Self::Theirs => "theirs",
            Self::Ours => "ours",
        }
    }
}
