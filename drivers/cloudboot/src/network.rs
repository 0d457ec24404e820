//! Networks and addresses: which network is meant, and an address of it that is free. CloudBoot checks neither that an address belongs to
//! the network that is named with it, nor leaves the gateway out of its list of free ones.

use crate::far::{Far, read};
use crate::words;
use moganite_driver::{Answer, fault};
use serde::Deserialize;
use serde_json::json;

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Network {
    #[serde(rename = "ID")]
    pub(crate) id: u64,
    #[serde(rename = "Network")]
    pub(crate) cidr: String,
    #[serde(default)]
    pub(crate) gateway: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Free {
    ip: String,
}

/// The network that CloudBoot writes so.
pub(crate) fn named(far: &Far, cidr: &str) -> Answer<Network> {
    let (networks, _) = far.page::<Network>("network/list", json!({}), 0)?;
    let known: Vec<&str> = networks.iter().map(|network| network.cidr.as_str()).collect();
    let known = known.join(", ");
    networks
        .into_iter()
        .find(|network| network.cidr == cidr)
        .ok_or_else(|| fault::rejected(format!("CloudBoot has no network {cidr:?}; it has {known}")))
}

/// A free address. Each mark begins elsewhere in the list, and each try, so that two that ask at once seldom meet; where they do,
/// CloudBoot refuses the second.
pub(crate) fn free_address(far: &Far, network: &Network, mark: &str, attempt: u32) -> Answer<String> {
    let content = far.read("network/getNotUsedIPListByNetworkId", &json!({ "NetworkID": network.id }))?;
    let free: Option<Vec<Free>> = read(content)?;
    let mut free: Vec<String> = free.unwrap_or_default().into_iter().map(|row| row.ip).collect();
    free.retain(|ip| *ip != network.gateway && words::address(ip).is_some());
    if free.is_empty() {
        return Err(fault::capacity(format!("network {} of CloudBoot has no free address", network.cidr)));
    }
    let begin = mark.bytes().fold(attempt as usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    Ok(free.swap_remove(begin % free.len()))
}

/// The address that was asked for, if CloudBoot has it in that network.
pub(crate) fn check_address(far: &Far, network: &Network, ip: &str) -> Answer<()> {
    let ip = words::address(ip).ok_or_else(|| fault::rejected(format!("{ip:?} is no IPv4 address")))?.to_string();
    if ip == network.gateway {
        return Err(fault::rejected(format!("{ip} is the gateway of network {}", network.cidr)));
    }
    let of = match far.ask("network/validateIp", &json!({ "Ip": ip }))? {
        crate::said::Said::Done(content) => read::<Option<Network>>(content)?,
        _ => None,
    };
    match of {
        Some(of) if of.id == network.id => Ok(()),
        Some(of) => {
            Err(fault::rejected(format!("{ip} is in CloudBoot's network {}, not in {}", of.cidr, network.cidr)))
        }
        None => Err(fault::rejected(format!("{ip} is in no network of CloudBoot"))),
    }
}
