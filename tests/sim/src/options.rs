//! What a simulator is started with: the size of its pool, how quick its far sides are, and which of their habits they show.
//! Every default is here and nowhere else; it is quick, so that a test does not wait.

use std::str::FromStr;

use clap::Parser;
use serde::{Deserialize, Serialize};

/// The stand-ins for Valence, its pod manager, Ironic and CloudBoot. Prints one line of JSON with their addresses, and ends when its
/// standard input closes.
#[derive(Clone, Debug, Parser)]
#[command(name = "moganite-sim", version)]
pub struct Options {
    /// Systems in the pool.
    #[arg(long, default_value_t = 8)]
    pub systems: usize,
    /// CPU cores of each system.
    #[arg(long, default_value_t = 8)]
    pub cores: u32,
    /// Memory of each system, MiB.
    #[arg(long, default_value_t = 16_384)]
    pub memory_mib: u64,
    /// Network interfaces of each system, at most 16.
    #[arg(long, default_value_t = 2)]
    pub nics: usize,
    /// Disks of each system.
    #[arg(long, default_value_t = 1)]
    pub disks: usize,
    /// Size of each disk, GiB.
    #[arg(long, default_value_t = 100)]
    pub disk_gib: u64,

    /// Blocks with processors in the pool of pieces, which is beside the systems; there are twice as many with a drive.
    #[arg(long, default_value_t = 4)]
    pub blocks: usize,
    /// How the pool of pieces speaks: `strict`, `sunfish`, `dmtf-emulator`, `dmtf-routine`.
    #[arg(long, default_value = "strict")]
    pub redfish_dialect: RedfishDialect,
    /// How its drives can be erased: `secure`, `on-detach`, `none`.
    #[arg(long, default_value = "secure")]
    pub drive_erase: DriveErase,
    /// How long erasing a drive takes, ms.
    #[arg(long, default_value_t = 50)]
    pub erase_ms: u64,

    /// From the allocation of a node to `Assembled`, ms.
    #[arg(long, default_value_t = 50)]
    pub assemble_ms: u64,
    /// Each of Ironic's transitions but deploying (verifying, cleaning, deleting, inspecting, a power action), ms.
    #[arg(long, default_value_t = 30)]
    pub step_ms: u64,
    /// Ironic's `deploying`, ms.
    #[arg(long, default_value_t = 50)]
    pub deploy_ms: u64,
    /// How much longer it may be, ms: each node by a share of it that follows from its uuid.
    #[arg(long, default_value_t = 0)]
    pub deploy_spread_ms: u64,
    /// How long Ironic keeps a node's lock after its state changed, ms. A real one: 50 to 200.
    #[arg(long, default_value_t = 20)]
    pub lock_ms: u64,
    /// How long Ironic tries a BMC that refuses connections, ms. A real one: 27,000 to 29,000.
    #[arg(long, default_value_t = 200)]
    pub bmc_timeout_ms: u64,

    /// Servers that CloudBoot discovered.
    #[arg(long, default_value_t = 4)]
    pub cloudboot_systems: usize,
    /// From a power action to BootOS, the installer or the system, ms.
    #[arg(long, default_value_t = 30)]
    pub cloudboot_boot_ms: u64,
    /// Between two reports of an install, ms; it sends eleven and the last.
    #[arg(long, default_value_t = 10)]
    pub cloudboot_step_ms: u64,
    /// How often a server in BootOS asks whether it is to be installed, ms. A real one: 60,000.
    #[arg(long, default_value_t = 50)]
    pub cloudboot_poll_ms: u64,
    /// Password of CloudBoot's user `admin`.
    #[arg(long, default_value = "cloudboot-secret-password")]
    pub cloudboot_password: String,

    /// Which Valence answers: `2017`, the last tree that composes, or `release`, which does not.
    #[arg(long, default_value = "2017")]
    pub valence: Dialect,
    /// Inspection fails, as it does on the Redfish emulator, whose systems have no processors.
    #[arg(long)]
    pub inspect_fails: bool,
    /// Ironic wants http_basic with these: `USER:PASSWORD`.
    #[arg(long)]
    pub http_basic: Option<String>,
    /// User of the BMCs and of the pod manager.
    #[arg(long, default_value = "admin")]
    pub bmc_username: String,
    /// Their password.
    #[arg(long, default_value = "bmc-secret-password")]
    pub bmc_password: String,

    /// Systems bear the ids, uuids and MACs of sushy-tools' fake systems, so that what is composed here is a machine of that emulator.
    #[arg(long)]
    pub emulated_systems: bool,
    /// Time stands still and moves only by `PUT /clock`.
    #[arg(long)]
    pub hand_clock: bool,
    /// Serials, MACs and uuids are made from this; without it they differ from start to start.
    #[arg(long)]
    pub seed: Option<u64>,

    /// Port of Valence; 0: a free one.
    #[arg(long, default_value_t = 0)]
    pub valence_port: u16,
    /// Port of the pod manager, which is also the address of every BMC; 0: a free one.
    #[arg(long, default_value_t = 0)]
    pub podm_port: u16,
    /// Port of Ironic; 0: a free one.
    #[arg(long, default_value_t = 0)]
    pub ironic_port: u16,
    /// Port of CloudBoot; 0: a free one. A real one: 8083.
    #[arg(long, default_value_t = 0)]
    pub cloudboot_port: u16,
    /// Port of the ledger, the switches and the clock; 0: a free one.
    #[arg(long, default_value_t = 0)]
    pub control_port: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self::parse_from(["moganite-sim"])
    }
}

/// Which Valence is imitated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dialect {
    /// The tree of 2017-08-10: composes through the pod manager.
    #[serde(rename = "2017")]
    Tree2017,
    /// 0.9.0.dev301: its Redfish driver has empty bodies. Compose, show and manage fail; release answers 200 and does nothing.
    #[serde(rename = "release")]
    Release,
}

impl FromStr for Dialect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "2017" => Ok(Self::Tree2017),
            "release" => Ok(Self::Release),
            other => Err(format!("no such Valence: {other} (2017, release)")),
        }
    }
}

/// Whose habits the composition service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedfishDialect {
    /// As the standard has it.
    Strict,
    /// The Sunfish server: wants paths of the client's choice, answers 200, has no service root.
    Sunfish,
    /// The DMTF's interface emulator as shipped: keeps what was posted and changes no block.
    DmtfEmulator,
    /// The same with the routine in its tree that does change blocks.
    DmtfRoutine,
}

impl RedfishDialect {
    pub(crate) fn is_dmtf(self) -> bool {
        matches!(self, Self::DmtfEmulator | Self::DmtfRoutine)
    }
}

impl FromStr for RedfishDialect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "strict" => Ok(Self::Strict),
            "sunfish" => Ok(Self::Sunfish),
            "dmtf-emulator" => Ok(Self::DmtfEmulator),
            "dmtf-routine" => Ok(Self::DmtfRoutine),
            other => Err(format!("no such dialect: {other} (strict, sunfish, dmtf-emulator, dmtf-routine)")),
        }
    }
}

/// What a drive offers for erasing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriveErase {
    /// The action Drive.SecureErase.
    Secure,
    /// RSD's property EraseOnDetach.
    OnDetach,
    None,
}

impl FromStr for DriveErase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "secure" => Ok(Self::Secure),
            "on-detach" => Ok(Self::OnDetach),
            "none" => Ok(Self::None),
            other => Err(format!("no such erasing: {other} (secure, on-detach, none)")),
        }
    }
}
