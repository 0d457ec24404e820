//! `quota`: set, list, show, remove.

use clap::Subcommand;
use serde_json::json;

use super::client::{Client, segment};
use super::output::Format;

#[derive(Subcommand)]
pub(super) enum Command {
    /// So many instances may a project have. Those that are there stay, also above it.
    Set {
        project: String,
        instances: u32,
    },
    List,
    Show {
        project: String,
    },
    /// Lets a project have as many as it likes.
    Remove {
        project: String,
    },
}

impl Command {
    pub(super) async fn run(self, client: &Client, output: Format) -> anyhow::Result<()> {
        let path = |project: &str| format!("/v1/quotas/{}", segment(project));
        match self {
            Self::Set { project, instances } => {
                output.one(&client.put(&path(&project), &json!({ "instances": instances }), None).await?);
            }
            Self::List => {
                let columns = [("PROJECT", "/project"), ("INSTANCES", "/instances"), ("USED", "/used")];
                output.list(&columns, &client.list("/v1/quotas").await?);
            }
            Self::Show { project } => output.one(&client.get(&path(&project)).await?),
            Self::Remove { project } => {
                client.delete(&path(&project)).await?;
                output.done(&format!("project {project} has no quota any more"));
            }
        }
        Ok(())
    }
}
