//! A resource block: what is in it, which does not change, and how it stands at one moment. What is in it takes a request for each part,
//! so it is read once and kept in the checkpoint.

use super::service::{Seen, Service, is_true, link, links, number, text};
use moganite_driver::Fault;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What one block brings into a system.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Block {
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) cores: u32,
    #[serde(default)]
    pub(crate) memory_mib: u64,
    #[serde(default)]
    pub(crate) disks: Vec<Disk>,
    #[serde(default)]
    pub(crate) nics: Vec<Nic>,
    /// As the block tells; the zones are asked as well.
    #[serde(default)]
    pub(crate) zones: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Disk {
    /// Of the Drive; none for a device of SimpleStorage, which has no actions.
    pub(crate) path: Option<String>,
    pub(crate) serial: Option<String>,
    pub(crate) gib: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Nic {
    /// Lower case with colons.
    pub(crate) mac: Option<String>,
    pub(crate) mbps: u32,
}

/// How a block stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    /// Composing, ComposedAndAvailable, Composed, Unused, Failed or Unavailable.
    pub(crate) state: String,
    pub(crate) is_reserved: bool,
    /// The systems that it names.
    pub(crate) systems: Vec<String>,
    pub(crate) seen: Seen,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PartOf {
    Processor,
    Memory,
    Nic,
    Drive,
    /// With links to its drives.
    Storage,
    SimpleStorage,
}

impl Block {
    /// The last segment of its path, for people.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    pub(crate) fn at(path: &str, seen: &Seen) -> Self {
        Self { path: path.to_owned(), zones: links(&seen.body["Links"]["Zones"]), ..Self::default() }
    }

    /// Takes in one part; what else is to be read for it.
    pub(crate) fn add(&mut self, kind: PartOf, path: &str, body: &Value) -> Vec<(PartOf, String)> {
        match kind {
            PartOf::Processor if is_cpu(body) => {
                self.cores += u32::try_from(number(&body["TotalCores"])).unwrap_or(u32::MAX);
            }
            PartOf::Processor => {}
            PartOf::Memory => self.memory_mib += number(&body["CapacityMiB"]),
            PartOf::Nic => {
                let mac = text(&body["PermanentMACAddress"]).or_else(|| text(&body["MACAddress"]));
                let mbps = u32::try_from(number(&body["SpeedMbps"])).unwrap_or(u32::MAX);
                self.nics.push(Nic { mac: mac.map(|mac| mac.to_lowercase().replace('-', ":")), mbps });
            }
            PartOf::Drive => {
                let gib = number(&body["CapacityBytes"]) >> 30;
                self.disks.push(Disk { path: Some(path.to_owned()), serial: text(&body["SerialNumber"]), gib });
            }
            PartOf::Storage => {
                return links(&body["Drives"]).into_iter().map(|drive| (PartOf::Drive, drive)).collect();
            }
            PartOf::SimpleStorage => {
                for device in body["Devices"].as_array().into_iter().flatten() {
                    self.disks.push(Disk { gib: number(&device["CapacityBytes"]) >> 30, ..Disk::default() });
                }
            }
        }
        Vec::new()
    }

    /// Of no difference to a system, but for which piece it is.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let disks = |block: &Self| block.disks.iter().map(|disk| (disk.gib, disk.path.is_some())).collect::<Vec<_>>();
        let nics = |block: &Self| block.nics.iter().map(|nic| nic.mbps).collect::<Vec<_>>();
        (self.cores, self.memory_mib, &self.zones) == (other.cores, other.memory_mib, &other.zones)
            && disks(self) == disks(other)
            && nics(self) == nics(other)
    }
}

/// None when the service does not know it.
pub(crate) fn standing(service: &Service, path: &str) -> Result<Option<Standing>, Fault> {
    Ok(service.read(path)?.map(|seen| {
        let status = &seen.body["CompositionStatus"];
        Standing {
            state: status["CompositionState"].as_str().unwrap_or_default().to_owned(),
            is_reserved: is_true(&status["Reserved"]),
            systems: links(&seen.body["Links"]["ComputerSystems"]),
            seen,
        }
    }))
}

impl Standing {
    /// In no system, working, and nobody's. A block that several systems may share is left alone: our systems own what is in them.
    pub(crate) fn is_free(&self) -> bool {
        let status = &self.seen.body["Status"];
        let is_well = status["State"].as_str().is_none_or(|state| state == "Enabled")
            && status["Health"].as_str().is_none_or(|health| health != "Critical");
        self.is_unused() && is_well && !self.is_reserved && self.seen.body["Pool"] != "Active"
    }

    pub(crate) fn is_unused(&self) -> bool {
        self.state == "Unused" && self.systems.is_empty()
    }

    /// A system beside ours.
    pub(crate) fn stranger(&self, ours: &str) -> Option<&str> {
        self.systems.iter().find(|system| *system != ours).map(String::as_str)
    }

    /// A request each.
    pub(crate) fn parts(&self) -> Vec<(PartOf, String)> {
        let lists = [
            (PartOf::Processor, "Processors"),
            (PartOf::Memory, "Memory"),
            (PartOf::Nic, "EthernetInterfaces"),
            (PartOf::Drive, "Drives"),
            (PartOf::Storage, "Storage"),
            (PartOf::SimpleStorage, "SimpleStorage"),
        ];
        let mut parts = Vec::new();
        for (kind, list) in lists {
            let found = &self.seen.body[list];
            // One link alone leads to the block's only part of the kind.
            parts.extend(links(found).into_iter().chain(link(found)).map(|path| (kind, path)));
        }
        parts
    }
}

/// A processor that is none of the others; older services do not say.
fn is_cpu(body: &Value) -> bool {
    body["ProcessorType"].as_str().is_none_or(|kind| matches!(kind, "CPU" | "Core"))
}
