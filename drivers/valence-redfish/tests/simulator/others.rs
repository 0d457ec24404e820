//! Who else is there: a person at the pod manager, and an Ironic that writes data on the disks.

use crate::rig::{BMC, Rig};
use moganite_driver::{Node, Request};
use moganite_far::send;
use serde_json::{Value, json};
use std::time::Duration;

impl Rig {
    /// What a person does at the pod manager; the body, or the bare status.
    pub fn person(&self, method: &str, path: &str, body: Value) -> Value {
        ask(&self.sim.addresses().podm, method, path, body)
    }

    /// An instance was there and is gone from Ironic, which was told not to clean: its data is on the disks.
    pub fn leave_data(&self, node: &Node) {
        let ironic = |method: &str, path: &str, body: Value| ask(&self.sim.addresses().ironic, method, path, body);
        let path = "/v1/nodes/filled";
        ironic(
            "POST",
            "/v1/nodes",
            json!({
                "name": "filled", "driver": "redfish", "deploy_interface": "ramdisk", "boot_interface": "redfish-virtual-media",
                "bios_interface": "no-bios", "firmware_interface": "no-firmware", "raid_interface": "no-raid",
                "vendor_interface": "no-vendor", "automated_clean": false,
                "driver_info": {
                    "redfish_address": self.sim.addresses().podm, "redfish_system_id": node.handle, "redfish_username": "admin",
                    "redfish_password": "bmc-secret-password", "redfish_verify_ca": false,
                },
            }),
        );
        let image = json!([{"op": "add", "path": "/instance_info/boot_iso", "value": "http://images.example/a.iso"}]);
        for (verb, state) in
            [("manage", "manageable"), ("provide", "available"), ("active", "active"), ("deleted", "available")]
        {
            if verb == "active" {
                ironic("PATCH", path, image.clone());
            }
            ironic("PUT", &format!("{path}/states/provision"), json!({"target": verb}));
            let is_there = |node: &Value| node["provision_state"] == state && node["reservation"].is_null();
            for _ in 0.. {
                if is_there(&ironic("GET", path, Value::Null)) {
                    break;
                }
                self.host.pass(Duration::from_millis(10));
            }
        }
        ironic("DELETE", path, Value::Null);
        assert_eq!(self.ledger().machines.data.len(), self.ledger().pod.held[0].disks.len());
    }
}

fn ask(base: &str, method: &str, path: &str, body: Value) -> Value {
    let mut headers = vec![
        ("authorization".to_owned(), BMC.to_owned()),
        ("content-type".to_owned(), "application/json".to_owned()),
        ("x-openstack-ironic-api-version".to_owned(), "1.86".to_owned()),
    ];
    if method == "PATCH" && path.starts_with("/redfish") {
        let tag = ask_tag(base, path, &headers);
        headers.push(("if-match".to_owned(), tag));
    }
    let body = (!body.is_null()).then(|| body.to_string().into_bytes());
    let request =
        Request { endpoint: String::new(), method: method.into(), path: path.into(), headers, body, within: None };
    let reply = send(base, &request).unwrap();
    assert!(reply.status < 400, "{method} {path}: {}", reply.sentence());
    serde_json::from_slice(&reply.body).unwrap_or(json!(reply.status))
}

fn ask_tag(address: &str, path: &str, headers: &[(String, String)]) -> String {
    let (headers, method, path) = (headers.to_vec(), "GET".to_owned(), path.to_owned());
    let request = Request { endpoint: String::new(), method, path, headers, body: None, within: None };
    send(address, &request).unwrap().header("etag").unwrap().to_owned()
}
