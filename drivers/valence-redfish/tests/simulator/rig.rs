//! The driver in the dialect redfish against the simulator's pool in pieces: the host's part, a person's, and Ironic's, which writes data.

use crate::far::{MARK, Wrong};
use driver_valence_redfish::ValenceRedfish;
use moganite_driver::{
    Compose, Context, Driver, Erase, Fault, Holding, Node, NodeDoing, Presence, Request, Shape, Undoing, testing,
};
use moganite_far::{Host, Sims, Trail};
use moganite_sim::{Ledger, Options};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// What the host allows a call. Source: `requests` of its sandbox.
const REQUESTS: usize = 32;
pub const BMC: &str = "Basic YWRtaW46Ym1jLXNlY3JldC1wYXNzd29yZA==";

pub struct Rig {
    pub sim: Sims,
    pub host: Host,
    /// The last checkpoint of compose.
    pub trail: Trail,
    /// Of the last call.
    sent: Rc<RefCell<Vec<String>>>,
}

impl Rig {
    pub fn start(options: Options) -> Self {
        let sim = Sims::start(options);
        let address = sim.addresses().podm.clone();
        let sent = Rc::new(RefCell::new(Vec::new()));
        let counted = Rc::clone(&sent);
        testing::far_side(move |request| {
            counted.borrow_mut().push(format!("{} {}", request.method, request.path));
            moganite_far::send(&address, &with_credentials(request))
        });
        let settings = json!({"dialect": "redfish", "settle_s": 1, "gone_within_s": 2});
        let host = Host::with(settings).retrying_after(Duration::from_millis(100));
        Self { sim, host, trail: Trail::default(), sent }
    }

    pub fn set(&self, key: &str, value: &str) {
        let mut settings: Value = serde_json::from_str(&self.host.settings.borrow()).unwrap();
        settings[key] = json!(value);
        self.host.settings.replace(settings.to_string());
    }

    pub fn fault(&self, fault: Value) {
        self.sim.fault(serde_json::from_value(fault).unwrap());
    }

    pub fn wrong(&self, wrong: &Wrong) {
        self.sim.set(wrong);
    }

    pub fn compose(&self, want: &Shape) -> Result<Node, Fault> {
        self.host.go_on(&self.trail, |cx| self.compose_once(cx, want))
    }

    /// So many calls of compose, whose last answer is lost; true when one of them was done.
    pub fn compose_for(&self, want: &Shape, left: &mut u32) -> bool {
        while *left > 0 {
            *left -= 1;
            let cx = Context { checkpoint: self.trail.borrow().clone(), ..self.context() };
            match self.compose_once(cx, want).unwrap() {
                NodeDoing::Done(_) => return true,
                NodeDoing::Pending(pause) if *left > 0 => {
                    self.trail.replace(Some(pause.checkpoint));
                    self.host.pass(Duration::from_millis(pause.after));
                }
                NodeDoing::Pending(_) => {}
            }
        }
        false
    }

    /// Ends the host after each call, before it stored the answer: each call is made twice, and the second answer counts.
    pub fn compose_dying(&self, want: &Shape) -> Result<Node, Fault> {
        self.host.go_on(&self.trail, |cx| {
            let again = Context { attempt: cx.attempt + 1, ..cx.clone() };
            self.compose_once(cx, want).ok();
            self.compose_once(again, want)
        })
    }

    pub fn release(&self, node: Option<&Node>, level: Erase) -> Result<Value, Fault> {
        self.release_of(&self.holding(node), level)
    }

    pub fn release_of(&self, what: &Holding, level: Erase) -> Result<Value, Fault> {
        let stage = Trail::default();
        let mut first = 1;
        // A person's retry goes on where it broke.
        for _ in 0..3 {
            match self.release_on(first, &stage, what, level) {
                Err(Fault::Broken(why)) if why.contains("could not be erased") && first == 1 => first = 2,
                ended => return ended,
            }
        }
        panic!("no end")
    }

    /// One operation, which ends at a fault that a person must look at.
    pub fn release_once(&self, node: Option<&Node>, level: Erase) -> Result<Value, Fault> {
        self.release_on(1, &Trail::default(), &self.holding(node), level)
    }

    fn release_on(&self, first: u32, stage: &Trail, what: &Holding, level: Erase) -> Result<Value, Fault> {
        let receipt = self.host.go_on_at(first, stage, |cx| self.release_call(cx, what, level))?;
        Ok(serde_json::from_str(&receipt).unwrap())
    }

    pub fn release_dying(&self, node: Option<&Node>, level: Erase) -> Result<Value, Fault> {
        let what = self.holding(node);
        let receipt = self.host.run(|cx| {
            let again = Context { attempt: cx.attempt + 1, ..cx.clone() };
            self.release_call(cx, &what, level).ok();
            self.release_call(again, &what, level)
        });
        Ok(serde_json::from_str(&receipt.answer?).unwrap())
    }

    pub fn find(&self, node: Option<&Node>) -> Presence {
        self.bounded(|| ValenceRedfish::find(self.context(), self.holding(node))).unwrap()
    }

    /// Over all pages.
    pub fn listed(&self) -> Vec<String> {
        let (mut marks, mut after) = (Vec::new(), None);
        loop {
            let page = self.bounded(|| ValenceRedfish::list(self.context(), "s".into(), after)).unwrap();
            marks.extend(page.items.into_iter().map(|item| item.mark));
            after = page.next;
            if after.is_none() {
                return marks;
            }
        }
    }

    pub fn probe(&self) -> Value {
        serde_json::from_str(&self.bounded(|| ValenceRedfish::probe(self.context())).unwrap()).unwrap()
    }

    pub fn holding(&self, node: Option<&Node>) -> Holding {
        Holding {
            mark: MARK.into(),
            handle: node.map(|node| node.handle.clone()),
            facts: node.map_or_else(|| "{}".into(), |node| node.facts.clone()),
            trail: self.trail.borrow().clone(),
        }
    }

    pub fn ledger(&self) -> Ledger {
        self.sim.ledger()
    }

    pub fn assert_nothing_is_left(&self, when: &str) {
        // A switch may have begun something that is still on its way.
        self.host.pass(Duration::from_millis(400));
        let ledger = self.ledger();
        assert!(ledger.pod.held.is_empty(), "{when}: {:?}", ledger.pod.held);
        assert!(ledger.pod.reserved.is_empty(), "{when}: reserved {:?}", ledger.pod.reserved);
        assert!(ledger.alarms.is_empty(), "{when}: {:?}", ledger.alarms);
    }

    fn compose_once(&self, cx: Context, want: &Shape) -> Result<NodeDoing, Fault> {
        let doing = self.bounded(|| ValenceRedfish::compose(cx, MARK.into(), want.clone()))?;
        if let NodeDoing::Done(node) = &doing {
            self.assert_proven(&format!("GET {}", node.handle));
        }
        Ok(doing)
    }

    fn release_call(&self, cx: Context, what: &Holding, level: Erase) -> Result<Undoing, Fault> {
        let doing = self.bounded(|| ValenceRedfish::release(cx, what.clone(), level))?;
        if let Undoing::Done(_) = &doing {
            self.assert_proven("GET /redfish/v1/Systems");
        }
        Ok(doing)
    }

    /// The exchange that the manifest names for a done was in the same call.
    fn assert_proven(&self, exchange: &str) {
        let sent = self.sent.borrow();
        assert!(sent.iter().any(|request| request == exchange), "{exchange} is not among {sent:?}");
    }

    /// One call, which keeps to the requests that the host allows it.
    fn bounded<T>(&self, call: impl FnOnce() -> T) -> T {
        self.sent.borrow_mut().clear();
        let told = call();
        let sent = self.sent.borrow().len();
        assert!(sent <= REQUESTS, "{sent} requests in one call");
        told
    }

    fn context(&self) -> Context {
        self.host.context()
    }
}

/// Runs every case at once, each with a simulator and a clock of its own; what each answered, in order.
pub fn each<C: Send, T: Send>(cases: impl IntoIterator<Item = C>, run: impl Fn(C) -> T + Sync) -> Vec<T> {
    let run = &run;
    std::thread::scope(|scope| {
        let started: Vec<_> = cases.into_iter().map(|case| scope.spawn(move || run(case))).collect();
        started.into_iter().map(|case| case.join().unwrap()).collect()
    })
}

pub fn want(cores: u32, memory_mib: u64, disks_gib: &[u64]) -> Shape {
    Shape {
        cores,
        memory_mib,
        disks_gib: disks_gib.to_vec(),
        nics_mbps: Vec::new(),
        devices: Vec::new(),
        class: None,
        traits: Vec::new(),
        properties: "{}".into(),
    }
}

fn with_credentials(request: &Request) -> Request {
    assert_eq!(request.endpoint, "redfish");
    let mut request = request.clone();
    request.headers.push(("authorization".into(), BMC.into()));
    request
}
