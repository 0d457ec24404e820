//! Files that people write: TOML or JSON, by their extension.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};

use super::Failed;

/// An object with a `name`, which is answered beside it.
pub(super) fn named(path: &Path) -> anyhow::Result<(String, Map<String, Value>)> {
    let fields = read(path)?;
    let Some(name) = fields.get("name").and_then(Value::as_str) else {
        bail!(Failed::new(format!("{} has no name", path.display()), "give it a field `name`"));
    };
    Ok((name.to_owned(), fields))
}

fn read(path: &Path) -> anyhow::Result<Map<String, Value>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {shown}"))?;
    let value: Value = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => toml::from_str(&text).with_context(|| format!("{shown} is no TOML"))?,
        Some("json") => serde_json::from_str(&text).with_context(|| format!("{shown} is no JSON"))?,
        _ => bail!(Failed::new(format!("{shown} is neither TOML nor JSON by its name"), "call it .toml or .json")),
    };
    match value {
        Value::Object(fields) => Ok(fields),
        _ => bail!("{shown} is no object"),
    }
}
