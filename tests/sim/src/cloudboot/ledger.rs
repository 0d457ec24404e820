//! CloudBoot's part of the world's account: what was entered, what is held, what every server runs and whose data lies on its disks.

use serde::Serialize;

use super::machine::Runs;
use super::store::Store;
use crate::ledger::Data;

#[derive(Clone, Debug, Serialize)]
pub struct CloudBoot {
    /// Devices entered.
    pub made: u64,
    /// Devices deleted.
    pub given_back: u64,
    pub held: Vec<CloudBootDevice>,
    /// Serial numbers of the servers that run an installer or what it installed.
    pub running: Vec<String>,
    /// Serial numbers of the servers that sit in BootOS, or are on their way.
    pub idle: Vec<String>,
    pub data: Vec<Data>,
    /// Serial numbers of the servers that CloudBoot knows no more: their inventory was lost with a delete.
    pub lost: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct CloudBootDevice {
    pub sn: String,
    pub hostname: String,
    pub status: String,
    pub asset: String,
}

impl CloudBoot {
    pub(crate) fn of(store: &Store) -> Self {
        let running = |what: &[Runs]| {
            store.servers.iter().filter(|server| what.contains(&server.runs)).map(|server| server.sn.clone()).collect()
        };
        let data = store.servers.iter().flat_map(|server| {
            server.disks.iter().filter_map(|disk| {
                Some(Data { disk: disk.serial.clone(), system: server.sn.clone(), owner: disk.owner.clone()? })
            })
        });
        Self {
            made: store.made,
            given_back: store.given_back,
            held: store
                .devices
                .iter()
                .map(|device| CloudBootDevice {
                    sn: device.sn.clone(),
                    hostname: device.hostname.clone(),
                    status: device.status.word().to_owned(),
                    asset: device.asset.clone(),
                })
                .collect(),
            running: running(&[Runs::Installer, Runs::System]),
            idle: running(&[Runs::Booting, Runs::BootOs]),
            data: data.collect(),
            lost: store
                .servers
                .iter()
                .map(|server| server.sn.clone())
                .filter(|sn| store.discovered(sn).is_none() && store.device(sn).is_none())
                .collect(),
        }
    }
}
