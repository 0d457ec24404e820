//! A driver is swapped while the service runs: what runs ends on the old one, what begins runs on the new.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::process::Command;

use scenarios::{Http, Options, Stack, binary, repacked, repacked_with};
use serde_json::{Value, json};

/// Which plugins a task of a flow was called with.
fn plugins(flow: &Value, task: &str) -> BTreeSet<String> {
    let events = flow["events"].as_array().unwrap().iter();
    events
        .filter(|event| event["task"] == task)
        .filter_map(|event| event["plugin"].as_str())
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn a_waiting_create_ends_on_the_old_digest_and_the_next_runs_on_the_new() {
    let stack = Stack::with(Options { sim: &["--assemble-ms", "1500"], ..Options::default() }).await.unwrap();
    let api = &stack.service.api;
    let old = stack.service.digest("valence-redfish").await.unwrap();
    let (first, first_flow) = stack.create("first", "small").await.unwrap();
    stack
        .service
        .flow(&first_flow, "waits", |flow| flow["waits_for"].as_str().is_some_and(|note| note.contains("ssembl")))
        .await
        .unwrap();

    let other = repacked("valence-redfish", "0.1.1", stack.folder.path()).unwrap();
    let added = api.upload("/v1/plugins", other).await.unwrap().ok().unwrap();
    let new = added["digest"].as_str().unwrap().to_owned();
    assert_ne!(old, new);
    let swap = async || api.put("/v1/backends/pod-a/plugin", &json!({"digest": new})).await.unwrap().ok().unwrap();
    let revision = swap().await["revision"].clone();
    assert_eq!(swap().await["revision"], revision, "who lost the answer asks again, and changes nothing");
    let (second, second_flow) = stack.create("second", "small").await.unwrap();
    for id in [&first, &second] {
        stack.service.instance_in(id, "active").await.unwrap();
    }

    let of = async |flow: &str| plugins(&api.get(&format!("/v1/flows/{flow}")).await.unwrap().body, "compose");
    let only = |set: BTreeSet<String>, version: &str, digest: &str| {
        assert_eq!(set.len(), 1, "{set:?}");
        let word = set.first().unwrap();
        assert!(word.contains(version) && word.contains(&digest["sha256:".len()..][..12]), "{word}");
    };
    only(of(&first_flow).await, "0.1.0", &old);
    only(of(&second_flow).await, "0.1.1", &new);

    // The far side saw both.
    let agents: BTreeSet<_> = stack
        .sim
        .log(0)
        .await
        .unwrap()
        .iter()
        .filter_map(|entry| entry["user_agent"].as_str().map(str::to_owned))
        .collect();
    for version in ["valence-redfish@0.1.0", "valence-redfish@0.1.1"] {
        assert!(agents.iter().any(|agent| agent.contains(version)), "{agents:?}");
    }
    for id in [&first, &second] {
        stack.delete_and_wait(id).await.unwrap();
    }
    assert_eq!(stack.sim.left_behind().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_plugin_that_asks_for_more_is_not_activated_until_that_is_granted() {
    let stack = Stack::start().await.unwrap();
    let api = &stack.service.api;
    let more = "[[requests]]\nendpoint = \"valence\"\nmethods = [\"POST\", \"GET\"]\npath = \"/v1/pod-managers\"\n";
    let grown = repacked_with("valence-redfish", "0.1.1", more, stack.folder.path()).unwrap();
    let added = api.upload("/v1/plugins", grown).await.unwrap().ok().unwrap();
    let new = added["digest"].as_str().unwrap().to_owned();
    let before = api.get("/v1/backends/pod-a").await.unwrap().ok().unwrap();
    let lines = json!(["request POST http://valence/v1/pod-managers", "request GET http://valence/v1/pod-managers"]);
    assert_eq!(
        before["asks"]["requests"],
        api.get(&format!("/v1/plugins/{}", before["digest"].as_str().unwrap())).await.unwrap().body["manifest"]["requests"]
    );

    let refused = api.put("/v1/backends/pod-a/plugin", &json!({"digest": new})).await.unwrap();
    assert_eq!((refused.status, &refused.body["code"]), (409, &json!("plugin-asks-more")), "{refused:?}");
    assert_eq!(refused.body["asks_more"], lines);
    assert!(refused.body["detail"].as_str().unwrap().contains("POST http://valence/v1/pod-managers"), "{refused:?}");
    let half = json!({"digest": new, "grant": [lines[0]]});
    let refused = api.put("/v1/backends/pod-a/plugin", &half).await.unwrap();
    assert_eq!((refused.status, &refused.body["asks_more"]), (409, &json!([lines[1]])), "{refused:?}");
    let binding = json!({"plugin": new, "endpoints": before["endpoints"], "settings": before["settings"], "access": before["access"]});
    let refused =
        Http::to(api.base()).unwrap().always("if-match", "*").put("/v1/backends/pod-a", &binding).await.unwrap();
    assert_eq!((refused.status, &refused.body["code"]), (409, &json!("plugin-asks-more")), "{refused:?}");
    assert_eq!(api.get("/v1/backends/pod-a").await.unwrap().body["revision"], before["revision"]);

    let asked = api.get(&format!("/v1/backends/pod-a/asks?plugin={new}")).await.unwrap().ok().unwrap();
    assert_eq!(asked["asks_more"], lines);
    let words = ["--api", api.base(), "backend", "swap", "pod-a", &new, "--grant", "--reason", "it lists managers"];
    let said = Command::new(binary("moganite").unwrap()).args(words).output().unwrap();
    let out = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success(), "{said:?}");
    assert!(out.contains("granted: request POST http://valence/v1/pod-managers"), "{out}");
    let after = api.get("/v1/backends/pod-a").await.unwrap().ok().unwrap();
    assert_eq!((&after["digest"], &after["requests"]), (&json!(new), &Value::Null));
    let audit = api.get("/v1/audit").await.unwrap().ok().unwrap();
    let is_anew = |line: &&Value| {
        let of_new = line["subject"].as_str().is_some_and(|subject| subject.starts_with(&format!("pod-a to {new}: ")));
        line["verb"] == "backend.grant" && of_new
    };
    let granted: Vec<_> = audit["items"].as_array().unwrap().iter().filter(is_anew).collect();
    assert_eq!(granted.len(), 2, "{audit}");
    for (line, ask) in granted.iter().rev().zip(lines.as_array().unwrap()) {
        assert_eq!(line["subject"], format!("pod-a to {new}: {}", ask.as_str().unwrap()));
        assert_eq!((&line["who"], &line["reason"]), (&json!("this machine"), &json!("it lists managers")));
    }
    // Going back asks for less, and forward again is a new question.
    api.put("/v1/backends/pod-a/plugin", &json!({"digest": before["digest"]})).await.unwrap().ok().unwrap();
    assert_eq!(api.put("/v1/backends/pod-a/plugin", &json!({"digest": new})).await.unwrap().status, 409);
}

#[tokio::test]
async fn what_the_first_binding_of_a_backend_grants_is_in_the_audit_log() {
    let stack = Stack::start().await.unwrap();
    let api = &stack.service.api;
    let bound = api.get("/v1/backends/pod-a").await.unwrap().ok().unwrap();
    let granted = async || {
        let audit = api.get("/v1/audit?limit=1000").await.unwrap().ok().unwrap();
        let lines = audit["items"].as_array().unwrap().iter().filter(|line| line["verb"] == "backend.grant");
        let subjects = lines.map(|line| line["subject"].as_str().unwrap().to_owned());
        subjects.filter(|subject| subject.starts_with("pod-a to ")).collect::<Vec<_>>()
    };
    let (first, digest) = (granted().await, bound["digest"].as_str().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for ask in bound["asks"]["requests"].as_array().unwrap() {
        for method in ask["methods"].as_array().unwrap() {
            let request = format!("{} http://{}{}", text(method), text(&ask["endpoint"]), text(&ask["path"]));
            assert!(first.contains(&format!("pod-a to {digest}: request {request}")), "{request}: {first:#?}");
        }
    }
    for endpoint in bound["asks"]["endpoints"].as_array().unwrap() {
        assert!(first.contains(&format!("pod-a to {digest}: endpoint {}", text(endpoint))), "{endpoint}: {first:#?}");
    }
    // The next revision grants nothing that was not granted.
    let binding = json!({"plugin": digest, "endpoints": bound["endpoints"], "settings": bound["settings"], "access": bound["access"]});
    Http::to(api.base())
        .unwrap()
        .always("if-match", "*")
        .put("/v1/backends/pod-a", &binding)
        .await
        .unwrap()
        .ok()
        .unwrap();
    assert_eq!(granted().await, first);
}

#[tokio::test]
async fn a_plugin_that_cannot_undo_what_lives_is_refused() {
    let stack = Stack::start().await.unwrap();
    let api = &stack.service.api;
    let (id, _) = stack.create("web", "small").await.unwrap();
    stack.service.instance_in(&id, "active").await.unwrap();
    let ironic = stack.service.digest("ironic").await.unwrap();
    let newest = api.get("/v1/backends/pod-a").await.unwrap().ok().unwrap();
    let refused = api.put("/v1/backends/pod-a/plugin", &json!({"digest": ironic})).await.unwrap();
    assert!((400..500).contains(&refused.status), "{refused:?}");
    assert_eq!(api.get("/v1/backends/pod-a").await.unwrap().body["revision"], newest["revision"]);
    stack.delete_and_wait(&id).await.unwrap();
}

/// A create that waits in compose, by its instance and its flow.
async fn assembling(stack: &Stack, name: &str) -> (String, String) {
    let (id, flow) = stack.create(name, "small").await.unwrap();
    let waits = |flow: &Value| flow["waits_for"].as_str().is_some_and(|note| note.contains("ssembl"));
    stack.service.flow(&flow, "waits for the assembly", waits).await.unwrap();
    (id, flow)
}

#[tokio::test]
async fn a_disabled_plugin_is_not_called_its_flows_say_so_and_go_on_or_are_handed_over() {
    let stack = Stack::with(Options { sim: &["--assemble-ms", "1500"], ..Options::default() }).await.unwrap();
    let api = &stack.service.api;
    let old = stack.service.digest("valence-redfish").await.unwrap();
    let (first, first_flow) = assembling(&stack, "first").await;
    let disable = format!("/v1/plugins/{old}/disable");
    api.post(&disable, &json!({"reason": "it loses machines"})).await.unwrap().ok().unwrap();
    let says = |flow: &Value| {
        let said = flow["waits_for"].as_str().unwrap_or_default();
        said.contains("is disabled: it loses machines") && said.ends_with("an operator has to act)")
    };
    stack.service.flow(&first_flow, "says that its plugin is disabled", says).await.unwrap();
    // A new create waits, too. The first one is handed over; the second goes on by itself once the plugin is enabled.
    let (second, second_flow) = stack.create("second", "small").await.unwrap();
    stack.service.flow(&second_flow, "says it as well", says).await.unwrap();
    let log = stack.sim.log(0).await.unwrap().len();

    let other = repacked("valence-redfish", "0.1.1", stack.folder.path()).unwrap();
    let new = api.upload("/v1/plugins", other).await.unwrap().ok().unwrap()["digest"].as_str().unwrap().to_owned();
    api.put("/v1/backends/pod-a/plugin", &json!({"digest": new})).await.unwrap().ok().unwrap();
    let to = json!({"plugin": new, "reason": "the new one does not"});
    api.post(&format!("/v1/flows/{first_flow}/hand-over"), &to).await.unwrap().ok().unwrap();
    stack.service.instance_in(&first, "active").await.unwrap();
    let called = stack.sim.log(0).await.unwrap();
    let by_old = called[log..]
        .iter()
        .filter(|entry| entry["user_agent"].as_str().is_some_and(|agent| agent.contains("valence-redfish@0.1.0")));
    assert_eq!(by_old.count(), 0, "a disabled plugin asked nothing");
    let back = json!({"reason": "it was the network"});
    let refused = api.put("/v1/backends/pod-a/plugin", &json!({"digest": old})).await.unwrap();
    assert_eq!((refused.status, &refused.body["code"]), (409, &json!("plugin-disabled")));
    api.post(&format!("/v1/plugins/{old}/enable"), &back).await.unwrap().ok().unwrap();
    stack.service.instance_in(&second, "active").await.unwrap();
    for id in [&first, &second] {
        stack.delete_and_wait(id).await.unwrap();
    }
    assert_eq!(stack.sim.left_behind().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_disabled_plugin_stays_so_over_a_restart_and_an_older_one_than_its_floor_is_not_bound() {
    let stack = Stack::start().await.unwrap();
    let old = stack.service.digest("valence-redfish").await.unwrap();
    let other = repacked("valence-redfish", "0.2.0", stack.folder.path()).unwrap();
    let api = &stack.service.api;
    let new = api.upload("/v1/plugins", other).await.unwrap().ok().unwrap()["digest"].as_str().unwrap().to_owned();
    let disable = json!({"reason": "it loses machines"});
    api.post(&format!("/v1/plugins/{new}/disable"), &disable).await.unwrap().ok().unwrap();
    let stack = stack.restart().await.unwrap();
    let api = &stack.service.api;
    let code = async |digest: &str| {
        let answer = api.put("/v1/backends/pod-a/plugin", &json!({ "digest": digest })).await.unwrap();
        (answer.status, answer.body["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(code(&new).await, (409, "plugin-disabled".into()));
    api.post(&format!("/v1/plugins/{new}/enable"), &disable).await.unwrap().ok().unwrap();
    assert_eq!(code(&new).await.0, 200);
    let floor = json!({"version": "0.2.0", "reason": "0.1 leaks"});
    api.put("/v1/plugin-floors/valence-redfish", &floor).await.unwrap().ok().unwrap();
    assert_eq!(code(&old).await, (409, "plugin-below-floor".into()));
    let deny = json!({"reason": "0.1 leaks"});
    api.delete("/v1/plugin-floors/valence-redfish").await.unwrap().ok().unwrap();
    api.post(&format!("/v1/plugins/{old}/deny"), &deny).await.unwrap().ok().unwrap();
    assert_eq!(code(&old).await, (409, "plugin-denied".into()));
}
