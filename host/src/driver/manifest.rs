//! The manifest in and out of a component: a custom section, readable before anything is compiled.
//!
//! A component is a header of eight bytes and then sections: one byte of kind, its length, its bytes. Source: the
//! component model's `Binary.md`. Next: `load.rs`, what the component wants and gives.

use std::ops::Range;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use super::Refusal;
use super::egress::{may_bring_session, may_hold_value};
use crate::model::Manifest;

/// `\0asm`, version 13, layer 1: a component. A core module has version 1 and layer 0.
const HEADER: &[u8; 8] = b"\0asm\x0d\0\x01\0";
const CUSTOM: u8 = 0;
/// JSON nested deeper than this is refused, in schemas and in settings.
pub(super) const DEEPEST: usize = 32;

/// One section at the top of a component.
pub(super) struct Section<'a> {
    pub(super) kind: u8,
    pub(super) body: &'a [u8],
    /// Of the whole section in the file, its kind and length included.
    pub(super) at: Range<usize>,
}

/// The manifest of a packed component, checked.
pub fn read(bytes: &[u8]) -> Result<Manifest, Refusal> {
    let mut found = sections(bytes)?.into_iter().filter_map(|section| payload(&section));
    let text = found.next().ok_or_else(|| {
        Refusal::new(
            "plugin-no-manifest",
            format!("the component has no section `{}`: pack it with `moganite plugin pack`", Manifest::SECTION),
        )
    })?;
    if found.next().is_some() {
        return Err(Refusal::new("plugin-manifest-invalid", "the component has two manifests: pack it again"));
    }
    let manifest = Manifest::parse(text)
        .map_err(|invalid| Refusal::new("plugin-manifest-invalid", format!("the plugin's manifest: {invalid}")))?;
    check_schema(&manifest.settings)
        .map_err(|rule| Refusal::new("plugin-manifest-invalid", format!("the plugin's manifest: settings: {rule}")))?;
    check_headers(&manifest)
        .map_err(|rule| Refusal::new("plugin-manifest-invalid", format!("the plugin's manifest: {rule}")))?;
    Ok(manifest)
}

/// The component with the manifest of `manifest_toml` in it, in place of an earlier one. `settings` in the TOML is the
/// path of a JSON Schema, relative to `base`.
pub fn pack(component: &[u8], manifest_toml: &str, base: &Path) -> anyhow::Result<Vec<u8>> {
    let mut manifest: Value = toml::from_str(manifest_toml).context("the manifest is no TOML")?;
    if let Some(Value::String(path)) = manifest.get("settings") {
        let path = base.join(path);
        let schema =
            std::fs::read(&path).with_context(|| format!("reading the settings' schema {}", path.display()))?;
        manifest["settings"] =
            serde_json::from_slice(&schema).with_context(|| format!("{} is no JSON", path.display()))?;
    }
    let text = serde_json::to_vec(&manifest)?;

    let mut packed = HEADER.to_vec();
    for section in sections(component)? {
        if payload(&section).is_none() {
            packed.extend_from_slice(&component[section.at]);
        }
    }
    let mut body = Vec::new();
    write_length(&mut body, Manifest::SECTION.len());
    body.extend_from_slice(Manifest::SECTION.as_bytes());
    body.extend_from_slice(&text);
    packed.push(CUSTOM);
    write_length(&mut packed, body.len());
    packed.extend_from_slice(&body);
    // What was packed must be what `serve` will accept.
    read(&packed)?;
    Ok(packed)
}

/// The sections at the top; nothing inside them is looked at.
pub(super) fn sections(bytes: &[u8]) -> Result<Vec<Section<'_>>, Refusal> {
    if bytes.get(..4) != Some(&HEADER[..4]) {
        return Err(Refusal::new(
            "plugin-not-a-component",
            "the file is no WebAssembly: it does not begin with \\0asm",
        ));
    }
    if bytes.get(..8) != Some(HEADER) {
        return Err(Refusal::new(
            "plugin-not-a-component",
            "the file is a core WebAssembly module, or of another version of the format: build it for wasm32-wasip2",
        ));
    }
    walk(bytes)
}

/// The sections behind a header of eight bytes, a component's or a core module's.
pub(super) fn walk(bytes: &[u8]) -> Result<Vec<Section<'_>>, Refusal> {
    let truncated = |at: usize| {
        let size = bytes.len();
        Refusal::new(
            "plugin-truncated",
            format!("the section at byte {at} is cut off by the end of the file ({size} bytes)"),
        )
    };
    let mut sections = Vec::new();
    let mut at = HEADER.len();
    while let Some(&kind) = bytes.get(at) {
        let (length, start) = read_length(bytes, at + 1).ok_or_else(|| truncated(at))?;
        let end = start.checked_add(length).filter(|end| *end <= bytes.len()).ok_or_else(|| truncated(at))?;
        sections.push(Section { kind, body: &bytes[start..end], at: at..end });
        at = end;
    }
    Ok(sections)
}

fn payload<'a>(section: &Section<'a>) -> Option<&'a [u8]> {
    let (length, start) = read_length(section.body, 0).filter(|_| section.kind == CUSTOM)?;
    let (name, rest) = section.body.get(start..)?.split_at_checked(length)?;
    (name == Manifest::SECTION.as_bytes()).then_some(rest)
}

/// An unsigned LEB128 of 32 bits at `at`, and where it ends.
pub(super) fn read_length(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut value = 0_u64;
    for i in 0..5 {
        let byte = *bytes.get(at + i)?;
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((u32::try_from(value).ok()? as usize, at + i + 1));
        }
    }
    None
}

fn write_length(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        out.push(if value == 0 { byte } else { byte | 0x80 });
        if value == 0 {
            return;
        }
    }
}

fn check_headers(manifest: &Manifest) -> Result<(), String> {
    let mut places = manifest.places.iter().filter_map(|place| place.header.as_deref());
    if let Some(bad) = places.find(|name| !may_hold_value(name)) {
        return Err(format!("places.header: no value can be put into {bad:?}"));
    }
    let mut sessions = manifest.sessions.iter().filter_map(|session| session.header.as_deref());
    match sessions.find(|name| !may_bring_session(name)) {
        Some(bad) => Err(format!("sessions.header: no session can be in {bad:?}")),
        None => Ok(()),
    }
}

/// A schema that refers to nothing outside of itself, and is not so deep that walking it costs.
fn check_schema(schema: &Value) -> Result<(), String> {
    if !schema.is_object() {
        return Err("an object is needed: the JSON Schema of a backend's settings".into());
    }
    if depth(schema) > DEEPEST {
        return Err(format!("nested deeper than {DEEPEST}"));
    }
    if let Some(reference) = foreign_reference(schema) {
        return Err(format!("{reference:?} is no reference within the schema (`#...`)"));
    }
    super::binding::validator(schema).map(|_| ()).map_err(|error| error.to_string())
}

pub(super) fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn foreign_reference(value: &Value) -> Option<&str> {
    match value {
        Value::Array(items) => items.iter().find_map(foreign_reference),
        Value::Object(fields) => fields.iter().find_map(|(key, value)| match value {
            Value::String(text) if matches!(key.as_str(), "$ref" | "$dynamicRef") && !text.starts_with('#') => {
                Some(text.as_str())
            }
            other => foreign_reference(other),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TOML: &str = r#"
        name = "zero"
        version = "0.1.0"
        vendor = "moganite"
        description = "does nothing"
        [settings]
        type = "object"
    "#;

    /// A component without anything in it.
    fn empty() -> Vec<u8> {
        HEADER.to_vec()
    }

    #[test]
    fn what_was_packed_reads_back_and_packing_again_replaces_it() {
        let once = pack(&empty(), TOML, Path::new(".")).unwrap();
        let twice = pack(&once, &TOML.replace("0.1.0", "0.2.0"), Path::new(".")).unwrap();
        assert_eq!(read(&once).unwrap().version, "0.1.0");
        assert_eq!(read(&twice).unwrap().version, "0.2.0");
        assert_eq!(twice.len(), once.len());
    }

    #[test]
    fn each_kind_of_bad_file_is_refused_with_its_own_code() {
        let packed = pack(&empty(), TOML, Path::new(".")).unwrap();
        let code = |bytes: &[u8]| read(bytes).map_err(|refusal| refusal.code).err();
        assert_eq!(code(b"#!/bin/sh\n"), Some("plugin-not-a-component"));
        assert_eq!(code(b"\0asm\x01\0\0\0"), Some("plugin-not-a-component"));
        assert_eq!(code(&packed[..packed.len() - 1]), Some("plugin-truncated"));
        assert_eq!(code(&empty()), Some("plugin-no-manifest"));
        assert_eq!(code(&[&packed[..], &packed[8..]].concat()), Some("plugin-manifest-invalid"));
    }

    #[test]
    fn a_schema_that_points_elsewhere_is_refused() {
        let far = TOML.replace("type = \"object\"", "\"$ref\" = \"https://example.org/schema.json\"");
        let refused = pack(&empty(), &far, Path::new(".")).map_err(|e| e.to_string());
        assert!(refused.as_ref().is_err_and(|e| e.contains("no reference within the schema")), "{refused:?}");
    }

    #[test]
    fn a_header_that_is_the_connections_has_no_place_and_no_session() {
        let with = |header: &str, session: &str| {
            let more = format!(
                r#"
                [endpoints.far]
                description = "d"
                [[places]]
                name = "p"
                endpoint = "far"
                methods = ["GET"]
                path = "/**"
                header = "{header}"
                value = "session.token"
                [[sessions]]
                name = "token"
                endpoint = "far"
                method = "POST"
                path = "/login"
                status = [201]
                header = "{session}"
                "#
            );
            pack(&empty(), &format!("{TOML}{more}"), Path::new(".")).map_err(|error| error.to_string())
        };
        assert!(with("X-Auth-Token", "X-Subject-Token").is_ok());
        for bad in ["host", "Connection", "Authorization", "content-length", "x-forwarded-for", "a b", ""] {
            assert!(with(bad, "x-t").is_err_and(|e| e.contains("places.header")), "{bad}");
        }
        for bad in ["Set-Cookie", "content-length", "location", "upgrade"] {
            assert!(with("x-t", bad).is_err_and(|e| e.contains("sessions.header")), "{bad}");
        }
    }

    #[test]
    fn lengths_survive_writing_and_reading() {
        for value in [0, 1, 127, 128, 300, 65_536, 70_000_000] {
            let mut bytes = Vec::new();
            write_length(&mut bytes, value);
            assert_eq!(read_length(&bytes, 0), Some((value, bytes.len())));
        }
        assert_eq!(read_length(&[0xff, 0xff, 0xff, 0xff, 0xff], 0), None);
    }
}
