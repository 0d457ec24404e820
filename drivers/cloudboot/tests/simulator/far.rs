//! The driver, called natively, and CloudBoot; between them what the gate does: secrets and the session at their places.

pub use moganite_far::Wrong;

use driver_cloudboot::CloudBoot;
use moganite_driver::{
    Answer, Claim, Context, Deploy, Deployed, Erase, Fault, Holding, Node, NodeDoing, Observed, Order, PowerWish,
    Presence, Reply, Request, Shape, Undoing, fault, testing,
};
use moganite_far::{Host, Sims, Trail};
use moganite_sim::{Kind, Ledger, Options, Side};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

pub const CLAIM: &str = "mg-s-1";
pub const DEPLOY: &str = "mg-s-2";
const API: &str = "/api/osinstall/v1";

/// What a switch is otherwise: the deed itself, once.
pub const WRONG: Wrong =
    Wrong { side: Side::Cloudboot, method: "", path: "", kind: Kind::Drop, ms: None, times: 1, skip: 0 };

/// One exchange that is lost, counted from 0 over the whole life.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    pub at: usize,
    /// Its work is done all the same.
    pub done: bool,
    /// Nobody repeats the call: the next is the undoing verb.
    pub given_up: bool,
}

/// What passes the gate, counted.
#[derive(Default)]
struct Gate {
    session: RefCell<Option<String>>,
    exchanges: Cell<usize>,
    loss: Cell<Option<Loss>>,
}

pub struct Run {
    pub sim: Sims,
    host: Rc<Host>,
    claim_trail: Trail,
    deploy_trail: Trail,
    gate: Rc<Gate>,
}

impl Run {
    pub fn start() -> Self {
        Self::with(Options::default(), json!({}))
    }

    /// `more`: settings beside those of every test.
    pub fn with(options: Options, more: Value) -> Self {
        let mut settings = json!({
            "network": "10.9.0.0/24", "bmc": { "username": "admin" }, "poll_ms": 50, "settle_ms": 500,
            "claim_settle_ms": 100, "boot_within_s": 2, "install_within_s": 4,
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            settings[key] = value.clone();
        }
        let sim = Sims::start(options);
        let address = sim.addresses().cloudboot.clone();
        // The driver's time runs faster where it waits for what never comes.
        let host = Rc::new(Host::with(settings).waiting(Duration::from_millis(400)));
        let gate = Rc::new(Gate::default());
        let (passed, calls) = (Rc::clone(&gate), Rc::clone(&host));
        testing::far_side(move |request| passed.exchange(&address, request, &calls));
        Self { sim, host, claim_trail: Trail::default(), deploy_trail: Trail::default(), gate }
    }

    /// Paths of a switch are those under the API's own.
    pub fn set(&self, wrong: &Wrong) {
        self.sim.set_under(&format!("{API}/"), wrong);
    }

    pub fn lose(&self, loss: Loss) {
        self.gate.loss.set(Some(loss));
    }

    /// How many exchanges passed the gate.
    pub fn exchanges(&self) -> usize {
        self.gate.exchanges.get()
    }

    pub fn claim(&self) -> Result<Node, Fault> {
        self.claim_as(CLAIM, &self.claim_trail, &shape(), &[])
    }

    pub fn claim_as(&self, mark: &str, trail: &Trail, want: &Shape, exclude: &[&str]) -> Result<Node, Fault> {
        let exclude: Vec<String> = exclude.iter().map(|sn| (*sn).to_owned()).collect();
        self.host.go_on(trail, |cx| CloudBoot::claim(cx, mark.into(), want.clone(), exclude.clone()))
    }

    pub fn deploy(&self, node: &Node) -> Result<Deployed, Fault> {
        self.deploy_so(&order(node))
    }

    pub fn deploy_so(&self, order: &Order) -> Result<Deployed, Fault> {
        self.host.go_on(&self.deploy_trail, |cx| CloudBoot::deploy(cx, DEPLOY.into(), order.clone()))
    }

    /// Another deployment of the same server: nothing is known of it yet.
    pub fn deploy_again(&self, node: &Node) -> Result<Deployed, Fault> {
        self.deploy_trail.replace(None);
        self.deploy(node)
    }

    /// The intent is stored, and the one call that acts on it is cut.
    pub fn claim_once_and_cut(&self) {
        for _ in 0..2 {
            let cx = Context { checkpoint: self.claim_trail.borrow().clone(), ..self.context() };
            if let Ok(NodeDoing::Pending(pause)) = CloudBoot::claim(cx, CLAIM.into(), shape(), Vec::new())
                && pause.after == 0
            {
                self.claim_trail.replace(Some(pause.checkpoint));
            }
        }
    }

    /// Somebody else deletes a device, with the session that the gate holds.
    pub fn delete_behind_our_back(&self, node: &Node) {
        let facts: Value = serde_json::from_str(&node.facts).unwrap();
        let body = json!([{ "ID": facts["device_id"], "AccessToken": "{{session.token}}" }]);
        let deleted = moganite_driver::Endpoint::named("cloudboot").post(&format!("{API}/device/batchDelete"), &body);
        assert!(deleted.unwrap().text().contains("success"));
    }

    pub fn undeploy(&self, deployed: Option<&Deployed>, level: Erase) -> Result<Value, Fault> {
        let what = self.deployment(deployed);
        self.undo(|cx| CloudBoot::undeploy(cx, what.clone(), level))
    }

    pub fn unclaim(&self, node: Option<&Node>) -> Result<Value, Fault> {
        let what = self.claimed(node);
        self.undo(|cx| CloudBoot::unclaim(cx, what.clone()))
    }

    pub fn set_power(&self, handle: &str, wish: PowerWish) -> Result<Value, Fault> {
        self.undo(|cx| CloudBoot::set_power(cx, handle.into(), wish))
    }

    pub fn observe(&self, handles: &[&str]) -> Vec<Observed> {
        let handles = handles.iter().map(|handle| (*handle).to_owned()).collect();
        CloudBoot::observe(self.context(), handles).unwrap()
    }

    pub fn find_claim(&self, node: Option<&Node>) -> Presence {
        self.settled(|| <CloudBoot as Claim>::find(self.context(), self.claimed(node)))
    }

    pub fn find_deployment(&self, deployed: Option<&Deployed>) -> Presence {
        self.settled(|| <CloudBoot as Deploy>::find(self.context(), self.deployment(deployed)))
    }

    pub fn listed(&self) -> (Vec<String>, Vec<String>) {
        let marks = |page: moganite_driver::Page| page.items.into_iter().map(|held| held.mark).collect();
        let claims = <CloudBoot as Claim>::list(self.context(), "s".into(), None).unwrap();
        let deployments = <CloudBoot as Deploy>::list(self.context(), "s".into(), None).unwrap();
        (marks(claims), marks(deployments))
    }

    pub fn context(&self) -> Context {
        self.host.context()
    }

    /// What CloudBoot does not know is what the gate holds.
    pub fn forget_the_session(&self, as_what: Option<&str>) {
        self.gate.session.replace(as_what.map(str::to_owned));
    }

    pub fn ledger(&self) -> Ledger {
        self.sim.ledger()
    }

    /// Nothing of ours entered, nothing of ours running, every server in the pool, no alarm.
    pub fn assert_nothing_is_held(&self, when: &str) {
        // A switch may have begun something that is still on its way.
        self.pass(Duration::from_millis(400));
        let ledger = self.ledger();
        let ours = ledger.cloudboot.held.iter().filter(|device| device.asset.starts_with("mg-")).count();
        assert_eq!(ours, 0, "{when}: {:?}", ledger.cloudboot.held);
        let is_somebody_elses = |sn: &String| ledger.cloudboot.held.iter().any(|device| device.sn == *sn);
        let running: Vec<_> = ledger.cloudboot.running.iter().filter(|sn| !is_somebody_elses(sn)).collect();
        assert!(running.is_empty(), "{when}: {running:?}");
        assert!(ledger.cloudboot.lost.is_empty(), "{when}: lost {:?}", ledger.cloudboot.lost);
        assert!(ledger.alarms.is_empty(), "{when}: {:?}", ledger.alarms);
    }

    /// Bodies of the requests whose path ends so.
    pub fn asked(&self, path: &str) -> Vec<Value> {
        let entries = self.sim.log_after(0).into_iter();
        entries.filter(|entry| entry.path.ends_with(path)).map(|entry| entry.body).collect()
    }

    fn claimed(&self, node: Option<&Node>) -> Holding {
        Holding {
            mark: CLAIM.into(),
            handle: node.map(|node| node.handle.clone()),
            facts: node.map_or_else(|| "{}".into(), |node| node.facts.clone()),
            trail: self.claim_trail.borrow().clone(),
        }
    }

    fn deployment(&self, deployed: Option<&Deployed>) -> Holding {
        Holding {
            mark: DEPLOY.into(),
            handle: deployed.map(|deployed| deployed.handle.clone()),
            facts: deployed.map_or_else(|| "{}".into(), |deployed| deployed.facts.clone()),
            trail: self.deploy_trail.borrow().clone(),
        }
    }

    pub fn pass(&self, time: Duration) {
        self.host.pass(time);
    }

    fn undo(&self, call: impl Fn(Context) -> Answer<Undoing>) -> Result<Value, Fault> {
        Ok(serde_json::from_str(&self.host.run(call).answer?).unwrap())
    }

    fn settled(&self, find: impl Fn() -> Result<Presence, Fault>) -> Presence {
        for _ in 0..40 {
            match find() {
                Ok(Presence::Unsettled(after)) => self.pass(Duration::from_millis(after)),
                Err(Fault::Retry(_)) => {}
                found => return found.unwrap(),
            }
        }
        panic!("never settled")
    }
}

pub fn shape() -> Shape {
    Shape {
        cores: 4,
        memory_mib: 8_192,
        disks_gib: vec![50],
        nics_mbps: vec![0],
        devices: Vec::new(),
        class: None,
        traits: Vec::new(),
        properties: "{}".into(),
    }
}

pub fn order(node: &Node) -> Order {
    Order {
        node: node.handle.clone(),
        image: json!({ "os": "centos6u7-x86_64", "system": "centos6u7-x86_64-kvm", "hardware": "Dell-R730" })
            .to_string(),
        hostname: "web-1".into(),
        user_data: None,
        ssh_keys: Vec::new(),
        networks: "{}".into(),
    }
}

impl Gate {
    fn exchange(&self, address: &str, request: &Request, host: &Host) -> Answer<Reply> {
        let at = self.exchanges.replace(self.exchanges.get() + 1);
        let Some(loss) = self.loss.get().filter(|loss| loss.at == at) else {
            return through_the_gate(address, &self.session, request);
        };
        if loss.done {
            through_the_gate(address, &self.session, request)?;
        }
        if loss.given_up {
            host.give_up();
        }
        Err(fault::retry("the connection broke"))
    }
}

/// What the gate does with a request: secrets where they are granted, the session where there is one, and its own 401 where not.
fn through_the_gate(address: &str, session: &RefCell<Option<String>>, request: &Request) -> Result<Reply, Fault> {
    let mut request = request.clone();
    let mut body = String::from_utf8(request.body.take().unwrap_or_default()).unwrap();
    if body.contains("{{session.token}}") {
        match &*session.borrow() {
            None => return testing::reply(401, json!({ "gate": "no session token" })),
            Some(token) => body = body.replace("{{session.token}}", token),
        }
    }
    body = body.replace("{{secret.password}}", "cloudboot-secret-password");
    body = body.replace("{{secret.bmc-password}}", "bmc-secret-password");
    body = body.replace("{{secret.bmc-password-2}}", "another-password");
    assert!(!body.contains("{{"), "a placeholder at no place: {body}");
    request.body = (!body.is_empty()).then(|| body.into_bytes());
    let reply = moganite_far::send(address, &request)?;
    if request.path.ends_with("/user/login") {
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        if let Some(token) = body["Content"]["AccessToken"].as_str() {
            session.replace(Some(token.to_owned()));
        }
    }
    Ok(reply)
}
