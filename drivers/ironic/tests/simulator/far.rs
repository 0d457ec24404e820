//! The way between the driver, which is called natively, and the simulator, which listens: a very small HTTP client, an operator who has
//! registered servers in Ironic, and a host that calls a verb until it ends.

use driver_ironic::Ironic;
use moganite_driver::{
    Claim, Context, Deploy, DeployDoing, Erase, Fault, Holding, Node, NodeDoing, Order, Pause, Presence, Reply,
    Request, Shape, Undoing, fault, testing,
};
use moganite_sim::{Kind, Options, Side, Sim};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// One switch of the simulator. Empty method and path: the deed itself.
#[derive(Clone, Debug)]
pub(crate) struct Wrong {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
    pub(crate) ms: Option<u64>,
    pub(crate) times: u64,
}

pub(crate) struct Run {
    sim: Sim,
    _runtime: tokio::runtime::Runtime,
    settings: Value,
}

/// What a doing verb answered, and the last checkpoint that it stored.
pub(crate) struct Did<T> {
    pub(crate) answer: Result<T, Fault>,
    pub(crate) trail: Option<Vec<u8>>,
}

impl Run {
    /// A simulator with so many servers, registered in Ironic as an operator would: class `gold`, power known, available, cleaned by
    /// nobody.
    pub(crate) fn with_servers(servers: usize) -> Self {
        let options = Options { systems: servers, ..Options::default() };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sim = runtime.block_on(Sim::start(options)).unwrap();
        let address = sim.addresses().ironic.trim_start_matches("http://").to_owned();
        testing::far_side(move |request| send(&address, request));
        testing::set_now(Duration::from_secs(1_000_000));
        let settings = json!({ "poll_ms": 50, "allocate_ms": 400, "settle_ms": 600, "configdrive": false });
        let run = Self { sim, _runtime: runtime, settings };
        for number in 1..=servers {
            run.register(number, json!({}));
        }
        run
    }

    /// With these settings beside the test's own.
    pub(crate) fn set_up(mut self, more: Value) -> Self {
        for (key, value) in more.as_object().unwrap() {
            self.settings[key] = value.clone();
        }
        self
    }

    /// The uuid of a server's node, from 1.
    pub(crate) fn node_of(number: usize) -> String {
        format!("11111111-0000-4000-8000-{number:012}")
    }

    fn register(&self, number: usize, more: Value) {
        let uuid = Self::node_of(number);
        let mut body = json!({
            "uuid": uuid, "name": format!("rack-{number}"), "driver": "redfish", "deploy_interface": "ramdisk",
            "boot_interface": "redfish-virtual-media", "bios_interface": "no-bios", "firmware_interface": "no-firmware",
            "raid_interface": "no-raid", "vendor_interface": "no-vendor", "automated_clean": false, "resource_class": "gold",
            "driver_info": {
                "redfish_address": self.sim.addresses().podm, "redfish_system_id": format!("/redfish/v1/Systems/{number}"),
                "redfish_username": "admin", "redfish_password": "bmc-secret-password", "redfish_verify_ca": false,
            },
            "properties": { "cpus": 8, "memory_mb": 16_384, "local_gb": 99, "cpu_arch": "x86_64" },
        });
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        assert_eq!(self.ironic("POST", "/v1/nodes", &body).0, 201);
        let port = json!({ "node_uuid": uuid, "address": format!("52:54:00:00:00:{number:02x}") });
        assert_eq!(self.ironic("POST", "/v1/ports", &port).0, 201);
        self.bring(&uuid, "manage");
        self.bring(&uuid, "inspect");
        self.bring(&uuid, "provide");
    }

    /// Sends a verb and waits for the lock's end.
    pub(crate) fn bring(&self, uuid: &str, verb: &str) {
        let path = format!("/v1/nodes/{uuid}/states/provision");
        let said = self.ironic("PUT", &path, &json!({ "target": verb }));
        assert_eq!(said.0, 202, "{verb}: {}", said.1);
        while !self.node(uuid)["reservation"].is_null() {
            pass(Duration::from_millis(20));
        }
    }

    pub(crate) fn patch(&self, uuid: &str, field: &str, value: Value) {
        let ops = json!([{ "op": "add", "path": format!("/{field}"), "value": value }]);
        assert_eq!(self.ironic("PATCH", &format!("/v1/nodes/{uuid}"), &ops).0, 200);
    }

    pub(crate) fn node(&self, uuid: &str) -> Value {
        self.ironic("GET", &format!("/v1/nodes/{uuid}"), &Value::Null).1
    }

    pub(crate) fn allocations(&self) -> Vec<Value> {
        self.ironic("GET", "/v1/allocations", &Value::Null).1["allocations"].as_array().unwrap().clone()
    }

    /// A request of the operator's own.
    pub(crate) fn ironic(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = Request {
            endpoint: "ironic".into(),
            method: method.into(),
            path: path.into(),
            headers: vec![
                ("x-openstack-ironic-api-version".into(), "1.86".into()),
                ("content-type".into(), "application/json".into()),
            ],
            body: (!body.is_null()).then(|| body.to_string().into_bytes()),
            within: None,
        };
        let reply = exchange(self.sim.addresses().ironic.trim_start_matches("http://"), &request).unwrap();
        (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
    }

    pub(crate) fn set(&self, wrong: Wrong) {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut fault: moganite_sim::Fault =
            serde_json::from_value(json!({ "kind": wrong.kind, "times": wrong.times })).unwrap();
        fault.side = Some(Side::Ironic);
        fault.method = text(wrong.method);
        fault.path = text(wrong.path);
        fault.ms = wrong.ms;
        self.sim.fault(fault);
    }

    pub(crate) fn claim(&self, mark: &str, exclude: &[&str]) -> Did<Node> {
        self.claim_shape(mark, shape(), exclude)
    }

    pub(crate) fn claim_shape(&self, mark: &str, want: Shape, exclude: &[&str]) -> Did<Node> {
        let exclude: Vec<String> = exclude.iter().map(|id| (*id).to_owned()).collect();
        self.until_done(|cx| match Ironic::claim(cx, mark.into(), want.clone(), exclude.clone())? {
            NodeDoing::Done(node) => Ok(Ok(node)),
            NodeDoing::Pending(pause) => Ok(Err(pause)),
        })
    }

    /// One call of a claim, as the host makes it the first time or after a checkpoint.
    pub(crate) fn claim_once(&self, mark: &str, checkpoint: Option<Vec<u8>>, attempt: u32) -> Result<NodeDoing, Fault> {
        let cx = Context { checkpoint, attempt, ..testing::context(self.settings.to_string()) };
        Ironic::claim(cx, mark.into(), shape(), Vec::new())
    }

    pub(crate) fn unclaim(&self, mark: &str, did: &Did<Node>) -> Result<String, Fault> {
        let what = holding(mark, did.answer.as_ref().ok().map(|node| node.handle.clone()), "{}", did.trail.clone());
        self.undone(|cx| Ironic::unclaim(cx, what.clone()))
    }

    pub(crate) fn deploy(&self, mark: &str, node: &str, image: &Value) -> Did<(String, String)> {
        let order = Order {
            node: node.into(),
            image: image.to_string(),
            hostname: "web-1".into(),
            user_data: None,
            ssh_keys: Vec::new(),
            networks: "{}".into(),
        };
        self.until_done(|cx| match Ironic::deploy(cx, mark.into(), order.clone())? {
            DeployDoing::Done(deployed) => Ok(Ok((deployed.handle, deployed.facts))),
            DeployDoing::Pending(pause) => Ok(Err(pause)),
        })
    }

    pub(crate) fn undeploy(&self, mark: &str, did: &Did<(String, String)>, level: Erase) -> Result<String, Fault> {
        let what = self.deployment(mark, did);
        self.undone(|cx| Ironic::undeploy(cx, what.clone(), level))
    }

    pub(crate) fn deployment(&self, mark: &str, did: &Did<(String, String)>) -> Holding {
        match &did.answer {
            Ok((handle, facts)) => holding(mark, Some(handle.clone()), facts, did.trail.clone()),
            Err(_) => holding(mark, None, "{}", did.trail.clone()),
        }
    }

    pub(crate) fn find_claimed(&self, mark: &str, trail: Option<Vec<u8>>) -> Presence {
        let cx = testing::context(self.settings.to_string());
        <Ironic as Claim>::find(cx, holding(mark, None, "{}", trail)).unwrap()
    }

    pub(crate) fn find_deployed(&self, what: Holding) -> Presence {
        <Ironic as Deploy>::find(testing::context(self.settings.to_string()), what).unwrap()
    }

    pub(crate) fn listed_claims(&self, site: &str) -> Vec<String> {
        let page = <Ironic as Claim>::list(testing::context(self.settings.to_string()), site.into(), None).unwrap();
        page.items.into_iter().map(|held| held.mark).collect()
    }

    pub(crate) fn assert_all_free(&self, when: &str) {
        // A switch may have begun something that is still on its way.
        pass(Duration::from_millis(400));
        assert_eq!(self.allocations(), Vec::<Value>::new(), "{when}");
        for node in self.sim.ledger().ironic.held {
            assert_eq!(node.instance_uuid, None, "{when}: {node:?}");
        }
        assert_eq!(self.sim.ledger().machines.running, Vec::<String>::new(), "{when}");
        assert_eq!(self.sim.ledger().alarms, Vec::<String>::new(), "{when}");
    }

    /// The systems on whose disks somebody's data is.
    pub(crate) fn data(&self) -> Vec<String> {
        self.sim.ledger().machines.data.into_iter().map(|data| data.system).collect()
    }

    fn undone(&self, call: impl Fn(Context) -> Result<Undoing, Fault>) -> Result<String, Fault> {
        self.until_done(|cx| match call(cx)? {
            Undoing::Done(receipt) => Ok(Ok(receipt)),
            Undoing::Pending(pause) => Ok(Err(pause)),
        })
        .answer
    }

    /// Stores each checkpoint, waits as asked, and repeats what is to be retried, twenty times at most.
    fn until_done<T>(&self, call: impl Fn(Context) -> Result<Result<T, Pause>, Fault>) -> Did<T> {
        let mut trail: Option<Vec<u8>> = None;
        let mut attempt = 1;
        for _ in 0..400 {
            let cx = Context { attempt, checkpoint: trail.clone(), ..testing::context(self.settings.to_string()) };
            match call(cx) {
                Ok(Ok(done)) => return Did { answer: Ok(done), trail },
                Ok(Err(pause)) => {
                    trail = Some(pause.checkpoint);
                    attempt = 1;
                    pass(Duration::from_millis(pause.after));
                }
                Err(Fault::Retry(_)) if attempt < 20 => {
                    attempt += 1;
                    pass(Duration::from_millis(50));
                }
                Err(fault) => return Did { answer: Err(fault), trail },
            }
        }
        panic!("no end")
    }
}

pub(crate) fn shape() -> Shape {
    Shape {
        cores: 0,
        memory_mib: 0,
        disks_gib: Vec::new(),
        nics_mbps: Vec::new(),
        devices: Vec::new(),
        class: Some("gold".into()),
        traits: Vec::new(),
        properties: "{}".into(),
    }
}

pub(crate) fn image() -> Value {
    json!({ "boot_iso": "http://images.example/boot.iso" })
}

fn holding(mark: &str, handle: Option<String>, facts: &str, trail: Option<Vec<u8>>) -> Holding {
    Holding { mark: mark.into(), handle, facts: facts.into(), trail }
}

/// The simulator's time is the machine's, so waiting is waiting.
#[allow(clippy::disallowed_methods, reason = "waits for a server of another thread")]
pub(crate) fn pass(time: Duration) {
    std::thread::sleep(time);
    testing::set_now(moganite_driver::now() + time);
}

fn send(address: &str, request: &Request) -> Result<Reply, Fault> {
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
    let Ok(mut reply) = testing::reply(status.unwrap_or(0), Value::Null) else { panic!() };
    reply.body = answer[end + 4..].to_vec();
    Ok(reply)
}
