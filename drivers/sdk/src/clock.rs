//! The time, for a driver that must know how old its own intent is. The host's clock decides everything else.

use std::time::Duration;

/// Time since 1970. In a native test it is what [`crate::testing::set_now`] said last.
pub fn now() -> Duration {
    #[cfg(not(target_arch = "wasm32"))]
    return crate::testing::clock();
    #[cfg(target_arch = "wasm32")]
    #[allow(clippy::disallowed_methods, reason = "a guest has no other clock; the host provides this one")]
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}
