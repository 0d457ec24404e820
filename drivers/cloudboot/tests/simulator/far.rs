//! The way between the driver, which is called natively, and the simulator, which listens: a very small HTTP client with what the gate
//! does (secrets and the session at their places), and a host that calls a verb until it ends.

use driver_cloudboot::CloudBoot;
use moganite_driver::{
    Claim, Context, Deploy, DeployDoing, Deployed, Erase, Fault, Holding, Node, NodeDoing, Observed, Order, Pause,
    PowerWish, Presence, Reply, Request, Shape, Undoing, fault, testing,
};
use moganite_sim::{Kind, Ledger, Options, Side, Sim};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

pub const CLAIM: &str = "mg-s-1";
pub const DEPLOY: &str = "mg-s-2";
const API: &str = "/api/osinstall/v1";

/// One switch of the simulator. An empty path: the deed itself.
#[derive(Clone, Debug)]
pub struct Wrong {
    pub path: &'static str,
    pub kind: Kind,
    pub ms: Option<u64>,
    pub times: u64,
    pub skip: u64,
}

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
    pub sim: Sim,
    _runtime: tokio::runtime::Runtime,
    settings: String,
    claim_trail: RefCell<Option<Vec<u8>>>,
    deploy_trail: RefCell<Option<Vec<u8>>>,
    gate: Rc<Gate>,
}

impl Run {
    pub fn start() -> Self {
        Self::with(Options::default(), json!({}))
    }

    /// `more`: settings beside those of every test.
    pub fn with(options: Options, more: Value) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sim = runtime.block_on(Sim::start(options)).unwrap();
        let address = sim.addresses().cloudboot.trim_start_matches("http://").to_owned();
        let gate = Rc::new(Gate::default());
        let passed = Rc::clone(&gate);
        testing::far_side(move |request| passed.exchange(&address, request));
        testing::set_now(Duration::from_secs(1_000_000));
        let mut settings = json!({
            "network": "10.9.0.0/24", "bmc": { "username": "admin" }, "poll_ms": 50, "settle_ms": 500,
            "claim_settle_ms": 100, "boot_within_s": 2, "install_within_s": 4,
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            settings[key] = value.clone();
        }
        let (claim_trail, deploy_trail) = (RefCell::default(), RefCell::default());
        Self { sim, _runtime: runtime, settings: settings.to_string(), claim_trail, deploy_trail, gate }
    }

    pub fn set(&self, wrong: &Wrong) {
        let mut fault: moganite_sim::Fault =
            serde_json::from_value(json!({ "kind": wrong.kind, "times": wrong.times, "skip": wrong.skip })).unwrap();
        if !wrong.path.is_empty() {
            fault.side = Some(Side::Cloudboot);
            fault.path = Some(format!("{API}/{}", wrong.path));
        }
        fault.ms = wrong.ms;
        self.sim.fault(fault);
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

    pub fn claim_as(
        &self,
        mark: &str,
        trail: &RefCell<Option<Vec<u8>>>,
        want: &Shape,
        exclude: &[&str],
    ) -> Result<Node, Fault> {
        let exclude: Vec<String> = exclude.iter().map(|sn| (*sn).to_owned()).collect();
        self.until_done(trail, |cx| match CloudBoot::claim(cx, mark.into(), want.clone(), exclude.clone())? {
            NodeDoing::Done(node) => Ok(Ok(node)),
            NodeDoing::Pending(pause) => Ok(Err(pause)),
        })
    }

    pub fn deploy(&self, node: &Node) -> Result<Deployed, Fault> {
        self.deploy_so(&order(node))
    }

    pub fn deploy_so(&self, order: &Order) -> Result<Deployed, Fault> {
        self.until_done(&self.deploy_trail, |cx| match CloudBoot::deploy(cx, DEPLOY.into(), order.clone())? {
            DeployDoing::Done(deployed) => Ok(Ok(deployed)),
            DeployDoing::Pending(pause) => Ok(Err(pause)),
        })
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
        testing::context(self.settings.clone())
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
        pass(Duration::from_millis(400));
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

    fn undo(&self, call: impl Fn(Context) -> Result<Undoing, Fault>) -> Result<Value, Fault> {
        let receipt = self.until_done(&RefCell::default(), |cx| match call(cx)? {
            Undoing::Done(receipt) => Ok(Ok(receipt)),
            Undoing::Pending(pause) => Ok(Err(pause)),
        })?;
        Ok(serde_json::from_str(&receipt).unwrap())
    }

    fn settled(&self, find: impl Fn() -> Result<Presence, Fault>) -> Presence {
        for _ in 0..40 {
            match find() {
                Ok(Presence::Unsettled(after)) => pass(Duration::from_millis(after)),
                Err(Fault::Retry(_)) => {}
                found => return found.unwrap(),
            }
        }
        panic!("never settled")
    }

    /// Stores each checkpoint, waits as asked, and repeats what is to be retried, twenty times at most.
    fn until_done<T>(
        &self,
        trail: &RefCell<Option<Vec<u8>>>,
        call: impl Fn(Context) -> Result<Result<T, Pause>, Fault>,
    ) -> Result<T, Fault> {
        let mut attempt = 1;
        for _ in 0..400 {
            let cx = Context { attempt, checkpoint: trail.borrow().clone(), ..self.context() };
            match call(cx) {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(pause)) => {
                    trail.replace(Some(pause.checkpoint));
                    attempt = 1;
                    pass(Duration::from_millis(pause.after));
                }
                Err(fault) if self.gate.is_given_up() => return Err(fault),
                Err(Fault::Retry(_)) if attempt < 20 => {
                    attempt += 1;
                    pass(Duration::from_millis(50));
                }
                Err(fault) => return Err(fault),
            }
        }
        panic!("no end")
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

/// The simulator's time is the machine's, so waiting is waiting. The driver's runs ten times as fast where it waits for what never comes.
#[allow(clippy::disallowed_methods, reason = "waits for a server of another thread")]
pub fn pass(time: Duration) {
    std::thread::sleep(time.min(Duration::from_millis(400)));
    testing::set_now(moganite_driver::now() + time);
}

impl Gate {
    fn exchange(&self, address: &str, request: &Request) -> Result<Reply, Fault> {
        let at = self.exchanges.replace(self.exchanges.get() + 1);
        match self.loss.get().filter(|loss| loss.at == at) {
            Some(loss) => {
                if loss.done {
                    through_the_gate(address, &self.session, request)?;
                }
                Err(fault::retry("the connection broke"))
            }
            None => through_the_gate(address, &self.session, request),
        }
    }

    /// Whether the exchange was lost just now, and the call with it. Says so once.
    fn is_given_up(&self) -> bool {
        let struck = self.loss.get().filter(|loss| loss.given_up && loss.at < self.exchanges.get());
        struck.inspect(|_| self.loss.set(None)).is_some()
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
    let reply = exchange(address, &request).map_err(|error| fault::retry(error.to_string()))?;
    if request.path.ends_with("/user/login") {
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        if let Some(token) = body["Content"]["AccessToken"].as_str() {
            session.replace(Some(token.to_owned()));
        }
    }
    Ok(reply)
}

/// HTTP/1.0: one exchange a connection, and no chunks in the answer.
fn exchange(address: &str, request: &Request) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect(address)?;
    let body = request.body.clone().unwrap_or_default();
    let mut head = format!("{} {} HTTP/1.0\r\nhost: {address}\r\n", request.method, request.path);
    for (name, value) in &request.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    let Ok(mut reply) = testing::reply(status.unwrap_or(0), Value::Null) else { panic!() };
    reply.body = answer[end + 4..].to_vec();
    Ok(reply)
}
