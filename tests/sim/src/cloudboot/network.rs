//! The two networks whose addresses devices get.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::{Answered, body, content, failure, refused, templates};
use crate::call::Call;
use crate::world::World;

pub(super) struct Network {
    pub(super) id: u64,
    pub(super) cidr: &'static str,
    first: [u8; 4],
    /// Usable addresses, the gateway among them as the first.
    size: u8,
}

pub(super) const NETWORKS: [Network; 2] = [
    Network { id: 1, cidr: "10.9.0.0/24", first: [10, 9, 0, 1], size: 254 },
    Network { id: 2, cidr: "10.9.1.0/29", first: [10, 9, 1, 1], size: 6 },
];

/// The most addresses that the list of free ones shows.
const SHOWN: usize = 200;

impl Network {
    fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        (0..self.size).map(|at| {
            let [a, b, c, d] = self.first;
            Ipv4Addr::new(a, b, c, d + at)
        })
    }

    fn row(&self) -> Value {
        json!({
            "ID": self.id, "Network": self.cidr, "Netmask": if self.id == 1 { "255.255.255.0" } else { "255.255.255.248" },
            "Gateway": Ipv4Addr::from(self.first).to_string(), "Vlan": "", "Trunk": "no", "Bonding": "no",
        })
    }
}

/// The network that expanded to this address.
pub(super) fn of(ip: &str) -> Option<&'static Network> {
    let ip: Ipv4Addr = ip.parse().ok()?;
    NETWORKS.iter().find(|network| network.addresses().any(|address| address == ip))
}

pub(super) fn list(call: &Call) -> Answered {
    templates::page(call, NETWORKS.iter().map(Network::row).collect())
}

pub(super) fn validate_ip(call: &Call) -> Answered {
    let ip = body::object(call)?.text("Ip")?;
    of(&ip).map(|network| content(&network.row())).ok_or_else(|| failure("未匹配到网段"))
}

/// Those that no device has: the first 200, and the gateway is one of them.
pub(super) fn free(world: &World, call: &Call) -> Answered {
    let id = body::object(call)?.number("NetworkID")?;
    let network = NETWORKS.iter().find(|network| network.id == id).ok_or_else(|| refused("record not found"))?;
    let state = world.state();
    let is_used = |ip: &Ipv4Addr| state.cloudboot.devices.iter().any(|device| device.ip == ip.to_string());
    let rows: Vec<Value> = network
        .addresses()
        .filter(|ip| !is_used(ip))
        .take(SHOWN)
        .map(|ip| json!({"ID": u32::from(ip), "Ip": ip.to_string(), "NetworkID": id}))
        .collect();
    Ok(content(&json!(rows)))
}
