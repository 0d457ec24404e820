//! A server that somebody deployed by hand becomes an instance as it runs. Whatever stands against it, the machine hears of nothing.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use scenarios::{Http, Options, Patience, Stack, until};
use serde_json::{Value, json};

/// Of one step, before it is undone.
const TRIES: u32 = 5;

/// A pre-set server that was deployed by hand: its uuid, and what Ironic shows of it.
struct Running {
    stack: Stack,
    ironic: Http,
    node: String,
    shown: Value,
    /// Requests that Ironic has seen.
    seen: u64,
}

impl Running {
    async fn start() -> Self {
        Self::with(Patience { attempts: TRIES, ..Patience::default() }).await
    }

    async fn with(patience: Patience) -> Self {
        let stack = Stack::with(Options { patience, ..Options::default() }).await.unwrap();
        let node = stack.preset(7..8).await.unwrap().remove(0);
        stack.put_preset_flavor("gold", false).await.unwrap();
        let ironic = Http::to(&stack.sim.ironic).unwrap().always("x-openstack-ironic-api-version", "1.86");
        let path = format!("/v1/nodes/{node}");
        let image = json!([{"op": "add", "path": "/instance_info/boot_iso", "value": "http://images.example/old.iso"}]);
        ironic.patch(&path, &image).await.unwrap().ok().unwrap();
        ironic.put(&format!("{path}/states/provision"), &json!({"target": "active"})).await.unwrap().ok().unwrap();
        until("active", Duration::from_secs(10), async || {
            let node = ironic.get(&path).await?.ok()?;
            Ok((node["provision_state"] == "active" && node["reservation"] == Value::Null).then_some(()))
        })
        .await
        .unwrap();
        let seen = stack.sim.log(0).await.unwrap().last().and_then(|entry| entry["n"].as_u64()).unwrap();
        let mut running = Self { stack, ironic, node, shown: Value::Null, seen };
        running.shown = running.show().await;
        running
    }

    /// All that Ironic shows of it, but when it was written.
    async fn show(&self) -> Value {
        let mut node = self.ironic.get(&format!("/v1/nodes/{}", self.node)).await.unwrap().ok().unwrap();
        node["updated_at"] = Value::Null;
        node
    }

    /// POST; answers the instance's id.
    async fn adopt(&self, flavor: &str) -> String {
        let adoption =
            json!({"name": "old-1", "flavor": flavor, "image": "cirros", "backend": "ironic-1", "node": self.node});
        let made = self.stack.service.api.post("/v1/instances/adopt", &adoption).await.unwrap().ok().unwrap();
        made["id"].as_str().unwrap().to_owned()
    }

    async fn ended(&self, id: &str) -> Value {
        self.stack.service.instance(id, "ended", |instance| instance["state"] != "creating").await.unwrap()
    }

    /// No verb, no power action, no deletion of a node; and the machine runs with its data.
    async fn assert_untouched(&self, when: &str) {
        let touches = |entry: &&Value| {
            let (method, path) = (entry["method"].as_str().unwrap(), entry["path"].as_str().unwrap());
            let verb = method == "PUT" && path.contains("/states/");
            let delete = method == "DELETE" && path.starts_with("/v1/nodes/") && !path.ends_with("/maintenance");
            entry["side"] == "ironic" && (verb || delete || path.contains("/management/"))
        };
        let log = self.stack.sim.log(self.seen).await.unwrap();
        assert_eq!(log.iter().find(touches), None, "{when}");
        let machines = self.stack.sim.ledger().await.unwrap()["machines"].clone();
        assert_eq!(machines["running"].as_array().unwrap().len(), 1, "{when}: {machines}");
        assert_eq!(machines["data"].as_array().unwrap().len(), 1, "{when}: {machines}");
    }

    /// As before, and nothing of ours left.
    async fn assert_let_go(&self, when: &str) {
        assert_eq!(self.show().await, self.shown, "{when}");
        let allocations = self.ironic.get("/v1/allocations").await.unwrap().body;
        assert_eq!(allocations["allocations"], json!([]), "{when}");
        let held = self.stack.service.api.get("/v1/holdings").await.unwrap().body;
        assert_eq!(held["items"], json!([]), "{when}");
        assert_eq!(self.stack.service.api.get("/v1/quarantine").await.unwrap().body["items"], json!([]), "{when}");
        self.assert_untouched(when).await;
    }
}

#[tokio::test]
async fn a_running_server_becomes_an_instance_that_is_like_any_other() {
    let old = Running::start().await;
    let id = old.adopt("gold").await;
    let instance = old.ended(&id).await;
    assert_eq!(instance["state"], "active", "{}", instance["reason"]);
    assert_eq!((&instance["composed"], &instance["degraded"]), (&json!(false), &Value::Null));
    old.assert_untouched("adopted").await;
    let flow = old.stack.timeline(instance["flow"].as_str().unwrap()).await.unwrap();
    assert!(flow.iter().any(|line| line == "execute deploy ended taken over as it runs"), "{flow:#?}");

    // It is ours: power, another image, and at last a delete that erases.
    for (verb, body) in [("power", json!({"wish": "off"})), ("power", json!({"wish": "on"})), ("rebuild", json!({}))] {
        let path = format!("/v1/instances/{id}/{verb}");
        let started = old.stack.service.api.post(&path, &body).await.unwrap().ok().unwrap();
        let flow = started["flow"].as_str().unwrap();
        let over = |flow: &Value| matches!(flow["phase"].as_str(), Some("done" | "reverted" | "needs-operator"));
        let ended = old.stack.service.flow(flow, "its end", over).await.unwrap();
        assert_eq!(ended["phase"], "done", "{verb}: {ended}");
    }
    assert_eq!(old.show().await["instance_info"]["boot_iso"], "http://images.example/cirros.iso");
    old.stack.delete_and_wait(&id).await.unwrap();
    assert_eq!(old.stack.sim.left_behind().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn an_adopted_server_is_erased_when_it_is_deleted() {
    let old = Running::start().await;
    let id = old.adopt("gold").await;
    assert_eq!(old.ended(&id).await["state"], "active");
    old.stack.delete_and_wait(&id).await.unwrap();
    assert_eq!(old.stack.sim.left_behind().await.unwrap(), Vec::<String>::new());
    assert_eq!(old.show().await["provision_state"], "available");
}

#[tokio::test]
async fn a_server_that_is_less_than_its_flavor_is_let_go() {
    let old = Running::start().await;
    let route = json!({"claim": ["ironic-1"], "deploy": ["ironic-1"]});
    let flavor = json!({"name": "huge", "shape": {"cores": 64}, "route": route, "erase": "quick"});
    old.stack.service.api.put("/v1/flavors/huge", &flavor).await.unwrap().ok().unwrap();
    let id = old.adopt("huge").await;
    let failed = old.ended(&id).await;
    assert_eq!(failed["state"], "failed");
    assert!(failed["reason"].as_str().unwrap().contains("64 cores were asked for"), "{failed}");
    old.assert_let_go("less than its flavor").await;
    // What was let go is nothing to work on.
    let rebuild = old.stack.service.api.post(&format!("/v1/instances/{id}/rebuild"), &json!({})).await.unwrap();
    assert_eq!(rebuild.body["code"], "instance-not-adopted");
    old.stack.delete_and_wait(&id).await.unwrap();
    old.assert_let_go("deleted").await;
}

#[tokio::test]
async fn wherever_an_adoption_fails_the_server_is_let_go_and_runs_on() {
    // As many as the tries of one step: what undoes it gets through.
    let refused = |method: &str, path: &str| json!({"kind": "refuse", "side": "ironic", "method": method, "path": path, "times": TRIES});
    for (place, fault) in [
        ("the claim", refused("POST", "/v1/allocations")),
        ("what the claim sees", refused("GET", "/v1/nodes/*/inventory")),
        ("taking over", refused("PATCH", "/v1/nodes/*")),
    ] {
        let old = Running::start().await;
        old.stack.sim.fault(fault).await.unwrap();
        let id = old.adopt("gold").await;
        let failed = old.ended(&id).await;
        assert_eq!(failed["state"], "failed", "{place}: {failed}");
        let flow = failed["flow"].as_str().unwrap();
        old.stack.service.flow(flow, "reverted", |flow| flow["phase"] == "reverted").await.unwrap();
        old.assert_let_go(place).await;
    }
}

#[tokio::test]
async fn a_delete_while_it_is_adopted_lets_the_server_go_and_erases_nothing() {
    for (method, path) in [("POST", "/v1/allocations"), ("GET", "/v1/nodes/*/inventory"), ("PATCH", "/v1/nodes/*")] {
        let old = Running::start().await;
        let slow = json!({"kind": "delay", "side": "ironic", "method": method, "path": path, "ms": 700});
        old.stack.sim.fault(slow).await.unwrap();
        let id = old.adopt("gold").await;
        // The request is under way.
        until("the slow request", Duration::from_secs(10), async || {
            let faults = old.stack.sim.control.get("/faults").await?.ok()?;
            Ok(faults.to_string().contains("\"fired\":1").then_some(()))
        })
        .await
        .unwrap();
        old.stack.delete_and_wait(&id).await.unwrap();
        old.assert_let_go(&format!("deleted during {method} {path}")).await;
    }
}

#[tokio::test]
async fn a_service_that_is_killed_goes_on_with_the_adoption() {
    // The new one has its plugins to read first.
    let old = Running::with(Patience { attempts: 60, ..Patience::default() }).await;
    let lost =
        json!({"kind": "late-completion", "side": "ironic", "method": "PATCH", "path": "/v1/nodes/*", "ms": 300});
    old.stack.sim.fault(lost).await.unwrap();
    let id = old.adopt("gold").await;
    let Running { stack, ironic, node, shown, seen } = old;
    let old = Running { stack: stack.restart().await.unwrap(), ironic, node, shown, seen };
    let instance = old.ended(&id).await;
    assert_eq!(instance["state"], "active", "{}", instance["reason"]);
    old.assert_untouched("killed").await;
    old.stack.delete_and_wait(&id).await.unwrap();
    assert_eq!(old.stack.sim.left_behind().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_server_that_is_somebody_s_already_is_refused_in_words() {
    let old = Running::start().await;
    let first = old.adopt("gold").await;
    assert_eq!(old.ended(&first).await["state"], "active");
    let second = old.adopt("gold").await;
    let refused = old.ended(&second).await;
    assert!(refused["reason"].as_str().unwrap_or_default().contains("is taken by instance"), "{refused}");
    old.assert_untouched("taken").await;
    old.stack.delete_and_wait(&second).await.unwrap();
    assert_eq!(old.show().await["provision_state"], "active", "the first one has it still");
    old.stack.delete_and_wait(&first).await.unwrap();
    assert_eq!(old.stack.sim.left_behind().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_backend_that_cannot_adopt_says_so() {
    let stack = Stack::start().await.unwrap();
    stack.cloudboot(&json!({})).await.unwrap();
    let adoption =
        json!({"name": "old-1", "flavor": "discovered", "image": "linux", "backend": "cb-1", "node": "CB001"});
    let made = stack.service.api.post("/v1/instances/adopt", &adoption).await.unwrap().ok().unwrap();
    let id = made["id"].as_str().unwrap();
    let failed = stack.service.instance(id, "ended", |instance| instance["state"] != "creating").await.unwrap();
    assert!(failed["reason"].as_str().unwrap_or_default().contains("no safe place for the mark"), "{failed}");
    stack.delete_and_wait(id).await.unwrap();
    assert_eq!(stack.sim.left_behind().await.unwrap(), Vec::<String>::new());
}
