//! What is owed to a backend: a holding whose undo did not end, or that outlived its instance.

use serde::{Deserialize, Serialize};

use super::{Erase, Erasure, Holding, Millis, Name, Role};

/// A line of the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Debt {
    pub holding: Holding,
    pub kind: DebtKind,
    pub owed_at: Millis,
    /// Whose instance it was; none for what the sweeper found.
    pub project: Option<Name>,
    /// Its instance is gone.
    pub outlived: bool,
}

/// The worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DebtKind {
    /// A user's system may still run on a machine.
    MayBeRunning,
    /// A user's data may still be on a disk.
    HoldsData,
    /// A machine is kept from its pool.
    HoldsHardware,
    /// A record of the machine is left where it was managed.
    HoldsRecord,
}

impl DebtKind {
    pub const ALL: [Self; 4] = [Self::MayBeRunning, Self::HoldsData, Self::HoldsHardware, Self::HoldsRecord];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::MayBeRunning => "may-be-running",
            Self::HoldsData => "holds-data",
            Self::HoldsHardware => "holds-hardware",
            Self::HoldsRecord => "holds-record",
        }
    }

    /// What this holding is, while it is owed.
    pub fn of(holding: &Holding, erasure: Erasure) -> Self {
        match holding.role {
            // Nothing of ours is on the machine, and nothing of it is kept from anybody.
            _ if erasure.let_go => Self::HoldsRecord,
            Role::Deploy if holding.off_at.is_none() => Self::MayBeRunning,
            Role::Deploy => Self::HoldsData,
            Role::Compose if erasure.at(Role::Compose) != Erase::None => Self::HoldsData,
            Role::Compose | Role::Claim => Self::HoldsHardware,
            Role::Enroll => Self::HoldsRecord,
        }
    }
}
