//! For this crate's tests: the 2017 tree of Valence with its pod manager, in memory and in one thread, and a host that
//! calls a verb until it ends, with the clock in its hand. The project's simulator is the thorough one.

use crate::ValenceRedfish;
use crate::shape::tests::want;
use moganite_driver::{
    Compose, Context, Erase, Fault, Holding, Node, NodeDoing, Pause, Presence, Reply, Request, Undoing, fault, testing,
};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

pub(crate) const MARK: &str = "mg-a-1";
pub(crate) const SETTINGS: &str = r#"{"settle_s": 100, "gone_within_s": 30}"#;

/// How the next compose or release goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wrong {
    /// Made, and the connection closes.
    LostAnswer,
    /// The connection closes; made some requests later.
    Late,
    /// The pool is full.
    Full,
    /// HTTP 200 with an error; nothing is left.
    ErrorBody,
    /// Made, but etcd is down: no record.
    NoRecord,
    /// Assembled asynchronously, and failed.
    Fails,
    /// Answers the release and keeps the node.
    Keeps,
}

#[derive(Default)]
pub(crate) struct World {
    /// index, uuid, name, state
    pub(crate) nodes: Vec<(String, String, String, String)>,
    /// uuid, index, name
    pub(crate) records: Vec<(String, String, String)>,
    pub(crate) wrong: Option<Wrong>,
    pub(crate) posts: usize,
    late: Option<u32>,
    made: usize,
}

pub(crate) type Shared = Rc<RefCell<World>>;

pub(crate) fn world(wrong: Option<Wrong>) -> Shared {
    let world = Rc::new(RefCell::new(World { wrong, ..World::default() }));
    world.borrow_mut().add("somebody else's", "Assembled");
    let far = Rc::clone(&world);
    testing::set_now(Duration::from_secs(1_000_000));
    testing::far_side(move |request| far.borrow_mut().answer(request));
    world
}

impl World {
    /// A node of the pod manager with Valence's record of it.
    pub(crate) fn add(&mut self, name: &str, state: &str) {
        self.made += 1;
        let index = self.made.to_string();
        self.nodes.push((index.clone(), format!("podm-{index}"), name.into(), state.into()));
        self.records.push((format!("valence-{index}"), index, name.into()));
    }

    pub(crate) fn nodes_of(&self, mark: &str) -> usize {
        self.nodes.iter().filter(|(_, _, name, _)| name == mark).count()
    }

    fn answer(&mut self, request: &Request) -> Result<Reply, Fault> {
        self.late = self.late.map(|left| left.saturating_sub(1));
        if self.late == Some(0) {
            self.late = None;
            self.add(MARK, "Assembled");
        }
        let path: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
        match (request.method.as_str(), &path[..]) {
            ("POST", ["v1", "nodes"]) => self.compose(&request.json()),
            ("POST", ["v1", "nodes", "manage"]) => self.manage(&request.json()),
            ("GET", ["v1", "nodes"]) => {
                let brief =
                    |(uuid, index, name): &_| json!({ "uuid": uuid, "index": index, "name": name, "links": [] });
                testing::reply(200, self.records.iter().map(brief).collect())
            }
            ("GET", ["v1", "nodes", uuid]) => self.detail(uuid),
            ("DELETE", ["v1", "nodes", uuid]) => self.release(uuid),
            ("GET", ["Nodes"]) => {
                let link = |(index, ..): &(String, String, String, String)| json!({ "@odata.id": format!("/redfish/v1/Nodes/{index}") });
                testing::reply(200, json!({ "Members": self.nodes.iter().map(link).collect::<Vec<_>>() }))
            }
            ("GET", ["Nodes", at]) => match self.nodes.iter().find(|(index, ..)| index == at) {
                Some((_, uuid, name, state)) => {
                    testing::reply(200, json!({ "UUID": uuid, "Name": name, "ComposedNodeState": state }))
                }
                None => testing::reply(404, json!({ "error": {} })),
            },
            ("DELETE", ["Nodes", at]) => {
                if self.wrong != Some(Wrong::Keeps) {
                    self.nodes.retain(|(index, ..)| index != at);
                }
                testing::reply(204, Value::Null)
            }
            ("GET", ["Systems", "1"]) => testing::reply(200, json!({ "UUID": "system-1", "SerialNumber": "sn-1" })),
            other => panic!("{other:?}"),
        }
    }

    fn compose(&mut self, body: &Value) -> Result<Reply, Fault> {
        self.posts += 1;
        let name = body["name"].as_str().unwrap_or_default().to_owned();
        match self.wrong.take() {
            Some(Wrong::Late) => {
                self.late = Some(6);
                return Err(fault::retry("connection closed"));
            }
            Some(Wrong::Full) => return error(409, "Base.1.0.GeneralError", "There are no computer systems.."),
            Some(Wrong::ErrorBody) => return error(200, "Base.1.0.GeneralError", "assembly failed"),
            Some(Wrong::NoRecord) => {
                self.add(&name, "Assembled");
                self.records.pop();
                return error(500, "EtcdConnectionFailed", "etcd is down");
            }
            Some(Wrong::LostAnswer) => {
                self.add(&name, "Assembled");
                return Err(fault::retry("connection closed"));
            }
            Some(Wrong::Fails) => self.add(&name, "Failed"),
            other => {
                self.wrong = other;
                self.add(&name, "Assembled");
            }
        }
        self.last_record()
    }

    fn manage(&mut self, body: &Value) -> Result<Reply, Fault> {
        let index = body["node_index"].as_str().unwrap_or_default().to_owned();
        if self.records.iter().any(|(_, known, _)| *known == index) {
            return error(409, "Conflict", "already managed");
        }
        let Some((_, _, name, _)) = self.nodes.iter().find(|(known, ..)| *known == index) else { panic!("{index}") };
        self.records.push((format!("managed-{index}"), index, name.clone()));
        self.last_record()
    }

    fn last_record(&self) -> Result<Reply, Fault> {
        let Some((uuid, index, name)) = self.records.last() else { panic!() };
        testing::reply(200, json!({ "uuid": uuid, "index": index, "name": name, "links": [] }))
    }

    fn detail(&self, uuid: &str) -> Result<Reply, Fault> {
        let Some((_, index, name)) = self.records.iter().find(|(known, ..)| known == uuid) else {
            return error(404, "Not Found", "no such node");
        };
        let Some((_, _, _, state)) = self.nodes.iter().find(|(known, ..)| known == index) else {
            return error(404, "Base.1.0.ResourceMissing", "no such node");
        };
        testing::reply(
            200,
            json!({
                "uuid": uuid, "index": index, "name": name, "node_state": state,
                "computer_system": { "@odata.id": "/redfish/v1/Systems/1" },
                "metadata": { "processor": [{ "total_core": 2 }], "memory": [{ "total_memory_mb": 4096 }], "network": [{ "mac": "52:54:00:00:00:01" }] },
            }),
        )
    }

    fn release(&mut self, uuid: &str) -> Result<Reply, Fault> {
        let Some((_, index, _)) = self.records.iter().find(|(known, ..)| known == uuid).cloned() else {
            return error(404, "Not Found", "no such node");
        };
        if !self.nodes.iter().any(|(known, ..)| *known == index) {
            return error(404, "Base.1.0.ResourceMissing", "no such node");
        }
        self.records.retain(|(known, ..)| known != uuid);
        if self.wrong != Some(Wrong::Keeps) {
            self.nodes.retain(|(known, ..)| *known != index);
        }
        testing::reply(200, json!({ "code": "DELETED", "detail": "deleted", "request_id": "0" }))
    }
}

fn error(status: u16, code: &str, said: &str) -> Result<Reply, Fault> {
    testing::reply(status, json!({ "code": code, "detail": said, "request_id": "0", "status": status, "title": said }))
}

/// The host's side of one operation.
pub(crate) struct Host {
    pub(crate) cx: Context,
    pub(crate) calls: usize,
    pub(crate) waited: Duration,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self { cx: testing::context(SETTINGS), calls: 0, waited: Duration::ZERO }
    }

    /// One call of compose.
    pub(crate) fn compose_once(&mut self) -> Result<NodeDoing, Fault> {
        self.calls += 1;
        let answer = ValenceRedfish::compose(self.cx.clone(), MARK.into(), want(2, 4_096));
        if let Ok(NodeDoing::Pending(pause)) = &answer {
            self.store(pause);
        }
        answer
    }

    pub(crate) fn compose(&mut self) -> Result<Node, Fault> {
        loop {
            if let NodeDoing::Done(node) = self.compose_once()? {
                return Ok(node);
            }
        }
    }

    pub(crate) fn release(&mut self, what: &Holding) -> Result<Value, Fault> {
        loop {
            self.calls += 1;
            match ValenceRedfish::release(self.cx.clone(), what.clone(), Erase::None)? {
                Undoing::Done(receipt) => return Ok(serde_json::from_str(&receipt).unwrap_or_default()),
                Undoing::Pending(pause) => self.store(&pause),
            }
        }
    }

    /// What is known when no answer of this compose came.
    pub(crate) fn lost(&self) -> Holding {
        Holding { mark: MARK.into(), handle: None, facts: "{}".into(), trail: self.cx.checkpoint.clone() }
    }

    fn store(&mut self, pause: &Pause) {
        assert!(self.calls < 200, "no end: {}", pause.note);
        let after = Duration::from_millis(pause.after);
        self.waited += after;
        testing::set_now(moganite_driver::now() + after);
        self.cx.checkpoint = Some(pause.checkpoint.clone());
        self.cx.attempt = 1;
    }
}

pub(crate) fn held(node: &Node) -> Holding {
    Holding { mark: MARK.into(), handle: Some(node.handle.clone()), facts: node.facts.clone(), trail: None }
}

pub(crate) fn find(what: &Holding) -> Result<Presence, Fault> {
    ValenceRedfish::find(testing::context(SETTINGS), what.clone())
}
