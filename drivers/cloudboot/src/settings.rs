//! What an operator sets for one CloudBoot. The schema that the host checks is `settings.schema.json`; the two say the same.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) username: String,
    /// CloudBoot's id of the user whose servers are lent; 0: nobody's.
    pub(crate) pool_user: u64,
    /// The network of lent servers, as CloudBoot writes it.
    pub(crate) network: String,
    /// `ROOM-RACK`.
    pub(crate) location: String,
    pub(crate) park: Option<Park>,
    pub(crate) bmc: Bmc,
    pub(crate) memory_unit: Unit,
    pub(crate) disk_unit: Unit,
    /// Between two looks, 50 to 60,000.
    pub(crate) poll_ms: u64,
    /// How long a request whose answer was lost may still take effect. CloudBoot works on after its client has gone.
    pub(crate) settle_ms: u64,
    /// After how long a claimed server is looked at again.
    pub(crate) claim_settle_ms: u64,
    /// From the start of a server to the first report of its install. CloudBoot itself waits for ever.
    pub(crate) boot_within_s: u64,
    /// From the start of a server to the end of its install.
    pub(crate) install_within_s: u64,
}

/// Templates of a server that is lent and not deployed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Park {
    pub(crate) os: String,
    pub(crate) system: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Bmc {
    pub(crate) username: String,
    /// Which place has the password, 1 to 4.
    pub(crate) login: u8,
    /// By serial number.
    pub(crate) nodes: BTreeMap<String, Login>,
}

/// What differs for one server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Login {
    /// IPv4; absent: the one that CloudBoot's inventory has.
    pub(crate) address: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) login: Option<u8>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(crate) enum Unit {
    #[serde(rename = "MiB")]
    Mebibyte,
    #[serde(rename = "GiB")]
    Gibibyte,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            username: "admin".into(),
            pool_user: 0,
            network: String::new(),
            location: "moganite-pool".into(),
            park: None,
            bmc: Bmc::default(),
            memory_unit: Unit::Gibibyte,
            disk_unit: Unit::Gibibyte,
            poll_ms: 5_000,
            settle_ms: 30_000,
            claim_settle_ms: 3_000,
            boot_within_s: 900,
            install_within_s: 7_200,
        }
    }
}

impl Default for Bmc {
    fn default() -> Self {
        Self { username: "root".into(), login: 1, nodes: BTreeMap::new() }
    }
}

impl Settings {
    pub(crate) fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }
}

impl Unit {
    pub(crate) fn mebibytes(self) -> u64 {
        match self {
            Self::Mebibyte => 1,
            Self::Gibibyte => 1_024,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_schema_names_every_setting_and_no_other() {
        let schema: Value = serde_json::from_str(include_str!("../settings.schema.json")).unwrap();
        let properties = schema["properties"].as_object().unwrap();
        assert_eq!(properties.len(), 13);
        for (name, property) in properties {
            let Some(value) = property.get("default") else { continue };
            let one: Settings = serde_json::from_value(json!({ name: value })).unwrap();
            let said = format!("{one:?}");
            assert_eq!(said, format!("{:?}", Settings::default()), "the default of {name}");
        }
        assert!(serde_json::from_value::<Settings>(json!({ "netwrok": "x" })).is_err());
    }
}
