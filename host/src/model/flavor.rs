//! The shape asked for, and which backends serve it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Invalid, Name, PartKind};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flavor {
    pub name: Name,
    #[serde(default)]
    pub shape: Shape,
    pub route: Route,
    #[serde(default)]
    pub erase: Erase,
}

/// Zero or empty: no wish.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// CPU cores in all, 0 to 65,536.
    pub cores: u32,
    /// MiB in all, 0 to 2^30.
    pub memory_mib: u64,
    /// GiB, one item a disk, at most 64 disks.
    pub disks_gib: Vec<u64>,
    /// Mbps, one item an interface, at most 64.
    pub nics_mbps: Vec<u32>,
    /// At most 64.
    pub devices: Vec<Device>,
    /// The far side's own class of machine.
    pub class: Option<String>,
    pub traits: Vec<String>,
    /// What a vendor's driver reads beside it.
    pub properties: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    pub kind: PartKind,
    pub count: u32,
    #[serde(default)]
    pub properties: Map<String, Value>,
}

/// Backends per role, in order of preference. A role that the route does not need is empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    pub compose: Vec<Name>,
    pub enroll: Vec<Name>,
    pub deploy: Vec<Name>,
}

/// How far data goes from the disks when an instance is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Erase {
    /// Nothing is erased; must be written out.
    None,
    /// Keys and partition tables.
    #[default]
    Quick,
    /// Every block, or cryptographic.
    Full,
}

impl Flavor {
    /// What can be said without asking a backend.
    pub fn check(&self) -> Result<(), Invalid> {
        let shape = &self.shape;
        if shape.cores > 65_536 {
            return Err(Invalid::new("shape.cores", "at most 65536 cores"));
        }
        if shape.memory_mib > 1 << 30 {
            return Err(Invalid::new("shape.memory_mib", "at most 2^30 MiB"));
        }
        for (field, items) in [
            ("shape.disks_gib", shape.disks_gib.len()),
            ("shape.nics_mbps", shape.nics_mbps.len()),
            ("shape.devices", shape.devices.len()),
            ("shape.traits", shape.traits.len()),
        ] {
            if items > 64 {
                return Err(Invalid::new(field, "at most 64 items"));
            }
        }
        if shape.disks_gib.contains(&0) {
            return Err(Invalid::new("shape.disks_gib", "a disk has at least 1 GiB"));
        }
        for (field, backends) in [
            ("route.compose", &self.route.compose),
            ("route.enroll", &self.route.enroll),
            ("route.deploy", &self.route.deploy),
        ] {
            if backends.is_empty() || backends.len() > 8 {
                return Err(Invalid::new(field, "name 1 to 8 backends"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Flavor {
        let pod = || vec![Name::parse("name", "pod-a").expect("a name")];
        Flavor {
            name: Name::parse("name", "small").expect("a name"),
            shape: Shape { cores: 2, memory_mib: 4096, ..Shape::default() },
            route: Route { compose: pod(), enroll: pod(), deploy: pod() },
            erase: Erase::Quick,
        }
    }

    #[test]
    fn a_route_without_a_composer_is_refused() {
        let mut flavor = small();
        assert!(flavor.check().is_ok());
        flavor.route.compose.clear();
        assert_eq!(flavor.check().map_err(|e| e.field), Err("route.compose".into()));
    }

    #[test]
    fn quick_is_the_erase_level_that_nobody_wrote() {
        let flavor: Flavor = serde_json::from_value(serde_json::json!({
            "name": "small", "route": {"compose": ["a"], "enroll": ["b"], "deploy": ["b"]}
        }))
        .expect("a flavor");
        assert_eq!(flavor.erase, Erase::Quick);
    }
}
