//! Files that people write: TOML, YAML or JSON, by their extension; `-` is YAML on stdin.

use std::io::Read as _;
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

/// An object.
pub(super) fn read(path: &Path) -> anyhow::Result<Map<String, Value>> {
    let stdin = path == Path::new("-");
    let shown = if stdin { "stdin".into() } else { path.display().to_string() };
    let mut text = String::new();
    if stdin {
        std::io::stdin().read_to_string(&mut text).context("reading stdin")?;
    } else {
        text = std::fs::read_to_string(path).with_context(|| format!("reading {shown}"))?;
    }
    let extension = if stdin { Some("yaml") } else { path.extension().and_then(|extension| extension.to_str()) };
    let value: Value = match extension {
        Some("toml") => toml::from_str(&text).with_context(|| format!("{shown} is no TOML"))?,
        Some("yaml" | "yml") => yaml(&text).with_context(|| format!("{shown} is no YAML"))?,
        Some("json") => serde_json::from_str(&text).with_context(|| format!("{shown} is no JSON"))?,
        _ => {
            let what = format!("{shown} is none of TOML, YAML and JSON by its name");
            bail!(Failed::new(what, "call it .toml, .yaml or .json"))
        }
    };
    match value {
        Value::Object(fields) => Ok(fields),
        _ => bail!("{shown} is no object"),
    }
}

/// As YAML 1.2 has it: `n`, `on` and `yes` are texts.
pub(super) fn yaml(text: &str) -> Result<Value, serde_saphyr::Error> {
    serde_saphyr::from_str_with_options(text, serde_saphyr::options! { strict_booleans: true })
}
