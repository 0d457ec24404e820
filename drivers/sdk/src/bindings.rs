//! What `wit-bindgen` makes of `wit/driver.wit`. A component must export exactly the interfaces of the worlds that it
//! is generated from, so each role is a world of its own here, and `export!` joins those that a driver has; the types
//! are generated once, in
//! `base`, and shared. Nothing is written by hand in this file: the names that drivers use are re-exported flat by `lib.rs`.

#![allow(unsafe_code, reason = "generated: lifting and lowering of the component model")]
#![allow(unreachable_pub, missing_docs, reason = "generated")]

pub mod base {
    wit_bindgen::generate!({
        inline: "package moganite:sdk; world base { import moganite:driver/log@0.9.0; export moganite:driver/driver@0.9.0; }",
        path: "../../wit",
        generate_all,
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        pub_export_macro: true,
        export_macro_name: "export_base",
    });
}

macro_rules! role {
    ($module:ident, $world:literal, $export:literal) => {
        pub mod $module {
            wit_bindgen::generate!({
                inline: $world,
                path: "../../wit",
                generate_all,
                with: { "moganite:driver/types@0.9.0": crate::bindings::base::moganite::driver::types },
                additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
                pub_export_macro: true,
                export_macro_name: $export,
            });
        }
    };
}

role!(compose, "package moganite:sdk; world compose { export moganite:driver/compose@0.9.0; }", "export_compose");
role!(claim, "package moganite:sdk; world claim { export moganite:driver/claim@0.9.0; }", "export_claim");
role!(enroll, "package moganite:sdk; world enroll { export moganite:driver/enroll@0.9.0; }", "export_enroll");
role!(deploy, "package moganite:sdk; world deploy { export moganite:driver/deploy@0.9.0; }", "export_deploy");
