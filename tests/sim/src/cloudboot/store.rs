//! CloudBoot's records: the pool of discovered servers, the devices that were entered, their logs, the tokens; and beside them the
//! servers themselves. Both tables are found by serial number, without regard to case.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::machine::Server;
use crate::options::Options;

pub(crate) struct Store {
    pub(super) servers: Vec<Server>,
    pub(super) pool: Vec<Discovered>,
    pub(super) devices: Vec<Device>,
    pub(super) logs: Vec<Log>,
    pub(super) tokens: BTreeSet<String>,
    /// Serial numbers whose PXE file is there: the next network boot leads into the installer.
    pub(super) pxe: BTreeSet<String>,
    pub(super) made: u64,
    pub(super) given_back: u64,
    ids: u64,
}

/// A row of the pool ("scan device").
#[derive(Clone)]
pub(super) struct Discovered {
    pub(super) id: u64,
    pub(super) sn: String,
    /// What was reported, with the JSON documents as strings.
    pub(super) told: Value,
    pub(super) user_id: u64,
    pub(super) last_active: String,
}

#[derive(Clone, Default)]
pub(super) struct Device {
    pub(super) id: u64,
    pub(super) sn: String,
    pub(super) hostname: String,
    pub(super) ip: String,
    pub(super) network_id: u64,
    pub(super) os_id: u64,
    pub(super) system_id: u64,
    pub(super) hardware_id: u64,
    pub(super) location_id: u64,
    pub(super) asset: String,
    pub(super) status: Status,
    pub(super) progress: f64,
    pub(super) batch: String,
    pub(super) user_id: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Status {
    #[default]
    PreInstall,
    Installing,
    Success,
    Failure,
}

#[derive(Clone)]
pub(super) struct Log {
    pub(super) id: u64,
    pub(super) device: u64,
    pub(super) title: String,
    /// `install`, `install_history` or `operate`.
    pub(super) kind: &'static str,
}

impl Store {
    pub(crate) fn new(options: &Options) -> Self {
        let servers: Vec<Server> = (1..=options.cloudboot_systems).map(|number| Server::new(options, number)).collect();
        let mut store = Self {
            servers,
            pool: Vec::new(),
            devices: Vec::new(),
            logs: Vec::new(),
            tokens: BTreeSet::new(),
            pxe: BTreeSet::new(),
            made: 0,
            given_back: 0,
            ids: 0,
        };
        for report in store.servers.iter().map(Server::report).collect::<Vec<_>>() {
            store.discover(&report, "0001-01-01 00:00:00");
        }
        store
    }

    pub(super) fn fresh_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    pub(super) fn device(&self, sn: &str) -> Option<&Device> {
        self.devices.iter().find(|device| device.sn.eq_ignore_ascii_case(sn))
    }

    pub(super) fn device_mut(&mut self, sn: &str) -> Option<&mut Device> {
        self.devices.iter_mut().find(|device| device.sn.eq_ignore_ascii_case(sn))
    }

    pub(super) fn by_id(&self, id: u64) -> Option<&Device> {
        self.devices.iter().find(|device| device.id == id)
    }

    pub(super) fn discovered(&self, sn: &str) -> Option<&Discovered> {
        self.pool.iter().find(|row| row.sn.eq_ignore_ascii_case(sn))
    }

    pub(super) fn server_mut(&mut self, sn: &str) -> Option<&mut Server> {
        self.servers.iter_mut().find(|server| server.sn == sn)
    }

    /// Writes a report into the pool: an upsert by serial number that leaves the owner alone.
    pub(super) fn discover(&mut self, report: &Value, now: &str) {
        let sn = report["Sn"].as_str().unwrap_or_default().to_owned();
        let id = self.fresh_id();
        let told = told(report);
        match self.pool.iter_mut().find(|row| row.sn.eq_ignore_ascii_case(&sn)) {
            Some(row) => row.told = told,
            None => self.pool.push(Discovered { id, sn, told, user_id: 0, last_active: now.to_owned() }),
        }
    }

    /// A progress report. False: the device is not in the install list.
    pub(super) fn progress(&mut self, sn: &str, title: &str, progress: f64) -> bool {
        let Some(device) = self.device_mut(sn).filter(|device| device.status.is_listed()) else {
            return false;
        };
        device.progress = if progress < 0.0 { 0.0 } else { progress };
        device.status = match progress {
            progress if progress < 0.0 => Status::Failure,
            progress if progress >= 1.0 => Status::Success,
            _ => Status::Installing,
        };
        let (id, finished) = (device.id, device.status == Status::Success);
        if finished {
            self.pxe.remove(sn);
        }
        self.log(id, &format!("{title}({:.1}%)", progress * 100.0), "install");
        true
    }

    pub(super) fn log(&mut self, device: u64, title: &str, kind: &'static str) {
        let id = self.fresh_id();
        self.logs.push(Log { id, device, title: title.to_owned(), kind });
    }

    pub(super) fn retire_logs(&mut self, device: u64) {
        for log in self.logs.iter_mut().filter(|log| log.device == device && log.kind == "install") {
            log.kind = "install_history";
        }
    }
}

impl Status {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::PreInstall => "pre_install",
            Self::Installing => "installing",
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }

    /// Whether the agent is told to install.
    pub(super) fn is_listed(self) -> bool {
        matches!(self, Self::PreInstall | Self::Installing)
    }
}

/// The columns of a pool row: documents become strings, what was not reported the string `null`.
fn told(report: &Value) -> Value {
    let mut row = json!({});
    for key in ["Company", "Product", "ModelName", "Ip", "Mac", "Raid", "Oob", "IsVm", "NicDevice"] {
        row[key] = report[key].as_str().unwrap_or_default().into();
    }
    for key in ["Nic", "Cpu", "Memory", "Disk", "Motherboard"] {
        row[key] = report[key].to_string().into();
    }
    for key in ["CpuSum", "MemorySum", "DiskSum"] {
        row[key] = report[key].as_u64().unwrap_or_default().into();
    }
    row
}
