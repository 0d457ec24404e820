//! A new version of a driver on trial, with real components: a canary's, one that is taken back, one that is left alone until it works.
//!
//! `misbehave` panics where its far side says so; the far side is here, and knows the versions by their user agents.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use scenarios::{Http, Stack, for_tests, repacked_for_tests};
use serde_json::{Value, json};

/// Which versions it lets panic, and who asked.
#[derive(Clone, Default)]
struct Far(Arc<Mutex<(BTreeSet<&'static str>, Vec<String>)>>);

impl Far {
    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer =
            async |State(far): State<Far>, headers: HeaderMap| far.tell(headers["user-agent"].to_str().unwrap());
        let app = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    fn tell(&self, agent: &str) -> &'static str {
        let mut far = self.0.lock().unwrap();
        far.1.push(agent.to_owned());
        if far.0.iter().any(|version| agent.contains(version)) { "panic" } else { "go on" }
    }

    fn breaks(&self, version: &'static str) {
        self.0.lock().unwrap().0.insert(version);
    }

    fn mended(&self) {
        self.0.lock().unwrap().0.clear();
    }

    fn asked_by(&self, version: &str) -> usize {
        self.0.lock().unwrap().1.iter().filter(|agent| agent.contains(version)).count()
    }
}

const OLD: &str = "misbehave@0.1.0";
const NEW: &str = "misbehave@0.2.0";

/// The backend `odd` has the old version. The flavor `made` composes there and enrolls and deploys at `zero`, so that an instance is
/// one operation of `odd`; the flavor `lent` claims and deploys there.
struct Odd {
    stack: Stack,
    far: Far,
    new: String,
}

impl Odd {
    async fn with(settings: Value, limits: Value) -> Self {
        let stack = Stack::start().await.unwrap();
        let (api, far) = (&stack.service.api, Far::default());
        let zero = added(api, for_tests("driver-from-zero").unwrap()).await;
        put(api, "/v1/backends/zero", json!({ "plugin": zero })).await;
        let old = added(api, for_tests("misbehave").unwrap()).await;
        let odd = json!({"plugin": old, "settings": settings, "limits": limits, "endpoints": {"far": {"url": far.serve().await}}});
        put(api, "/v1/backends/odd", odd).await;
        put(api, "/v1/images/none", json!({"name": "none", "backends": {"odd": {}, "zero": {}}})).await;
        let shape = json!({"cores": 2, "memory_mib": 1024});
        let made = json!({"compose": ["odd"], "enroll": ["zero"], "deploy": ["zero"]});
        let lent = json!({"claim": ["odd"], "deploy": ["odd"]});
        for (name, route) in [("made", made), ("lent", lent)] {
            let flavor = json!({"name": name, "shape": shape, "route": route, "erase": "none"});
            put(api, &format!("/v1/flavors/{name}"), flavor).await;
        }
        let newer = repacked_for_tests("misbehave", "0.2.0", stack.folder.path()).unwrap();
        let new = added(api, newer).await;
        Self { stack, far, new }
    }

    async fn as_told(verb: &str) -> Self {
        Self::with(json!({"case": "as-told", "verb": verb}), json!({})).await
    }

    fn api(&self) -> &Http {
        &self.stack.service.api
    }

    /// Swaps `odd` to the new version.
    async fn swap(&self, more: Value) {
        let mut body = json!({"digest": self.new, "reason": "it is newer"});
        more.as_object().unwrap().iter().for_each(|(key, value)| body[key] = value.clone());
        put(self.api(), "/v1/backends/odd/plugin", body).await;
    }

    async fn odd(&self) -> Value {
        self.api().get("/v1/backends/odd").await.unwrap().ok().unwrap()
    }

    /// The instance's id and its flow's.
    async fn create(&self, name: &str, flavor: &str) -> (String, String) {
        let order = json!({"name": name, "flavor": flavor, "image": "none"});
        let made = self.api().post("/v1/instances", &order).await.unwrap().ok().unwrap();
        (made["id"].as_str().unwrap().to_owned(), made["flow"].as_str().unwrap().to_owned())
    }

    /// Creates an instance to its end, and answers which versions were called for this task of it.
    async fn versions(&self, name: &str) -> BTreeSet<String> {
        let (id, flow) = self.create(name, "made").await;
        self.stack.service.instance_in(&id, "active").await.unwrap();
        self.versions_of(&flow).await
    }

    async fn versions_of(&self, flow: &str) -> BTreeSet<String> {
        let flow = self.flow(flow).await;
        let at_odd = flow["events"].as_array().unwrap().iter().filter(|event| event["backend"] == "odd");
        at_odd.filter_map(|event| Some(event["plugin"].as_str()?.split(' ').next()?.to_owned())).collect()
    }

    async fn flow(&self, flow: &str) -> Value {
        self.api().get(&format!("/v1/flows/{flow}")).await.unwrap().ok().unwrap()
    }

    async fn audit(&self) -> Vec<(String, String, String)> {
        let lines = self.api().get("/v1/audit").await.unwrap().ok().unwrap();
        let word = |line: &Value, field: &str| line[field].as_str().unwrap_or_default().to_owned();
        let lines = lines["items"].as_array().unwrap().iter();
        lines.map(|line| (word(line, "who"), word(line, "verb"), word(line, "reason"))).collect()
    }

    /// The value of a sample of `odd` with these words in its labels.
    async fn metric(&self, family: &str, words: &str) -> Option<f64> {
        let text = self.api().text("/metrics").await.unwrap();
        let is_it = |line: &&str| line.starts_with(family) && line.contains(r#"backend="odd""#) && line.contains(words);
        text.lines().find(is_it)?.rsplit(' ').next()?.parse().ok()
    }
}

fn only(version: &str) -> BTreeSet<String> {
    [version.to_owned()].into()
}

async fn put(api: &Http, path: &str, body: Value) {
    api.put(path, &body).await.unwrap().ok().unwrap();
}

async fn added(api: &Http, bytes: Vec<u8>) -> String {
    api.upload("/v1/plugins", bytes).await.unwrap().ok().unwrap()["digest"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_canary_gets_so_many_operations_and_then_all_of_them() {
    let odd = Odd::as_told("compose").await;
    // All are ordered before the first of them is called.
    odd.api().post("/v1/backends/odd/pause", &json!({"reason": "all at once"})).await.unwrap().ok().unwrap();
    odd.swap(json!({"canary": {"operations": 3}})).await;
    let trial = odd.odd().await["trial"].clone();
    assert_eq!(
        (&trial["kind"], &trial["remaining"], &trial["plugin"]),
        (&json!("canary"), &json!(3), &json!("misbehave@0.2.0"))
    );
    let mut ordered = Vec::new();
    for n in 0..5 {
        ordered.push(odd.create(&format!("web-{n}"), "made").await);
    }
    odd.api().post("/v1/backends/odd/resume", &json!({"reason": "go"})).await.unwrap().ok().unwrap();
    for (n, (id, flow)) in ordered.iter().enumerate() {
        odd.stack.service.instance_in(id, "active").await.unwrap();
        assert_eq!(odd.versions_of(flow).await, only(if n < 3 { NEW } else { OLD }), "operation {n}");
    }
    assert_eq!((odd.far.asked_by(NEW), odd.far.asked_by(OLD)), (3, 2), "as the far side saw it");

    let after = odd.odd().await;
    assert_eq!((&after["digest"], &after["trial"]["kind"]), (&json!(odd.new), &json!("swap")), "promoted by itself");
    let (who, verb, reason) = odd.audit().await.remove(0);
    assert_eq!((who.as_str(), verb.as_str()), ("moganite", "backend.promote"), "{reason}");
    assert_eq!(odd.versions("after").await, only(NEW));
}

#[tokio::test]
async fn a_canary_of_a_named_instance_is_nobody_elses_until_a_person_promotes_it() {
    let odd = Odd::as_told("compose").await;
    odd.swap(json!({"canary": {"instance": "chosen"}})).await;
    assert_eq!(odd.versions("other").await, only(OLD));
    assert_eq!(odd.versions("chosen").await, only(NEW));
    assert_eq!(odd.versions("another").await, only(OLD));
    odd.api().post("/v1/backends/odd/promote", &json!({"reason": "it works"})).await.unwrap().ok().unwrap();
    assert_eq!(odd.versions("last").await, only(NEW));
}

#[tokio::test]
async fn a_version_that_traps_is_taken_back_by_itself_and_its_flow_ends_on_the_one_before() {
    let odd = Odd::as_told("claim").await;
    let before = odd.odd().await;
    odd.far.breaks(NEW);
    odd.swap(json!({"breaks": 2})).await;
    let (id, flow) = odd.create("web", "lent").await;
    odd.stack.service.instance_in(&id, "active").await.unwrap();

    // Two rounds broke on the new version, and the third is the old one's.
    let flow = odd.flow(&flow).await;
    let of = |round: u64| {
        let is_it =
            move |event: &&Value| event["task"] == "claim" && event["round"] == round && event["plugin"].is_string();
        let mut events = flow["events"].as_array().unwrap().iter().filter(is_it);
        events.next().unwrap_or_else(|| panic!("no claim in round {round}: {flow:#}")).clone()
    };
    for round in [1, 2] {
        let event = of(round);
        let note = event["note"].as_str().unwrap();
        assert!(event["plugin"].as_str().unwrap().starts_with(NEW), "{event}");
        assert!(note.contains("(trap)") && note.contains("as its far side told it to"), "{note}");
    }
    assert!(of(3)["plugin"].as_str().unwrap().starts_with(OLD), "{flow:#}");

    let after = odd.odd().await;
    assert_eq!((&after["digest"], &after["trial"]), (&before["digest"], &Value::Null));
    let taken_back = |revision: &Value| revision["rolled_back"] == json!(revision["digest"] == json!(odd.new));
    assert!(after["revisions"].as_array().unwrap().iter().all(taken_back), "{after:#}");
    let (who, verb, reason) = odd.audit().await.remove(0);
    assert_eq!((who.as_str(), verb.as_str()), ("moganite", "backend.roll-back"));
    assert!(reason.starts_with("it broke 2 times, the last: ") && reason.contains("(trap)"), "{reason}");
    assert_eq!(odd.metric("moganite_plugins_rolled_back_total", "").await, Some(1.0));
    assert_eq!(odd.metric("moganite_driver_calls_ended_total", r#"cause="trap""#).await, Some(2.0));
}

#[tokio::test]
async fn a_plugin_that_keeps_breaking_is_left_alone_and_its_flows_wait_until_one_call_is_whole() {
    let odd = Odd::as_told("every").await;
    // Who wrote the flavors was asked what it can do.
    let before = odd.far.asked_by(OLD);
    odd.far.breaks(OLD);
    // Each breaks in its create and in its undo, and rests; the third opens the breaker.
    for n in 0..2 {
        let (_, flow) = odd.create(&format!("broken-{n}"), "made").await;
        odd.stack.service.flow(&flow, "rests", |flow| flow["phase"] == "needs-operator").await.unwrap();
    }
    let says = |flow: &Value| {
        let said = flow["waits_for"].as_str().unwrap_or_default();
        said.contains("broke 5 times in a row at odd")
            && said.contains("(trap)")
            && said.ends_with("moganite goes on by itself)")
    };
    let (_, third) = odd.create("broken-2", "made").await;
    odd.stack.service.flow(&third, "waits and says why", says).await.unwrap();
    let (id, fourth) = odd.create("web", "made").await;
    odd.stack.service.flow(&fourth, "waits and says why", says).await.unwrap();
    assert_eq!(odd.far.asked_by(OLD) - before, 5, "nobody calls it");
    assert_eq!(odd.metric("moganite_breaker_open", "").await, Some(1.0));

    odd.far.mended();
    odd.stack.service.instance_in(&id, "active").await.unwrap();
    odd.stack.service.flow(&third, "is given back", |flow| flow["phase"] == "reverted").await.unwrap();
    assert_eq!(odd.metric("moganite_breaker_open", "").await, None);
    assert_eq!(odd.versions("next").await, only(OLD));
}

#[tokio::test]
async fn a_limit_that_ends_a_call_is_named_in_the_fault_the_timeline_and_the_metric() {
    let odd = Odd::with(json!({"case": "grow", "verb": "compose"}), json!({"memory_mib": 4})).await;
    let (_, flow) = odd.create("web", "made").await;
    let ended = odd.stack.service.flow(&flow, "is over", |flow| flow["phase"] == "reverted").await.unwrap();
    assert_eq!(ended["fault"]["cause"], "limit-memory");
    let flow = odd.flow(&flow).await;
    let named = |event: &&Value| event["note"].as_str().is_some_and(|note| note.contains("limit-memory"));
    let event = flow["events"].as_array().unwrap().iter().find(named);
    assert_eq!(event.unwrap_or_else(|| panic!("{flow:#}"))["task"], "compose");
    assert_eq!(odd.metric("moganite_driver_calls_ended_total", r#"cause="limit-memory""#).await, Some(1.0));
}
