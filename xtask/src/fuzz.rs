//! `cargo xtask fuzz`: a long round of what is one of the library's tests, and how much of the code it reaches.
//!
//! `tests/fuzz/README.md` has the figures and what was found.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::workspace::{Workspace, cargo, say};

/// Each target of `host/src/driver/egress/fuzz.rs`, and the files below `host/src` that it is about.
const TARGETS: [(&str, &[&str]); 6] = [
    ("manifest", &["model/plugin.rs", "model/place.rs", "model/asks.rs", "model/characters.rs", "model/name.rs"]),
    ("packed", &["driver/manifest.rs", "driver/weight.rs"]),
    ("component", &["driver/weight.rs", "driver/load.rs", "driver/contract.rs"]),
    (
        "placeholder",
        &[
            "driver/egress/places.rs",
            "driver/egress/placeholder.rs",
            "driver/egress/patterns.rs",
            "driver/egress/echoes.rs",
            "driver/egress/escapes.rs",
        ],
    ),
    ("path", &["driver/egress/url.rs", "driver/egress/address.rs"]),
    ("checkpoint", &["seal.rs", "driver/secrets.rs", "driver/kept.rs"]),
];

/// As the command line has it.
struct Flags<'a> {
    seconds: Option<&'a str>,
    only: Option<&'a str>,
    coverage: bool,
    keep: bool,
}

pub(crate) fn run(workspace: &Workspace, flags: &[&str]) -> Result<()> {
    let flags = Flags::read(flags)?;
    if flags.coverage {
        return with_coverage(workspace, &flags);
    }
    let environment: Vec<_> =
        [("MOGANITE_FUZZ_SECONDS", flags.seconds.or(Some("60"))), ("MOGANITE_FUZZ_ONLY", flags.only)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?.to_owned())))
            .collect();
    workspace.cargo_with(
        "fuzz",
        &["test", "--package", "moganite", "--lib", "--", "--nocapture", "egress::fuzz"],
        &environment,
    )
}

impl<'a> Flags<'a> {
    fn read(words: &[&'a str]) -> Result<Self> {
        let mut flags = Self { seconds: None, only: None, coverage: false, keep: false };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--seconds" => flags.seconds = Some(words.next().context("--seconds needs a number")?),
                "--only" => flags.only = Some(words.next().context("--only needs a target")?),
                "--coverage" => flags.coverage = true,
                "--keep" => flags.keep = true,
                other => bail!("`cargo xtask fuzz` has no {other}: --seconds N, --only TARGET, --coverage, --keep"),
            }
        }
        ensure!(!flags.keep || flags.coverage, "--keep needs --coverage: what is new is known from the counters");
        if let Some(only) = flags.only {
            let names = TARGETS.map(|(name, _)| name);
            ensure!(names.contains(&only), "no target {only}: {}", names.join(", "));
        }
        Ok(flags)
    }
}

/// Each target in a process of its own that counts what it runs through; the corpus alone when no time is given.
fn with_coverage(workspace: &Workspace, flags: &Flags<'_>) -> Result<()> {
    let tools = llvm_tools()?;
    let program = build(workspace)?;
    let folder = workspace.target.join("fuzz");
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let mut table = vec![["target".to_owned(), "file".into(), "lines".into(), "regions".into()]];
    for (name, files) in TARGETS.iter().filter(|(name, _)| flags.only.is_none_or(|only| only == *name)) {
        let counters = folder.join(format!("{name}.profraw"));
        // A run adds to what is there.
        fs::remove_file(&counters).ok();
        let status = Command::new(&program)
            .args(["--nocapture", "egress::fuzz"])
            .current_dir(workspace.root.join("host"))
            // %c: the counters are the file, from the first to the last, so that the process can look at them too.
            .env("LLVM_PROFILE_FILE", format!("{}%c", counters.display()))
            .env("MOGANITE_FUZZ_COUNTERS", &counters)
            .env("MOGANITE_FUZZ_ONLY", name)
            .env("MOGANITE_FUZZ_SECONDS", flags.seconds.unwrap_or("0"))
            .envs(flags.keep.then(|| ("MOGANITE_FUZZ_KEEP", workspace.root.join("tests/fuzz/corpus"))))
            .status()
            .with_context(|| format!("run {}", program.display()))?;
        ensure!(status.success(), "fuzz {name}: {status}");
        table.extend(reached(workspace, &tools, &program, &counters, name, files)?);
    }
    for [target, file, lines, regions] in table {
        println!("| {target:<11} | {file:<29} | {lines:>16} | {regions:>16} |");
    }
    Ok(())
}

/// The library's tests, this one crate built with counters: what it stands on is built as always.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let arguments = [
        "rustc",
        "--package",
        "moganite",
        "--lib",
        "--profile",
        "test",
        "--message-format=json-render-diagnostics",
        "--",
        "-Cinstrument-coverage",
        // Lets the counters lie in a file that is mapped.
        "-Cllvm-args=-runtime-counter-relocation",
    ];
    say(&format!("build the fuzzer with counters: cargo {}", arguments.join(" ")));
    let built = Command::new(cargo())
        .args(arguments)
        .current_dir(&workspace.root)
        .env("CARGO_TARGET_DIR", &workspace.target)
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo")?;
    ensure!(built.status.success(), "build the fuzzer with counters: {}", built.status);
    let said = String::from_utf8(built.stdout)?;
    let programs = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = programs.filter_map(|line| line["executable"].as_str().map(PathBuf::from)).next_back();
    program.context("cargo names no program that it built")
}

/// Where `llvm-profdata` and `llvm-cov` of this Rust are.
fn llvm_tools() -> Result<PathBuf> {
    let rustc = |print: &str| -> Result<String> {
        let said =
            Command::new("rustc").args(["--print", print]).stderr(Stdio::inherit()).output().context("run rustc")?;
        Ok(String::from_utf8(said.stdout)?.trim().to_owned())
    };
    let tools = Path::new(&rustc("sysroot")?).join("lib/rustlib").join(rustc("host-tuple")?).join("bin");
    if tools.join("llvm-cov").exists() {
        return Ok(tools);
    }
    say("add the tools that read the counters: rustup component add llvm-tools");
    let added = Command::new("rustup").args(["component", "add", "llvm-tools"]).status();
    ensure!(
        added.is_ok_and(|status| status.success()) && tools.join("llvm-cov").exists(),
        "llvm-cov of this Rust is missing: `rustup component add llvm-tools`, or install your system's package with it"
    );
    Ok(tools)
}

/// A row for each file, and one for all.
fn reached(
    workspace: &Workspace,
    tools: &Path,
    program: &Path,
    counters: &Path,
    target: &str,
    files: &[&str],
) -> Result<Vec<[String; 4]>> {
    let merged = counters.with_extension("profdata");
    let tool = |name: &str, arguments: &[&std::ffi::OsStr]| -> Result<Vec<u8>> {
        let ran = Command::new(tools.join(name)).args(arguments).stderr(Stdio::inherit()).output();
        let ran = ran.with_context(|| format!("run {name}"))?;
        ensure!(ran.status.success(), "{name}: {}", ran.status);
        Ok(ran.stdout)
    };
    let output = format!("--output={}", merged.display());
    tool("llvm-profdata", &["merge".as_ref(), "--sparse".as_ref(), counters.as_ref(), output.as_ref()])?;
    let profile = format!("--instr-profile={}", merged.display());
    let paths: Vec<PathBuf> = files.iter().map(|file| workspace.root.join("host/src").join(file)).collect();
    let mut of_these = vec!["export".as_ref(), "--format=lcov".as_ref(), profile.as_ref(), program.as_ref()];
    of_these.extend(paths.iter().map(|path| path.as_os_str()));
    let lines = String::from_utf8(tool("llvm-cov", &of_these)?)?;
    let text = "--format=text";
    of_these[1] = text.as_ref();
    let regions: Value = serde_json::from_slice(&tool("llvm-cov", &of_these)?)?;

    let (mut rows, mut all) = (Vec::new(), [Share::default(); 2]);
    for (file, path) in files.iter().zip(&paths) {
        let code = code_of(path)?;
        let shares = [lines_of(&lines, path, code), regions_of(&regions, path, code)];
        all = [all[0].and(shares[0]), all[1].and(shares[1])];
        rows.push([target.to_owned(), (*file).to_owned(), shares[0].to_string(), shares[1].to_string()]);
    }
    rows.push([target.to_owned(), "all of it".into(), all[0].to_string(), all[1].to_string()]);
    Ok(rows)
}

/// The lines before the tests of a file.
fn code_of(path: &Path) -> Result<u64> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let tests = text.lines().position(|line| line == "#[cfg(test)]").unwrap_or(usize::MAX);
    Ok(tests.try_into().unwrap_or(u64::MAX))
}

/// So many of so many.
#[derive(Clone, Copy, Default)]
struct Share(u64, u64);

impl Share {
    fn and(self, other: Self) -> Self {
        Self(self.0 + other.0, self.1 + other.1)
    }

    fn of(counts: impl Iterator<Item = u64>) -> Self {
        counts.fold(Self::default(), |share, count| share.and(Self(u64::from(count > 0), 1)))
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = (100 * self.0).checked_div(self.1).unwrap_or(100);
        write!(f, "{} of {}, {percent} %", self.0, self.1)
    }
}

/// `SF:file`, then `DA:line,count` for each line with code.
fn lines_of(lcov: &str, path: &Path, code: u64) -> Share {
    let head = format!("SF:{}", path.display());
    let lines = lcov.lines().skip_while(|line| *line != head).skip(1);
    let counted = lines.take_while(|line| *line != "end_of_record").filter_map(|line| {
        let (line, count) = line.strip_prefix("DA:")?.split_once(',')?;
        Some((line.parse::<u64>().ok()?, count.parse::<u64>().ok()?))
    });
    Share::of(counted.filter(|(line, _)| *line <= code).map(|(_, count)| count))
}

/// A region is one however many times its function was built, and was reached when one of them was.
fn regions_of(export: &Value, path: &Path, code: u64) -> Share {
    let mut regions: BTreeMap<Vec<u64>, u64> = BTreeMap::new();
    let functions = export["data"][0]["functions"].as_array().into_iter().flatten();
    for function in functions.filter(|function| function["filenames"][0].as_str().map(Path::new) == Some(path)) {
        for region in function["regions"].as_array().into_iter().flatten() {
            // First line and column, last line and column, count, two numbers of files, and the kind: 0 for code.
            let Some(numbers) = region.as_array().map(|all| all.iter().filter_map(Value::as_u64).collect::<Vec<_>>())
            else {
                continue;
            };
            if let [first, _, _, _, count, _, _, 0] = numbers[..]
                && first <= code
            {
                let most = regions.entry(numbers[..4].to_vec()).or_default();
                *most = (*most).max(count);
            }
        }
    }
    Share::of(regions.into_values())
}
