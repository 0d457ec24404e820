//! The way between the driver, which is called natively, and the simulator, which listens: a very small HTTP client,
//! and a host that calls a verb until it ends.

use driver_valence_redfish::ValenceRedfish;
use moganite_driver::{
    Compose, Context, Erase, Fault, Holding, Node, NodeDoing, Pause, Presence, Reply, Request, Shape, Undoing, fault,
    testing,
};
use moganite_sim::{Kind, Options, Side, Sim};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub const MARK: &str = "mg-s-1";

/// One switch of the simulator. Empty method and path: the deed itself.
#[derive(Clone, Debug)]
pub struct Wrong {
    pub method: &'static str,
    pub path: &'static str,
    pub side: Side,
    pub kind: Kind,
    pub ms: Option<u64>,
    pub times: u64,
}

pub struct Run {
    sim: Sim,
    _runtime: tokio::runtime::Runtime,
    settings: &'static str,
    /// The last checkpoint of compose.
    trail: RefCell<Option<Vec<u8>>>,
}

impl Run {
    pub fn start(options: Options) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sim = runtime.block_on(Sim::start(options)).unwrap();
        let address = sim.addresses().valence.trim_start_matches("http://").to_owned();
        testing::far_side(move |request| send(&address, request));
        testing::set_now(Duration::from_secs(1_000_000));
        let settings = r#"{"settle_s": 1, "gone_within_s": 2}"#;
        Self { sim, _runtime: runtime, settings, trail: RefCell::new(None) }
    }

    pub fn with_podm_id(self) -> Self {
        self.trail.replace(None);
        Self { settings: r#"{"podm_id": "podm-1"}"#, ..self }
    }

    pub fn set(&self, wrong: Wrong) {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut fault: moganite_sim::Fault =
            serde_json::from_value(serde_json::json!({ "kind": wrong.kind, "times": wrong.times })).unwrap();
        fault.side = Some(wrong.side);
        fault.method = text(wrong.method);
        fault.path = text(wrong.path);
        fault.ms = wrong.ms;
        self.sim.fault(fault);
    }

    pub fn compose(&self) -> Result<Node, Fault> {
        let want = Shape {
            cores: 8,
            memory_mib: 16_384,
            disks_gib: Vec::new(),
            nics_mbps: Vec::new(),
            devices: Vec::new(),
            class: None,
            traits: Vec::new(),
            properties: "{}".into(),
        };
        self.until_done(&self.trail, |cx| match ValenceRedfish::compose(cx, MARK.into(), want.clone())? {
            NodeDoing::Done(node) => Ok(Ok(node)),
            NodeDoing::Pending(pause) => Ok(Err(pause)),
        })
    }

    pub fn release(&self, node: Option<&Node>) -> Result<String, Fault> {
        let what = self.holding(node);
        self.until_done(&RefCell::new(None), |cx| match ValenceRedfish::release(cx, what.clone(), Erase::None)? {
            Undoing::Done(receipt) => Ok(Ok(receipt)),
            Undoing::Pending(pause) => Ok(Err(pause)),
        })
    }

    pub fn find(&self, node: Option<&Node>) -> Presence {
        ValenceRedfish::find(testing::context(self.settings), self.holding(node)).unwrap()
    }

    pub fn listed(&self) -> Vec<String> {
        let page = ValenceRedfish::list(testing::context(self.settings), "s".into(), None).unwrap();
        page.items.into_iter().map(|item| item.mark).collect()
    }

    pub fn assert_nothing_is_held(&self, when: &str) {
        // A switch may have begun something that is still on its way.
        pass(Duration::from_millis(400));
        let held = self.sim.ledger().pod.held;
        assert!(held.is_empty(), "{when}: {held:?}");
    }

    pub fn assert_at_most_one_is_held(&self, when: &str) {
        let held = self.sim.ledger().pod.held;
        assert!(held.len() <= 1, "{when}: {held:?}");
    }

    fn holding(&self, node: Option<&Node>) -> Holding {
        Holding {
            mark: MARK.into(),
            handle: node.map(|node| node.handle.clone()),
            facts: node.map_or_else(|| "{}".into(), |node| node.facts.clone()),
            trail: self.trail.borrow().clone(),
        }
    }

    fn until_done<T>(
        &self,
        trail: &RefCell<Option<Vec<u8>>>,
        call: impl Fn(Context) -> Result<Result<T, Pause>, Fault>,
    ) -> Result<T, Fault> {
        until_done(testing::context(self.settings), trail, call)
    }
}

/// Stores each checkpoint, waits as asked, and repeats what is to be retried, twenty times at most.
pub fn until_done<T>(
    first: Context,
    trail: &RefCell<Option<Vec<u8>>>,
    call: impl Fn(Context) -> Result<Result<T, Pause>, Fault>,
) -> Result<T, Fault> {
    let mut attempt = first.attempt;
    for _ in 0..400 {
        let cx = Context { attempt, checkpoint: trail.borrow().clone(), ..first.clone() };
        match call(cx) {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(pause)) => {
                trail.replace(Some(pause.checkpoint));
                attempt = 1;
                pass(Duration::from_millis(pause.after));
            }
            Err(Fault::Retry(_)) if attempt < 20 => {
                attempt += 1;
                pass(Duration::from_millis(100));
            }
            Err(fault) => return Err(fault),
        }
    }
    panic!("no end")
}

/// The simulator's time is the machine's, so waiting is waiting; but nothing there takes a second.
#[allow(clippy::disallowed_methods, reason = "waits for a server of another thread")]
pub fn pass(time: Duration) {
    std::thread::sleep(time.min(Duration::from_secs(1)));
    testing::set_now(moganite_driver::now() + time);
}

pub fn send(address: &str, request: &Request) -> Result<Reply, Fault> {
    exchange(address, request).map_err(|error| fault::retry(error.to_string()))
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
    let Ok(mut reply) = testing::reply(status.unwrap_or(0), serde_json::Value::Null) else { panic!() };
    let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    reply.headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    reply.body = answer[end + 4..].to_vec();
    Ok(reply)
}
