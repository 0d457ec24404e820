//! Compiled plugins that all tests share.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The same component is compiled once for all tests: compiled files go by digest and engine.
pub(crate) fn share_compiled(state: &Path) {
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
    std::fs::create_dir_all(&shared).unwrap();
    std::os::unix::fs::symlink(shared, state.join("compiled")).unwrap();
    // One master key for all: compiled files bear its tag.
    let mut key = std::fs::OpenOptions::new();
    let mut key = key.write(true).create_new(true).mode(0o600).open(state.join("secret.key")).unwrap();
    key.write_all(&[7; 32]).unwrap();
}
