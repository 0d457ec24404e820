//! `instance`: create, adopt, list, show, power, rebuild, delete; with `--wait` each task is shown live.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde_json::{Value, json};

use super::Failed;
use super::client::{Client, segment};
use super::follow::follow;
use super::output::{Format, say};
use super::receipt;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Orders an instance.
    Create {
        name: String,
        #[arg(long)]
        flavor: String,
        #[arg(long)]
        image: String,
        /// The name when left out.
        #[arg(long)]
        hostname: Option<String>,
        /// A file with public keys, one a line; may be given several times.
        #[arg(long, value_name = "FILE")]
        ssh_key_file: Vec<PathBuf>,
        #[arg(long, value_name = "FILE")]
        user_data_file: Option<PathBuf>,
        /// May be given several times.
        #[arg(long)]
        network: Vec<String>,
        /// A machine that exists, by the far side's name or uuid: an operator's choice.
        #[arg(long)]
        node: Option<String>,
        /// Makes a repeat of this command harmless.
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
        /// Shows each task until it is active or failed.
        #[arg(long)]
        wait: bool,
    },
    /// Brings a machine that runs already under moganite, as it runs; an operator's verb.
    Adopt {
        name: String,
        /// What the machine must have, and how far it is erased when the instance is deleted.
        #[arg(long)]
        flavor: String,
        /// What runs on it: a rebuild puts this image on.
        #[arg(long)]
        image: String,
        /// Where it is managed.
        #[arg(long)]
        backend: String,
        /// By that backend's name or uuid.
        #[arg(long)]
        node: String,
        /// The name when left out.
        #[arg(long)]
        hostname: Option<String>,
        /// Whose instance it is; your own project when left out.
        #[arg(long)]
        project: Option<String>,
        /// Makes a repeat of this command harmless.
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
        /// Shows each task until it is active or failed.
        #[arg(long)]
        wait: bool,
    },
    List {
        /// creating, active, deleting or failed.
        #[arg(long)]
        state: Option<String>,
        /// Only those that the last look found something wrong with.
        #[arg(long)]
        degraded: bool,
    },
    Show {
        name_or_id: String,
    },
    /// What was given back of it, with its proof; of one that is gone by its id.
    Receipt {
        name_or_id: String,
    },
    /// Changes the power of the machine.
    Power {
        name_or_id: String,
        wish: Wish,
        /// Makes a repeat of this command harmless.
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
        /// Shows each task until it is done.
        #[arg(long)]
        wait: bool,
    },
    /// Puts the image on the machine anew, or another one.
    Rebuild {
        name_or_id: String,
        /// The one that it has when left out.
        #[arg(long)]
        image: Option<String>,
        /// Makes a repeat of this command harmless.
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
        /// Shows each task until it is done.
        #[arg(long)]
        wait: bool,
    },
    /// Deletes an instance, also one that is still made.
    Delete {
        name_or_id: String,
        /// Shows each task until it is gone.
        #[arg(long)]
        wait: bool,
    },
}

/// A soft one asks the operating system first.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Wish {
    On,
    Off,
    Reboot,
    SoftOff,
    SoftReboot,
}

impl Command {
    pub(super) async fn run(self, client: &Client, output: Format) -> anyhow::Result<()> {
        match self {
            Self::Create {
                name,
                flavor,
                image,
                hostname,
                ssh_key_file,
                user_data_file,
                network,
                node,
                idempotency_key,
                wait,
            } => {
                let body = json!({
                    "name": name,
                    "flavor": flavor,
                    "image": image,
                    "hostname": hostname,
                    "ssh_keys": keys(&ssh_key_file)?,
                    "user_data": user_data_file.as_deref().map(read).transpose()?,
                    "networks": network,
                    "node": node,
                });
                let instance = client.post_once("/v1/instances", &body, &or_fresh(idempotency_key)).await?;
                if wait { made(client, &instance, output).await? } else { output.one(&instance) }
            }
            Self::Adopt { name, flavor, image, backend, node, hostname, project, idempotency_key, wait } => {
                let body = json!({
                    "name": name,
                    "flavor": flavor,
                    "image": image,
                    "backend": backend,
                    "node": node,
                    "hostname": hostname,
                    "project": project,
                });
                let instance = client.post_once("/v1/instances/adopt", &body, &or_fresh(idempotency_key)).await?;
                if wait { made(client, &instance, output).await? } else { output.one(&instance) }
            }
            Self::List { state, degraded } => {
                let columns = [
                    ("ID", "/id"),
                    ("NAME", "/name"),
                    ("STATE", "/state"),
                    ("FLAVOR", "/flavor"),
                    ("IMAGE", "/image"),
                    ("PROJECT", "/project"),
                    ("CREATED", "/created_at"),
                    ("DEGRADED", "/degraded"),
                    ("REASON", "/reason"),
                    ("WAITS FOR", "/now/waits_for"),
                ];
                let state = state.map(|state| format!("state={}", segment(&state)));
                let wanted: Vec<_> = state.into_iter().chain(degraded.then(|| "degraded=true".to_owned())).collect();
                output.list(&columns, &client.list_of("/v1/instances", &wanted).await?);
            }
            Self::Show { name_or_id } => {
                let id = find(client, &name_or_id).await?;
                output.one(&client.get(&format!("/v1/instances/{id}")).await?);
            }
            Self::Receipt { name_or_id } => {
                let id = find(client, &name_or_id).await?;
                receipt::show(&client.get(&format!("/v1/instances/{id}/receipt")).await?, output);
            }
            Self::Power { name_or_id, wish, idempotency_key, wait } => {
                let id = find(client, &name_or_id).await?;
                let (path, body) = (format!("/v1/instances/{id}/power"), json!({ "wish": wish.word() }));
                let started = client.post_once(&path, &body, &or_fresh(idempotency_key)).await?;
                if wait { done(client, &started, &name_or_id, output).await? } else { output.one(&started) }
            }
            Self::Rebuild { name_or_id, image, idempotency_key, wait } => {
                let id = find(client, &name_or_id).await?;
                let (path, body) = (format!("/v1/instances/{id}/rebuild"), json!({ "image": image }));
                let started = client.post_once(&path, &body, &or_fresh(idempotency_key)).await?;
                if wait { done(client, &started, &name_or_id, output).await? } else { output.one(&started) }
            }
            Self::Delete { name_or_id, wait } => {
                let id = find(client, &name_or_id).await?;
                let deleting = client.delete(&format!("/v1/instances/{id}")).await?;
                if wait { deleted(client, &deleting, &name_or_id, output).await? } else { output.one(&deleting) }
            }
        }
        Ok(())
    }
}

async fn made(client: &Client, instance: &Value, output: Format) -> anyhow::Result<()> {
    let (id, flow) = (text(instance, "id"), text(instance, "flow"));
    output.done(&format!("instance {id}, flow {flow}"));
    let ended = follow(client, flow, output).await?;
    if ended["phase"] != "done" {
        let why = ended["fault"]["message"].as_str().unwrap_or("its flow did not end well");
        let to_do = format!("see `moganite flow show {flow}`; delete the instance when you have seen enough");
        bail!(Failed::new(format!("instance {id} is not made: {why}"), to_do));
    }
    if output == Format::Json {
        say(&client.get(&format!("/v1/instances/{id}")).await?.to_string());
    }
    output.done(&format!("instance {id} is active"));
    Ok(())
}

async fn done(client: &Client, started: &Value, name: &str, output: Format) -> anyhow::Result<()> {
    let flow = text(started, "flow");
    output.done(&format!("instance {}, flow {flow}", text(started, "id")));
    let ended = follow(client, flow, output).await?;
    if ended["phase"] != "done" {
        let why = ended["fault"]["message"].as_str().unwrap_or("its flow did not end well");
        bail!(Failed::new(format!("instance {name}: {why}"), format!("see `moganite flow show {flow}`")));
    }
    output.done(&format!("instance {name} is as you wished"));
    Ok(())
}

async fn deleted(client: &Client, deleting: &Value, name: &str, output: Format) -> anyhow::Result<()> {
    let flow = text(deleting, "flow");
    output.done(&format!("instance {}, flow {flow}", text(deleting, "id")));
    let ended = follow(client, flow, output).await?;
    if ended["phase"] != "done" {
        let why = format!("instance {name} is not gone: {}", text(&ended, "waits_for"));
        bail!(Failed::new(why, format!("an operator cures the cause, then `moganite flow retry {flow}`")));
    }
    output.done(&format!("instance {name} is gone"));
    Ok(())
}

/// Names need not be unique: one that fits several must be said by id.
pub(super) async fn find(client: &Client, name_or_id: &str) -> anyhow::Result<String> {
    if name_or_id.parse::<uuid::Uuid>().is_ok() {
        return Ok(name_or_id.to_owned());
    }
    let instances = client.list("/v1/instances").await?;
    let fits: Vec<_> = instances
        .iter()
        .filter(|instance| instance["name"] == *name_or_id)
        .map(|instance| text(instance, "id"))
        .collect();
    match fits[..] {
        [id] => Ok(id.to_owned()),
        [] => bail!(Failed::new(format!("no instance is named {name_or_id}"), "see `moganite instance list`")),
        _ => bail!(Failed::new(
            format!("{} instances are named {name_or_id}: {}", fits.len(), fits.join(", ")),
            "say which by its id"
        )),
    }
}

fn or_fresh(key: Option<String>) -> String {
    key.unwrap_or_else(|| uuid::Uuid::now_v7().to_string())
}

fn keys(files: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut keys = Vec::new();
    for file in files {
        let lines = read(file)?;
        let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        keys.extend(lines.map(str::to_owned));
    }
    Ok(keys)
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}

impl Wish {
    /// As the API has it.
    fn word(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Reboot => "reboot",
            Self::SoftOff => "soft-off",
            Self::SoftReboot => "soft-reboot",
        }
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
