//! The sweep over the real binary: what a far side has of ours and no holding knows is found, told with its age, and given back by a
//! person's word or, when it came late, by the policy, as far as the brake lets it. Another site's things are never touched.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use scenarios::{Http, Options, Service, Stack, until};
use serde_json::{Value, json};

async fn swept(service: &Service) -> Value {
    service.api.post("/v1/sweep", &json!({})).await.unwrap().ok().unwrap()
}

/// When it last looked at pod-a.
async fn looked_at(service: &Service) -> Option<String> {
    let report = service.api.get("/v1/sweep").await.unwrap().ok().unwrap();
    let pod = items(&report["backends"]).into_iter().find(|backend| backend["backend"] == "pod-a").unwrap();
    pod["at"].as_str().map(str::to_owned)
}

fn items(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// This site's marks begin with it.
async fn prefix(stack: &Stack) -> String {
    let holdings = stack.service.api.get("/v1/holdings").await.unwrap().ok().unwrap();
    holdings["items"][0]["mark"].as_str().unwrap()[..10].to_owned()
}

/// Has Valence compose a node under this name, past every service.
async fn plant(stack: &Stack, name: &str) {
    let properties = json!({"memory": {"capacity_mib": "8192"}, "processor": {"total_cores": "4"}});
    let node = json!({"name": name, "description": "planted", "properties": properties});
    let valence = Http::to(&stack.sim.valence).unwrap();
    valence.post("/v1/nodes", &node).await.unwrap().ok().unwrap();
}

async fn held(stack: &Stack) -> usize {
    items(&stack.sim.ledger().await.unwrap()["pod"]["held"]).len()
}

/// Creates whose compose is answered by nobody, deleted at once: gone when the driver promises that nothing can appear, and then it does.
async fn late_arrivals(stack: &Stack, n: u64) {
    let late = json!({"side": "valence", "method": "POST", "path": "/v1/nodes", "kind": "late-completion", "times": n, "ms": 3500});
    stack.sim.fault(late).await.unwrap();
    for at in 0..n {
        let (id, _) = stack.create(&format!("late-{at}"), "small").await.unwrap();
        until("the compose to be asked", Duration::from_secs(30), async || {
            let faults = stack.sim.control.get("/faults").await?.ok()?;
            Ok((faults["faults"][0]["fired"].as_u64() > Some(at)).then_some(()))
        })
        .await
        .unwrap();
        stack.delete_and_wait(&id).await.unwrap();
    }
    let n = usize::try_from(n).unwrap();
    until("all of them to appear", Duration::from_secs(30), async || Ok((held(stack).await >= n).then_some(())))
        .await
        .unwrap();
}

fn quick(policy: &str) -> Options<'_> {
    Options { sim: &["--systems", "16"], valence: json!({"settle_s": 1}), sweep: policy, ..Options::default() }
}

#[tokio::test]
async fn an_orphan_is_found_told_with_its_age_and_released_on_demand() {
    let stack = Stack::with(quick("release")).await.unwrap();
    let (id, _) = stack.create("web", "small").await.unwrap();
    stack.service.instance_in(&id, "active").await.unwrap();
    let ours = prefix(&stack).await;
    plant(&stack, &format!("{ours}0123456789abcdef0123456789abcdef-0-1")).await;
    plant(&stack, "mg-zzzzzz-0123456789abcdef0123456789abcdef-0-1").await;
    plant(&stack, "somebody's own").await;

    // Twice: what this database never saw given back is not released by itself, whatever the policy.
    swept(&stack.service).await;
    let report = swept(&stack.service).await;
    let theirs = items(&report["theirs"]);
    assert_eq!(theirs.len(), 1, "{report}");
    assert_eq!(
        (&theirs[0]["state"], &theirs[0]["role"], &theirs[0]["backend"]),
        (&json!("orphan"), &json!("compose"), &json!("pod-a"))
    );
    assert!(
        theirs[0]["age_s"].is_number() && theirs[0]["flow"] == "01234567-89ab-cdef-0123-456789abcdef",
        "{}",
        theirs[0]
    );
    assert_eq!(items(&report["ours"]), Vec::<Value>::new());
    assert_eq!(held(&stack).await, 4);

    let release = format!("/v1/orphans/{}/release", theirs[0]["id"]);
    let refused = stack.service.api.post(&release, &json!({"reason": ""})).await.unwrap();
    assert_eq!(refused.status, 422, "a release needs a reason");
    let released = stack.service.api.post(&release, &json!({"reason": "nobody knows it"})).await.unwrap().ok().unwrap();
    stack.service.flow(released["flow"].as_str().unwrap(), "done", |flow| flow["phase"] == "done").await.unwrap();
    assert_eq!(held(&stack).await, 3, "the instance's, the other site's and the stranger's stay");
    assert_eq!(items(&swept(&stack.service).await["theirs"]), Vec::<Value>::new());
    let audit = stack.service.api.get("/v1/audit").await.unwrap().ok().unwrap();
    assert!(audit.to_string().contains("nobody knows it"), "{audit}");

    stack.delete_and_wait(&id).await.unwrap();
    assert_eq!(items(&stack.sim.ledger().await.unwrap()["alarms"]), Vec::<Value>::new());
}

#[tokio::test]
async fn what_came_late_is_counted_released_by_the_policy_and_stopped_by_the_brake_at_the_sixth() {
    let stack = Stack::with(quick("release")).await.unwrap();
    late_arrivals(&stack, 7).await;
    // Frozen, it looks and releases nothing.
    let api = &stack.service.api;
    api.post("/v1/freeze", &json!({"reason": "looking"})).await.unwrap().ok().unwrap();
    swept(&stack.service).await;
    let report = swept(&stack.service).await;
    let waiting = items(&report["theirs"]).iter().filter(|orphan| orphan["state"] == "orphan").count();
    assert_eq!((waiting, held(&stack).await), (7, 7), "{report}");
    api.post("/v1/unfreeze", &json!({"reason": "looked"})).await.unwrap().ok().unwrap();
    let report = swept(&stack.service).await;
    let pod = items(&report["backends"]).into_iter().find(|backend| backend["backend"] == "pod-a").unwrap();
    assert_eq!(pod["late_arrivals"], 7, "{pod}");
    assert_eq!(pod["brake"]["released"], 5, "{pod}");
    assert!(pod["brake"]["stopped_at"].is_string(), "{pod}");
    until("five to be given back", Duration::from_secs(30), async || Ok((held(&stack).await == 2).then_some(())))
        .await
        .unwrap();

    // A restart does not loosen it.
    let stack = stack.restart().await.unwrap();
    swept(&stack.service).await;
    let report = swept(&stack.service).await;
    let left = items(&report["theirs"]).iter().filter(|orphan| orphan["state"] == "orphan").count();
    assert_eq!((left, held(&stack).await), (2, 2), "{report}");
    let metrics = stack.service.api.text("/metrics").await.unwrap();
    assert!(metrics.contains("moganite_brake_stopped{backend=\"pod-a\"} 1"), "{metrics}");
    assert!(metrics.contains("moganite_late_arrivals_total{plugin=\"valence-redfish@"), "{metrics}");

    let go_on = json!({"reason": "the far side was slow today"});
    stack.service.api.post("/v1/sweep/pod-a/go-on", &go_on).await.unwrap().ok().unwrap();
    swept(&stack.service).await;
    until("the others to be given back", Duration::from_secs(30), async || Ok((held(&stack).await == 0).then_some(())))
        .await
        .unwrap();
    assert_eq!(stack.sim.left_behind().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn two_sites_on_one_pod_manager_never_touch_each_other_s() {
    let options = || Options { serve: &["--sweep-every-ms=200"], ..quick("release") };
    let stack = Stack::with(options()).await.unwrap();
    let beside = stack.beside(&options()).await.unwrap();
    let mut instances = Vec::new();
    for (service, name) in [(&stack.service, "here"), (&beside, "there")] {
        let order = json!({"name": name, "flavor": "small", "image": "cirros"});
        let made = service.api.post("/v1/instances", &order).await.unwrap().ok().unwrap();
        let id = made["id"].as_str().unwrap().to_owned();
        service.instance_in(&id, "active").await.unwrap();
        instances.push(id);
    }
    // On their own schedules, with all of the other's things in sight.
    for service in [&stack.service, &beside] {
        let before = looked_at(service).await;
        until("its own sweep", Duration::from_secs(30), async || Ok((looked_at(service).await > before).then_some(())))
            .await
            .unwrap();
    }
    for _ in 0..3 {
        for service in [&stack.service, &beside] {
            let report = swept(service).await;
            assert_eq!(items(&report["theirs"]), Vec::<Value>::new(), "{report}");
            assert_eq!(items(&report["ours"]), Vec::<Value>::new(), "{report}");
        }
    }
    assert_eq!(held(&stack).await, 2);
    for (service, id) in [(&stack.service, &instances[0]), (&beside, &instances[1])] {
        assert_eq!(service.api.get(&format!("/v1/instances/{id}")).await.unwrap().body["state"], "active");
        service.api.delete(&format!("/v1/instances/{id}")).await.unwrap().ok().unwrap();
        service.instance_gone(id).await.unwrap();
    }
    assert_eq!(stack.sim.left_behind().await.unwrap(), Vec::<String>::new());
}
