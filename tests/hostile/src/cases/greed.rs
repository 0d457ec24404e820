//! CPU, time, memory, stack and crashes: taken without end, in every verb.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::case::{Case, one_of};
use crate::made::{self, Module, WIT};
use crate::world::{World, text};

const SPIN: &str = "CPU spin";
const HANG: &str = "Hang inside a host call";
const MEMORY: &str = "Memory bomb";
const CRASH: &str = "Crash in an export";

/// What names the limit of each.
/// On a machine that is busy with something else the wall comes first.
const CPU: &[&str] = &["of cpu", "limit-cpu", "took longer", "limit-wall"];
const WALL: &[&str] = &["took longer", "limit-wall", "was not seen"];
const SPACE: &[&str] = &["bytes of memory", "limit-memory"];
const BROKE: &[&str] = &["broke in"];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::verb(SPIN, "spin", "compose", CPU),
        Case::verb(SPIN, "spin", "undeploy", CPU),
        Case::verb(SPIN, "spin", "probe", CPU),
        Case::verb(SPIN, "spin", "compose.list", CPU),
        Case::verb(SPIN, "spin-in-host", "enroll", &["of cpu", "limit-cpu", "took longer"]),
        Case::verb(SPIN, "output-flood", "compose", &["of cpu", "limit-cpu", "took longer", "broke in"]),
        Case::verb(HANG, "sleep", "deploy", WALL),
        Case::verb(HANG, "sleep", "observe", WALL),
        Case::verb(HANG, "sleep", "unenroll", WALL),
        far("drips an answer", "/drip"),
        far("never answers", "/silence"),
        Case::verb(MEMORY, "grow", "compose", SPACE),
        Case::verb(MEMORY, "grow", "claim", SPACE),
        Case::verb(MEMORY, "huge-string", "deploy", &["at most 65536 bytes", "fuel", "limit"]),
        Case::verb(MEMORY, "huge-string", "undeploy", &["at most 65536 bytes", "fuel", "limit"]),
        Case::verb(MEMORY, "many-items", "compose", &["parts", "node:", "fuel", "limit"]),
        Case::verb(MEMORY, "many-items", "deploy.list", &["at most 1000", "fuel", "limit"]),
        Case::verb(MEMORY, "many-items", "observe", &["at most 1000", "fuel", "limit"]),
        Case::verb(MEMORY, "deep-facts", "enroll", &["facts: ", "recursion"]),
        Case::verb(MEMORY, "random-flood", "compose", BROKE),
        Case::verb(MEMORY, "resource-flood", "compose", BROKE),
        Case::verb(MEMORY, "overflow", "compose", &["stack"]),
        refused_when_added("has three memories", "(memory 1) (memory 1)", "memor"),
        generated("grows its memory", "", GROW_MEMORY, SPACE),
        generated("grows a table", "(table $t 1 funcref)", GROW_TABLE, &["table elements", "limit-table"]),
        refused_when_added("has 64 memories", &"(memory 1) ".repeat(64), "memor"),
        refused_when_added("has 90 tables", &"(table 1 funcref) ".repeat(90), "table"),
        refused_when_added("has a table of a million", "(table 1000000 funcref)", "table"),
        refused_when_added("has a memory of 4 GiB", "(memory 65536)", "memor"),
    ];
    for verb in [
        "probe",
        "compose",
        "release",
        "claim",
        "unclaim",
        "enroll",
        "unenroll",
        "deploy",
        "undeploy",
        "set-power",
        "observe",
        "compose.find",
        "claim.find",
        "enroll.find",
        "deploy.find",
        "compose.list",
        "claim.list",
        "enroll.list",
        "deploy.list",
    ] {
        cases.push(Case::verb(CRASH, "panic", verb, BROKE));
    }
    cases.extend([
        Case::verb(CRASH, "abort", "compose", BROKE),
        Case::verb(CRASH, "exit", "deploy", &["ended itself with status 0"]),
        generated("traps in every export", "", "unreachable", &["it crashed"]),
        generated(
            "reads beyond its memory",
            "",
            "(drop (i32.load (i32.const -8))) unreachable",
            &["outside of its memory"],
        ),
        generated(
            "divides by zero",
            "",
            "(drop (i32.div_s (i32.const 1) (i32.const 0))) unreachable",
            &["divide by zero"],
        ),
        generated("answers a pointer to nowhere", "", "i32.const -16", &["broke in"]),
        generated("answers unaligned", "", "i32.const 1027", &["broke in"]),
    ]);
    cases
}

const GROW_MEMORY: &str = "(loop (drop (memory.grow (i32.const 64))) (br 0)) unreachable";
const GROW_TABLE: &str = "(loop (drop (table.grow $t (ref.null func) (i32.const 4096))) (br 0)) unreachable";

/// A far side that is slow; the driver asks it and waits.
fn far(name: &'static str, path: &'static str) -> Case {
    Case::new(HANG, format!("the far side {name}"), async move |world: &World| {
        let told = world.live("requests", "compose", json!({"requests": [{"to": "far", "path": path}]})).await?;
        one_of(&told, WALL)
    })
}

/// A composer of which every export does the same.
fn generated(name: &'static str, extra: &'static str, body: &'static str, words: &'static [&'static str]) -> Case {
    let row = if words == SPACE || extra.contains("table") { MEMORY } else { CRASH };
    Case::new(row, name, async move |world: &World| {
        let bytes = made::plugin(WIT, "composer", &Module { extra, body })?;
        let added = world.upload(bytes).await?.ok()?;
        let backend = world.fresh_backend(&text(&added, "digest")?).await?;
        let answer = world.post(&format!("/v1/backends/{backend}/probe"), &serde_json::Value::Null).await?;
        ensure!(answer.status >= 400, "{answer:?}");
        one_of(&answer.body.to_string(), words)
    })
}

fn refused_when_added(name: &'static str, extra: &str, word: &'static str) -> Case {
    let extra = extra.to_owned();
    Case::new(MEMORY, name, async move |world: &World| -> Result<String> {
        let bytes = made::plugin(WIT, "composer", &Module { extra: &extra, ..Module::default() })?;
        let answer = world.upload(bytes).await?;
        ensure!(answer.status == 422 || answer.status == 400, "{answer:?}");
        one_of(&answer.body.to_string(), &[word])
    })
}
