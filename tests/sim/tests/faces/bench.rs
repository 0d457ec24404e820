//! What the tests of the faces share: a simulator and a client that speaks plain HTTP to it.

use moganite_sim::{Fault, Options, Sim};
use reqwest::{Client, Method};
use serde_json::{Value, json};

pub(crate) struct Bench {
    pub(crate) sim: Sim,
    client: Client,
}

/// One answer: status, body as JSON (null when it is none), and the headers.
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) headers: reqwest::header::HeaderMap,
}

impl Got {
    /// None: the connection closed in the middle of the answer.
    async fn read(response: reqwest::Response) -> Option<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.ok()?;
        Some(Self { status, body: serde_json::from_str(&text).unwrap_or(Value::Null), headers })
    }

    /// Ironic's inner error object, parsed a second time.
    pub(crate) fn inner(&self) -> Value {
        serde_json::from_str(self.body["error_message"].as_str().expect("an error_message that is a string")).unwrap()
    }

    pub(crate) fn sentence(&self) -> String {
        let inner = self.inner();
        inner["faultstring"].as_str().or(inner["description"].as_str()).unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::default();
        change(&mut options);
        rustls::crypto::ring::default_provider().install_default().ok(); // Another test of this process was first.
        Self { sim: Sim::start(options).await.unwrap(), client: Client::builder().no_proxy().build().unwrap() }
    }

    pub(crate) fn fault(&self, fault: Value) {
        self.sim.fault(serde_json::from_value::<Fault>(fault).unwrap());
    }

    pub(crate) async fn valence(&self, method: &str, path: &str, body: Value) -> Got {
        self.send(method, &self.sim.addresses().valence, path, body, &[]).await.unwrap()
    }

    /// The same, where the connection may close without an answer.
    pub(crate) async fn try_valence(&self, method: &str, path: &str, body: Value) -> Option<Got> {
        self.send(method, &self.sim.addresses().valence, path, body, &[]).await
    }

    pub(crate) async fn ironic(&self, method: &str, path: &str, body: Value) -> Got {
        self.ironic_at("1.86", method, path, body).await
    }

    pub(crate) async fn ironic_at(&self, version: &str, method: &str, path: &str, body: Value) -> Got {
        let headers = [("X-OpenStack-Ironic-API-Version", version)];
        self.send(method, &self.sim.addresses().ironic, path, body, &headers).await.unwrap()
    }

    pub(crate) async fn control(&self, method: &str, path: &str, body: Value) -> Got {
        self.send(method, &self.sim.addresses().control, path, body, &[]).await.unwrap()
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        base: &str,
        path: &str,
        body: Value,
        headers: &[(&str, &str)],
    ) -> Option<Got> {
        let mut request = self.client.request(method.parse::<Method>().unwrap(), format!("{base}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        Got::read(request.send().await.ok()?).await
    }

    /// A body as it is, under a content type of the caller's choice.
    pub(crate) async fn raw(&self, method: &str, base: &str, path: &str, kind: &str, body: &str) -> Got {
        let request = self.client.request(method.parse::<Method>().unwrap(), format!("{base}{path}"));
        Got::read(request.header("content-type", kind).body(body.to_owned()).send().await.unwrap()).await.unwrap()
    }

    pub(crate) fn ledger(&self) -> Value {
        serde_json::to_value(self.sim.ledger()).unwrap()
    }

    /// The ledger, over HTTP, once it is as wanted.
    pub(crate) async fn until_ledger(&self, good: impl Fn(&Value) -> bool) -> Value {
        until(|| async { self.control("GET", "/ledger", Value::Null).await.body }, good).await
    }

    /// Composes a node of this name and waits until it is assembled; Valence's detail of it.
    pub(crate) async fn compose(&self, name: &str) -> Value {
        let made = self.valence("POST", "/v1/nodes", shape(name)).await;
        assert_eq!(made.status, 200, "{}", made.body);
        let path = format!("/v1/nodes/{}", made.body["uuid"].as_str().unwrap());
        until(
            || async { self.valence("GET", &path, Value::Null).await.body },
            |detail| detail["node_state"] == "Assembled",
        )
        .await
    }

    /// Creates Ironic's node for a composed one, with its ports.
    pub(crate) async fn enroll(&self, name: &str, composed: &Value) -> String {
        let uuid = uuid::Uuid::now_v7().to_string();
        let got = self.ironic("POST", "/v1/nodes", self.node(&uuid, name, composed)).await;
        assert_eq!(got.status, 201, "{}", got.body);
        for network in composed["metadata"]["network"].as_array().unwrap() {
            let port = json!({"node_uuid": uuid, "address": network["mac"]});
            assert_eq!(self.ironic("POST", "/v1/ports", port).await.status, 201);
        }
        uuid
    }

    /// The body that enrolls a composed node.
    pub(crate) fn node(&self, uuid: &str, name: &str, composed: &Value) -> Value {
        json!({
            "uuid": uuid, "name": name, "driver": "redfish", "deploy_interface": "ramdisk", "boot_interface": "redfish-virtual-media",
            "bios_interface": "no-bios", "firmware_interface": "no-firmware", "raid_interface": "no-raid", "vendor_interface": "no-vendor",
            "driver_info": {
                "redfish_address": self.sim.addresses().podm, "redfish_system_id": composed["computer_system"]["@odata.id"],
                "redfish_username": "admin", "redfish_password": "bmc-secret-password", "redfish_verify_ca": false,
            },
            "resource_class": "composed", "extra": {}, "instance_info": {},
        })
    }

    /// Sends a verb, expects 202, and waits for the lock to be released; the state it ended in.
    pub(crate) async fn provision(&self, node: &str, verb: &str) -> String {
        let path = format!("/v1/nodes/{node}/states/provision");
        let got = self.ironic("PUT", &path, json!({"target": verb})).await;
        assert_eq!(got.status, 202, "{}", got.body);
        self.settled(node).await["provision_state"].as_str().unwrap().to_owned()
    }

    /// The node once nothing works on it.
    pub(crate) async fn settled(&self, node: &str) -> Value {
        let path = format!("/v1/nodes/{node}");
        until(|| async { self.ironic("GET", &path, Value::Null).await.body }, |node| node["reservation"].is_null())
            .await
    }

    /// A node enrolled, managed, made available and deployed on a composed one; both.
    pub(crate) async fn deployed(&self, name: &str) -> (Value, String) {
        let composed = self.compose(name).await;
        let node = self.enroll(name, &composed).await;
        assert_eq!(self.provision(&node, "manage").await, "manageable");
        assert_eq!(self.provision(&node, "provide").await, "available");
        self.give_image(&node).await;
        assert_eq!(self.provision(&node, "active").await, "active");
        (composed, node)
    }

    pub(crate) async fn give_image(&self, node: &str) {
        let patch =
            json!([{"op": "add", "path": "/instance_info/boot_iso", "value": "http://images.example/boot.iso"}]);
        let got = self.ironic("PATCH", &format!("/v1/nodes/{node}"), patch).await;
        assert_eq!(got.status, 200, "{}", got.body);
    }

    pub(crate) async fn release(&self, composed: &Value) -> Got {
        self.valence("DELETE", &format!("/v1/nodes/{}", composed["uuid"].as_str().unwrap()), Value::Null).await
    }
}

/// A node of `fake-hardware`, which needs no machine.
pub(crate) fn fake(name: &str) -> Value {
    json!({"name": name, "driver": "fake-hardware", "resource_class": "gold"})
}

/// Creates this node; its uuid.
pub(crate) async fn created(bench: &Bench, body: Value) -> String {
    let got = bench.ironic("POST", "/v1/nodes", body).await;
    assert_eq!(got.status, 201, "{}", got.body);
    got.body["uuid"].as_str().unwrap().to_owned()
}

/// A `fake-hardware` node that is available.
pub(crate) async fn available(bench: &Bench, name: &str) -> String {
    let node = created(bench, fake(name)).await;
    assert_eq!(bench.provision(&node, "manage").await, "manageable");
    assert_eq!(bench.provision(&node, "provide").await, "available");
    node
}

/// A compose body of 4 cores and 8 GiB.
pub(crate) fn shape(name: &str) -> Value {
    json!({"name": name, "properties": {"memory": {"capacity_mib": "8192"}, "processor": {"total_cores": "4"}}})
}

/// Asks again until the answer is good. Fails after 20,000 times; a request takes longer than a moment, so nothing sleeps.
pub(crate) async fn until<F: Future<Output = Value>>(
    mut ask: impl FnMut() -> F,
    good: impl Fn(&Value) -> bool,
) -> Value {
    for _ in 0..20_000 {
        let value = ask().await;
        if good(&value) {
            return value;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came to be");
}
