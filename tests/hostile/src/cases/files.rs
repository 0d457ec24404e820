//! Plugin files: malformed, too large, of another contract, with a manifest that asks for too much.

use anyhow::{Result, ensure};
use scenarios::for_tests;
use serde_json::{Value, json};

use crate::case::{Case, cut, one_of};
use crate::made::{self, Module, WIT};
use crate::world::World;

const COMPILE: &str = "Compile bomb, malformed component";
const OLD: &str = "Old-interface bypass";
const PASS: &str = "Vendor pass-through abuse";
const SCHEMA: &str = "Bad JSON settings and schema";
const TOCTOU: &str = "TOCTOU on plugin files";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        refused(COMPILE, "no WebAssembly", || Ok(b"#!/bin/sh\nrm -rf /\n".to_vec()), "plugin-not-a-component"),
        refused(COMPILE, "a core module", || Ok(wat::parse_str("(module)")?), "plugin-not-a-component"),
        refused(COMPILE, "an empty file", || Ok(Vec::new()), "plugin-not-a-component"),
        refused(COMPILE, "cut off in the middle", || Ok(honest()?[..200_000].to_vec()), "plugin-truncated"),
        refused(COMPILE, "no manifest", || made::component(WIT, "composer", &Module::default()), "plugin-no-manifest"),
        refused(
            COMPILE,
            "100 MiB",
            || {
                let mut packed = made::plugin(WIT, "composer", &Module::default())?;
                made::custom(&mut packed, "padding", &vec![0; 100 << 20]);
                Ok(packed)
            },
            "too-large",
        ),
        refused(
            COMPILE,
            "100,000 functions",
            || made::plugin(WIT, "composer", &Module { extra: &"(func)".repeat(100_000), ..Module::default() }),
            "functions",
        ),
        Case::new(COMPILE, "forty files with bytes turned round", async |world: &World| -> Result<String> {
            let good = made::plugin(WIT, "composer", &Module::default())?;
            let mut refused = 0;
            for seed in 0..40_usize {
                let mut bad = good.clone();
                for n in 0..4 {
                    let at = 8 + (seed * 7919 + n * 104_729) % (bad.len() - 8);
                    bad[at] ^= u8::try_from(1 + (seed * 31 + n * 17) % 255)?;
                }
                let answer = world.upload(bad).await?;
                ensure!(matches!(answer.status, 201 | 400 | 413 | 422), "{answer:?}");
                refused += u32::from(answer.status != 201);
            }
            Ok(format!("{refused} of 40 refused, the others are valid"))
        }),
        refused(OLD, "contract 0.8", || other("@0.9.0", "@0.8.0"), "plugin-contract-version"),
        refused(OLD, "contract 1.0", || other("@0.9.0", "@1.0.0"), "plugin-contract-version"),
        refused(
            OLD,
            "no role's function",
            || other("release: func(cx: context, what: holding, level: erase) -> result<undoing, fault>;", ""),
            "it has no function release",
        ),
        refused(
            OLD,
            "a changed record",
            || other("attempt: u32,", "attempt: u64,"),
            "its function probe has other types",
        ),
        refused(
            OLD,
            "a changed function",
            || {
                other(
                    "probe: func(cx: context) -> result<json, fault>;",
                    "probe: func(cx: context) -> result<u32, fault>;",
                )
            },
            "its function probe has other types",
        ),
        refused(
            OLD,
            "no driver interface",
            || {
                other(
                    "world composer { import log; export driver; export compose; }",
                    "world composer { import log; export compose; }",
                )
            },
            "plugin-no-driver",
        ),
        refused(
            PASS,
            "an interface of its own",
            || {
                let own = "package evil:raw@1.0.0 { interface invoke { raw: func(command: string) -> string; } }";
                let wit = format!("{WIT}\nworld raw {{ export driver; export evil:raw/invoke@1.0.0; }}\n{own}");
                made::plugin(&wit, "raw", &Module::default())
            },
            "plugin-export-unknown",
        ),
        refused(
            SCHEMA,
            "a schema from elsewhere",
            || with_settings(json!({"$ref": "http://169.254.169.254/schema"})),
            "plugin-manifest-invalid",
        ),
        refused(
            SCHEMA,
            "a schema of a file",
            || with_settings(json!({"properties": {"a": {"$ref": "file:///etc/passwd"}}})),
            "plugin-manifest-invalid",
        ),
        refused(
            SCHEMA,
            "a schema nested 1,000 deep",
            || {
                with_settings(
                    (0..1_000).fold(json!({"type": "object"}), |inner, _| json!({"properties": {"a": inner}})),
                )
            },
            "plugin-manifest-invalid",
        ),
        refused(SCHEMA, "a schema that is no schema", || with_settings(json!({"type": 7})), "plugin-manifest-invalid"),
        refused(
            SCHEMA,
            "a manifest with a field of its own",
            || {
                let mut manifest = made::manifest("extra");
                manifest["invoke"] = true.into();
                made::component(WIT, "composer", &Module::default()).map(|made| made::with_manifest(&made, &manifest))
            },
            "plugin-manifest-invalid",
        ),
        Case::new(SCHEMA, "a pattern that takes for ever", async |world: &World| -> Result<String> {
            let schema = json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}});
            let added = world.upload(with_settings(schema)?).await?;
            if added.status != 201 {
                return one_of(&added.body.to_string(), &["pattern"]);
            }
            let settings = json!({"a": format!("{}!", "a".repeat(50_000))});
            let body = json!({"plugin": added.body["digest"], "settings": settings});
            let answer = world.put("/v1/backends/patterned", &body).await?;
            ensure!(answer.status >= 400, "{answer:?}");
            one_of(&answer.body.to_string(), &["settings-invalid", "too-large"])
        }),
        Case::new(SCHEMA, "settings that are too deep and too large", async |world: &World| -> Result<String> {
            let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
            for settings in [json!({"requests": deep}), json!({"handle": "x".repeat(200_000)})] {
                let answer =
                    world.put("/v1/backends/settled", &json!({"plugin": world.digest, "settings": settings})).await?;
                ensure!((400..500).contains(&answer.status), "{answer:?}");
            }
            Ok("both refused".into())
        }),
        Case::new(
            TOCTOU,
            "another file under its digest before it is compiled",
            async |world: &World| -> Result<String> {
                let mine = with_settings(json!({"type": "object", "title": "toctou"}))?;
                let folder = world.stack.service.state.join("plugins");
                let file = folder.join(format!("{}.wasm", sha256(&mine)));
                std::fs::write(&file, for_tests("driver-from-zero")?)?;
                let answer = world.upload(mine).await?;
                ensure!(answer.status != 201, "{answer:?}");
                one_of(&answer.body.to_string(), &["not what its name says"])
            },
        ),
    ]
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn honest() -> Result<Vec<u8>> {
    for_tests("driver-from-zero")
}

/// The contract with one word in place of another.
fn other(from: &str, to: &str) -> Result<Vec<u8>> {
    ensure!(WIT.contains(from), "the contract has no {from:?} any more");
    made::plugin(&WIT.replace(from, to), "composer", &Module::default())
}

fn with_settings(schema: Value) -> Result<Vec<u8>> {
    let mut manifest = made::manifest("settled");
    manifest["settings"] = schema;
    made::component(WIT, "composer", &Module::default()).map(|made| made::with_manifest(&made, &manifest))
}

/// Not taken, and said why.
fn refused(row: &'static str, name: &'static str, bytes: fn() -> Result<Vec<u8>>, word: &'static str) -> Case {
    Case::new(row, name, async move |world: &World| {
        let answer = world.upload(bytes()?).await?;
        ensure!((400..500).contains(&answer.status), "{} {}", answer.status, cut(&answer.body.to_string(), 300));
        one_of(&answer.body.to_string(), &[word])
    })
}
