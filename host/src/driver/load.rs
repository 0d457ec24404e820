//! From a compiled component to something callable: what it imports and exports is checked in words, then linked once.
//!
//! The component's type is read, not its manifest: a type cannot lie. No code of the component runs here. Next:
//! `call.rs`.

use wasmtime::Engine;
use wasmtime::component::{Component, Linker, types::ComponentItem};

use super::bindings::{ComposerPre, DeployerPre, EnrollerPre, LenderPre, ProberPre};
use super::limits::State;
use super::{Refusal, contract};
use crate::model::Role;

const PACKAGE: &str = "moganite:driver/";
/// The compatible line that this host speaks: 0.9.0 and what only adds to it.
const LINE: &str = "0.9.";
/// What its own `wit/driver.wit` says.
const SPOKEN: &str = "0.9.0";
/// What standard libraries pull in, and what the contract offers; prefixes of `namespace:package/interface@version`.
const IMPORTS: [(&str, &str); 10] = [
    ("moganite:driver/types", LINE),
    ("moganite:driver/log", LINE),
    ("wasi:http/types", "0.2."),
    ("wasi:http/outgoing-handler", "0.2."),
    ("wasi:io/", "0.2."),
    ("wasi:clocks/", "0.2."),
    ("wasi:random/", "0.2."),
    ("wasi:cli/", "0.2."),
    // Nothing is preopened and no socket connects; the interfaces are here because every std asks for them.
    ("wasi:filesystem/", "0.2."),
    ("wasi:sockets/", "0.2."),
];

/// A linked component. Its roles are those that it exports.
pub(super) struct Loaded {
    driver: ProberPre<State>,
    compose: Option<ComposerPre<State>>,
    claim: Option<LenderPre<State>>,
    enroll: Option<EnrollerPre<State>>,
    deploy: Option<DeployerPre<State>>,
}

/// Checks the component's type and links it.
pub(super) fn load(linker: &Linker<State>, component: &Component) -> Result<Loaded, Refusal> {
    let exports = exports(component);
    check_exports(&exports)?;
    check_imports(&imports(component))?;
    check_functions(component)?;
    let pre = linker.instantiate_pre(component).map_err(|error| {
        let why = format!("{error:#}");
        Refusal::new(
            "plugin-import-not-offered",
            format!("an import does not have the type that this host offers: {why}"),
        )
    })?;
    let has = |role: &str| exports.iter().any(|name| interface(name).is_some_and(|(found, _)| found == role));
    let differs = |role: &'static str| {
        move |error: wasmtime::Error| {
            Refusal::new(
                "plugin-contract-version",
                format!(
                    "{PACKAGE}{role} is not as the contract {LINE}x has it: {error:#}; build against this host's wit/"
                ),
            )
        }
    };
    Ok(Loaded {
        driver: ProberPre::new(pre.clone()).map_err(differs("driver"))?,
        compose: has("compose").then(|| ComposerPre::new(pre.clone())).transpose().map_err(differs("compose"))?,
        claim: has("claim").then(|| LenderPre::new(pre.clone())).transpose().map_err(differs("claim"))?,
        enroll: has("enroll").then(|| EnrollerPre::new(pre.clone())).transpose().map_err(differs("enroll"))?,
        deploy: has("deploy").then(|| DeployerPre::new(pre.clone())).transpose().map_err(differs("deploy"))?,
    })
}

impl Loaded {
    pub(super) fn driver(&self) -> wasmtime::Result<&ProberPre<State>> {
        Ok(&self.driver)
    }

    pub(super) fn compose(&self) -> wasmtime::Result<&ComposerPre<State>> {
        self.compose.as_ref().ok_or_else(|| wasmtime::Error::msg("it cannot compose"))
    }

    pub(super) fn claim(&self) -> wasmtime::Result<&LenderPre<State>> {
        self.claim.as_ref().ok_or_else(|| wasmtime::Error::msg("it cannot claim"))
    }

    pub(super) fn enroll(&self) -> wasmtime::Result<&EnrollerPre<State>> {
        self.enroll.as_ref().ok_or_else(|| wasmtime::Error::msg("it cannot enroll"))
    }

    pub(super) fn deploy(&self) -> wasmtime::Result<&DeployerPre<State>> {
        self.deploy.as_ref().ok_or_else(|| wasmtime::Error::msg("it cannot deploy"))
    }

    pub(super) fn roles(&self) -> Vec<Role> {
        let compose = self.compose.as_ref().map(|_| Role::Compose);
        let claim = self.claim.as_ref().map(|_| Role::Claim);
        let enroll = self.enroll.as_ref().map(|_| Role::Enroll);
        let deploy = self.deploy.as_ref().map(|_| Role::Deploy);
        [compose, claim, enroll, deploy].into_iter().flatten().collect()
    }
}

fn exports(component: &Component) -> Vec<String> {
    let engine: &Engine = component.engine();
    let shown = component.component_type();
    let of_interest = |item: &ComponentItem| !matches!(item, ComponentItem::Type(_));
    shown.exports(engine).filter(|(_, item)| of_interest(&item.ty)).map(|(name, _)| name.to_owned()).collect()
}

fn imports(component: &Component) -> Vec<String> {
    component.component_type().imports(component.engine()).map(|(name, _)| name.to_owned()).collect()
}

/// `compose`, `0.9.0` of `moganite:driver/compose@0.9.0`.
fn interface(export: &str) -> Option<(&str, &str)> {
    export.strip_prefix(PACKAGE)?.split_once('@')
}

/// Only interfaces of the contract, all of this line, `driver` among them. An interface of a later 0.9 is passed over.
fn check_exports(exports: &[String]) -> Result<(), Refusal> {
    for export in exports {
        let Some((name, version)) = interface(export) else {
            return Err(Refusal::new(
                "plugin-export-unknown",
                format!("it exports {export}, which is no interface of {PACKAGE}*; a driver exports nothing else"),
            ));
        };
        if !version.starts_with(LINE) {
            return Err(Refusal::new(
                "plugin-contract-version",
                format!(
                    "it exports {PACKAGE}{name}@{version}; this host speaks {PACKAGE}{name}@{LINE}x: build against that"
                ),
            ));
        }
    }
    if !exports.iter().any(|export| interface(export).is_some_and(|(name, _)| name == "driver")) {
        return Err(Refusal::new(
            "plugin-no-driver",
            format!("it does not export {PACKAGE}driver@{LINE}x, which every driver has"),
        ));
    }
    Ok(())
}

/// Every function of every interface that this host calls, with its types.
fn check_functions(component: &Component) -> Result<(), Refusal> {
    let shown = component.component_type();
    for (export, item) in shown.exports(component.engine()) {
        let (Some((role, version)), ComponentItem::ComponentInstance(interface)) = (interface(export), &item.ty) else {
            continue;
        };
        if let Some(why) = contract::differs(component, role, interface) {
            return Err(Refusal::new(
                "plugin-contract-version",
                format!(
                    "it exports {PACKAGE}{role}@{version}, this host speaks {PACKAGE}{role}@{SPOKEN}, and {why}; build it \
                     against this host's wit/driver.wit"
                ),
            ));
        }
    }
    Ok(())
}

fn check_imports(imports: &[String]) -> Result<(), Refusal> {
    for import in imports {
        let (name, version) = import.split_once('@').unwrap_or((import, ""));
        let offered = IMPORTS
            .iter()
            .find(|(offered, _)| if offered.ends_with('/') { name.starts_with(offered) } else { name == *offered });
        match offered {
            Some((_, line)) if version.starts_with(line) => {}
            Some((_, line)) => {
                let code =
                    if name.starts_with(PACKAGE) { "plugin-contract-version" } else { "plugin-import-not-offered" };
                return Err(Refusal::new(code, format!("it imports {import}; this host offers {name}@{line}x")));
            }
            None => {
                return Err(Refusal::new(
                    "plugin-import-not-offered",
                    format!("it imports {import}, which this host does not offer: a driver has log and HTTP alone"),
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn another_contract_version_is_refused_with_both_versions() {
        assert!(check_exports(&names(&["moganite:driver/driver@0.9.0", "moganite:driver/compose@0.9.3"])).is_ok());
        let refused =
            check_exports(&names(&["moganite:driver/driver@0.9.0", "moganite:driver/compose@1.0.0"])).unwrap_err();
        assert_eq!(refused.code, "plugin-contract-version");
        assert!(refused.message.contains("compose@1.0.0") && refused.message.contains("compose@0.9.x"), "{refused}");
    }

    #[test]
    fn a_component_that_is_no_driver_is_refused() {
        assert_eq!(check_exports(&names(&["wasi:cli/run@0.2.6"])).map_err(|r| r.code), Err("plugin-export-unknown"));
        assert_eq!(
            check_exports(&names(&["moganite:driver/compose@0.9.0"])).map_err(|r| r.code),
            Err("plugin-no-driver")
        );
    }

    #[test]
    fn an_import_outside_of_the_sandbox_is_refused_by_name() {
        let std = names(&[
            "wasi:io/poll@0.2.6",
            "wasi:cli/environment@0.2.6",
            "wasi:sockets/tcp@0.2.0",
            "moganite:driver/log@0.9.0",
        ]);
        assert!(check_imports(&std).is_ok());
        for (import, code) in [
            ("wasi:nn/graph@0.2.0-rc", "plugin-import-not-offered"),
            ("wasi:http/incoming-handler@0.2.6", "plugin-import-not-offered"),
            ("wasi:http/typesetting@0.2.6", "plugin-import-not-offered"),
            ("wasi:io/poll@0.3.0", "plugin-import-not-offered"),
            ("moganite:driver/log@0.8.0", "plugin-contract-version"),
            ("env", "plugin-import-not-offered"),
        ] {
            let refused = check_imports(&names(&[import])).unwrap_err();
            assert_eq!(refused.code, code, "{import}");
            assert!(refused.message.contains(import), "{refused}");
        }
    }
}
