//! What an operator sets for one Ironic. The schema that the host checks is `settings.schema.json`; the two say the same.

use crate::node::Record;
use moganite_driver::{Context, Erase, Fault};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// Every field is optional; an interface that is not set is Ironic's own default for the hardware type.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) bios_interface: Option<String>,
    pub(crate) boot_interface: Option<String>,
    pub(crate) console_interface: Option<String>,
    pub(crate) deploy_interface: Option<String>,
    pub(crate) firmware_interface: Option<String>,
    pub(crate) inspect_interface: Option<String>,
    pub(crate) management_interface: Option<String>,
    pub(crate) network_interface: Option<String>,
    pub(crate) power_interface: Option<String>,
    pub(crate) raid_interface: Option<String>,
    pub(crate) rescue_interface: Option<String>,
    pub(crate) storage_interface: Option<String>,
    pub(crate) vendor_interface: Option<String>,
    /// `true`, `false`, or the path of a bundle on Ironic's host. Default: true.
    pub(crate) redfish_verify_ca: Value,
    pub(crate) resource_class: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) conductor_group: Option<String>,
    /// Default: true. With false Ironic passes through `cleaning` and erases nothing.
    pub(crate) automated_clean: bool,
    /// Default: `x86_64`.
    pub(crate) cpu_arch: String,
    /// Whether Ironic looks at a machine itself before it is lent out. Default: true.
    pub(crate) inspect: bool,
    /// Whether Ironic's host can make a config drive (genisoimage, mkisofs or xorrisofs). Default: true.
    pub(crate) configdrive: bool,
    /// What this Ironic's automated cleaning reaches, as its operator says. Default: none.
    pub(crate) erases: Reach,
    /// What to run by hand where the automated cleaning does not reach a level. Default: nothing.
    pub(crate) clean_steps: CleanSteps,
    /// Whether Ironic boots its agent for those steps. Default: true; with false they must be steps of the BMC's own.
    pub(crate) clean_with_agent: bool,
    /// The shortest time between two looks at a node that Ironic works on, 50 to 60,000. Default: 1,000.
    pub(crate) poll_ms: u64,
    /// How long after it was sent a create may still take effect in an Ironic that never answered it. Default: 15,000, as an Ironic
    /// on sqlite was seen to hold a request for 11 s.
    pub(crate) settle_ms: u64,
    /// How long an allocation may stay undecided before it is withdrawn and asked for anew, 100 to 600,000. Default: 10,000; one was seen
    /// to stay so for over 20 s.
    pub(crate) allocate_ms: u64,
    /// The class to claim from where a flavor names none.
    pub(crate) claim_resource_class: Option<String>,
    pub(crate) filter: Filter,
    /// Who proves to Ironic who we are. Default: the gate.
    pub(crate) auth: Auth,
    /// For `auth: keystone`.
    pub(crate) keystone: Keystone,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Auth {
    /// As the operator bound endpoint `ironic`: nobody, or http_basic.
    #[default]
    Gate,
    /// This driver, with a token of Keystone's.
    Keystone,
}

/// Whom Keystone is asked for a token as: an application credential, or else a user with a scope.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Keystone {
    pub(crate) user: Option<String>,
    /// Default: `Default`.
    pub(crate) user_domain: String,
    pub(crate) project: Option<String>,
    /// Default: `Default`.
    pub(crate) project_domain: String,
    /// Default: project.
    pub(crate) scope: Scope,
    /// Its id.
    pub(crate) application_credential: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    #[default]
    Project,
    /// All of the cloud.
    System,
}

/// The nodes that this driver may change. What is absent admits every node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Filter {
    pub(crate) owner: Option<String>,
    pub(crate) conductor_group: Option<String>,
    pub(crate) resource_class: Option<String>,
}

/// Clean steps by the level that they reach, each `{"interface": ..., "step": ..., "args": {...}}` as Ironic takes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CleanSteps {
    pub(crate) quick: Vec<Value>,
    pub(crate) full: Vec<Value>,
}

/// An erase level, lowest first.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reach {
    #[default]
    None,
    Quick,
    Full,
}

impl Default for Keystone {
    fn default() -> Self {
        Self {
            user: None,
            user_domain: "Default".into(),
            project: None,
            project_domain: "Default".into(),
            scope: Scope::Project,
            application_credential: None,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bios_interface: None,
            boot_interface: None,
            console_interface: None,
            deploy_interface: None,
            firmware_interface: None,
            inspect_interface: None,
            management_interface: None,
            network_interface: None,
            power_interface: None,
            raid_interface: None,
            rescue_interface: None,
            storage_interface: None,
            vendor_interface: None,
            redfish_verify_ca: Value::Bool(true),
            resource_class: None,
            owner: None,
            conductor_group: None,
            automated_clean: true,
            cpu_arch: "x86_64".into(),
            inspect: true,
            configdrive: true,
            erases: Reach::None,
            clean_steps: CleanSteps::default(),
            clean_with_agent: true,
            poll_ms: 1_000,
            settle_ms: 15_000,
            allocate_ms: 10_000,
            claim_resource_class: None,
            filter: Filter::default(),
            auth: Auth::Gate,
            keystone: Keystone::default(),
        }
    }
}

impl Settings {
    pub(crate) fn of(cx: &Context) -> Result<Self, Fault> {
        cx.settings()
    }

    /// The interfaces that are set, by their name in Ironic's API.
    pub(crate) fn interfaces(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("bios_interface", &self.bios_interface),
            ("boot_interface", &self.boot_interface),
            ("console_interface", &self.console_interface),
            ("deploy_interface", &self.deploy_interface),
            ("firmware_interface", &self.firmware_interface),
            ("inspect_interface", &self.inspect_interface),
            ("management_interface", &self.management_interface),
            ("network_interface", &self.network_interface),
            ("power_interface", &self.power_interface),
            ("raid_interface", &self.raid_interface),
            ("rescue_interface", &self.rescue_interface),
            ("storage_interface", &self.storage_interface),
            ("vendor_interface", &self.vendor_interface),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.as_deref().map(|value| (name, value)))
    }

    /// What an undeploy reaches on a node. A node without its own `automated_clean` follows its conductor's default, for which the
    /// operator speaks with `erases`.
    pub(crate) fn reach(&self, automated_clean: Option<bool>) -> Reach {
        match automated_clean {
            Some(false) => Reach::None,
            _ => self.erases,
        }
    }

    pub(crate) fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }

    pub(crate) fn allocate(&self) -> Duration {
        Duration::from_millis(self.allocate_ms)
    }

    /// Contradictions that no single field shows, one sentence each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(missing) = self.keystone.missing().filter(|_| self.auth == Auth::Keystone) {
            problems.push(format!("settings say `auth: keystone` and lack {missing}"));
        }
        if self.erases > Reach::None && !self.automated_clean {
            problems.push(format!(
                "settings say `erases: {}` and `automated_clean: false`: nodes enrolled here are never cleaned",
                self.erases.word()
            ));
        }
        let made = [
            ("owner", &self.owner, &self.filter.owner),
            ("conductor_group", &self.conductor_group, &self.filter.conductor_group),
            ("resource_class", &self.resource_class, &self.filter.resource_class),
        ];
        for (name, own, filter) in made {
            if filter.is_some() && own != filter {
                problems.push(format!(
                    "settings filter nodes by {name} but do not give that {name} to the nodes enrolled here"
                ));
            }
        }
        problems
    }
}

impl Keystone {
    /// What a login would lack.
    fn missing(&self) -> Option<&'static str> {
        match self {
            Self { application_credential: Some(_), .. } => None,
            Self { user: None, .. } => Some("`keystone.user` or `keystone.application_credential`"),
            Self { project: None, scope: Scope::Project, .. } => Some("`keystone.project` or `keystone.scope: system`"),
            _ => None,
        }
    }
}

impl Filter {
    /// Why a node is outside, as a sentence; none when this driver may change it.
    pub(crate) fn refuses(&self, record: &Record) -> Option<String> {
        let fields = [
            ("owner", &self.owner, &record.owner),
            ("conductor_group", &self.conductor_group, &record.conductor_group),
            ("resource_class", &self.resource_class, &record.resource_class),
        ];
        let (name, wanted, has) = fields.into_iter().find(|(_, wanted, has)| wanted.is_some() && wanted != has)?;
        Some(format!(
            "node {} is outside of this backend's filter: its {name} is {:?}, not {:?}",
            record.uuid,
            has.as_deref().unwrap_or_default(),
            wanted.as_deref().unwrap_or_default()
        ))
    }
}

impl Reach {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }
}

impl From<Erase> for Reach {
    fn from(level: Erase) -> Self {
        match level {
            Erase::None => Self::None,
            Erase::Quick => Self::Quick,
            Erase::Full => Self::Full,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn settings(value: Value) -> Settings {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn without_settings_the_cautious_defaults_hold() {
        let settings = settings(json!({}));
        assert!(settings.automated_clean && settings.inspect && settings.configdrive);
        assert_eq!(settings.redfish_verify_ca, json!(true));
        assert_eq!(settings.erases, Reach::None);
        assert_eq!(settings.interfaces().count(), 0);
        assert_eq!(settings.problems(), Vec::<String>::new());
    }

    #[test]
    fn the_schema_names_every_setting_and_no_other() {
        let schema: Value = serde_json::from_str(include_str!("../settings.schema.json")).unwrap();
        let properties = schema["properties"].as_object().unwrap();
        for name in properties.keys() {
            let value = properties[name].get("default").cloned().unwrap_or_else(|| json!("text"));
            let one = json!({ name: value });
            assert!(serde_json::from_value::<Settings>(one).is_ok(), "{name}");
        }
        // 13 interfaces and 18 more.
        assert_eq!(properties.len(), 31);
        assert_eq!(schema["additionalProperties"], json!(false));
    }

    #[test]
    fn a_login_that_lacks_something_is_a_problem() {
        let problems = |keystone: Value| settings(json!({ "auth": "keystone", "keystone": keystone })).problems().len();
        assert_eq!(problems(json!({})), 1);
        assert_eq!(problems(json!({ "user": "u" })), 1);
        assert_eq!(problems(json!({ "user": "u", "project": "p" })), 0);
        assert_eq!(problems(json!({ "user": "u", "scope": "system" })), 0);
        assert_eq!(problems(json!({ "application_credential": "c" })), 0);
    }

    #[test]
    fn a_node_without_automated_clean_reaches_nothing() {
        let settings = settings(json!({ "erases": "quick" }));
        assert_eq!(settings.reach(Some(true)), Reach::Quick);
        assert_eq!(settings.reach(None), Reach::Quick);
        assert_eq!(settings.reach(Some(false)), Reach::None);
    }

    #[test]
    fn a_filter_that_the_enrolled_nodes_do_not_pass_is_a_problem() {
        let wrong = settings(json!({ "resource_class": "a", "filter": { "resource_class": "b" } }));
        assert_eq!(wrong.problems().len(), 1);
        let right = settings(json!({ "resource_class": "b", "filter": { "resource_class": "b" } }));
        assert!(right.problems().is_empty());
    }

    #[test]
    fn the_filter_refuses_a_node_of_another_owner_and_says_so() {
        let filter = settings(json!({ "filter": { "owner": "us" } })).filter;
        let mut record = Record { uuid: "u".into(), owner: Some("them".into()), ..Record::default() };
        let refused = filter.refuses(&record).unwrap();
        assert!(refused.contains("owner is \"them\", not \"us\""), "{refused}");
        record.owner = Some("us".into());
        assert_eq!(filter.refuses(&record), None);
    }
}
