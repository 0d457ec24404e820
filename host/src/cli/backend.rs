//! `backend`: put, list, show, asks, swap, promote, roll-back, pause, resume, probe, test.

use std::path::PathBuf;

use anyhow::bail;
use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::Failed;
use super::client::{Client, segment};
use super::file;
use super::freeze::Reason;
use super::output::Format;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Writes a backend's next revision from a TOML, YAML or JSON file.
    Put {
        file: PathBuf,
    },
    List,
    Show {
        name: String,
    },
    /// Lets the next operation use another plugin; those that run end on theirs.
    Swap {
        name: String,
        /// The plugin's digest, the first digits of it, or name@version.
        digest: String,
        /// Grants what it asks for beyond what is granted here: what `backend asks` says, which is printed.
        #[arg(long)]
        grant: bool,
        /// Only so many operations that begin next; when they ended without a broken call, all of them.
        #[arg(long, value_name = "OPERATIONS", conflicts_with = "canary_instance")]
        canary: Option<u32>,
        /// Only the operations of this instance, by id or name, until you promote it.
        #[arg(long, value_name = "INSTANCE")]
        canary_instance: Option<String>,
        /// Of an instance by name; `default` when left out.
        #[arg(long, requires = "canary_instance")]
        project: Option<String>,
        /// Broken calls after which the plugin of now takes over again by itself; 3 when left out.
        #[arg(long, value_name = "N")]
        breaks: Option<u32>,
        /// One line for the audit log.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Says what a plugin asks for beyond what is granted here; changes nothing.
    Asks {
        name: String,
        /// The plugin's digest, the first digits of it, or name@version.
        plugin: String,
    },
    /// Lets a canary's plugin have all operations.
    Promote {
        name: String,
        #[command(flatten)]
        why: Reason,
    },
    /// Ends a canary; or lets the plugin that ran before run again.
    #[command(alias = "rollback")]
    RollBack {
        name: String,
        #[command(flatten)]
        why: Reason,
    },
    /// No flow calls it until it is resumed; their clocks stand.
    Pause {
        name: String,
        #[command(flatten)]
        why: Reason,
    },
    /// Lets flows call it again.
    Resume {
        name: String,
        #[command(flatten)]
        why: Reason,
    },
    /// Looks at everything that it needs, with what to do; changes nothing. Ends with 1 when something failed.
    Test {
        name: String,
    },
    /// Asks the far side through the driver; changes nothing.
    Probe {
        name: String,
    },
}

fn asks(name: &str, plugin: &str) -> String {
    format!("/v1/backends/{name}/asks?plugin={}", segment(plugin))
}

impl Command {
    pub(super) async fn run(self, client: &Client, output: Format) -> anyhow::Result<()> {
        match self {
            Self::Put { file } => {
                let (name, mut fields) = file::named(&file)?;
                fields.remove("name");
                let path = format!("/v1/backends/{name}");
                let exists = client.list("/v1/backends").await?.iter().any(|backend| backend["name"] == *name);
                let tag = if exists { client.get_tagged(&path).await?.1 } else { None };
                output.one(&client.put(&path, &Value::Object(fields), tag.as_deref()).await?);
            }
            Self::List => {
                let columns = [
                    ("NAME", "/name"),
                    ("REVISION", "/revision"),
                    ("PLUGIN", "/plugin"),
                    ("PAUSED", "/paused"),
                    ("DIGEST", "/digest"),
                ];
                output.list(&columns, &client.list("/v1/backends").await?);
            }
            Self::Show { name } => output.one(&client.get(&format!("/v1/backends/{name}")).await?),
            Self::Swap { name, digest, canary, canary_instance, project, breaks, reason, grant } => {
                let canary = json!({ "operations": canary, "instance": canary_instance, "project": project });
                let canary = present(canary).filter(|canary| !canary.is_empty());
                let mut body = json!({ "digest": digest, "canary": canary, "breaks": breaks, "reason": reason });
                if grant {
                    let asked = client.get(&asks(&name, &digest)).await?;
                    for line in asked["asks_more"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                        output.done(&format!("granted: {line}"));
                    }
                    // By its digest: the same plugin that was asked about.
                    (body["digest"], body["grant"]) = (asked["digest"].clone(), asked["asks_more"].clone());
                }
                let body = Value::Object(present(body).unwrap_or_default());
                output.one(&client.put(&format!("/v1/backends/{name}/plugin"), &body, None).await?);
            }
            Self::Promote { name, why: Reason { reason } } => {
                output.one(&client.post(&format!("/v1/backends/{name}/promote"), &json!({ "reason": reason })).await?);
            }
            Self::RollBack { name, why: Reason { reason } } => {
                output
                    .one(&client.post(&format!("/v1/backends/{name}/roll-back"), &json!({ "reason": reason })).await?);
            }
            Self::Asks { name, plugin } => output.one(&client.get(&asks(&name, &plugin)).await?),
            Self::Pause { name, why: Reason { reason } } => {
                output.one(&client.post(&format!("/v1/backends/{name}/pause"), &json!({ "reason": reason })).await?);
            }
            Self::Resume { name, why: Reason { reason } } => {
                output.one(&client.post(&format!("/v1/backends/{name}/resume"), &json!({ "reason": reason })).await?);
            }
            Self::Test { name } => {
                let tested = client.post(&format!("/v1/backends/{name}/test"), &json!({})).await?;
                match output {
                    Format::Json => output.one(&tested),
                    Format::Table => {
                        let columns = [("CHECK", "/what"), ("STATE", "/state"), ("SAID", "/said"), ("TO DO", "/to_do")];
                        output.list(&columns, tested["checks"].as_array().map_or(&[], Vec::as_slice));
                    }
                }
                if tested["ok"] != true {
                    bail!(Failed::new(format!("backend {name} is not as it should be"), "see the lines that failed"));
                }
            }
            Self::Probe { name } => output.one(&client.post(&format!("/v1/backends/{name}/probe"), &json!({})).await?),
        }
        Ok(())
    }
}

/// What was said, and not what was left out.
fn present(body: Value) -> Option<Map<String, Value>> {
    let Value::Object(fields) = body else { return None };
    Some(fields.into_iter().filter(|(_, value)| !value.is_null()).collect())
}
