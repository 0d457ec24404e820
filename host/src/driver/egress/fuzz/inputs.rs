//! Where inputs come from: files of the corpus, turned and spliced, and what reached something new. `fuzz.rs` has the targets.

use std::path::{Path, PathBuf};

use super::Target;
use crate::clock::Clock;
use crate::model::Digest;

/// Bytes of an input, at most; a component has its own size.
const LONGEST: usize = 16 << 10;

/// What a grammar would know.
const WORDS: [&[u8]; 48] = [
    b"\0asm\x0d\0\x01\0",
    b"\0asm\x01\0\0\0",
    b"moganite:manifest",
    b"moganite:driver/driver@0.9.0",
    b"moganite:driver/compose@0.9.0",
    b"wasi:io/poll@0.2.6",
    b"\xff\xff\xff\xff\x0f",
    b"{{access.password}}",
    b"{{access.username}}",
    b"{{secret.",
    b"{{session.token}}",
    b"c4nary\\\"pass\\\\word",
    b"c4nary\"pass\\word",
    b"\\u007b",
    b"\\u002e",
    b"\\u0063",
    b"\"password\":",
    b"\"token\":",
    b"\"user\":",
    b"%7B",
    b"%7b",
    b"%2e%2e",
    b"%2f",
    b"..",
    b"..;",
    b"//",
    b"/../",
    b"\\",
    b"\"",
    b"{\"a\":",
    b"[[",
    b"\"$ref\":\"http://x\"",
    b"\"status\":[401]",
    b"\"characters\":\"[a-z]\"",
    b"\"pointer\":\"/*/a\"",
    b"\"header\":\"X-Auth-Token\"",
    b"/**",
    b"session.token",
    b"enroll.find",
    b"http://",
    b"169.254.169.254",
    b"[::ffff:10.0.0.1]",
    b"\0kept\x01",
    b"\0",
    b"\r\n",
    b"@",
    b"#",
    b"?",
];

pub(super) fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("a file that can be read")).collect()
}

/// So many seconds, or a number of inputs that takes about one. Answers inputs, those of the target's kind, and those that reached
/// something new: these are turned further, and join the corpus where one is to be kept.
pub(super) fn round(name: &str, target: Target, mut corpus: Vec<Vec<u8>>, seconds: Option<i64>) -> [u64; 3] {
    let inputs = if name == "component" { 30 } else { 1_500 };
    let clock = Clock::system();
    let end = seconds.map(|seconds| clock.now() + 1_000 * seconds);
    // The same inputs in every short round, others in every long one.
    let seed = if seconds.is_some() { clock.now().unsigned_abs() } else { 0 };
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seed);
    let mut counters = Counters::of_this_process();
    if counters.is_some() {
        // What changes an input is counted too; from here on it has nothing new.
        (0..10_000).for_each(|_| drop(random.mutated(&corpus)));
    }
    let has_grown = |counters: &mut Option<Counters>| counters.as_mut().is_some_and(Counters::have_grown);
    has_grown(&mut counters);
    let mut told = [0; 3];
    while end.map_or(told[0] < inputs, |end| clock.now() < end) {
        let input = random.mutated(&corpus);
        let found = std::panic::catch_unwind(|| target(&input));
        let Ok(is_its_kind) = found else {
            let file = std::env::temp_dir().join(format!("fuzz-{name}-{}", told[0]));
            std::fs::write(&file, &input).ok();
            panic!("{name} broke on {} bytes, kept in {}", input.len(), file.display());
        };
        told[0] += 1;
        told[1] += u64::from(is_its_kind);
        if has_grown(&mut counters) {
            told[2] += 1;
            keep(name, &input);
            corpus.push(input);
        }
    }
    told
}

fn keep(name: &str, input: &[u8]) {
    let Some(folder) = std::env::var_os("MOGANITE_FUZZ_KEEP") else { return };
    let file = PathBuf::from(folder).join(name).join(&Digest::of(input).hex()[..12]);
    std::fs::write(&file, input).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

/// What this process has run through, where it is built to count that: the counters lie in a file, which is mapped.
struct Counters {
    file: PathBuf,
    seen: Vec<u8>,
}

impl Counters {
    fn of_this_process() -> Option<Self> {
        Some(Self { file: std::env::var_os("MOGANITE_FUZZ_COUNTERS")?.into(), seen: Vec::new() })
    }

    /// Whether one is no longer 0 since this was asked last. Nothing else in the file changes.
    fn have_grown(&mut self) -> bool {
        const BLOCK: usize = 4 << 10;
        let now = std::fs::read(&self.file).expect("the file of the counters");
        let is_new = |(new, old): (&[u8], &[u8])| new != old && old.iter().all(|byte| *byte == 0);
        let blocks = now.chunks(BLOCK).zip(self.seen.chunks(BLOCK)).filter(|(new, old)| new != old);
        let grown = now.len() != self.seen.len()
            || blocks.into_iter().any(|(new, old)| new.chunks(8).zip(old.chunks(8)).any(is_new));
        self.seen = now;
        grown
    }
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
        let longest = LONGEST.max(bytes.len());
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
        bytes.truncate(longest);
        bytes
    }
}
