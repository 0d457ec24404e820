//! Whatever bytes come in: manifests, plugin files, components, bodies with placeholders, paths, sealed checkpoints. A seed and a corpus of small
//! files (`tests/fuzz/corpus/TARGET`), turned and spliced; each target says what must hold of any input.
//!
//! A short round is one of the library's tests; `cargo xtask fuzz --seconds N` makes a long one.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::places::{Open, Places, With};
use super::url::Base;
use super::{At, Echoes};
use crate::clock::Clock;
use crate::driver::secrets::Secret;
use crate::driver::sessions::Ring;
use crate::driver::{Vault, engine, manifest, weight};
use crate::model::{Manifest, Place, Value};
use crate::seal::Master;

/// Panics when something does not hold. True: the input was of the kind that the target is about.
type Target = fn(&[u8]) -> bool;

const TARGETS: [(&str, Target); 6] = [
    ("manifest", a_manifest),
    ("packed", a_packed_plugin),
    ("component", a_component),
    ("placeholder", a_body),
    ("path", a_path),
    ("checkpoint", a_sealed_checkpoint),
];

/// What a grammar would know.
const WORDS: [&[u8]; 22] = [
    b"\0asm\x0d\0\x01\0",
    b"\0asm\x01\0\0\0",
    b"moganite:manifest",
    b"\xff\xff\xff\xff\x0f",
    b"{{access.password}}",
    b"{{secret.",
    b"{{session.token}}",
    b"\\u007b",
    b"%7B",
    b"%2e%2e",
    b"..",
    b"//",
    b"/../",
    b"\\",
    b"\"",
    b"{\"a\":",
    b"[[",
    b"\"$ref\":\"http://x\"",
    b"\0",
    b"\r\n",
    b"@",
    b"#",
];

#[test]
fn no_input_breaks_what_reads_it() {
    let seconds = std::env::var("MOGANITE_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let only = std::env::var("MOGANITE_FUZZ_ONLY").ok();
    for (name, target) in TARGETS.iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name)) {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "no corpus for {name}");
        let taken = corpus.iter().filter(|one| target(one)).count();
        assert!(taken > 0, "no file of the corpus for {name} is of its kind");
        let (tries, taken) = round(name, *target, &corpus, seconds);
        println!("fuzz {name}: {} files, {tries} inputs, {taken} of its kind", corpus.len());
    }
}

/// So many seconds, or a number of inputs that takes about one.
fn round(name: &str, target: Target, corpus: &[Vec<u8>], seconds: Option<i64>) -> (u64, u64) {
    let inputs = if name == "component" { 30 } else { 1_500 };
    let clock = Clock::system();
    let end = seconds.map(|seconds| clock.now() + 1_000 * seconds);
    // The same inputs in every short round, others in every long one.
    let seed = if seconds.is_some() { clock.now().unsigned_abs() } else { 0 };
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seed);
    let (mut tries, mut taken) = (0, 0);
    while end.map_or(tries < inputs, |end| clock.now() < end) {
        let input = random.mutated(corpus);
        let found = std::panic::catch_unwind(|| target(&input));
        let Ok(is_its_kind) = found else {
            let file = std::env::temp_dir().join(format!("fuzz-{name}-{tries}"));
            std::fs::write(&file, &input).ok();
            panic!("{name} broke on {} bytes, kept in {}", input.len(), file.display());
        };
        tries += 1;
        taken += u64::from(is_its_kind);
    }
    (tries, taken)
}

/// What is read is whole, and is read again as the same.
fn a_manifest(bytes: &[u8]) -> bool {
    let Ok(manifest) = Manifest::parse(bytes) else { return false };
    let again = serde_json::to_vec(&manifest).expect("a manifest can be written");
    assert_eq!(Manifest::parse(&again).as_ref(), Ok(&manifest));
    assert!(manifest.title().len() < 200 && !manifest.title().contains(char::is_control));
    true
}

/// Its sections are the file, each byte once.
fn a_packed_plugin(bytes: &[u8]) -> bool {
    if let Ok(sections) = manifest::sections(bytes) {
        let end = sections.iter().fold(8, |at, section| {
            assert_eq!(section.at.start, at);
            section.at.end
        });
        assert_eq!(end, bytes.len());
    }
    weight::check(bytes).ok();
    manifest::read(bytes).is_ok()
}

/// The compiler says yes or no.
fn a_component(bytes: &[u8]) -> bool {
    // One for all: making it costs more than most inputs.
    static ENGINE: std::sync::LazyLock<wasmtime::Engine> =
        std::sync::LazyLock::new(|| engine::compiling().expect("an engine can be made"));
    weight::check(bytes).is_ok() && ENGINE.precompile_component(bytes).is_ok()
}

const PASSWORD: &str = "c4nary\"pass\\word";

/// A secret goes to its one place, and what comes back has it no more.
fn a_body(bytes: &[u8]) -> bool {
    let place = Place {
        name: "p".into(),
        endpoint: "far".into(),
        methods: vec!["POST".into()],
        path: "/keep".into(),
        pointer: Some("/password".into()),
        header: None,
        value: Value::AccessPassword,
        characters: None,
    };
    let secret = Arc::new(Secret::of(PASSWORD));
    let places = Places(vec![Open { place, with: With::Secret(secret.clone()) }]);
    let at = |path| At { endpoint: "far", method: "POST", path };
    if let Ok(elsewhere) = places.fill_body(at("/other"), bytes.to_vec(), &Ring::default()) {
        assert_eq!(elsewhere, bytes, "another path is another body");
    }
    let Ok(filled) = places.fill_body(at("/keep"), bytes.to_vec(), &Ring::default()) else { return false };
    if filled == bytes {
        return false;
    }
    let json: serde_json::Value = serde_json::from_slice(&filled).expect("what was filled is JSON");
    assert_eq!(json["password"], PASSWORD);
    let mut rest = json;
    rest["password"] = "".into();
    assert!(!rest.to_string().contains("c4nary"), "{rest}");
    let mut echoes = Echoes::default();
    echoes.add(secret, "{{access.password}}".into());
    assert!(!String::from_utf8_lossy(&echoes.hush_body(filled)).contains("c4nary"));
    true
}

/// A path that is joined stays at the origin and behind the prefix, however it is read.
fn a_path(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    let base = Base::parse("http://far.example:8080/prefix").expect("a base");
    let Ok(url) = base.join(path, query) else { return false };
    assert_eq!((url.host_str(), url.port(), url.username()), (Some("far.example"), Some(8080), ""));
    assert_eq!(url.path(), format!("/prefix{path}"), "what was checked is what is sent");
    assert!(url.fragment().is_none() && !url.path().split('/').any(|segment| matches!(segment, "." | "..")));
    true
}

/// Only what was sealed opens, and as what it was sealed.
fn a_sealed_checkpoint(bytes: &[u8]) -> bool {
    static VAULT: std::sync::LazyLock<Vault> = std::sync::LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let master = Master::make(&folder.path().join("key")).expect("a key");
        let (sealer, _) = master.new_sealer().expect("a sealer");
        Vault::of(sealer.into())
    });
    let vault = &*VAULT;
    assert!(vault.open_as("a checkpoint", bytes).is_err());
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let mut sealed = vault.seal_as("a checkpoint", bytes).expect("it can be sealed");
    assert_eq!(vault.open_as("a checkpoint", &sealed).expect("it opens").reveal(), text);
    assert!(vault.open_as("another checkpoint", &sealed).is_err());
    let at = bytes.len() % sealed.len();
    sealed[at] ^= 1;
    assert!(vault.open_as("a checkpoint", &sealed).is_err());
    true
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("a file that can be read")).collect()
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let wide = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(wide).unwrap_or(0) % end.max(1)
    }

    /// One file of the corpus, changed in up to eight places.
    fn mutated(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(8) {
            let at = self.below(bytes.len() + 1);
            let upto = at + self.below((bytes.len() - at).min(64) + 1);
            match self.below(7) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = u8::try_from(self.below(256)).unwrap_or(0),
                2 => drop(bytes.drain(at..upto)),
                3 => {
                    let again = bytes[at..upto].to_vec();
                    bytes.splice(at..at, again).for_each(drop);
                }
                4 => bytes.splice(at..at, WORDS[self.below(WORDS.len())].iter().copied()).for_each(drop),
                5 => bytes.splice(at..upto, WORDS[self.below(WORDS.len())].iter().copied()).for_each(drop),
                _ => {
                    let other = &corpus[self.below(corpus.len())];
                    let from = self.below(other.len() + 1);
                    bytes.splice(at.., other[from..].iter().copied()).for_each(drop);
                }
            }
        }
        bytes
    }
}
