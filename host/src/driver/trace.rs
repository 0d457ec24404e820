//! Where in the guest's code a call broke: the names of its functions, innermost first, made harmless and cut.

use wasmtime::WasmBacktrace;

use super::text;

/// Frames that are told.
const FRAMES: usize = 20;
/// Characters of one name, and of all of them.
const NAME: usize = 100;
const ALL: usize = 1_200;

/// `one < the one that called it < ...`; empty where nothing is known.
pub(super) fn of(error: &wasmtime::Error) -> String {
    error.downcast_ref::<WasmBacktrace>().map_or_else(String::new, |trace| names(&trace.to_string()))
}

/// Of wasmtime's own form, which has the names as their language wrote them: a line `0: module!name` for each frame.
fn names(shown: &str) -> String {
    let frames = shown.lines().filter_map(|line| line.split_once(": ").map(|(_, frame)| frame));
    let names = frames.map(|frame| frame.split_once('!').map_or(frame, |(_, name)| name));
    let names: Vec<_> = names.take(FRAMES).map(|name| text::plain(name.trim(), NAME)).collect();
    text::plain(&names.join(" < "), ALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_named_innermost_first_and_cut() {
        let shown = "error while executing at wasm backtrace:\n    0: driver.wasm!core::panic\n    \
                     1: driver.wasm!driver::com\u{1b}pose\n";
        assert_eq!(names(shown), r"core::panic < driver::com\u{1b}pose");
        let deep: String = (0..500).map(|n| format!("  {n}: d!recurse{}\n", "x".repeat(500))).collect();
        assert_eq!(names(&deep).matches(" < ").count().min(FRAMES), names(&deep).matches(" < ").count());
        assert!(names(&deep).chars().count() <= ALL + 1);
        assert_eq!(names("no backtrace"), "");
    }
}
