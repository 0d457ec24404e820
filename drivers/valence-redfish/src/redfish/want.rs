//! What this dialect can ask for of a shape: cores, memory, disks and network interfaces. The rest is rejected by name before anything is
//! touched.

use moganite_driver::{Fault, Shape, fault};
use serde_json::Value;

/// A system without a processor or memory is none, so at least one of each is wanted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Want {
    pub(crate) cores: u32,
    pub(crate) memory_mib: u64,
    /// GiB each, largest first.
    pub(crate) disks_gib: Vec<u64>,
    /// Mbps each, fastest first; 0: any.
    pub(crate) nics_mbps: Vec<u32>,
}

impl Want {
    pub(crate) fn of(shape: &Shape) -> Result<Self, Fault> {
        let properties: Value = serde_json::from_str(&shape.properties).unwrap_or_default();
        let beyond = [
            ("devices", !shape.devices.is_empty()),
            ("a class", shape.class.is_some()),
            ("traits", !shape.traits.is_empty()),
            ("properties", properties.as_object().is_some_and(|keys| !keys.is_empty())),
        ];
        let beyond: Vec<&str> = beyond.into_iter().filter(|(_, asked)| *asked).map(|(name, _)| name).collect();
        if !beyond.is_empty() {
            return Err(fault::rejected(format!(
                "composing by resource blocks knows cores, memory, disks and network interfaces, and not {}: take a flavor without",
                beyond.join(", ")
            )));
        }
        let (mut disks_gib, mut nics_mbps) = (shape.disks_gib.clone(), shape.nics_mbps.clone());
        disks_gib.sort_by(|one, other| other.cmp(one));
        nics_mbps.sort_by(|one, other| other.cmp(one));
        Ok(Self { cores: shape.cores.max(1), memory_mib: shape.memory_mib.max(1), disks_gib, nics_mbps })
    }

    /// For people.
    pub(crate) fn sentence(&self) -> String {
        let mut words = format!("{} cores, {} MiB", self.cores, self.memory_mib);
        if !self.disks_gib.is_empty() {
            let disks: Vec<String> = self.disks_gib.iter().map(u64::to_string).collect();
            words += &format!(", disks of {} GiB", disks.join(" and "));
        }
        if !self.nics_mbps.is_empty() {
            words += &format!(", {} network interfaces", self.nics_mbps.len());
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::tests::want;

    #[test]
    fn disks_are_wanted_largest_first_and_a_machine_has_a_core() {
        let got = Want::of(&Shape { disks_gib: vec![10, 100], ..want(0, 4_096) });
        let wanted = Want { cores: 1, memory_mib: 4_096, disks_gib: vec![100, 10], nics_mbps: vec![] };
        assert_eq!(got, Ok(wanted));
    }

    #[test]
    fn what_no_block_tells_of_is_rejected_by_name() {
        let shape = Shape { class: Some("gold".into()), properties: r#"{"numa": 2}"#.into(), ..want(2, 4_096) };
        let refused = Want::of(&shape);
        assert!(matches!(&refused, Err(Fault::Rejected(said)) if said.contains("a class, properties")), "{refused:?}");
    }
}
