//! The README's commands, with the files of `examples/first-instance`, as a newcomer would type them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write as _;
use std::process::{Command, Stdio};

use scenarios::{BMC_PASSWORD, Patience, Service, Sim};

/// The example's file with this installation's addresses.
fn example(name: &str, changes: &[(&str, &str)], folder: &std::path::Path) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/first-instance");
    let mut text = std::fs::read_to_string(root.join(name)).unwrap();
    for (theirs, ours) in changes {
        assert!(text.contains(theirs), "{name} has no {theirs}");
        text = text.replace(theirs, ours);
    }
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Runs one command; its standard output.
fn moganite(api: &str, words: &[&str], stdin: &str) -> String {
    let mut child = Command::new(scenarios::binary("moganite").unwrap())
        .args(words)
        .env("MOGANITE_API", api)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!said.contains(BMC_PASSWORD), "{words:?}: {said}");
    assert!(output.status.success(), "{words:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_commands_create_and_delete_an_instance() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let sim = Sim::start(&["--bmc-password", BMC_PASSWORD], folder.path()).await.unwrap();
    let service = Service::start(&state, &scenarios::plugins(), Patience::default()).await.unwrap();
    let api = service.api.base().to_owned();
    let file = |name: &str, changes: &[(&str, &str)]| example(name, changes, folder.path());

    moganite(&api, &["secret", "set", "bmc-password"], &format!("{BMC_PASSWORD}\n"));
    let changes = [("http://127.0.0.1:8181", sim.valence.as_str()), ("https://pod-a.example", &sim.podm)];
    moganite(&api, &["backend", "put", &file("pod-a.toml", &changes)], "");
    moganite(&api, &["backend", "put", &file("ironic-1.toml", &[("http://127.0.0.1:6385", &sim.ironic)])], "");
    moganite(&api, &["image", "put", &file("cirros.toml", &[])], "");
    moganite(&api, &["flavor", "put", &file("small.toml", &[])], "");

    let order = ["instance", "create", "web-1", "--flavor", "small", "--image", "cirros", "--wait"];
    let told = moganite(&api, &order, "");
    for task in ["compose", "enroll", "verify", "deploy"] {
        assert!(told.contains(task), "{told}");
    }
    assert!(moganite(&api, &["instance", "list"], "").contains("web-1"));
    let listed = moganite(&api, &["-o", "json", "instance", "list"], "");
    assert!(serde_json::from_str::<serde_json::Value>(&listed).is_ok(), "{listed}");
    moganite(&api, &["instance", "delete", "web-1", "--wait"], "");
    assert_eq!(sim.left_behind().await.unwrap(), Vec::<String>::new());
    assert_eq!(sim.made("pod").await.unwrap(), (1, 1));
}
