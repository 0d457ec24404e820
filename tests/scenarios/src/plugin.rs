//! Plugins made for a scenario: another version of a driver, or one that misbehaves.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::process::binary;

/// Packs a driver that is in `plugins/` as another version: the same code, another digest.
pub fn repacked(name: &str, version: &str, folder: &Path) -> Result<Vec<u8>> {
    repacked_with(name, version, "", folder)
}

/// The same, with more at the end of its manifest.
pub fn repacked_with(name: &str, version: &str, more: &str, folder: &Path) -> Result<Vec<u8>> {
    let manifests = crate::plugins();
    let packed = manifests.join(format!("{name}.wasm"));
    pack(&packed, &manifests.join(format!("{name}.toml")), &[name, version, more], folder)
}

/// Another version of a driver that is made for tests alone.
pub fn repacked_for_tests(name: &str, version: &str, folder: &Path) -> Result<Vec<u8>> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("plugin.toml");
    pack(&test_plugins()?.join(format!("{name}.wasm")), &manifest, &[name, version, ""], folder)
}

fn pack(component: &Path, manifest: &Path, &[name, version, more]: &[&str; 3], folder: &Path) -> Result<Vec<u8>> {
    let root = manifest.parent().context("a manifest lies in a folder")?.canonicalize()?;
    let manifest = std::fs::read_to_string(manifest)?;
    let changed: Vec<String> = manifest
        .lines()
        .map(|line| match line.split_once(" = ") {
            Some(("version", _)) => format!("version = \"{version}\""),
            Some(("settings", path)) => format!("settings = \"{}/{}\"", root.display(), path.trim_matches('"')),
            _ => line.to_owned(),
        })
        .collect();
    let source = folder.join(format!("{name}-{version}.toml"));
    std::fs::write(&source, format!("{}\n{more}", changed.join("\n")))?;
    let packed = folder.join(format!("{name}-{version}.wasm"));
    let made = std::process::Command::new(binary("moganite")?)
        .args(["plugin", "pack"])
        .args([component, &source])
        .arg("--output")
        .arg(&packed)
        .output()?;
    ensure!(made.status.success(), "packing {name}: {}", String::from_utf8_lossy(&made.stderr));
    Ok(std::fs::read(packed)?)
}

/// A packed driver that is made for tests alone.
pub fn for_tests(name: &str) -> Result<Vec<u8>> {
    let path = test_plugins()?.join(format!("{name}.wasm"));
    std::fs::read(&path).with_context(|| format!("{}: `cargo xtask plugins` makes it", path.display()))
}

/// Beside the folder of cargo's profile.
fn test_plugins() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found =
        own.ancestors().map(|folder| folder.join("plugins")).find(|path| path.join("driver-from-zero.wasm").is_file());
    found.context("no folder with packed test drivers above this program: `cargo xtask plugins` makes it")
}
