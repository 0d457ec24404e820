//! What is planted is found in each place where it could come out: a secret that leaked there would fail every scenario.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write as _;

use scenarios::Stack;
use serde_json::json;

const PLANTED: &str = "planted-canary-93ab";

#[tokio::test]
async fn a_planted_text_is_found_in_answers_on_the_command_line_in_the_database_the_log_and_a_backup() {
    let stack = Stack::start().await.unwrap();
    let (api, canaries) = (&stack.service.api, &stack.service.canaries);
    canaries.add("what was planted", PLANTED);
    // No secret: a name, which is shown and stored as it is.
    let image = json!({"name": PLANTED, "backends": {"ironic-1": {"boot_iso": "http://images.example/x.iso"}}});
    api.put(&format!("/v1/images/{PLANTED}"), &image).await.unwrap().ok().unwrap();
    api.get("/v1/images").await.unwrap().ok().unwrap();
    api.text("/v1/images").await.unwrap();
    stack.command(&["export"]).await.unwrap();
    stack.backup(&stack.folder.path().join("a.backup")).await.unwrap();
    let log = stack.folder.path().join("service.log");
    let mut said = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    writeln!(said, "{}", json!({"message": format!("password={PLANTED}")})).unwrap();
    canaries.scan_files(stack.folder.path());

    let seen = canaries.seen();
    for place in ["the answer to /v1/images,", "moganite export,", "moganite.db", "a.backup,", "service.log,"] {
        assert!(seen.iter().any(|line| line.contains(place)), "not in {place}: {seen:#?}");
    }
    // What the service was given as a secret is in none of them.
    canaries.forget("what was planted");
    canaries.check();
}
