//! `flow`: list, show, and what an operator may decide of one.

use anyhow::bail;
use clap::Subcommand;
use serde_json::{Value, json};

use super::Failed;
use super::client::Client;
use super::follow::{self, line};
use super::freeze::Reason;
use super::instance;
use super::output::{Format, say};

#[derive(Subcommand)]
pub(super) enum Command {
    List,
    /// The tasks and the whole timeline.
    Show {
        /// Of a flow; or an instance by its name: the flow that works on it, or worked on it last.
        id: String,
        /// Prints each event as it comes, until the flow rests or ends.
        #[arg(long)]
        follow: bool,
    },
    /// Lets a flow that needs an operator try again where it rested.
    Retry {
        id: String,
        /// One line for the audit log.
        #[arg(long, default_value = "looked at it")]
        reason: String,
    },
    /// Takes the place of the task that a flow rests at: it counts as done, and what it would have given back as gone.
    Skip {
        id: String,
        #[command(flatten)]
        why: Reason,
    },
    /// Lets another plugin of the same backend go on with the undo that a flow rests at.
    HandOver {
        id: String,
        /// The plugin's digest, the first digits of it, or name@version; its backend was bound to it.
        plugin: String,
        #[command(flatten)]
        why: Reason,
    },
    /// Ends a flow that rests: its instance is gone, and what it holds are debts that are settled for as long as it takes.
    Abandon {
        id: String,
        #[command(flatten)]
        why: Reason,
    },
    /// Stops a flow after the call that is under way; its clocks stand.
    Pause {
        id: String,
        #[command(flatten)]
        why: Reason,
    },
    /// Lets a paused flow go on.
    Resume {
        id: String,
        #[command(flatten)]
        why: Reason,
    },
}

impl Command {
    pub(super) async fn run(self, client: &Client, output: Format) -> anyhow::Result<()> {
        match self {
            Self::List => {
                let columns = [
                    ("ID", "/id"),
                    ("KIND", "/kind"),
                    ("PHASE", "/phase"),
                    ("TASK", "/task"),
                    ("WAITS FOR", "/waits_for"),
                    ("INSTANCE", "/instance"),
                    ("CREATED", "/created_at"),
                ];
                output.list(&columns, &client.list("/v1/flows").await?);
            }
            Self::Show { id, follow: false } => {
                let id = find(client, id).await?;
                show(&client.get(&format!("/v1/flows/{id}")).await?, output);
            }
            Self::Show { id, follow: true } => {
                let id = find(client, id).await?;
                let flow = follow::follow(client, &id, output).await?;
                if flow["phase"] == "needs-operator" {
                    let why = flow["waits_for"].as_str().unwrap_or_default();
                    bail!(Failed::new(
                        why,
                        format!(
                            "cure it, then `moganite flow retry {id}`; or skip, hand-over, abandon: `moganite flow --help`"
                        )
                    ));
                }
            }
            Self::Retry { id, reason } => decide(client, &id, "retry", &json!({ "reason": reason }), output).await?,
            Self::Skip { id, why } => decide(client, &id, "skip", &json!({ "reason": why.reason }), output).await?,
            Self::HandOver { id, plugin, why } => {
                let body = json!({ "plugin": plugin, "reason": why.reason });
                decide(client, &id, "hand-over", &body, output).await?;
            }
            Self::Abandon { id, why } => {
                let path = format!("/v1/flows/{id}/abandon");
                let abandoned = client.post(&path, &json!({ "reason": why.reason })).await?;
                show(&abandoned["flow"], output);
                output.done(&format!("settled by flow {}", abandoned["settled_by"].as_str().unwrap_or_default()));
            }
            Self::Pause { id, why } => decide(client, &id, "pause", &json!({ "reason": why.reason }), output).await?,
            Self::Resume { id, why } => decide(client, &id, "resume", &json!({ "reason": why.reason }), output).await?,
        }
        Ok(())
    }
}

async fn decide(client: &Client, id: &str, verb: &str, body: &Value, output: Format) -> anyhow::Result<()> {
    show(&client.post(&format!("/v1/flows/{id}/{verb}"), body).await?, output);
    Ok(())
}

async fn find(client: &Client, id: String) -> anyhow::Result<String> {
    if id.parse::<uuid::Uuid>().is_ok() {
        return Ok(id);
    }
    let instance = instance::find(client, &id).await?;
    let instance = client.get(&format!("/v1/instances/{instance}")).await?;
    Ok(instance["flow"].as_str().unwrap_or_default().to_owned())
}

fn show(flow: &Value, output: Format) {
    if output == Format::Json {
        return output.one(flow);
    }
    let mut head = flow.clone();
    let (tasks, events) = (head["tasks"].take(), head["events"].take());
    // The sentence says it.
    head["waits"].take();
    output.one(&head);
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let columns = [
        ("TASK", "/name"),
        ("STATE", "/state"),
        ("SINCE", "/since"),
        ("ATTEMPTS", "/attempts"),
        ("BACKEND", "/backend"),
        ("PLUGIN", "/plugin"),
        ("NOTE", "/note"),
    ];
    say("");
    output.list(&columns, &items(&tasks));
    say("");
    items(&events).iter().for_each(|event| say(&line(event)));
}
