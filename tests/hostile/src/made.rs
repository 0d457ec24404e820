//! Plugin files that no compiler makes: a component around a core module that is written here, and a manifest that nothing checked.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Resolve, WorldId, WorldItem};

/// The contract, as this repository has it.
pub(crate) const WIT: &str = include_str!("../../../wit/driver.wit");
const SECTION: &str = "moganite:manifest";

/// What the core module has beside its exports, and what each of these does.
pub(crate) struct Module<'a> {
    pub(crate) extra: &'a str,
    pub(crate) body: &'a str,
}

impl Default for Module<'_> {
    fn default() -> Self {
        Self { extra: "", body: "unreachable" }
    }
}

/// A component of one world of this contract, with a manifest.
pub(crate) fn plugin(wit: &str, world: &str, module: &Module<'_>) -> Result<Vec<u8>> {
    Ok(with_manifest(&component(wit, world, module)?, &manifest("made")))
}

pub(crate) fn component(wit: &str, world: &str, module: &Module<'_>) -> Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("driver.wit", wit)?;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut core = wat::parse_str(core(&resolve, world, module)).context("the core module")?;
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().module(&core)?.encode()
}

/// Every export of the world with one body, and an allocator that only goes up.
fn core(resolve: &Resolve, world: WorldId, Module { extra, body }: &Module<'_>) -> String {
    let mut functions = String::new();
    for (key, item) in &resolve.worlds[world].exports {
        let WorldItem::Interface { id, .. } = item else { continue };
        let interface = resolve.name_world_key(key);
        for (name, function) in &resolve.interfaces[*id].functions {
            let signature = resolve.wasm_signature(AbiVariant::GuestExport, function);
            let (params, results) = (types(&signature.params), types(&signature.results));
            functions.push_str(&format!(
                "(func (export \"{interface}#{name}\") (param {params}) (result {results}) {body})\n"
            ));
        }
    }
    format!(
        r#"(module
            (memory (export "memory") 16)
            (global $top (mut i32) (i32.const 1024))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (global.get $top))
                (global.set $top (i32.and (i32.add (i32.add (local.get $at) (local.get 3)) (i32.const 15)) (i32.const -16)))
                (local.get $at))
            {extra}
            {functions})"#
    )
}

fn types(types: &[WasmType]) -> String {
    let word = |one: &WasmType| match one {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
    };
    types.iter().map(word).collect::<Vec<_>>().join(" ")
}

pub(crate) fn manifest(name: &str) -> Value {
    json!({
        "name": name, "version": "0.1.0", "vendor": "hostile", "description": "made by a test", "settings": {"type": "object"},
        "wall_ms": {"compose": 1_500},
    })
}

pub(crate) fn with_manifest(component: &[u8], manifest: &Value) -> Vec<u8> {
    let mut packed = component.to_vec();
    custom(&mut packed, SECTION, manifest.to_string().as_bytes());
    packed
}

/// The same component with its manifest changed.
pub(crate) fn repacked(packed: &[u8], change: impl FnOnce(&mut Value)) -> Result<Vec<u8>> {
    let mut out = packed.get(..8).context("no component")?.to_vec();
    let (mut at, mut manifest) = (8, None);
    while at < packed.len() {
        let (length, start) = length(packed, at + 1).context("no section")?;
        let section = packed.get(start..start + length).context("a section cut off")?;
        let name = [&[u8::try_from(SECTION.len())?], SECTION.as_bytes()].concat();
        match section.strip_prefix(name.as_slice()).filter(|_| packed[at] == 0) {
            Some(text) => manifest = Some(serde_json::from_slice::<Value>(text)?),
            None => out.extend_from_slice(&packed[at..start + length]),
        }
        at = start + length;
    }
    let mut manifest = manifest.context("no manifest in it")?;
    change(&mut manifest);
    Ok(with_manifest(&out, &manifest))
}

/// A custom section at the end.
pub(crate) fn custom(packed: &mut Vec<u8>, name: &str, body: &[u8]) {
    let mut inner = Vec::new();
    leb(&mut inner, name.len());
    inner.extend_from_slice(name.as_bytes());
    inner.extend_from_slice(body);
    section(packed, 0, &inner);
}

pub(crate) fn section(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.push(kind);
    leb(out, body.len());
    out.extend_from_slice(body);
}

pub(crate) fn leb(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

fn length(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut value = 0;
    for i in 0..5 {
        let byte = *bytes.get(at + i)?;
        value |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, at + i + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_component_of_every_world_can_be_made() {
        for world in ["composer", "lender", "enroller", "deployer", "manager", "all"] {
            let made = plugin(WIT, world, &Module::default()).unwrap();
            assert!(made.starts_with(b"\0asm\x0d\0\x01\0"), "{world}");
        }
    }

    #[test]
    fn a_manifest_is_replaced_and_not_added() {
        let made = plugin(WIT, "composer", &Module::default()).unwrap();
        let renamed = repacked(&made, |manifest| manifest["name"] = "other".into()).unwrap();
        let count = renamed.windows(SECTION.len()).filter(|window| *window == SECTION.as_bytes()).count();
        assert_eq!(count, 1);
        assert!(renamed.windows(5).any(|window| window == b"other"));
    }
}
