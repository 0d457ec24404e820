//! Which addresses a name may lead to.
//!
//! The operator wrote the name, but not what it resolves to: that is looked at anew at each connection. Next:
//! `headers.rs`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// An address that no driver may reach, in a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Prohibited(String);

/// Looks a name up at each connection and lets only vetted addresses through; the connection goes to one of them, so a
/// name that answers differently a moment later gains nothing.
pub(super) struct Vetting {
    /// Whether the operator wrote a loopback name.
    pub(super) loopback: bool,
    pub(super) names: Names,
}

/// Who knows where a name leads.
#[derive(Debug, Clone, Default)]
pub(super) enum Names {
    #[default]
    System,
    /// The answers to come, one for each time that somebody asks.
    #[cfg(test)]
    Told(std::sync::Arc<std::sync::Mutex<std::collections::VecDeque<IpAddr>>>),
}

impl Names {
    async fn lookup(&self, name: &str) -> std::io::Result<Vec<SocketAddr>> {
        match self {
            Self::System => Ok(tokio::net::lookup_host((name, 0)).await?.collect()),
            #[cfg(test)]
            Self::Told(told) => {
                let next = told.lock().map_err(|_| std::io::ErrorKind::Other)?.pop_front();
                Ok(next.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect())
            }
        }
    }
}

impl Resolve for Vetting {
    fn resolve(&self, name: Name) -> Resolving {
        let (loopback, names) = (self.loopback, self.names.clone());
        Box::pin(async move {
            let vetted = vet(names.lookup(name.as_str()).await?.into_iter(), loopback)?;
            Ok(Box::new(vetted.into_iter()) as Addrs)
        })
    }
}

fn vet(found: impl Iterator<Item = SocketAddr>, loopback: bool) -> Result<Vec<SocketAddr>, Prohibited> {
    let (mut vetted, mut refused) = (Vec::new(), None);
    for address in found {
        match check_address(address.ip(), loopback) {
            Ok(()) => vetted.push(address),
            Err(why) => refused = Some(why),
        }
    }
    match refused {
        Some(why) if vetted.is_empty() => Err(why),
        _ => Ok(vetted),
    }
}

/// Link-local, metadata, unspecified and multicast addresses are refused always. Loopback is for operators that wrote
/// it: a name that leads there would be a way to this host's own services. Private addresses are what a management
/// network is made of.
pub(super) fn check_address(address: IpAddr, loopback: bool) -> Result<(), Prohibited> {
    /// Not link-local, but clouds serve credentials there.
    const METADATA: [IpAddr; 2] =
        [IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254))];
    let address = embedded(address);
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 == 0xfe80,
    };
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[0] == 0);
    if link_local || METADATA.contains(&address) {
        Err(Prohibited(format!("{address} is a link-local or metadata address, which no driver may reach")))
    } else if address.is_unspecified() || address.is_multicast() || broadcast {
        Err(Prohibited(format!("{address} is the address of no host")))
    } else if address.is_loopback() && !loopback {
        Err(Prohibited(format!("{address} is this host, and the operator's URL does not say so")))
    } else {
        Ok(())
    }
}

/// The IPv4 address inside an IPv6 one: mapped, compatible, NAT64 (`64:ff9b::/96`) or 6to4 (`2002::/16`).
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let segments = v6.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => v4(high, low),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn metadata_and_this_host_are_no_addresses_of_a_far_side() {
        let vetted = |ip: &str, loopback| vet([SocketAddr::new(ip.parse().unwrap(), 0)].into_iter(), loopback).is_ok();
        assert!(vetted("10.1.2.3", false) && vetted("192.0.2.1", false) && vetted("fd00::1", false));
        for ip in [
            "169.254.169.254",
            "fe80::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
        ] {
            assert!(!vetted(ip, false) && !vetted(ip, true), "{ip}");
        }
        for ip in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert!(!vetted(ip, false) && vetted(ip, true), "{ip}");
        }
    }
}
