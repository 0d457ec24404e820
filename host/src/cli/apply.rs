//! `apply`: brings a service to what a document says, one object after the other, in the order that their references need.
//!
//! What the document does not name is left as it is. What is missing is said before anything is written; the first refusal ends it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::bail;
use serde_json::{Map, Value, json};

use super::Failed;
use super::client::{Client, segment};
use super::file;
use super::output::Format;
use super::site::{Kind, Site, Thing};

#[derive(clap::Args)]
pub(super) struct Options {
    /// YAML, TOML or JSON by its extension; `-` is YAML on stdin.
    #[arg(short, long)]
    file: PathBuf,
    /// Says what would be written, and writes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Grants what the plugins ask for beyond what is granted at their backends, as the lines `asks` say it; look at them with `--dry-run`.
    #[arg(long)]
    grant: bool,
    /// One line for the audit log, which keeps what is granted.
    #[arg(long, requires = "grant")]
    reason: Option<String>,
}

/// What is to be done about one object.
struct Step {
    thing: Thing,
    action: Action,
    /// One line each: `shape.cores: 4 -> 8`.
    changes: Vec<String>,
    /// What a backend's other plugin asks for beyond what is granted there.
    asks: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Create,
    Change,
    Same,
}

pub(super) async fn run(options: Options, client: &Client, output: Format) -> anyhow::Result<()> {
    let site = Site::parse(file::read(&options.file)?)?;
    let now = Site::read(client).await?;
    check_secrets(&site, &now)?;
    check_backends(&site, &now)?;
    let mut steps = Vec::new();
    for thing in in_order(site.things)? {
        steps.push(step(client, thing, &now).await?);
    }
    let mut told = Vec::new();
    let mut failed = Ok(());
    for step in &steps {
        if !options.dry_run
            && let Err(error) = write(client, step, &options).await
        {
            let left = "what is listed before it is done, nothing after it: cure this and run the same again";
            failed = Err(error.context(format!("{} {} is refused ({left})", step.thing.kind.word(), step.thing.name)));
            break;
        }
        output.done(&step.line());
        let granted = if options.grant && !options.dry_run { "granted" } else { "asks" };
        step.asks.iter().for_each(|ask| output.done(&format!("  {granted}: {ask}")));
        told.push(step.told());
    }
    if output == Format::Json {
        output.one(&told.into());
    }
    failed?;
    output.done(&summary(&steps, options.dry_run));
    let left = left_alone(&steps, &now);
    if !left.is_empty() {
        output.done(&format!("not in the document and left alone: {left}"));
    }
    Ok(())
}

/// A value is never in a document, so it has to be here.
fn check_secrets(site: &Site, now: &Site) -> anyhow::Result<()> {
    let named = site.things.iter().flat_map(Thing::secrets);
    let mut missing: BTreeSet<String> = site.secrets.iter().map(ToString::to_string).chain(named).collect();
    missing.retain(|name| !now.secrets.iter().any(|there| there.as_str() == name));
    if missing.is_empty() {
        return Ok(());
    }
    let set: Vec<_> = missing.iter().map(|name| format!("`moganite secret set {name}`")).collect();
    let names: Vec<_> = missing.into_iter().collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    bail!(Failed::new(format!("nothing is written: {} {verb} not among the secrets", names.join(", ")), set.join(", ")))
}

fn check_backends(site: &Site, now: &Site) -> anyhow::Result<()> {
    let there = [site, now].map(|site| &site.things).into_iter().flatten();
    let there: BTreeSet<_> =
        there.filter(|thing| thing.kind == Kind::Backend).map(|thing| thing.name.as_str()).collect();
    for thing in &site.things {
        if let Some(missing) = thing.backends().iter().find(|name| !there.contains(name.as_str())) {
            bail!(Failed::new(
                format!("nothing is written: {} {} names backend {missing}", thing.kind.word(), thing.name),
                "add it to the document: neither the document nor the service has it"
            ));
        }
    }
    Ok(())
}

/// A backend comes after those that it names in its grants.
fn in_order(things: Vec<Thing>) -> anyhow::Result<Vec<Thing>> {
    let (mut waiting, others): (Vec<_>, Vec<_>) = things.into_iter().partition(|thing| thing.kind == Kind::Backend);
    let mut backends = Vec::new();
    while !waiting.is_empty() {
        let names: BTreeSet<_> = waiting.iter().map(|thing| thing.name.to_string()).collect();
        let (free, bound): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|thing| thing.backends().is_disjoint(&names));
        if free.is_empty() {
            let names: Vec<_> = names.into_iter().collect();
            let to_do = "write one of them without the grants that name the other, then the rest";
            bail!(Failed::new(format!("the grants of {} name each other", names.join(", ")), to_do));
        }
        backends.extend(free);
        waiting = bound;
    }
    let (flavors, before): (Vec<_>, Vec<_>) = others.into_iter().partition(|thing| thing.kind == Kind::Flavor);
    Ok([before, backends, flavors].concat())
}

async fn step(client: &Client, mut thing: Thing, now: &Site) -> anyhow::Result<Step> {
    let there = now.thing(thing.kind, &thing.name);
    let mut asks = Vec::new();
    if thing.kind == Kind::Backend {
        let written = thing.fields["plugin"].as_str().unwrap_or_default();
        // The one that it has needs no file behind it any more.
        if there.is_none_or(|there| there.fields["plugin"] != *written) {
            let plugin = client.get(&format!("/v1/plugins/{}", segment(written))).await;
            let plugin =
                plugin.map_err(|error| error.context(format!("nothing is written: backend {}", thing.name)))?;
            thing.fields["plugin"] = plugin["digest"].clone();
            if there.is_some() {
                asks = asked(client, &thing).await?;
            }
        }
    }
    let Some(there) = there else { return Ok(Step { thing, action: Action::Create, changes: Vec::new(), asks }) };
    let mut changes = Vec::new();
    differ("", &there.fields, &thing.fields, &mut changes);
    let action = if changes.is_empty() { Action::Same } else { Action::Change };
    Ok(Step { thing, action, changes, asks })
}

/// What this backend's plugin asks for beyond what is granted there.
async fn asked(client: &Client, backend: &Thing) -> anyhow::Result<Vec<String>> {
    let plugin = backend.fields["plugin"].as_str().unwrap_or_default();
    let asked = client.get(&format!("{}/asks?plugin={}", backend.path(), segment(plugin))).await?;
    let lines = asked["asks_more"].as_array().into_iter().flatten();
    Ok(lines.filter_map(Value::as_str).map(str::to_owned).collect())
}

async fn write(client: &Client, step: &Step, options: &Options) -> anyhow::Result<()> {
    let mut fields = step.thing.fields.clone();
    let path = step.thing.path();
    let tag = match (step.thing.kind, step.action) {
        (_, Action::Same) => return Ok(()),
        (Kind::Backend, Action::Change) => client.get_tagged(&path).await?.1,
        _ => None,
    };
    if matches!(step.thing.kind, Kind::Backend | Kind::Quota) {
        fields.remove(step.thing.kind.key());
    }
    if options.grant && !step.asks.is_empty() {
        fields.insert("grant".into(), json!(step.asks));
        options.reason.iter().for_each(|reason| drop(fields.insert("reason".into(), json!(reason))));
    }
    client.put(&path, &Value::Object(fields), tag.as_deref()).await?;
    Ok(())
}

fn differ(at: &str, old: &Map<String, Value>, new: &Map<String, Value>, changes: &mut Vec<String>) {
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for key in keys {
        let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
        match (old.get(key), new.get(key)) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => differ(&path, old, new, changes),
            (old, new) if old.unwrap_or(&Value::Null) == new.unwrap_or(&Value::Null) => {}
            (old, new) => changes.push(format!("{path}: {} -> {}", short(old), short(new))),
        }
    }
}

fn short(value: Option<&Value>) -> String {
    const LONGEST: usize = 60;
    let text = match value {
        None | Some(Value::Null) => return "nothing".into(),
        Some(Value::String(text)) => text.replace('\n', " "),
        Some(value) => value.to_string(),
    };
    if text.chars().count() <= LONGEST { text } else { text.chars().take(LONGEST).collect::<String>() + "..." }
}

fn summary(steps: &[Step], dry_run: bool) -> String {
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for step in steps {
        *counts.entry(step.action).or_default() += 1;
    }
    let count = |action| counts.get(&action).copied().unwrap_or_default();
    let (create, change, same) = (count(Action::Create), count(Action::Change), count(Action::Same));
    if dry_run {
        format!("{create} to create, {change} to change, {same} the same: nothing was written")
    } else {
        format!("{create} created, {change} changed, {same} the same")
    }
}

fn left_alone(steps: &[Step], now: &Site) -> String {
    let named =
        |there: &&Thing| steps.iter().any(|step| step.thing.kind == there.kind && step.thing.name == there.name);
    let others = now.things.iter().filter(|there| !named(there));
    others.map(|there| format!("{} {}", there.kind.word(), there.name)).collect::<Vec<_>>().join(", ")
}

impl Step {
    fn line(&self) -> String {
        let changes = if self.changes.is_empty() { String::new() } else { format!("  {}", self.changes.join("; ")) };
        format!("{:<7} {:<8} {}{changes}", self.action.word(), self.thing.kind.word(), self.thing.name)
    }

    fn told(&self) -> Value {
        json!({"action": self.action.word(), "kind": self.thing.kind.word(), "name": self.thing.name.as_str(), "changes": self.changes, "asks": self.asks})
    }
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Same => "same",
        }
    }
}
