//! `debug!`, `info!`, `warn!` and `error!` over the host's log: 64 lines a call, 512 characters a line, no secret. In a native test
//! they go to standard error.

pub use crate::bindings::base::moganite::driver::log::Level;

#[doc(hidden)]
pub fn emit(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::base::moganite::driver::log::emit(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?}: {message}");
}

#[macro_export]
macro_rules! debug {
    ($($text:tt)+) => { $crate::log::emit($crate::log::Level::Debug, &format!($($text)+)) };
}

#[macro_export]
macro_rules! info {
    ($($text:tt)+) => { $crate::log::emit($crate::log::Level::Info, &format!($($text)+)) };
}

#[macro_export]
macro_rules! warn {
    ($($text:tt)+) => { $crate::log::emit($crate::log::Level::Warn, &format!($($text)+)) };
}

#[macro_export]
macro_rules! error {
    ($($text:tt)+) => { $crate::log::emit($crate::log::Level::Error, &format!($($text)+)) };
}
