//! Text that does harm where it is shown: in the log, in a terminal, in a browser, in a spreadsheet.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::case::{Case, none_of, one_of};
use crate::world::World;

const LOG: &str = "Log injection";
const MARKUP: &str = "UI/HTML/CSV injection";

/// What keeps a browser from reading an answer as a page.
const SHOWN_AS: [(&str, &str); 3] = [
    ("content-type", "application/json"),
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'"),
];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new(LOG, "ten thousand lines with breaks and escapes", async |world: &World| {
            world.live("log-flood", "compose", json!({})).await?;
            let line = world.logged(|line| line.contains("more lines were dropped")).await?;
            one_of(&line, &["more lines were dropped"])
        }),
        Case::new(LOG, "a fault with escapes, breaks and a record of its own", async |world: &World| {
            let told = world.live("markup-fault", "deploy", json!({})).await?;
            none_of(&told, &["\u{1b}", "\r", "\\u001b", "\\r\\n{"])?;
            one_of(&told, &["u{1b}"])
        }),
        Case::verb(LOG, "huge-note", "compose", &["xxx…"]),
        Case::verb(LOG, "huge-fault", "claim", &["xxx…"]),
        Case::new(MARKUP, "what the API answers is no page", async |world: &World| {
            let backend = world.misbehaving("markup", "probe", json!({})).await?;
            let answer = world.post(&format!("/v1/backends/{backend}/probe"), &Value::Null).await?;
            one_of(&answer.body.to_string(), &["<script>"])?;
            let path = format!("/v1/backends/{backend}");
            for (name, word) in SHOWN_AS {
                let value = world.api().header(&path, name).await?.unwrap_or_default();
                ensure!(value.contains(word), "{name}: {value:?}");
            }
            Ok("JSON, never sniffed, no script of it runs".into())
        }),
    ];
    cases.push(Case::new(MARKUP, "at the command line, after all of it", async |world: &World| -> Result<String> {
        world.live("markup", "compose", json!({})).await?;
        world.live("markup-fault", "compose", json!({})).await?;
        let shown = world.shown().await?;
        none_of(&shown, &["\u{1b}", "\u{202e}", "\u{7}"])?;
        one_of(&shown, &["<script>"])
    }));
    for verb in ["compose", "claim", "enroll", "deploy", "undeploy", "set-power", "compose.find", "deploy.list"] {
        cases.push(marked(verb));
    }
    cases
}

/// Markup in every field of what a verb answers: it is data wherever it is shown, or refused.
fn marked(verb: &'static str) -> Case {
    Case::new(MARKUP, format!("markup and formulas in {verb}"), async move |world: &World| -> Result<String> {
        let told = world.live("markup", verb, json!({})).await?;
        none_of(&told, &["\u{1b}", "\\u001b"])?;
        Ok("it is data, or refused".into())
    })
}
