//! A row of CloudBoot's pool: a server that booted BootOS once. Deleting a device destroys this row too, and then neither an install nor
//! a power call knows the server any more; so it is kept as the [`Inventory`] that its own agent would report.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The nested documents come as JSON inside strings, the word `null` where nothing was reported.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Discovered {
    #[serde(rename = "ID")]
    pub(crate) id: u64,
    /// 0: not entered.
    #[serde(rename = "DeviceID")]
    pub(crate) device_id: u64,
    #[serde(rename = "UserID")]
    pub(crate) user_id: u64,
    pub(crate) sn: String,
    pub(crate) company: String,
    pub(crate) product: String,
    pub(crate) model_name: String,
    pub(crate) ip: String,
    pub(crate) mac: String,
    pub(crate) nic: String,
    pub(crate) cpu: String,
    pub(crate) cpu_sum: u64,
    pub(crate) memory: String,
    pub(crate) memory_sum: u64,
    pub(crate) disk: String,
    pub(crate) disk_sum: u64,
    pub(crate) motherboard: String,
    pub(crate) raid: String,
    /// Address of the BMC, where the agent found one.
    pub(crate) oob: String,
    pub(crate) is_vm: String,
    pub(crate) nic_device: String,
}

/// What is saved of a server, and reported again when CloudBoot has forgotten it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default)]
pub(crate) struct Inventory {
    /// The body of `deviceProductInfo`.
    pub(crate) report: Value,
    /// Who owned the row; a new row has no owner.
    pub(crate) user_id: u64,
}

/// The most that is kept, bytes. A checkpoint has 65,536.
const LARGEST: usize = 40_000;

impl Discovered {
    pub(crate) fn inventory(&self) -> Inventory {
        let mut report = json!({
            "Sn": self.sn, "Company": self.company, "Product": self.product, "ModelName": self.model_name,
            "Ip": self.ip, "Mac": self.mac, "CpuSum": self.cpu_sum, "MemorySum": self.memory_sum,
            "DiskSum": self.disk_sum, "Oob": self.oob, "IsVm": self.is_vm, "Raid": self.raid,
            "NicDevice": self.nic_device,
        });
        let documents = [
            ("Nic", &self.nic),
            ("Cpu", &self.cpu),
            ("Memory", &self.memory),
            ("Disk", &self.disk),
            ("Motherboard", &self.motherboard),
        ];
        for (key, text) in documents {
            let document = document(text);
            if !document.is_null() {
                report[key] = document;
            }
        }
        // Long free texts that nothing here reads; the next boot of BootOS reports them again.
        if report.to_string().len() > LARGEST
            && let Some(fields) = report.as_object_mut()
        {
            fields.retain(|key, _| key != "Raid" && key != "NicDevice");
        }
        Inventory { report, user_id: self.user_id }
    }

    /// `Company-ModelName`, as CloudBoot names hardware templates.
    pub(crate) fn class(&self) -> String {
        format!("{}-{}", self.company, self.model_name)
    }
}

/// A document inside a string; null when there is none.
pub(crate) fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_inventory_is_what_the_agent_reported_with_its_documents_unpacked() {
        let row = json!({
            "ID": 1, "DeviceID": 0, "Sn": "S", "Company": "Dell", "Nic": "[{\"Name\":\"eth0\"}]", "Cpu": "null",
            "CpuSum": 8, "UserID": 3,
        });
        let row: Discovered = serde_json::from_value(row).unwrap();
        let inventory = row.inventory();
        assert_eq!(inventory.report["Nic"][0]["Name"], "eth0");
        assert_eq!(inventory.report.get("Cpu"), None);
        assert_eq!((inventory.report["CpuSum"].as_u64(), inventory.user_id), (Some(8), 3));
    }

    #[test]
    fn an_inventory_always_fits_a_checkpoint() {
        let row = Discovered { raid: "x".repeat(60_000), sn: "S".into(), ..Discovered::default() };
        let kept = row.inventory().report;
        assert!(kept.to_string().len() < LARGEST);
        assert_eq!(kept["Sn"], "S");
    }
}
