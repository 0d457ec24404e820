//! `cargo xtask demo`: the main job before your eyes, on simulators, with an empty state. One line says what will happen, one what was
//! seen; at the end each far side is asked what it holds.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use scenarios::{Options, Patience, Stack, for_tests, pause, repacked, stopwatch, until};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::main]
async fn main() -> ExitCode {
    let leak = std::env::args().any(|argument| argument == "--with-leak");
    match run(leak).await {
        Ok(left) if left.is_empty() => {
            println!("nothing left behind");
            ExitCode::SUCCESS
        }
        Ok(left) => {
            println!("{} left behind: {}", left.len(), left.join("; "));
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("the demonstration broke off: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run(leak: bool) -> Result<Vec<String>> {
    let seconds = stopwatch();
    let patience = Patience { revert_attempts: 6, ..Patience::default() };
    let sim = ["--assemble-ms", "400", "--deploy-ms", "400"];
    let mut stack = Stack::with(Options { sim: &sim, patience, ..Options::default() }).await?;
    println!("simulators: Valence {}, Ironic {}", stack.sim.valence, stack.sim.ironic);
    println!("moganite:   {}", stack.service.api.base());

    created(&stack).await?;
    reverted(&stack).await?;
    stack = killed(stack).await?;
    swapped(&stack).await?;
    elsewhere(&stack).await?;
    denied(&stack).await?;
    deleted(&stack, leak).await?;
    let left = ledger(&stack).await?;
    scene(&format!("{:.1} s", seconds()));
    Ok(left)
}

fn scene(what: &str) {
    println!("\n> {what}");
}

fn seen(what: &str) {
    println!("  {what}");
}

async fn created(stack: &Stack) -> Result<()> {
    scene("POST an instance of 4 cores and 8192 MiB: a node is composed, enrolled, verified and deployed");
    let (id, flow) = stack.create("web-1", "small").await?;
    told_live(stack, &flow).await?;
    let active = stack.service.instance_in(&id, "active").await?;
    seen(&format!(
        "web-1 is {}, composed: {}, unverified: {}",
        word(&active["state"]),
        active["composed"],
        active["unverified"]
    ));
    Ok(())
}

/// Each new line of the timeline as it comes.
async fn told_live(stack: &Stack, flow: &str) -> Result<()> {
    let mut shown = 0;
    let mut last = String::new();
    until("the flow to end", Duration::from_secs(30), async || {
        let now = stack.service.api.get(&format!("/v1/flows/{flow}")).await?.ok()?;
        let events = now["events"].as_array().cloned().unwrap_or_default();
        for event in &events[shown..] {
            let undo = if event["direction"] == "revert" { "undo " } else { "" };
            let line = format!("{undo}{} {}: {}", word(&event["task"]), word(&event["kind"]), word(&event["note"]));
            if event["kind"] != "created" && line != last {
                seen(line.trim_end_matches(": "));
            }
            last = line;
        }
        shown = events.len();
        Ok(matches!(word(&now["phase"]), "done" | "reverted").then_some(()))
    })
    .await
}

async fn reverted(stack: &Stack) -> Result<()> {
    scene("the next deploy fails: all that was taken is given back, last taken first");
    stack.sim.fault(json!({"kind": "deploy-fails", "message": "the ramdisk did not boot"})).await?;
    let (id, flow) = stack.create("web-2", "small").await?;
    told_live(stack, &flow).await?;
    let failed = stack.service.instance_in(&id, "failed").await?;
    seen(&format!("web-2 is failed: {}", word(&failed["reason"])));
    Ok(())
}

async fn killed(stack: Stack) -> Result<Stack> {
    scene("kill -9 of the service in the middle of a create, then a start on the same state folder");
    let (id, flow) = stack.create("web-3", "small").await?;
    let at = stack.service.flow(&flow, "enroll", |flow| flow["task"] == "enroll").await?;
    pause(Duration::from_millis(60)).await;
    let pid = stack.service.pid().context("the service has ended")?;
    let stack = stack.restart().await?;
    seen(&format!(
        "pid {pid} was killed during {}; the new one has pid {}",
        word(&at["task"]),
        stack.service.pid().unwrap_or(0)
    ));
    stack.service.instance_in(&id, "active").await?;
    seen("web-3 is active: the create went on by itself");
    Ok(stack)
}

async fn swapped(stack: &Stack) -> Result<()> {
    scene("swap the driver of pod-a while a create waits in it, then create another");
    let (first, first_flow) = stack.create("web-4", "small").await?;
    stack.service.flow(&first_flow, "a wait", |flow| word(&flow["waits_for"]).contains("ssembl")).await?;
    let other = repacked("valence-redfish", "0.1.1", stack.folder.path())?;
    let added = stack.service.api.upload("/v1/plugins", other).await?.ok()?;
    stack.service.api.put("/v1/backends/pod-a/plugin", &json!({"digest": added["digest"]})).await?.ok()?;
    let (second, second_flow) = stack.create("web-5", "small").await?;
    for (name, id, flow) in [("web-4", &first, &first_flow), ("web-5", &second, &second_flow)] {
        stack.service.instance_in(id, "active").await?;
        let flow = stack.service.api.get(&format!("/v1/flows/{flow}")).await?.ok()?;
        let compose = flow["tasks"].as_array().and_then(|tasks| tasks.first()).cloned().unwrap_or_default();
        seen(&format!("{name} is active, composed by {}", word(&compose["plugin"])));
    }
    let log = stack.sim.log(0).await?;
    for version in ["valence-redfish@0.1.0", "valence-redfish@0.1.1"] {
        let n = log.iter().filter(|entry| word(&entry["user_agent"]).contains(version)).count();
        ensure!(n > 0, "the far side saw no request of {version}");
        seen(&format!("Valence's own log has {n} requests of {version}"));
    }
    Ok(())
}

async fn elsewhere(stack: &Stack) -> Result<()> {
    scene("the same POST on other metal: a pre-set server, one that CloudBoot discovered, a composed one with a disk");
    stack.preset(7..9).await?;
    stack.put_preset_flavor("gold", false).await?;
    stack.cloudboot(&Value::Null).await?;
    stack.redfish().await?;
    let mut made = Vec::new();
    for (name, flavor, image) in
        [("web-6", "gold", "cirros"), ("web-7", "discovered", "linux"), ("web-8", "with-disk", "cirros")]
    {
        made.push((name, flavor, stack.create_from(name, flavor, image).await?));
    }
    for (name, flavor, id) in made {
        let active = stack.service.instance_in(&id, "active").await?;
        let flow = stack.service.api.get(&format!("/v1/flows/{}", word(&active["flow"]))).await?.ok()?;
        let tasks = flow["tasks"].as_array().cloned().unwrap_or_default();
        let tasks: Vec<_> = tasks.iter().map(|task| word(&task["name"])).collect();
        seen(&format!("{name} ({flavor}) is active by {}, composed: {}", tasks.join(", "), active["composed"]));
    }
    Ok(())
}

async fn denied(stack: &Stack) -> Result<()> {
    scene("add a driver that tries to reach hosts that nobody bound");
    let api = &stack.service.api;
    let added = api.upload("/v1/plugins", for_tests("misbehave")?).await?.ok()?;
    let backend = json!({
        "plugin": added["digest"], "endpoints": {"far": {"url": stack.sim.podm}}, "settings": {"case": "foreign-host"},
    });
    api.put("/v1/backends/bad", &backend).await?.ok()?;
    let flavor = json!({"name": "bad", "erase": "none", "route": {"compose": ["bad"], "enroll": ["ironic-1"], "deploy": ["ironic-1"]}});
    api.put("/v1/flavors/bad", &flavor).await?.ok()?;
    let (id, _) = stack.create("web-9", "bad").await?;
    let failed = stack.service.instance_in(&id, "failed").await?;
    seen(&format!("web-9 is failed: {}", word(&failed["reason"])));
    Ok(())
}

async fn deleted(stack: &Stack, leak: bool) -> Result<()> {
    scene("DELETE every instance: undeploy, remove from Ironic, release to the pool");
    let listed = stack.service.api.get("/v1/instances").await?.ok()?;
    let ids: Vec<_> =
        listed["items"].as_array().into_iter().flatten().map(|item| word(&item["id"]).to_owned()).collect();
    if leak {
        stack.sim.fault(json!({"kind": "keep-on-release", "times": 0})).await?;
        seen("(the pod manager will answer the releases of one node and keep it)");
    }
    for (n, id) in ids.iter().enumerate() {
        let flow = stack.delete(id).await?;
        let rests_or_ends = |flow: &Value| matches!(word(&flow["phase"]), "done" | "needs-operator");
        let ended = stack.service.flow(&flow, "the end of a delete", rests_or_ends).await?;
        if word(&ended["phase"]) == "needs-operator" {
            seen(&format!("a delete rests: {}", word(&ended["waits_for"])));
        }
        if leak && n == 0 {
            stack.sim.no_faults().await?;
        }
    }
    seen(&format!("{} instances deleted", ids.len()));
    Ok(())
}

async fn ledger(stack: &Stack) -> Result<Vec<String>> {
    scene("ask each far side's own ledger, not the drivers");
    let ledger = stack.sim.ledger().await?;
    for (side, name) in [("pod", "pod manager"), ("ironic", "Ironic"), ("cloudboot", "CloudBoot")] {
        let own = |item: &&Value| word(&item["name"]).starts_with("preset-");
        let held = ledger[side]["held"].as_array().cloned().unwrap_or_default();
        let preset = held.iter().filter(own).count();
        let made = ledger[side]["made"].as_u64().unwrap_or_default() - u64::try_from(preset)?;
        let beside =
            if preset > 0 { format!(", beside {preset} servers that the operator enrolled") } else { String::new() };
        let holds = held.len() - preset;
        seen(&format!("{name}: made {made}, given back {}, holds {holds}{beside}", ledger[side]["given_back"]));
    }
    let machines = |what: &str| ledger["machines"][what].as_array().map_or(0, Vec::len);
    let alarms = ledger["alarms"].as_array().map_or(0, Vec::len);
    let kept = ledger["cloudboot"]["data"].as_array().map_or(0, Vec::len);
    seen(&format!("disks of CloudBoot with data: {kept}: it cannot erase, and the flavor had to say erase: none"));
    seen(&format!("machines: {} running, {} disks with data; alarms: {alarms}", machines("running"), machines("data")));
    stack.sim.left_behind().await
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
