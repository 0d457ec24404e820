//! The machine under an instance, as a far side tells it. Everything here is a claim until it was compared.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Invalid;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// What the far side calls it, `[!-~]{1,200}`.
    pub handle: String,
    pub identity: Identity,
    pub parts: Vec<Part>,
    pub place: Option<String>,
    pub access: Option<Machine>,
    pub facts: Map<String, Value>,
}

/// MACs in lower case with colons.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub system_uuid: Option<String>,
    pub serial: Option<String>,
    pub macs: Vec<String>,
}

/// How the machine is managed, without address and password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub protocol: String,
    pub path: String,
    pub properties: Map<String, Value>,
}

/// Size by kind: cpu cores, memory MiB, disk GiB, nic Mbps, others pieces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub id: String,
    pub kind: PartKind,
    pub size: u64,
    pub serial: Option<String>,
    pub properties: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartKind {
    Cpu,
    Memory,
    Disk,
    Nic,
    Gpu,
    Other,
}

impl Node {
    /// What a driver may claim at all.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.handle.is_empty() || self.handle.len() > 200 || !self.handle.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Invalid::new("handle", "1 to 200 printable ASCII characters"));
        }
        if self.parts.len() > 1024 || self.identity.macs.len() > 256 {
            return Err(Invalid::new("node", "at most 1024 parts and 256 MACs"));
        }
        if let Some(bad) = self.identity.macs.iter().find(|mac| !is_mac(mac)) {
            return Err(Invalid::new("identity.macs", format!("{bad:?} is no MAC in lower case with colons")));
        }
        Ok(())
    }

    /// Cores or MiB in all; none when this side shows no such part.
    pub fn total(&self, kind: PartKind) -> Option<u64> {
        let mut sizes = self.parts.iter().filter(|part| part.kind == kind).map(|part| part.size).peekable();
        sizes.peek()?;
        Some(sizes.fold(0, u64::saturating_add))
    }
}

impl Identity {
    /// As (kind, value), for the rule that no two instances have the same machine. Placeholder values are none.
    pub fn keys(&self) -> Vec<(&'static str, String)> {
        let real = |text: &String| text.chars().any(|c| c.is_ascii_alphanumeric() && c != '0');
        let uuid = self.system_uuid.iter().filter(|v| real(v)).map(|v| ("system-uuid", v.to_lowercase()));
        let serial = self.serial.iter().filter(|v| real(v)).map(|v| ("serial", v.clone()));
        let macs = self.macs.iter().filter(|v| real(v)).map(|v| ("mac", v.to_lowercase()));
        let mut keys: Vec<_> = uuid.chain(serial).chain(macs).collect();
        keys.sort();
        keys.dedup();
        keys
    }
}

fn is_mac(text: &str) -> bool {
    text.len() == 17
        && text.bytes().enumerate().all(
            |(i, b)| {
                if i % 3 == 2 { b == b':' } else { matches!(b, b'0'..=b'9' | b'a'..=b'f') }
            },
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_is_not_shown_has_no_total() {
        let part = |kind, size| Part { id: "1".into(), kind, size, serial: None, properties: Map::new() };
        let node = Node {
            handle: "n1".into(),
            identity: Identity::default(),
            parts: vec![part(PartKind::Memory, 2048), part(PartKind::Memory, 2048)],
            place: None,
            access: None,
            facts: Map::new(),
        };
        assert_eq!(node.total(PartKind::Memory), Some(4096));
        assert_eq!(node.total(PartKind::Cpu), None);
    }

    #[test]
    fn an_all_zero_uuid_identifies_nobody() {
        let identity = Identity {
            system_uuid: Some("00000000-0000-0000-0000-000000000000".into()),
            serial: None,
            macs: vec!["52:54:00:00:00:01".into()],
        };
        assert_eq!(identity.keys(), vec![("mac", "52:54:00:00:00:01".to_owned())]);
    }

    #[test]
    fn macs_are_lower_case_with_colons() {
        assert!(is_mac("52:54:00:ab:cd:ef"));
        for bad in ["52:54:00:AB:cd:ef", "52-54-00-ab-cd-ef", "52:54:00:ab:cd", ""] {
            assert!(!is_mac(bad), "{bad}");
        }
    }
}
