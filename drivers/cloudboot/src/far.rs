//! CloudBoot's API: reads, which need no token, and changes, which carry it in the body. The token is a session that the gate keeps; the
//! driver only logs in when there is none or CloudBoot refuses it.

use crate::device::Device;
use crate::discovered::Discovered;
use crate::said::{Said, sort};
use crate::settings::Settings;
use crate::words;
use moganite_driver::{Answer, Context, Endpoint, Fault, fault, info, now};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;

const BASE: &str = "/api/osinstall/v1";
const TOKEN: &str = "{{session.token}}";
const PASSWORD: &str = "{{secret.password}}";
/// Rows of one page. A row of the pool has some 4 KB, more with a long RAID text, and an answer at most 4 MiB.
pub(crate) const PAGE: usize = 250;

pub(crate) struct Far {
    endpoint: Endpoint,
    pub(crate) settings: Settings,
}

impl Far {
    pub(crate) fn of(cx: &Context) -> Result<Self, Fault> {
        // Ours ends before the host's, so that a lost answer is a step and not a cut call.
        let limit = cx.budget().saturating_sub(Duration::from_secs(5)).max(Duration::from_secs(1));
        Ok(Self { endpoint: Endpoint::named("cloudboot").within(limit), settings: cx.settings()? })
    }

    /// The device with this serial number. None is CloudBoot's word that there is none, and not any refusal.
    pub(crate) fn device(&self, sn: &str) -> Answer<Option<Device>> {
        let sn = words::word("the serial number", sn)?;
        let said = sort(self.endpoint.get(&format!("{BASE}/device/getDeviceBySn?sn={sn}"))?)?;
        if said.is_absent() {
            return Ok(None);
        }
        let device: Device = read(said.content("reading a device")?)?;
        match device.sn.eq_ignore_ascii_case(sn) {
            true => Ok(Some(device)),
            false => Err(fault::broken(format!("CloudBoot was asked for device {sn} and answered {:?}", device.sn))),
        }
    }

    /// The row of the pool with this serial number, entered or not.
    pub(crate) fn discovered(&self, sn: &str) -> Answer<Option<Discovered>> {
        let sn = words::word("the serial number", sn)?;
        let filter = json!({ "Keyword": sn, "IsShowEnteredDevice": "Yes" });
        let (rows, _) = self.page::<Discovered>("device/scan/list", filter, 0)?;
        Ok(rows.into_iter().find(|row| row.sn.eq_ignore_ascii_case(sn)))
    }

    /// One page of a list, and whether there are more. Without rows the list may be null.
    pub(crate) fn page<T: DeserializeOwned>(
        &self,
        path: &str,
        mut query: Value,
        from: usize,
    ) -> Answer<(Vec<T>, bool)> {
        query["Limit"] = PAGE.into();
        query["Offset"] = from.into();
        let content = self.read(path, &query)?;
        let rows: Vec<Value> = match &content["list"] {
            Value::Null => Vec::new(),
            list => read(list.clone())?,
        };
        let more = rows.len() == PAGE;
        Ok((rows.into_iter().map(read).collect::<Answer<_>>()?, more))
    }

    /// Reads; a refusal is tried again.
    pub(crate) fn read(&self, path: &str, body: &Value) -> Answer<Value> {
        self.ask(path, body)?.content(path)
    }

    pub(crate) fn ask(&self, path: &str, body: &Value) -> Answer<Said> {
        sort(self.endpoint.post(&format!("{BASE}/{path}"), body)?)
    }

    /// Changes one thing in a `batch` call, which takes an array. Never more than one: CloudBoot applies them one by one without a
    /// transaction.
    pub(crate) fn change(&self, path: &str, item: Value) -> Answer<Said> {
        let mut item = item;
        item["AccessToken"] = TOKEN.into();
        self.authorized(path, &json!([item]))
    }

    /// The same, for a call that takes an object.
    pub(crate) fn change_object(&self, path: &str, mut item: Value) -> Answer<Said> {
        item["AccessToken"] = TOKEN.into();
        self.authorized(path, &item)
    }

    /// Logs in once when there is no session or CloudBoot refuses it, and asks again. A refused token was looked at before anything
    /// else, so nothing was done.
    fn authorized(&self, path: &str, body: &Value) -> Answer<Said> {
        let said = self.ask(path, body)?;
        if !said.wants_login() {
            return Ok(said);
        }
        self.log_in()?;
        match self.ask(path, body)? {
            said if said.wants_login() => Err(fault::broken(format!("after a login {path}: {}", said.why()))),
            said => Ok(said),
        }
    }

    /// A login makes a token that never ends, so it is done only when it is needed.
    fn log_in(&self) -> Answer<()> {
        info!("logging in to CloudBoot as {}", self.settings.username);
        let body = json!({ "Username": self.settings.username, "Password": PASSWORD });
        match self.ask("user/login", &body)? {
            Said::Done(_) => Ok(()),
            other => Err(fault::broken(format!("user {} cannot log in: {}", self.settings.username, other.why()))),
        }
    }
}

pub(crate) fn read<T: DeserializeOwned>(content: Value) -> Answer<T> {
    serde_json::from_value(content).map_err(|error| fault::retry(format!("CloudBoot's answer cannot be read: {error}")))
}

/// Milliseconds since 1970, as checkpoints keep the time.
pub(crate) fn now_ms() -> u64 {
    u64::try_from(now().as_millis()).unwrap_or(u64::MAX)
}

/// What is left of so many milliseconds that began then; none when they are over.
pub(crate) fn left_ms(since_ms: u64, of_ms: u64) -> Option<u64> {
    since_ms.saturating_add(of_ms).checked_sub(now_ms()).filter(|left| *left > 0)
}
