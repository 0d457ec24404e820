//! Drivers become plugins: built for wasm32-wasip2, then packed with their manifest into one file.
//!
//! A driver in `drivers/NAME` has its manifest in `plugins/NAME.toml` and becomes `plugins/NAME.wasm`, which `serve`
//! offers. One elsewhere (an example, a test) has `plugin.toml` beside its Cargo.toml and becomes
//! `target/plugins/NAME.wasm`. NAME is the name of its folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::{Member, Workspace, say};

const TARGET: &str = "wasm32-wasip2";

/// 96 KiB of stack in place of 1 MiB, so that all of a driver's memory is put back by writing: drivers/sdk/README.md. The deepest JSON that is
/// read at all takes half of it.
const STACK: &str = "-Clink-arg=-zstack-size=98304";

/// A driver that has a manifest.
struct Plugin<'a> {
    package: &'a str,
    /// What cargo builds.
    component: PathBuf,
    manifest: PathBuf,
    /// What we make.
    file: PathBuf,
}

/// Builds and packs every driver that has a manifest, and names the others.
pub(crate) fn make(workspace: &Workspace) -> Result<()> {
    let drivers = workspace.members.iter().filter(|member| member.is_driver);
    let plugins: Vec<Plugin> = drivers.filter_map(|driver| plugin(workspace, driver)).collect();
    if plugins.is_empty() {
        return Ok(());
    }
    add_target()?;
    let mut arguments = vec!["build", "--profile", "plugin", "--target", TARGET, "--lib"];
    for plugin in &plugins {
        arguments.extend(["--package", plugin.package]);
    }
    let flags = [("CARGO_ENCODED_RUSTFLAGS", rust_flags(workspace)?)];
    workspace.cargo_with("build the drivers", &arguments, &flags)?;
    workspace.cargo("build the packer", &["build", "--package", "moganite", "--bin", "moganite"])?;
    for plugin in &plugins {
        pack(workspace, plugin)?;
    }
    Ok(())
}

fn plugin<'a>(workspace: &Workspace, driver: &'a Member) -> Option<Plugin<'a>> {
    let name = driver.folder.file_name()?.to_str()?;
    let offered = driver.folder.parent() == Some(&workspace.root.join("drivers"));
    let (manifest, file) = if offered {
        let plugins = workspace.root.join("plugins");
        (plugins.join(format!("{name}.toml")), plugins)
    } else {
        (driver.folder.join("plugin.toml"), workspace.target.join("plugins"))
    };
    if !manifest.exists() {
        say(&format!("{} is left out: it has no {}", driver.package, manifest.display()));
        return None;
    }
    let component = format!("{}.wasm", driver.package.replace('-', "_"));
    Some(Plugin {
        package: &driver.package,
        component: workspace.target.join(TARGET).join("plugin").join(component),
        manifest,
        file: file.join(format!("{name}.wasm")),
    })
}

fn pack(workspace: &Workspace, plugin: &Plugin) -> Result<()> {
    if let Some(folder) = plugin.file.parent() {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    let status = workspace.status(
        &workspace.program("moganite"),
        &["plugin", "pack", text(&plugin.component)?, text(&plugin.manifest)?, "--output", text(&plugin.file)?],
    )?;
    ensure!(status.success(), "pack {}: {status}", plugin.package);
    Ok(())
}

/// Adds the Rust target when it is missing: rust-toolchain.toml does not name it, as not every Rust comes from rustup.
fn add_target() -> Result<()> {
    let sysroot =
        Command::new("rustc").args(["--print", "sysroot"]).stderr(Stdio::inherit()).output().context("run rustc")?;
    let sysroot = String::from_utf8(sysroot.stdout).context("read rustc's sysroot")?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).exists() {
        return Ok(());
    }
    say(&format!("add the Rust target: rustup target add {TARGET}"));
    let added = Command::new("rustup").args(["target", "add", TARGET]).status();
    if added.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    bail!("the Rust target {TARGET} is missing: `rustup target add {TARGET}`, or install your system's package with it")
}

/// Flags for rustc: the smaller stack, and what keeps the folders of this machine out of a component, whose digest names it.
///
/// Where several prefixes fit a path the last one counts.
fn rust_flags(workspace: &Workspace) -> Result<String> {
    let cargo_home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => std::env::home_dir().context("no home folder: set CARGO_HOME")?.join(".cargo"),
    };
    let remapped = [(&cargo_home, "/cargo"), (&workspace.root, "/moganite"), (&workspace.target, "/moganite/target")]
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    // What separates flags in this variable; a path may hold a space.
    Ok(format!("{STACK}\x1f{}", remapped.join("\x1f")))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
