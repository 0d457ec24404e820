//! What wasmtime makes of `wit/driver.wit`: one module per role, one set of types for all.
//!
//! Nothing else may depend on the shape of these types but `arguments.rs` and `claims.rs`, which convert them, and
//! `roles.rs`, which calls.

/// Every driver: `probe`.
pub(super) mod driver {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package moganite:host;
            world prober { import moganite:driver/log@0.9.0; export moganite:driver/driver@0.9.0; }
        ",
        world: "moganite:host/prober",
        imports: { default: trappable },
        exports: { default: async },
        require_store_data_send: true,
    });
}

pub(super) mod compose {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "composer",
        imports: { default: trappable },
        exports: { default: async },
        require_store_data_send: true,
        with: {
            "moganite:driver/types": super::driver::moganite::driver::types,
            "moganite:driver/log": super::driver::moganite::driver::log,
        },
    });
}

pub(super) mod claim {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "lender",
        imports: { default: trappable },
        exports: { default: async },
        require_store_data_send: true,
        with: {
            "moganite:driver/types": super::driver::moganite::driver::types,
            "moganite:driver/log": super::driver::moganite::driver::log,
        },
    });
}

pub(super) mod enroll {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "enroller",
        imports: { default: trappable },
        exports: { default: async },
        require_store_data_send: true,
        with: {
            "moganite:driver/types": super::driver::moganite::driver::types,
            "moganite:driver/log": super::driver::moganite::driver::log,
        },
    });
}

pub(super) mod deploy {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "deployer",
        imports: { default: trappable },
        exports: { default: async },
        require_store_data_send: true,
        with: {
            "moganite:driver/types": super::driver::moganite::driver::types,
            "moganite:driver/log": super::driver::moganite::driver::log,
        },
    });
}

pub(super) use claim::LenderPre;
pub(super) use compose::ComposerPre;
pub(super) use deploy::DeployerPre;
pub(super) use driver::ProberPre;
pub(super) use driver::moganite::driver::{log, types};
pub(super) use enroll::EnrollerPre;
