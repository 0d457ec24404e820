//! The shape asked for, and which backends serve it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Budgets, Invalid, Name, PartKind, Projects, Role};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flavor {
    pub name: Name,
    #[serde(default)]
    pub shape: Shape,
    pub route: Route,
    #[serde(default)]
    pub erase: Erase,
    /// Whose undo reaches that level: found out when the flavor is written.
    #[serde(default)]
    pub eraser: Eraser,
    /// How long verbs may take, whichever backend they call.
    #[serde(default, skip_serializing_if = "Budgets::is_empty")]
    pub budgets: Budgets,
    /// Who may order it; for all others there is no such flavor.
    #[serde(default, skip_serializing_if = "Projects::are_all")]
    pub projects: Projects,
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
///
/// Composed: compose, enroll, deploy. Pre-set: claim, deploy; with compose and enroll beside them it falls back to composing when no
/// pre-set node is left.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    pub claim: Vec<Name>,
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

impl Erase {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }
}

/// Which undo erases the data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Eraser {
    /// Undeploy, while the machine is still managed.
    #[default]
    Deploy,
    /// Release, before the machine goes back to the pool.
    Compose,
}

/// How far data goes, and on whose word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    pub level: Erase,
    pub eraser: Eraser,
    /// The machine was never ours: its marks are taken away, and it is left as it is.
    #[serde(default)]
    pub let_go: bool,
}

impl Erasure {
    /// What the undo of this role must reach.
    pub fn at(self, role: Role) -> Erase {
        match (role, self.eraser) {
            _ if self.let_go => Erase::None,
            (Role::Deploy, Eraser::Deploy) | (Role::Compose, Eraser::Compose) => self.level,
            _ => Erase::None,
        }
    }
}

impl Route {
    /// All that it names, each once for each role.
    pub fn backends(&self) -> impl Iterator<Item = &Name> {
        self.claim.iter().chain(&self.compose).chain(&self.enroll).chain(&self.deploy)
    }

    /// Without these backends, and without a part that leads nowhere. None: nothing is left that makes a machine.
    pub fn without(&self, closed: &[Name]) -> Option<Self> {
        let open = |names: &[Name]| names.iter().filter(|name| !closed.contains(name)).cloned().collect::<Vec<_>>();
        let mut route = Self {
            claim: open(&self.claim),
            compose: open(&self.compose),
            enroll: open(&self.enroll),
            deploy: open(&self.deploy),
        };
        if route.enroll.is_empty() && !self.enroll.is_empty() {
            route.compose.clear();
        }
        if route.compose.is_empty() {
            route.enroll.clear();
        }
        let makes = !route.claim.is_empty() || !route.compose.is_empty();
        (makes && !route.deploy.is_empty()).then_some(route)
    }
}

impl Flavor {
    /// What can be said without asking a backend.
    pub fn check(&self) -> Result<(), Invalid> {
        self.budgets.check()?;
        self.projects.check()?;
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
        if shape.properties.contains_key("adopt") {
            return Err(Invalid::new("shape.properties", "`adopt` is said by adopting a machine, not by a flavor"));
        }
        if shape.disks_gib.contains(&0) {
            return Err(Invalid::new("shape.disks_gib", "a disk has at least 1 GiB"));
        }
        let Route { claim, compose, enroll, deploy } = &self.route;
        let composes = !compose.is_empty() || claim.is_empty();
        let roles = [
            ("route.claim", claim, false, 1),
            ("route.compose", compose, composes, 8),
            ("route.enroll", enroll, composes, 1),
            ("route.deploy", deploy, true, 8),
        ];
        for (field, backends, needed, most) in roles {
            if (needed && backends.is_empty()) || backends.len() > most {
                return Err(Invalid::new(
                    field,
                    format!(
                        "name 1 to {most} backends: a composed route has compose, enroll and deploy, a pre-set one claim and deploy"
                    ),
                ));
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
            route: Route { compose: pod(), enroll: pod(), deploy: pod(), ..Route::default() },
            erase: Erase::Quick,
            eraser: Eraser::Deploy,
            budgets: Budgets::default(),
            projects: Projects::default(),
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
    fn a_route_that_claims_needs_no_composer() {
        let mut flavor = small();
        flavor.route.claim = std::mem::take(&mut flavor.route.compose);
        flavor.route.enroll.clear();
        assert!(flavor.check().is_ok());
        flavor.route.deploy.clear();
        assert_eq!(flavor.check().map_err(|e| e.field), Err("route.deploy".into()));
    }

    #[test]
    fn quick_is_the_erase_level_that_nobody_wrote() {
        let flavor: Flavor = serde_json::from_value(serde_json::json!({
            "name": "small", "route": {"compose": ["a"], "enroll": ["b"], "deploy": ["b"]}
        }))
        .expect("a flavor");
        assert_eq!(flavor.erase, Erase::Quick);
    }

    #[test]
    fn a_route_without_a_backend_keeps_what_still_leads_to_a_machine() {
        let names = |all: &[&str]| all.iter().map(|name| Name::parse("name", name).unwrap()).collect::<Vec<_>>();
        let composed = Route {
            compose: names(&["pod-a", "pod-b"]),
            enroll: names(&["ironic-1"]),
            deploy: names(&["ironic-1"]),
            ..Route::default()
        };
        let without = composed.without(&names(&["pod-a"])).unwrap();
        assert_eq!(without, Route { compose: names(&["pod-b"]), ..composed.clone() });
        assert_eq!(composed.without(&names(&["pod-a", "pod-b"])), None);
        assert_eq!(composed.without(&names(&["ironic-1"])), None);
        let either = Route { claim: names(&["ironic-2"]), deploy: names(&["ironic-1", "ironic-2"]), ..composed };
        let claimed = Route { claim: names(&["ironic-2"]), deploy: names(&["ironic-2"]), ..Route::default() };
        assert_eq!(either.without(&names(&["ironic-1"])), Some(claimed), "nobody enrolls what is composed");
    }
}
