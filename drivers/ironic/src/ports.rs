//! Ports: which MACs Ironic knows of a node. A MAC is unique over all of Ironic; ports go with their node on delete.

use crate::api::{Ironic, Said, read};
use moganite_driver::{Answer, fault};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Port {
    address: String,
    #[serde(default)]
    node_uuid: Option<String>,
}

#[derive(Deserialize)]
struct List {
    ports: Vec<Port>,
}

/// Makes the ports that are missing. Works while the node is locked. A MAC that another node has is `conflict`, by name.
pub(crate) fn ensure(ironic: &Ironic, node: &str, macs: &[String]) -> Answer<()> {
    let known = of(ironic, node)?;
    for mac in macs.iter().map(|mac| mac.to_lowercase()) {
        if known.contains(&mac) {
            continue;
        }
        match ironic.post("/v1/ports", &json!({ "node_uuid": node, "address": mac }))? {
            Said::Done(_) => {}
            Said::Conflict(_) => owned(ironic, node, &mac)?,
            Said::Refused(why) => return Err(fault::rejected(format!("a port for MAC {mac}: {why}"))),
            other => return Err(other.unexpected("making a port")),
        }
    }
    Ok(())
}

/// The MACs of a node's ports, in lower case: those that were given to Ironic and those that its inspection found.
pub(crate) fn of(ironic: &Ironic, node: &str) -> Answer<Vec<String>> {
    let ports = list(ironic, &format!("node={node}"))?;
    Ok(ports.into_iter().map(|port| port.address.to_lowercase()).collect())
}

/// A port with this MAC exists: it must be this node's.
fn owned(ironic: &Ironic, node: &str, mac: &str) -> Answer<()> {
    let ports = list(ironic, &format!("address={mac}"))?;
    match ports.into_iter().find_map(|port| port.node_uuid) {
        Some(owner) if owner == node => Ok(()),
        Some(owner) => Err(fault::conflict(format!("MAC {mac} already belongs to node {owner} in ironic"))),
        None => Err(fault::retry(format!("ironic refused a port for MAC {mac} and does not show who has it"))),
    }
}

fn list(ironic: &Ironic, filter: &str) -> Answer<Vec<Port>> {
    match ironic.get(&format!("/v1/ports?{filter}&fields=address,node_uuid"))? {
        Said::Done(body) => Ok(read::<List>(body)?.ports),
        other => Err(other.unexpected("listing ports")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moganite_driver::{Fault, testing};

    fn ensure_with_port_of(owner: &'static str) -> Answer<()> {
        testing::far_side(move |request| match (request.method.as_str(), request.path.as_str()) {
            ("GET", path) if path.contains("?node=") => testing::reply(200, json!({ "ports": [] })),
            ("GET", _) => {
                testing::reply(200, json!({ "ports": [{ "address": "52:54:00:00:00:01", "node_uuid": owner }] }))
            }
            _ => testing::reply(
                409,
                json!({ "error_message": "A port with MAC address 52:54:00:00:00:01 already exists." }),
            ),
        });
        ensure(&Ironic::new(), "ours", &["52:54:00:00:00:01".into()])
    }

    #[test]
    fn a_mac_that_our_node_has_already_is_done() {
        assert_eq!(ensure_with_port_of("ours"), Ok(()));
    }

    #[test]
    fn a_mac_of_another_node_is_a_conflict_that_names_it() {
        let refused = ensure_with_port_of("theirs");
        assert!(matches!(&refused, Err(Fault::Conflict(why)) if why.contains("theirs")), "{refused:?}");
    }
}
