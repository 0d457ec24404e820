//! The servers themselves, and what runs on them: BootOS with its agent, an installer, or the system that it installed. Every power action
//! begins a new life (`boots`); what belongs to an older one stops by itself. All waiting is on the simulator's clock.

use std::sync::Arc;

use serde_json::{Value, json};

use super::store::Status;
use crate::faults::Kind;
use crate::machine::Disk;
use crate::options::Options;
use crate::world::World;

pub(super) struct Server {
    /// As its firmware tells it, and its BMC.
    pub(super) sn: String,
    /// Address of its BMC.
    pub(super) oob: String,
    cores: u32,
    memory_gib: u64,
    macs: Vec<String>,
    pub(super) disks: Vec<Disk>,
    pub(super) runs: Runs,
    /// Whether its first disk boots.
    installed: bool,
    /// Counts power actions.
    boots: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runs {
    Off,
    /// On, and nothing yet.
    Booting,
    BootOs,
    Installer,
    System,
}

/// What is reported before the reboot into the installer, and after it.
const IN_BOOTOS: [(f64, &str); 5] =
    [(0.1, "进入BootOS"), (0.15, "查询配置"), (0.2, "获取模板"), (0.45, "生成PXE文件"), (0.5, "重启系统")];
const IN_INSTALLER: [(f64, &str); 6] = [
    (0.6, "开始安装"),
    (0.7, "分区并安装软件包"),
    (0.8, "配置网络"),
    (0.85, "添加用户"),
    (0.9, "配置服务"),
    (0.95, "调整系统参数"),
];

impl Server {
    pub(super) fn new(options: &Options, number: usize) -> Self {
        let disk = |at: usize| Disk { serial: format!("CB{number:03}-D{at}"), gib: options.disk_gib, owner: None };
        Self {
            sn: format!("CB{number:03}"),
            oob: format!("10.8.{}.{}", number / 250, number % 250 + 1),
            cores: options.cores,
            memory_gib: options.memory_mib / 1024,
            macs: (0..options.nics.min(16))
                .map(|at| format!("52:54:CB:{:02X}:{:02X}:{at:02X}", number / 256, number % 256))
                .collect(),
            disks: (0..options.disks).map(disk).collect(),
            runs: Runs::Off,
            installed: false,
            boots: 0,
        }
    }

    /// What its agent reports when BootOS has come up.
    pub(super) fn report(&self) -> Value {
        let nics: Vec<Value> = (self.macs.iter().enumerate())
            .map(|(at, mac)| {
                let ip = if at == 0 { format!("192.168.0.{}", 10 + self.oob_number()) } else { String::new() };
                json!({"Name": format!("eth{at}"), "Mac": mac, "Ip": ip})
            })
            .collect();
        let disks: Vec<Value> = (self.disks.iter().enumerate())
            .map(|(at, disk)| json!({"Name": format!("/dev/sd{}", char::from(b'a' + at as u8 % 26)), "Size": disk.gib.to_string()}))
            .collect();
        json!({
            "Sn": self.sn, "Company": "Dell", "Product": "Server", "ModelName": "R730",
            "Ip": nics.first().map(|nic| nic["Ip"].clone()), "Mac": self.macs.first(), "Nic": nics,
            "Cpu": {"Model": "Intel(R) Xeon(R)", "Core": self.cores.to_string()}, "CpuSum": self.cores,
            "Memory": [{"Name": "DIMM1", "Size": self.memory_gib.to_string()}], "MemorySum": self.memory_gib,
            "Disk": disks, "DiskSum": self.disks.iter().map(|disk| disk.gib).sum::<u64>(),
            "Motherboard": {"Name": "Board", "Model": "0H21J3"}, "Oob": self.oob, "IsVm": "No",
        })
    }

    pub(super) fn is_on(&self) -> bool {
        self.runs != Runs::Off
    }

    /// Whether it runs something of a user's, or is about to.
    pub(super) fn is_in_use(&self) -> bool {
        matches!(self.runs, Runs::Installer | Runs::System)
    }

    pub(super) fn turn_off(&mut self) {
        self.boots += 1;
        self.runs = Runs::Off;
    }

    fn oob_number(&self) -> usize {
        self.oob.rsplit('.').next().and_then(|last| last.parse().ok()).unwrap_or(0)
    }
}

/// Turns a server on. `pxe`: from the network, else from its disk if that boots.
pub(super) fn spawn_boot(world: &Arc<World>, sn: &str, pxe: bool) {
    let boots = {
        let mut state = world.state();
        let Some(server) = state.cloudboot.server_mut(sn) else { return };
        server.boots += 1;
        server.runs = Runs::Booting;
        server.boots
    };
    let life = Life { world: world.clone(), sn: sn.to_owned(), boots };
    tokio::spawn(async move { life.run(pxe).await });
}

/// Servers that were just discovered sit in BootOS.
pub(crate) fn spawn_idle(world: &Arc<World>) {
    let all: Vec<String> = world.state().cloudboot.servers.iter().map(|server| server.sn.clone()).collect();
    all.iter().for_each(|sn| spawn_boot(world, sn, true));
}

/// One power cycle of one server.
struct Life {
    world: Arc<World>,
    sn: String,
    boots: u64,
}

impl Life {
    /// None: this life has ended.
    async fn run(self, pxe: bool) -> Option<()> {
        let options = &self.world.options;
        self.pause(options.cloudboot_boot_ms).await?;
        if !pxe && self.with(|server| server.installed)? {
            return self.becomes(Runs::System);
        }
        loop {
            if self.world.state().cloudboot.pxe.contains(&self.sn) {
                return self.install().await;
            }
            self.becomes(Runs::BootOs)?;
            self.report_itself();
            while !self.is_listed() {
                self.pause(options.cloudboot_poll_ms).await?;
            }
            self.prepare().await?;
        }
    }

    /// In BootOS: the hardware's set-up, and the file that makes the next boot lead into the installer.
    async fn prepare(&self) -> Option<()> {
        for (progress, title) in IN_BOOTOS {
            self.pause(self.world.options.cloudboot_step_ms).await?;
            let mut state = self.world.state();
            if !state.cloudboot.progress(&self.sn, title, progress) {
                return Some(());
            }
            if progress == 0.45 {
                state.cloudboot.pxe.insert(self.sn.clone());
            }
        }
        self.pause(self.world.options.cloudboot_boot_ms).await
    }

    /// It goes on whatever CloudBoot answers to its reports.
    async fn install(&self) -> Option<()> {
        self.becomes(Runs::Installer)?;
        for (progress, title) in IN_INSTALLER {
            self.pause(self.world.options.cloudboot_step_ms).await?;
            self.world.state().cloudboot.progress(&self.sn, title, progress);
            if progress == 0.7 {
                self.write_disks()?;
                if let Some(stuck) = self.world.faults.fires(Kind::InstallStuck) {
                    return self.hang(stuck.ms).await;
                }
            }
        }
        self.pause(self.world.options.cloudboot_step_ms).await?;
        self.world.state().cloudboot.progress(&self.sn, "安装完成", 1.0);
        self.with(|server| server.installed = true)?;
        self.becomes(Runs::System)
    }

    /// The data is that of whoever the device is entered for now. None: it failed, and nothing follows.
    fn write_disks(&self) -> Option<()> {
        let mut state = self.world.state();
        let owner = state.cloudboot.device(&self.sn).map(|device| device.asset.clone()).unwrap_or_default();
        let server = state.cloudboot.server_mut(&self.sn)?;
        server.disks.iter_mut().for_each(|disk| disk.owner = Some(owner.clone()));
        let fault = self.world.faults.fires(Kind::InstallFails);
        if let Some(fault) = &fault {
            let reason = fault.message.as_deref().unwrap_or("分区失败");
            state.cloudboot.progress(&self.sn, reason, -1.0);
        }
        fault.is_none().then_some(())
    }

    /// No report ever comes again; after `ms` CloudBoot's own timer calls it a failure.
    async fn hang(&self, ms: Option<u64>) -> Option<()> {
        self.pause(ms?).await?;
        let mut state = self.world.state();
        let device = state.cloudboot.device_mut(&self.sn).filter(|device| device.status == Status::Installing)?;
        (device.status, device.progress) = (Status::Failure, -1.0);
        None
    }

    fn report_itself(&self) {
        let now = self.world.clock.spaced();
        let mut state = self.world.state();
        let Some(report) = state.cloudboot.server_mut(&self.sn).map(|server| server.report()) else { return };
        // A device that was entered keeps its row as it is.
        if state.cloudboot.device(&self.sn).is_none() {
            state.cloudboot.discover(&report, now.trim_end_matches(" UTC"));
        }
    }

    fn is_listed(&self) -> bool {
        let now = self.world.clock.spaced();
        let mut state = self.world.state();
        if let Some(row) = state.cloudboot.pool.iter_mut().find(|row| row.sn == self.sn) {
            row.last_active = now.trim_end_matches(" UTC").to_owned();
        }
        state.cloudboot.device(&self.sn).is_some_and(|device| device.status.is_listed())
    }

    fn becomes(&self, runs: Runs) -> Option<()> {
        self.with(|server| server.runs = runs)
    }

    async fn pause(&self, ms: u64) -> Option<()> {
        self.world.clock.sleep(ms).await;
        self.with(|_| ())
    }

    fn with<T>(&self, what: impl FnOnce(&mut Server) -> T) -> Option<T> {
        let mut state = self.world.state();
        state.cloudboot.server_mut(&self.sn).filter(|server| server.boots == self.boots).map(what)
    }
}
