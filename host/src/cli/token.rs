//! `token`: create, list, remove.

use clap::Subcommand;
use serde_json::json;

use super::client::Client;
use super::output::{Format, say};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Makes a token and prints its text, this once.
    Create {
        name: String,
        #[arg(long, default_value = "default")]
        project: String,
        #[arg(long, value_enum)]
        role: Role,
    },
    List,
    Remove {
        name: String,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Role {
    /// Looks at its project.
    Reader,
    /// Also creates and deletes instances there.
    Member,
    /// Does everything everywhere.
    Operator,
}

impl Command {
    pub(super) async fn run(self, client: &Client, output: Format) -> anyhow::Result<()> {
        match self {
            Self::Create { name, project, role } => {
                let role = match role {
                    Role::Reader => "reader",
                    Role::Member => "member",
                    Role::Operator => "operator",
                };
                let made =
                    client.post("/v1/tokens", &json!({ "name": name, "project": project, "role": role })).await?;
                match output {
                    Format::Json => output.one(&made),
                    // Alone, so that it can be piped into a file.
                    Format::Table => say(made["token"].as_str().unwrap_or_default()),
                }
            }
            Self::List => {
                let columns =
                    [("NAME", "/name"), ("PROJECT", "/project"), ("ROLE", "/role"), ("CREATED", "/created_at")];
                output.list(&columns, &client.list("/v1/tokens").await?);
            }
            Self::Remove { name } => {
                client.delete(&format!("/v1/tokens/{name}")).await?;
                output.done(&format!("{name} is removed"));
            }
        }
        Ok(())
    }
}
