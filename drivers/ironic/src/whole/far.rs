//! A small Ironic in memory: nodes, ports and the provision states that the driver walks through, with the lock that outlives a state,
//! and one exchange of choice whose answer is lost. Held to what Ironic 39.0.0 was seen to answer.

use moganite_driver::{Fault, Reply, Request, fault, testing};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// When the answer of one exchange is lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Loss {
    /// The work is not done.
    Before(usize),
    /// The work is done.
    After(usize),
}

#[derive(Default)]
pub(super) struct Far {
    pub(super) nodes: BTreeMap<String, Value>,
    pub(super) ports: BTreeMap<String, String>,
    /// Method and path of each exchange.
    pub(super) log: Vec<String>,
    pub(super) loss: Option<Loss>,
    /// Verbs that end in failure, once each.
    pub(super) failing: Vec<&'static str>,
    /// Where each busy node goes: one phase a read.
    phases: BTreeMap<String, Vec<Value>>,
}

/// Makes it the far side of this thread.
pub(super) fn start() -> Rc<RefCell<Far>> {
    let far = Rc::new(RefCell::new(Far::default()));
    let shared = Rc::clone(&far);
    testing::far_side(move |request| shared.borrow_mut().exchange(request));
    far
}

impl Far {
    fn exchange(&mut self, request: &Request) -> Result<Reply, Fault> {
        let at = self.log.len();
        self.log.push(format!("{} {}", request.method, request.path));
        if self.loss == Some(Loss::Before(at)) {
            return Err(fault::retry("connection refused"));
        }
        let (status, body) = self.answer(request);
        if self.loss == Some(Loss::After(at)) {
            return Err(fault::retry("connection closed without an answer"));
        }
        testing::reply(status, body)
    }

    fn answer(&mut self, request: &Request) -> (u16, Value) {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let body = request.json();
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", [""]) => (200, json!({ "default_version": { "min_version": "1.1", "version": "1.115" } })),
            ("GET", ["v1", "nodes"]) => (200, json!({ "nodes": self.list(query), "next": null })),
            ("POST", ["v1", "nodes"]) => self.create(body),
            ("GET", ["v1", "ports"]) => {
                let ports: Vec<Value> = self
                    .ports
                    .iter()
                    .filter(|(mac, node)| {
                        query.contains(&format!("node={node}")) || query.contains(&format!("address={mac}"))
                    })
                    .map(|(mac, node)| json!({ "address": mac, "node_uuid": node }))
                    .collect();
                (200, json!({ "ports": ports }))
            }
            ("POST", ["v1", "ports"]) => {
                let (mac, node) = (text(&body["address"]), text(&body["node_uuid"]));
                if self.ports.contains_key(&mac) {
                    return refused(409, "A port with MAC address already exists.");
                }
                self.ports.insert(mac, node);
                (201, body)
            }
            (_, ["v1", "nodes", id, ..]) if !self.nodes.contains_key(*id) => refused(404, "Node could not be found."),
            ("GET", ["v1", "nodes", id]) => {
                let seen = self.nodes[*id].clone();
                self.proceed(id);
                (200, seen)
            }
            ("GET", ["v1", "nodes", _, "validate"]) => (200, json!({ "deploy": { "result": true } })),
            ("GET", ["v1", "nodes", _, "history"]) => (200, json!({ "history": [] })),
            ("GET", ["v1", "nodes", _, "inventory"]) => refused(404, "No inventory."),
            (_, ["v1", "nodes", id, ..]) if !self.nodes[*id]["reservation"].is_null() => {
                refused(409, "Node is locked by host h, please retry after the current operation is completed.")
            }
            ("PATCH", ["v1", "nodes", id]) => self.patch(id, &body),
            ("DELETE", ["v1", "nodes", id]) => self.delete(id),
            ("PUT", ["v1", "nodes", id, "states", "power"]) => {
                let node = self.nodes.get_mut(*id).unwrap();
                node["power_state"] = body["target"].clone();
                (202, Value::Null)
            }
            ("PUT", ["v1", "nodes", id, "states", "provision"]) => self.verb(id, &text(&body["target"])),
            other => panic!("the driver asked for {other:?}"),
        }
    }

    fn list(&self, query: &str) -> Vec<Value> {
        let instance = query.split('&').find_map(|pair| pair.strip_prefix("instance_uuid="));
        let matches = |node: &&Value| instance.is_none_or(|instance| node["instance_uuid"] == instance);
        self.nodes.values().filter(matches).cloned().collect()
    }

    fn create(&mut self, mut node: Value) -> (u16, Value) {
        let uuid = text(&node["uuid"]);
        if self.nodes.contains_key(&uuid) {
            return refused(409, "A node with that name already exists.");
        }
        for (field, value) in [
            ("provision_state", json!("enroll")),
            ("reservation", Value::Null),
            ("instance_uuid", Value::Null),
            ("power_state", Value::Null),
        ] {
            node[field] = value;
        }
        self.nodes.insert(uuid, node.clone());
        (201, node)
    }

    fn patch(&mut self, id: &str, ops: &Value) -> (u16, Value) {
        let node = self.nodes.get_mut(id).unwrap();
        for op in ops.as_array().unwrap() {
            let field = text(&op["path"]).trim_start_matches('/').to_owned();
            node[field] = op["value"].clone();
        }
        (200, node.clone())
    }

    fn delete(&mut self, id: &str) -> (u16, Value) {
        let node = &self.nodes[id];
        let allowed = ["enroll", "manageable", "available"].map(Value::from).contains(&node["provision_state"]);
        if !allowed || !node["instance_uuid"].is_null() {
            return refused(409, "Can not delete node while it is in provision state");
        }
        assert_ne!(node["power_state"], "power on", "deleted while its machine is on");
        self.nodes.remove(id);
        self.ports.retain(|_, node| node != id);
        (204, Value::Null)
    }

    /// Begins a verb. It goes through its states, then reaches its end still locked, then unlocked.
    fn verb(&mut self, id: &str, verb: &str) -> (u16, Value) {
        let node = &self.nodes[id];
        let state = text(&node["provision_state"]);
        let failing = self.failing.iter().position(|failing| *failing == verb);
        let (through, end): (&[Value], Value) = match (verb, state.as_str(), failing.is_some()) {
            ("manage", "enroll", false) => {
                (&[at("verifying")], json!({ "provision_state": "manageable", "power_state": "power off" }))
            }
            ("manage", "enroll", true) => {
                (&[at("verifying")], json!({ "provision_state": "enroll", "last_error": "401" }))
            }
            ("manage", "inspect failed" | "available", _) => (&[], at("manageable")),
            ("inspect", "manageable", false) => (
                &[at("inspecting")],
                json!({ "provision_state": "manageable", "properties": { "cpus": 8, "memory_mb": 16384 } }),
            ),
            ("inspect", "manageable", true) => (&[at("inspecting")], at("inspect failed")),
            ("provide", "manageable", _) => (&[at("cleaning")], at("available")),
            ("active", "available", false) if node["instance_info"]["boot_iso"].is_string() => {
                (&[at("deploying")], json!({ "provision_state": "active", "power_state": "power on" }))
            }
            ("active", "available", true) => {
                (&[at("deploying")], json!({ "provision_state": "deploy failed", "power_state": "power off" }))
            }
            ("deleted", "active" | "deploy failed" | "error", false) => (
                &[at("deleting"), json!({ "provision_state": "cleaning", "instance_uuid": null, "instance_info": {} })],
                json!({ "provision_state": "available", "power_state": "power off" }),
            ),
            ("deleted", "active", true) => (&[at("deleting")], at("error")),
            _ => {
                return refused(
                    400,
                    &format!(
                        "The requested action \"{verb}\" can not be performed on node while it is in state \"{state}\"."
                    ),
                );
            }
        };
        let through = through.to_vec();
        if let Some(at) = failing {
            self.failing.remove(at);
        }
        let mut locked = end.clone();
        locked["reservation"] = json!("h");
        let mut unlocked = end;
        unlocked["reservation"] = Value::Null;
        let mut phases: Vec<Value> = through.into_iter().chain([locked, unlocked]).collect();
        let mut first = phases.remove(0);
        first["reservation"] = json!("h");
        apply(self.nodes.get_mut(id).unwrap(), &first);
        self.phases.insert(id.to_owned(), phases);
        (202, Value::Null)
    }

    fn proceed(&mut self, id: &str) {
        if let Some(phases) = self.phases.get_mut(id)
            && !phases.is_empty()
        {
            let phase = phases.remove(0);
            apply(self.nodes.get_mut(id).unwrap(), &phase);
        }
    }
}

fn at(state: &str) -> Value {
    json!({ "provision_state": state })
}

fn apply(node: &mut Value, change: &Value) {
    for (field, value) in change.as_object().unwrap() {
        node[field] = value.clone();
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn refused(status: u16, words: &str) -> (u16, Value) {
    let inner = json!({ "faultcode": "Client", "faultstring": words, "debuginfo": null });
    (status, json!({ "error_message": inner.to_string() }))
}
