//! A device of CloudBoot: a server that was entered. Its `AssetNumber` is the one free text that comes back, and bears our marks:
//! `CLAIM` while the server is lent, `CLAIM.DEPLOY` while something is deployed on it. A mark has no dot.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Device {
    #[serde(rename = "ID")]
    pub(crate) id: u64,
    pub(crate) sn: String,
    pub(crate) hostname: String,
    pub(crate) ip: String,
    #[serde(rename = "NetworkID")]
    pub(crate) network_id: u64,
    #[serde(rename = "OsID")]
    pub(crate) os_id: u64,
    #[serde(rename = "SystemID")]
    pub(crate) system_id: u64,
    #[serde(rename = "HardwareID")]
    pub(crate) hardware_id: u64,
    #[serde(rename = "LocationID")]
    pub(crate) location_id: u64,
    pub(crate) manage_ip: String,
    #[serde(rename = "ManageNetworkID")]
    pub(crate) manage_network_id: u64,
    pub(crate) asset_number: String,
    pub(crate) status: Status,
    pub(crate) install_progress: f64,
}

/// The only four that there are.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    PreInstall,
    Installing,
    Success,
    Failure,
    #[default]
    #[serde(other)]
    Unknown,
}

/// The marks of a device.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) claim: String,
    pub(crate) deploy: Option<String>,
}

impl Device {
    /// None: not entered by a driver of moganite.
    pub(crate) fn marks(&self) -> Option<Marks> {
        Marks::parse(&self.asset_number)
    }

    pub(crate) fn claimed_as(&self) -> Option<String> {
        self.marks().map(|marks| marks.claim)
    }

    pub(crate) fn deployed_as(&self) -> Option<String> {
        self.marks().and_then(|marks| marks.deploy)
    }

    /// As `batchUpdate` wants it, which writes every field: what is left out becomes empty.
    pub(crate) fn update(&self) -> Value {
        json!({
            "ID": self.id, "Sn": self.sn, "Hostname": self.hostname, "Ip": self.ip, "NetworkID": self.network_id,
            "OsID": self.os_id, "SystemID": self.system_id, "HardwareID": self.hardware_id,
            "LocationID": self.location_id, "ManageIp": self.manage_ip, "ManageNetworkID": self.manage_network_id,
            "AssetNumber": self.asset_number, "IsSupportVm": "No",
        })
    }
}

impl Status {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::PreInstall => "pre_install",
            Self::Installing => "installing",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Unknown => "unknown",
        }
    }

    /// Whether CloudBoot tells the server to install.
    pub(crate) fn is_queued(self) -> bool {
        matches!(self, Self::PreInstall | Self::Installing)
    }
}

impl Marks {
    pub(crate) fn of_claim(claim: &str) -> Self {
        Self { claim: claim.to_owned(), deploy: None }
    }

    /// None: the text is not ours.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (claim, deploy) = match text.split_once('.') {
            Some((claim, deploy)) => (claim, Some(deploy)),
            None => (text, None),
        };
        let is_ours = |mark: &str| mark.starts_with("mg-") && !mark.contains('.');
        (is_ours(claim) && deploy.is_none_or(is_ours))
            .then(|| Self { claim: claim.to_owned(), deploy: deploy.map(str::to_owned) })
    }

    pub(crate) fn text(&self) -> String {
        match &self.deploy {
            Some(deploy) => format!("{}.{deploy}", self.claim),
            None => self.claim.clone(),
        }
    }

    /// Whether a mark was made by the same installation: `mg-SITE-`, and a site has no hyphen.
    pub(crate) fn is_of_the_site_of(&self, mark: &str) -> bool {
        let site = |mark: &str| mark.split('-').nth(1).map(str::to_owned);
        site(&self.claim) == site(mark)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn marks_come_back_as_they_were_written_and_other_texts_are_nobody_s() {
        for text in ["mg-site-1", "mg-site-1.mg-site-2"] {
            assert_eq!(Marks::parse(text).unwrap().text(), text);
        }
        for text in ["", "A-1001", "mg-site-1.", "mg-site-1.A", "mg-s-1.mg-s-2.mg-s-3"] {
            assert_eq!(Marks::parse(text), None, "{text}");
        }
        let marks = Marks::of_claim("mg-abc-1");
        assert!(marks.is_of_the_site_of("mg-abc-9") && !marks.is_of_the_site_of("mg-abd-9"));
    }

    #[test]
    fn a_row_is_read_with_cloudboot_s_names_and_a_new_status_is_unknown() {
        let row = json!({"ID": 7, "Sn": "S", "OsID": 2, "AssetNumber": "mg-a-1", "Status": "pre_install", "InstallProgress": 0.45});
        let device: Device = serde_json::from_value(row).unwrap();
        assert_eq!((device.id, device.os_id, device.status), (7, 2, Status::PreInstall));
        let device: Device = serde_json::from_value(json!({"Status": "pre_run"})).unwrap();
        assert_eq!(device.status, Status::Unknown);
    }
}
