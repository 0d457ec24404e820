//! Entering a server as a device, which is CloudBoot's one way to take it and to queue its install: by `importDeviceForOpenApi`, which
//! unlike `batchAdd` checks the names, derives the network from the address and refuses a device that is installed. It is an upsert
//! by serial number, whoever's the row is, so it is sent only after the row was read.

use crate::device::{Device, Marks};
use crate::far::Far;
use crate::said::Said;
use crate::words::{self, word};
use moganite_driver::{Answer, fault};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One row as it is to be. Part of checkpoints, format `cloudboot-1`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub(crate) struct Entry {
    pub(crate) sn: String,
    pub(crate) hostname: String,
    pub(crate) ip: String,
    pub(crate) network: u64,
    pub(crate) os: Template,
    pub(crate) system: Template,
    pub(crate) hardware: Option<Template>,
    pub(crate) marks: Marks,
}

/// What CloudBoot calls it, both ways.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub(crate) struct Template {
    pub(crate) id: u64,
    pub(crate) name: String,
}

/// The lists that templates come from, with what they are called in an image.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Os,
    System,
    Hardware,
}

impl Entry {
    /// Sends it. `Callback`, which CloudBoot would run as a shell script, is never set.
    pub(crate) fn send(&self, far: &Far) -> Answer<Said> {
        for (what, text) in [("the serial number", &self.sn), ("the host name", &self.hostname)] {
            word(what, text)?;
        }
        let mut item = json!({
            "Sn": self.sn, "Hostname": self.hostname, "Ip": self.ip, "OsName": self.os.name,
            "SystemName": self.system.name, "Location": far.settings.location, "AssetNumber": self.marks.text(),
        });
        if let Some(hardware) = &self.hardware {
            item["HardwareName"] = hardware.name.as_str().into();
        }
        far.change_object("device/importDeviceForOpenApi", item)
    }

    /// What is not as it was sent, as a sentence. The marks are not looked at.
    pub(crate) fn differs(&self, device: &Device) -> Option<String> {
        let hardware = self.hardware.as_ref().map_or(0, |hardware| hardware.id);
        let numbers = [
            ("NetworkID", self.network, device.network_id),
            ("OsID", self.os.id, device.os_id),
            ("SystemID", self.system.id, device.system_id),
            ("HardwareID", hardware, device.hardware_id),
        ];
        let number = numbers.into_iter().find(|(_, sent, has)| sent != has);
        let number = number.map(|(name, sent, has)| format!("its {name} is {has}, not {sent}"));
        number.or_else(|| (self.hostname != device.hostname).then(|| format!("its name is {:?}", device.hostname)))
    }
}

/// A template by name or by id.
pub(crate) fn template(far: &Far, kind: Kind, wanted: &Value) -> Answer<Template> {
    let templates = templates(far, kind)?;
    let is_wanted = |template: &&Template| match wanted {
        Value::String(name) => template.name == *name,
        id => id.as_u64() == Some(template.id),
    };
    let found = templates.iter().find(is_wanted).ok_or_else(|| {
        let known: Vec<&str> = templates.iter().map(|template| template.name.as_str()).collect();
        fault::rejected(format!("CloudBoot has no {} {wanted}; it has {}", kind.list(), known.join(", ")))
    })?;
    word(kind.list(), &found.name)?;
    Ok(found.clone())
}

/// The first that may be sent: what a server that is only lent is entered with.
pub(crate) fn any_template(far: &Far, kind: Kind) -> Answer<Template> {
    let found = templates(far, kind)?.into_iter().find(|template| words::is_word(&template.name));
    found.ok_or_else(|| fault::broken(format!("CloudBoot's {} is empty: an administrator adds one", kind.list())))
}

fn templates(far: &Far, kind: Kind) -> Answer<Vec<Template>> {
    let (rows, _) = far.page::<Value>(&format!("{}/list", kind.list()), json!({}), 0)?;
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let template = |row: &Value| Template {
        id: row["ID"].as_u64().unwrap_or_default(),
        // An import names a hardware template by these two.
        name: match kind {
            Kind::Hardware => format!("{}-{}", text(row, "Company"), text(row, "ModelName")),
            Kind::Os | Kind::System => text(row, "Name"),
        },
    };
    Ok(rows.iter().map(template).collect())
}

impl Kind {
    fn list(self) -> &'static str {
        match self {
            Self::Os => "osConfig",
            Self::System => "systemConfig",
            Self::Hardware => "hardware",
        }
    }
}
