//! Power through a server's BMC, which CloudBoot drives with `ipmitool` and to which it must be told address and login each time. There
//! is no call that only reads the power: that a machine is off is proved by asking for it until CloudBoot refuses because it is.

use crate::discovered::Discovered;
use crate::far::Far;
use crate::said::Said;
use crate::settings::Settings;
use crate::words;
use moganite_driver::Answer;
use serde_json::{Value, json};

/// Of one server. The password is the gate's.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bmc {
    sn: String,
    address: String,
    username: String,
    login: u8,
}

/// What came of asking for a power state.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Power {
    /// It was so before this was asked.
    Reached,
    /// The BMC took the action.
    Asked,
    /// CloudBoot could not do it, and says why.
    Away(String),
}

impl Bmc {
    /// Address and login from the settings, the address else from the inventory. The error is a sentence for people.
    pub(crate) fn of(settings: &Settings, row: &Discovered) -> Result<Self, String> {
        let own = settings.bmc.nodes.iter().find(|(sn, _)| sn.eq_ignore_ascii_case(&row.sn)).map(|(_, login)| login);
        let address = own.and_then(|own| own.address.as_deref()).unwrap_or(row.oob.trim());
        let username = own.and_then(|own| own.username.as_deref()).unwrap_or(&settings.bmc.username);
        let Some(address) = words::address(address) else {
            return Err(format!(
                "server {} has no address of its BMC in CloudBoot's inventory ({:?}): set it under `bmc.nodes`",
                row.sn, row.oob
            ));
        };
        if !words::is_user(username) {
            return Err(format!("the BMC's user {username:?} of server {} has characters that are never sent", row.sn));
        }
        let login = own.and_then(|own| own.login).unwrap_or(settings.bmc.login);
        Ok(Self { sn: row.sn.clone(), address: address.to_string(), username: username.to_owned(), login })
    }

    pub(crate) fn off(&self, far: &Far) -> Answer<Power> {
        Ok(match far.change("device/batchPowerOff", self.item())? {
            Said::Done(_) => Power::Asked,
            said if said.is_already_off() => Power::Reached,
            said => Power::Away(said.why()),
        })
    }

    pub(crate) fn on(&self, far: &Far) -> Answer<Power> {
        Ok(match far.change("device/batchPowerOn", self.item())? {
            Said::Done(_) => Power::Asked,
            said if said.is_already_on() => Power::Reached,
            said => Power::Away(said.why()),
        })
    }

    /// Begins one boot from the network, of a machine that is on as of one that is off. Not repeatable by itself: a second one
    /// resets what the first began.
    pub(crate) fn start_from_pxe(&self, far: &Far) -> Answer<Power> {
        Ok(match far.change("device/batchStartFromPxe", self.item())? {
            Said::Done(_) => Power::Asked,
            said => Power::Away(said.why()),
        })
    }

    fn item(&self) -> Value {
        let password = match self.login {
            0 | 1 => "{{secret.bmc-password}}".to_owned(),
            login => format!("{{{{secret.bmc-password-{login}}}}}"),
        };
        json!({ "Sn": self.sn, "OobIp": self.address, "Username": self.username, "Password": password })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_settings_of_a_server_come_before_those_of_all_and_the_inventory() {
        let settings: Settings = serde_json::from_value(json!({
            "bmc": { "username": "ops", "nodes": { "s1": { "address": "10.0.0.9", "login": 3 } } }
        }))
        .unwrap();
        let row = |sn: &str, oob: &str| Discovered { sn: sn.into(), oob: oob.into(), ..Discovered::default() };
        let own = Bmc::of(&settings, &row("S1", "10.8.0.1")).unwrap();
        assert_eq!(
            own.item(),
            json!({"Sn": "S1", "OobIp": "10.0.0.9", "Username": "ops", "Password": "{{secret.bmc-password-3}}"})
        );
        let other = Bmc::of(&settings, &row("S2", "10.8.0.2")).unwrap();
        assert_eq!(other.item()["OobIp"], "10.8.0.2");
        assert_eq!(other.item()["Password"], "{{secret.bmc-password}}");
        let shell = Bmc::of(&settings, &row("S2", "10.8.0.2; reboot"));
        assert!(shell.is_err_and(|why| why.contains("bmc.nodes")));
    }
}
