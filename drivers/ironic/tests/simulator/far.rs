//! The driver, called natively, and an operator who has registered servers in Ironic.

pub(crate) use moganite_far::{Did, Wrong};

use driver_ironic::Ironic;
use moganite_driver::{
    Claim, Context, Deploy, Deployed, Erase, Fault, Holding, Node, NodeDoing, Order, Presence, Request, Shape, testing,
};
use moganite_far::{Host, Sims};
use moganite_sim::{Kind, Options, Side};
use serde_json::{Value, json};
use std::time::Duration;

/// What a switch is otherwise: the deed itself, once.
pub(crate) const WRONG: Wrong =
    Wrong { side: Side::Ironic, method: "", path: "", kind: Kind::Drop, ms: None, times: 1, skip: 0 };

pub(crate) struct Run {
    sim: Sims,
    host: Host,
}

impl Run {
    /// A simulator with so many servers, registered in Ironic as an operator would: class `gold`, power known, available, cleaned by
    /// nobody.
    pub(crate) fn with_servers(servers: usize) -> Self {
        let sim = Sims::start(Options { systems: servers, ..Options::default() });
        let address = sim.addresses().ironic.clone();
        testing::far_side(move |request| moganite_far::send(&address, request));
        let settings = json!({ "poll_ms": 50, "allocate_ms": 400, "settle_ms": 600, "configdrive": false });
        let run = Self { sim, host: Host::with(settings).waiting(Duration::MAX) };
        for number in 1..=servers {
            run.register(number, json!({}));
        }
        run
    }

    /// With these settings beside the test's own.
    pub(crate) fn set_up(self, more: Value) -> Self {
        let mut settings: Value = serde_json::from_str(&self.host.settings.borrow()).unwrap();
        for (key, value) in more.as_object().unwrap() {
            settings[key] = value.clone();
        }
        self.host.settings.replace(settings.to_string());
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
            self.host.pass(Duration::from_millis(20));
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
        let reply = moganite_far::send(&self.sim.addresses().ironic, &request).unwrap();
        (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
    }

    pub(crate) fn set(&self, wrong: Wrong) {
        self.sim.set(&wrong);
    }

    pub(crate) fn claim(&self, mark: &str, exclude: &[&str]) -> Did<Node> {
        self.claim_shape(mark, shape(), exclude)
    }

    pub(crate) fn claim_shape(&self, mark: &str, want: Shape, exclude: &[&str]) -> Did<Node> {
        let exclude: Vec<String> = exclude.iter().map(|id| (*id).to_owned()).collect();
        self.host.run(|cx| Ironic::claim(cx, mark.into(), want.clone(), exclude.clone()))
    }

    /// A server that somebody has deployed by hand, and that runs; what Ironic shows of it.
    pub(crate) fn running(&self, number: usize) -> Value {
        let uuid = Self::node_of(number);
        self.patch(&uuid, "instance_info", image());
        self.bring(&uuid, "active");
        self.shown(&uuid)
    }

    /// All that Ironic shows of a node, but when it was written.
    pub(crate) fn shown(&self, uuid: &str) -> Value {
        let mut node = self.node(uuid);
        node["updated_at"] = Value::Null;
        node
    }

    pub(crate) fn adopt(&self, mark: &str, id: &str) -> Did<Node> {
        self.claim_shape(mark, Shape { properties: json!({ "node": id, "adopt": true }).to_string(), ..shape() }, &[])
    }

    /// So many calls of an adoption, and no more.
    pub(crate) fn adopt_for(&self, mark: &str, id: &str, calls: usize) -> Did<Node> {
        let want = Shape { properties: json!({ "node": id, "adopt": true }).to_string(), ..shape() };
        let (mut trail, mut attempt) = (None, 1);
        for _ in 0..calls {
            let cx = Context { checkpoint: trail.clone(), attempt, ..self.host.context() };
            match Ironic::claim(cx, mark.into(), want.clone(), Vec::new()) {
                Ok(NodeDoing::Pending(pause)) => (trail, attempt) = (Some(pause.checkpoint), 1),
                _ => attempt += 1,
            }
        }
        Did { answer: Err(Fault::Broken(String::new())), trail }
    }

    pub(crate) fn pause(&self, ms: u64) {
        self.host.pass(Duration::from_millis(ms));
    }

    pub(crate) fn take_over(&self, mark: &str, node: &str) -> Did<Deployed> {
        self.deploy(mark, node, &json!({ "adopt": true }))
    }

    /// Both undone as the host undoes what was never ours, last taken first.
    pub(crate) fn let_go(
        &self,
        claim: (&str, &Did<Node>),
        deploy: Option<(&str, &Did<Deployed>)>,
    ) -> Result<(), Fault> {
        let never_ours = |facts: &str| {
            let mut facts: Value = serde_json::from_str(facts).unwrap();
            facts["let-go"] = true.into();
            facts.to_string()
        };
        if let Some((mark, did)) = deploy {
            let what = self.deployment(mark, did);
            let what = Holding { facts: never_ours(&what.facts), ..what };
            self.host.run(|cx| Ironic::undeploy(cx, what.clone(), Erase::Full)).answer?;
            assert_eq!(self.find_deployed(what), Presence::Absent);
        }
        let (mark, did) = claim;
        let handle = did.answer.as_ref().ok().map(|node| node.handle.clone());
        let what = holding(mark, handle, &never_ours("{}"), did.trail.clone());
        self.host.run(|cx| Ironic::unclaim(cx, what.clone())).answer?;
        assert_eq!(<Ironic as Claim>::find(self.host.context(), what).unwrap(), Presence::Absent);
        Ok(())
    }

    /// The requests that Ironic saw, `METHOD path`, after this many of all.
    pub(crate) fn asked_since(&self, after: u64) -> Vec<String> {
        let seen = self.sim.log_after(after).into_iter().filter(|entry| entry.side == Side::Ironic);
        seen.map(|entry| format!("{} {}", entry.method, entry.path)).collect()
    }

    pub(crate) fn requests(&self) -> u64 {
        self.sim.log_after(0).last().map_or(0, |entry| entry.n)
    }

    pub(crate) fn runs(&self) -> Vec<String> {
        self.sim.ledger().machines.running
    }

    pub(crate) fn alarms(&self) -> Vec<String> {
        self.sim.ledger().alarms
    }

    /// One call of a claim, as the host makes it the first time or after a checkpoint.
    pub(crate) fn claim_once(&self, mark: &str, checkpoint: Option<Vec<u8>>, attempt: u32) -> Result<NodeDoing, Fault> {
        let cx = Context { checkpoint, attempt, ..self.host.context() };
        Ironic::claim(cx, mark.into(), shape(), Vec::new())
    }

    pub(crate) fn unclaim(&self, mark: &str, did: &Did<Node>) -> Result<String, Fault> {
        let what = holding(mark, did.answer.as_ref().ok().map(|node| node.handle.clone()), "{}", did.trail.clone());
        self.host.run(|cx| Ironic::unclaim(cx, what.clone())).answer
    }

    pub(crate) fn deploy(&self, mark: &str, node: &str, image: &Value) -> Did<Deployed> {
        let order = Order {
            node: node.into(),
            image: image.to_string(),
            hostname: "web-1".into(),
            user_data: None,
            ssh_keys: Vec::new(),
            networks: "{}".into(),
        };
        self.host.run(|cx| Ironic::deploy(cx, mark.into(), order.clone()))
    }

    pub(crate) fn undeploy(&self, mark: &str, did: &Did<Deployed>, level: Erase) -> Result<String, Fault> {
        let what = self.deployment(mark, did);
        self.host.run(|cx| Ironic::undeploy(cx, what.clone(), level)).answer
    }

    pub(crate) fn deployment(&self, mark: &str, did: &Did<Deployed>) -> Holding {
        match &did.answer {
            Ok(deployed) => holding(mark, Some(deployed.handle.clone()), &deployed.facts, did.trail.clone()),
            Err(_) => holding(mark, None, "{}", did.trail.clone()),
        }
    }

    pub(crate) fn find_claimed(&self, mark: &str, trail: Option<Vec<u8>>) -> Presence {
        <Ironic as Claim>::find(self.host.context(), holding(mark, None, "{}", trail)).unwrap()
    }

    pub(crate) fn find_deployed(&self, what: Holding) -> Presence {
        <Ironic as Deploy>::find(self.host.context(), what).unwrap()
    }

    pub(crate) fn listed_claims(&self, site: &str) -> Vec<String> {
        let page = <Ironic as Claim>::list(self.host.context(), site.into(), None).unwrap();
        page.items.into_iter().map(|held| held.mark).collect()
    }

    pub(crate) fn assert_all_free(&self, when: &str) {
        // A switch may have begun something that is still on its way.
        self.host.pass(Duration::from_millis(400));
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
