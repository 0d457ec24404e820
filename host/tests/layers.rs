//! The drawing in ARCHITECTURE.md, held: imports point down, and each outside thing has one room.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

/// Bottom first: a room, and the rooms that it may name.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("clock", &["model"]),
    ("config", &[]),
    ("archive", &["model", "config"]),
    ("failpoint", &[]),
    ("folder", &[]),
    ("harden", &[]),
    ("seal", &[]),
    ("switch", &["model"]),
    ("store", &["model", "failpoint", "seal", "switch"]),
    ("flow", &["model", "clock", "config", "store", "switch"]),
    ("driver", &["model", "clock", "config", "failpoint", "folder", "harden", "seal", "store"]),
    ("lifecycle", &["model", "clock", "config", "archive", "folder", "store", "switch", "flow", "driver"]),
    ("api", &["model", "clock", "config", "store", "driver", "lifecycle"]),
    (
        "cli",
        &[
            "model",
            "clock",
            "config",
            "archive",
            "failpoint",
            "folder",
            "harden",
            "seal",
            "store",
            "driver",
            "lifecycle",
            "api",
        ],
    ),
];

/// What only these rooms may name.
const OWNED: &[(&str, &[&str])] = &[
    ("rusqlite", &["store"]),
    ("wasmtime", &["driver"]),
    ("axum", &["api", "cli/serve"]),
    ("reqwest", &["driver/egress", "cli/client"]),
    ("SystemTime", &["clock"]),
    ("Instant", &["clock"]),
    ("landlock", &["harden"]),
    ("cap_std", &["folder"]),
];

/// Where `unsafe` is allowed, each with its reason beside it: mapping a component that this host compiled, and the bindings that
/// wit-bindgen generates for guests.
const UNSAFE: &[&str] = &["host/src/driver/compile.rs", "drivers/sdk/src/bindings.rs"];

#[test]
fn imports_point_down() {
    let mut up = Vec::new();
    for (path, text) in sources("host/src") {
        let own = room(&path).split('/').next().unwrap_or_default().to_owned();
        let Some((_, below)) = ROOMS.iter().find(|(name, _)| *name == own) else { continue };
        for line in code(&text) {
            for (at, word) in line.match_indices("crate::") {
                let named: String = line[at + word.len()..].chars().take_while(char::is_ascii_lowercase).collect();
                let known = ROOMS.iter().any(|(name, _)| *name == named);
                if known && named != own && !below.contains(&named.as_str()) {
                    up.push(format!("{path}: {}", line.trim()));
                }
            }
        }
    }
    assert!(up.is_empty(), "imports that point up or sideways:\n{}", up.join("\n"));
}

#[test]
fn each_outside_thing_has_its_room() {
    let mut strays = Vec::new();
    for (path, text) in sources("host/src") {
        for (word, rooms) in OWNED {
            let at_home = rooms.iter().any(|home| room(&path) == *home || room(&path).starts_with(&format!("{home}/")));
            let named = code(&text).filter(|line| !at_home && names(line, word));
            strays.extend(named.map(|line| format!("{path}: {}", line.trim())));
        }
    }
    assert!(strays.is_empty(), "named outside of its room:\n{}", strays.join("\n"));
}

#[test]
fn unsafe_is_allowed_in_two_places() {
    let mut third = Vec::new();
    for folder in ["bench", "host", "drivers", "examples", "tests", "xtask"] {
        for (path, text) in sources(folder) {
            let allows = code(&text).any(|line| line.contains("unsafe_code")) && !path.ends_with("layers.rs");
            if allows && !UNSAFE.contains(&path.as_str()) {
                third.push(path);
            }
        }
    }
    assert!(third.is_empty(), "a third place with unsafe: {third:?}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Rust files below a folder, as (path from the root, text).
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {folder}");
    found
}

/// `model`, `store/flows`, ...: the path below `host/src` without `.rs`.
fn room(path: &str) -> &str {
    path.strip_prefix("host/src/").unwrap().strip_suffix(".rs").unwrap()
}

fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// As a word of its own, so that `axum` is not found in `taxum`.
fn names(line: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word)
        .any(|(at, _)| !part(line[..at].chars().next_back()) && !part(line[at + word.len()..].chars().next()))
}
