//! What a test may choose of its Ironic and emulator.

/// How Ironic knows who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// It does not: everybody is the administrator.
    None,
    /// User `admin` and [`Options::ironic_password`], http_basic.
    Basic,
    /// Tokens of a Keystone that is started beside it: [`crate::Keystone`].
    Keystone,
}

/// Which Ironic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// 39.0.0: microversions 1.1 to 1.115.
    R39,
    /// 26.1.6 of OpenStack 2024.2, two years older: microversions 1.1 to 1.93.
    Older,
}

/// What can be chosen. The default is Ironic without authentication and 16 systems whose power changes at once.
#[derive(Debug, Clone)]
pub struct Options {
    pub auth: Auth,
    pub release: Release,
    /// How long a token of Keystone lives. Unit: seconds, from 1.
    pub token_life_s: u32,
    /// How many systems the emulator has, 1 to 65,535.
    pub systems: u32,
    /// The password of the BMC's user `admin`. Up to 72 bytes (bcrypt).
    pub bmc_password: String,
    /// The password of Ironic's user `admin`. Up to 72 bytes (bcrypt).
    pub ironic_password: String,
    /// Seconds until a change of power shows, drawn from low to high. The emulator's own are 1 to 11.
    pub power_delay_s: (u32, u32),
    /// Seconds between Ironic's looks at the power of all nodes.
    pub sync_power_s: u32,
    /// How often Ironic tries to lock a node, 1 s apart, before it answers 409.
    pub lock_retries: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            auth: Auth::None,
            release: Release::R39,
            token_life_s: 3_600,
            systems: 16,
            bmc_password: "password".to_owned(),
            ironic_password: "secret".to_owned(),
            power_delay_s: (0, 0),
            sync_power_s: 120,
            lock_retries: 1,
        }
    }
}
