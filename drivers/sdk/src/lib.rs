//! What a driver of moganite is written with: the contract's types and roles, JSON over named endpoints, checkpoints as
//! serde values, faults. A driver implements [`Driver`] and the roles it has, and says so once:
//!
//! ```text
//! pub struct Valence;
//! impl moganite_driver::Driver for Valence { /* probe */ }
//! impl moganite_driver::Compose for Valence { /* compose, find, list, release */ }
//! moganite_driver::export!(Valence: compose);
//! ```
//!
//! Read on in [`Endpoint`] (the far side), [`wait`] and [`intent`] (what outlives a call), [`fault`] and [`testing`].
//! `wit/driver.wit` has the meaning of every verb; a fresh instance of the component lives for one call.

#[doc(hidden)]
pub mod bindings;
mod clock;
mod context;
pub mod fault;
mod http;
#[doc(hidden)]
pub mod log;
pub mod mark;
mod pause;
mod placeholder;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use bindings::base::exports::moganite::driver::driver::Guest as Driver;
pub use bindings::base::moganite::driver::types::{
    Access, Context, Device, Erase, Fault, Held, Holding, Identity, Node, NodeDoing, Page, Part, PartKind, Pause,
    Power, PowerWish, Presence, Shape, Undoing,
};
pub use bindings::claim::exports::moganite::driver::claim::Guest as Claim;
pub use bindings::compose::exports::moganite::driver::compose::Guest as Compose;
pub use bindings::deploy::exports::moganite::driver::deploy::{
    DeployDoing, Deployed, Guest as Deploy, Observed, Order,
};
pub use bindings::enroll::exports::moganite::driver::enroll::Guest as Enroll;
pub use clock::now;
pub use http::{Endpoint, Reply, Request};
pub use pause::{intent, pause, wait};
pub use placeholder::{ACCESS_ADDRESS, ACCESS_PASSWORD, ACCESS_USERNAME};

/// What every verb answers.
pub type Answer<T> = Result<T, Fault>;

/// Exports a driver with the roles it has: `export!(Ironic: enroll, deploy);`. Once per component, at the crate's root.
///
/// A native build, for tests, only checks that the roles are there: an object file cannot carry the names of the
/// component model.
#[macro_export]
macro_rules! export {
    ($driver:ident: $($role:ident),+ $(,)?) => {
        $crate::export_role!($driver Driver base export_base);
        $($crate::export!(@ $driver $role);)+
    };
    (@ $driver:ident compose) => { $crate::export_role!($driver Compose compose export_compose); };
    (@ $driver:ident claim) => { $crate::export_role!($driver Claim claim export_claim); };
    (@ $driver:ident enroll) => { $crate::export_role!($driver Enroll enroll export_enroll); };
    (@ $driver:ident deploy) => { $crate::export_role!($driver Deploy deploy export_deploy); };
}

#[doc(hidden)]
#[macro_export]
macro_rules! export_role {
    ($driver:ident $trait:ident $module:ident $export:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::$module::$export!($driver with_types_in $crate::bindings::$module);
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() = || {
            fn has_the_role<T: $crate::$trait>() {}
            has_the_role::<$driver>();
        };
    };
}
