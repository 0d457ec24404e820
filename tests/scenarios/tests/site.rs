//! A site as one document: what is exported changes nothing when it is applied, and makes another service the same.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use scenarios::{Patience, Service, Stack, repacked_with};

/// Runs one command with this on its standard input.
fn moganite(api: &str, words: &[&str], stdin: &str) -> Output {
    let mut command = Command::new(scenarios::binary("moganite").unwrap());
    let mut child = command
        .args(words)
        .env("MOGANITE_API", api)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn done(api: &str, words: &[&str], stdin: &str) -> String {
    let output = moganite(api, words, stdin);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{words:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_site_is_a_no_op_here_and_the_whole_site_elsewhere() {
    let stack = Stack::start().await.unwrap();
    let here = stack.service.api.base().to_owned();
    let exported = done(&here, &["export"], "");
    assert!(!exported.contains(scenarios::BMC_PASSWORD), "{exported}");
    let again = done(&here, &["apply", "-f", "-"], &exported);
    assert!(again.contains("0 created, 0 changed"), "{again}");

    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let other = Service::start(&state, &scenarios::plugins(), Patience::default()).await.unwrap();
    let there = other.api.base().to_owned();
    done(&there, &["secret", "set", "bmc-password"], scenarios::BMC_PASSWORD);
    let told = done(&there, &["apply", "-f", "-"], &exported);
    let (pod, ironic) = (told.find("backend  pod-a").unwrap(), told.find("backend  ironic-1").unwrap());
    assert!(pod < ironic, "what a grant names is written first: {told}");
    assert_eq!(done(&there, &["export"], ""), exported);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_ends_at_the_first_refusal_and_says_what_was_done() {
    let stack = Stack::start().await.unwrap();
    let api = stack.service.api.base().to_owned();
    let route = "{compose: [pod-a], enroll: [ironic-1], deploy: [ironic-1]}";
    let site = format!(
        "networks: [{{name: blue, backends: {{}}}}]\n\
         flavors: [{{name: big, shape: {{disks_gib: [100]}}, route: {route}}}, {{name: late, route: {route}}}]\n"
    );
    let output = moganite(&api, &["apply", "-f", "-"], &site);
    assert_eq!(output.status.code(), Some(1));
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("create  network  blue") && !said.contains("big"), "{said}");
    assert!(wrong.contains("flavor big is refused") && wrong.contains("pod-a cannot express disk"), "{wrong}");
    assert!(done(&api, &["network", "list"], "").contains("blue"));
    assert!(!done(&api, &["flavor", "list"], "").contains("late"));

    let changed = "flavors: [{name: small, shape: {cores: 2, memory_mib: 8192}, route: {compose: [pod-a], enroll: [ironic-1], deploy: [ironic-1]}}]";
    let told = done(&api, &["apply", "-f", "-"], changed);
    assert!(told.contains("change  flavor   small  shape.cores: 4 -> 2"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_grants_what_another_plugin_asks_for_only_when_it_is_told_to() {
    let stack = Stack::start().await.unwrap();
    let api = &stack.service.api;
    let here = api.base().to_owned();
    let exported = done(&here, &["export"], "");
    let more = "[[requests]]\nendpoint = \"valence\"\nmethods = [\"POST\"]\npath = \"/v1/pod-managers\"\n";
    let grown = repacked_with("valence-redfish", "0.1.1", more, stack.folder.path()).unwrap();
    api.upload("/v1/plugins", grown).await.unwrap().ok().unwrap();
    let site = exported.replace("valence-redfish@0.1.0", "valence-redfish@0.1.1");
    assert_ne!(site, exported);
    let ask = "request POST http://valence/v1/pod-managers";

    let dry = done(&here, &["apply", "-f", "-", "--dry-run"], &site);
    assert!(dry.contains(&format!("asks: {ask}")), "{dry}");
    let refused = moganite(&here, &["apply", "-f", "-"], &site);
    let wrong = String::from_utf8_lossy(&refused.stderr);
    assert!(wrong.contains(ask) && wrong.contains("moganite apply --grant"), "{wrong}");
    let told = done(&here, &["apply", "-f", "-", "--grant", "--reason", "it adds managers"], &site);
    assert!(told.contains(&format!("granted: {ask}")), "{told}");
    let audit = api.get("/v1/audit").await.unwrap().ok().unwrap();
    let line = &audit["items"][0];
    assert_eq!((&line["verb"], &line["reason"]), (&"backend.grant".into(), &"it adds managers".into()), "{audit}");
    assert!(line["subject"].as_str().unwrap().ends_with(ask), "{line}");
    let again = done(&here, &["apply", "-f", "-"], &site);
    assert!(again.contains("0 created, 0 changed"), "{again}");
}
