//! The microversion of a request, and which version each field of a node came with.

use std::fmt;

use crate::call::{Answer, Call};

use super::errors;

/// The minor number; the major is always 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32);

impl Version {
    pub(super) const MIN: Self = Self(1);
    pub(super) const MAX: Self = Self(115);
    /// Nodes start in `enroll`; before, in `available`.
    pub(super) const ENROLL: Self = Self(11);

    /// What `X-OpenStack-Ironic-API-Version` asks for; 1.1 without the header.
    pub(super) fn of(call: &Call) -> Result<Self, Answer> {
        let Some(text) = call.header("x-openstack-ironic-api-version") else {
            return Ok(Self::MIN);
        };
        if text == "latest" {
            return Ok(Self::MAX);
        }
        let minor =
            text.split_once('.').filter(|(major, _)| *major == "1").and_then(|(_, minor)| minor.parse().ok()).map(Self);
        minor.filter(|version| (Self::MIN..=Self::MAX).contains(version)).ok_or_else(|| {
            errors::version(&format!(
                "Version {text} was requested but the minor version is not supported by this service. \
                 The supported version range is: [{}, {}].",
                Self::MIN,
                Self::MAX
            ))
        })
    }

    pub(super) fn knows(self, field: &str) -> bool {
        SINCE.iter().find(|(name, _)| *name == field).is_none_or(|(_, since)| self.0 >= *since)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

/// Fields that are younger than 1.1.
const SINCE: &[(&str, u32)] = &[
    ("driver_internal_info", 3),
    ("name", 5),
    ("inspection_finished_at", 6),
    ("inspection_started_at", 6),
    ("clean_step", 7),
    ("raid_config", 12),
    ("target_raid_config", 12),
    ("network_interface", 20),
    ("resource_class", 21),
    ("boot_interface", 31),
    ("console_interface", 31),
    ("deploy_interface", 31),
    ("inspect_interface", 31),
    ("management_interface", 31),
    ("power_interface", 31),
    ("raid_interface", 31),
    ("vendor_interface", 31),
    ("storage_interface", 33),
    ("traits", 37),
    ("rescue_interface", 38),
    ("bios_interface", 40),
    ("fault", 42),
    ("deploy_step", 44),
    ("conductor_group", 46),
    ("automated_clean", 47),
    ("protected", 48),
    ("protected_reason", 48),
    ("conductor", 49),
    ("owner", 50),
    ("description", 51),
    ("allocation_uuid", 52),
    ("retired", 61),
    ("retired_reason", 61),
    ("lessee", 65),
    ("network_data", 66),
    ("boot_mode", 75),
    ("secure_boot", 75),
    ("shard", 82),
    ("parent_node", 83),
    ("firmware_interface", 86),
];
