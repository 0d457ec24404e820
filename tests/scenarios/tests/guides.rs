//! The guides in `docs/`, followed to the letter: every command of their `console` blocks is typed into one shell, in order.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use scenarios::{BMC_PASSWORD, Patience, Service, Sim, binary};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A document's blocks in this language, without the indentation of a list.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let (mut blocks, mut open) = (Vec::new(), None);
    for line in document.lines() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(of)) => open = Some((of == language, String::new())),
            (Some((true, text)), Some(_)) => {
                blocks.push(std::mem::take(text));
                open = None;
            }
            (Some((false, _)), Some(_)) => open = None,
            (Some((_, text)), None) => *text += &format!("{}\n", line.trim_start()),
            (None, None) => {}
        }
    }
    blocks
}

/// What is typed, but for what starts the service: here it runs already.
fn commands(document: &str) -> Vec<String> {
    let typed = blocks(document, "console").concat();
    let typed = typed.lines().filter_map(|line| line.strip_prefix("$ "));
    typed.filter(|line| !line.contains("moganite serve") && !line.contains("cargo ")).map(str::to_owned).collect()
}

/// The guide's addresses, and where they are here.
fn moved(text: &str, sim: &Sim) -> String {
    let user = "\"admin\"".to_owned();
    let places = [
        ("http://127.0.0.1:8181", &sim.valence),
        ("http://127.0.0.1:6385", &sim.ironic),
        ("https://pod-a.example", &sim.podm),
        ("https://rack-b.example", &sim.podm),
        ("\"composer\"", &user),
    ];
    places.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
}

/// Follows the document in a folder with the examples' files, and those that the document itself shows.
async fn follow(document: &str) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let sim = Sim::start(&["--bmc-password", BMC_PASSWORD], folder.path()).await.unwrap();
    let service = Service::start(&state, &scenarios::plugins(), Patience::default()).await.unwrap();
    let text = std::fs::read_to_string(root().join(document)).unwrap();
    let examples = folder.path().join("examples/first-instance");
    std::fs::create_dir_all(&examples).unwrap();
    for file in std::fs::read_dir(root().join("examples/first-instance")).unwrap() {
        let file = file.unwrap();
        let shown = std::fs::read_to_string(file.path()).unwrap();
        std::fs::write(examples.join(file.file_name()), moved(&shown, &sim)).unwrap();
    }
    for block in blocks(&text, "json") {
        let block = moved(&block, &sim);
        let name = serde_json::from_str::<Value>(&block).unwrap()["name"].as_str().unwrap().to_owned();
        std::fs::write(folder.path().join(format!("{name}.json")), block).unwrap();
    }
    for secret in ["bmc-password", "rack-b-password"] {
        std::fs::write(folder.path().join(format!("{secret}.txt")), format!("{BMC_PASSWORD}\n")).unwrap();
    }
    let commands = commands(&text);
    assert!(commands.len() > 5, "{commands:?}");
    let programs = binary("moganite").unwrap().parent().unwrap().display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-exc", &commands.join("\n")]).current_dir(folder.path());
    let output = shell.env("PATH", path).env("MOGANITE_API", service.api.base()).output().unwrap();
    let said = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{document}: {said}");
    assert_eq!(sim.left_behind().await.unwrap(), Vec::<String>::new(), "{said}");
    assert!(sim.made("pod").await.unwrap().0 > 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_guide_leads_from_an_empty_machine_to_an_instance_and_back() {
    follow("docs/operator.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_to_valence_leads_to_an_instance_and_back() {
    follow("docs/valence.md").await;
}
