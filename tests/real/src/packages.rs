//! Which Python packages an environment has: one set for each program that is started, pinned.

/// What runs in one environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packages {
    Ironic39,
    Ironic26,
    Keystone30,
}

impl Packages {
    /// What its folder's name begins with.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ironic39 => "ironic",
            Self::Ironic26 => "ironic-26",
            Self::Keystone30 => "keystone",
        }
    }

    pub(crate) fn requirements(self) -> &'static str {
        match self {
            Self::Ironic39 => include_str!("../ironic/requirements.txt"),
            Self::Ironic26 => include_str!("../ironic/older/requirements.txt"),
            Self::Keystone30 => include_str!("../keystone/requirements.txt"),
        }
    }

    pub(crate) fn constraints(self) -> &'static str {
        match self {
            Self::Ironic39 => include_str!("../ironic/constraints.txt"),
            Self::Ironic26 => include_str!("../ironic/older/constraints.txt"),
            Self::Keystone30 => include_str!("../keystone/constraints.txt"),
        }
    }

    /// The Python module that is there when the packages are.
    pub(crate) fn module(self) -> &'static str {
        match self {
            Self::Ironic39 | Self::Ironic26 => "ironic",
            Self::Keystone30 => "keystone",
        }
    }
}
