//! Secrets that a rig plants, and the search for them in everything that leaves the process or is written.
//!
//! A rig keeps a [`Watch`] over what the service writes, and hands [`Canaries::scan`] what it says. When the rig ends, a secret that was seen
//! anywhere fails the test, with where it stands. `forms.rs` has the ways in which a secret may be written.

mod forms;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use crate::forms::Form;

/// Nothing of them may be seen, in none of their forms.
#[derive(Default)]
pub struct Canaries {
    forms: Mutex<Vec<Form>>,
    seen: Mutex<BTreeSet<String>>,
}

/// Looks through files and folders when it is dropped, unless a test fails already, and panics when a secret was seen there or before.
pub struct Watch {
    pub canaries: Arc<Canaries>,
    pub over: Vec<PathBuf>,
}

impl Canaries {
    /// Each with a name for people.
    pub fn of(secrets: &[(&str, &str)]) -> Self {
        let canaries = Self::default();
        secrets.iter().for_each(|(name, secret)| canaries.add(name, secret));
        canaries
    }

    pub fn add(&self, name: &str, secret: &str) {
        let mut forms = lock(&self.forms);
        for form in forms::of(name, secret) {
            // Most secrets look alike in some forms: told once.
            if !forms.iter().any(|known| known.bytes == form.bytes) {
                forms.push(form);
            }
        }
    }

    /// It is no secret any more, and never was one.
    pub fn forget(&self, name: &str) {
        lock(&self.forms).retain(|form| form.name != name);
        lock(&self.seen).retain(|line| !line.starts_with(&format!("{name} ")));
    }

    /// Looks through what came out at `place`.
    pub fn scan(&self, place: &str, bytes: &[u8]) {
        let forms = lock(&self.forms);
        for (form, at) in forms::found(&forms, bytes) {
            let Form { name, how, .. } = form;
            lock(&self.seen).insert(format!("{name} {how} in {place}, {at} bytes in"));
        }
    }

    /// A file, or a folder and everything below it. What is compiled is looked through once in a process: it is lent from test to test.
    pub fn scan_files(&self, path: &Path) {
        static LENT: LazyLock<Mutex<BTreeSet<PathBuf>>> = LazyLock::new(Mutex::default);
        let is_link = path.symlink_metadata().is_ok_and(|about| about.is_symlink());
        // What a link leads to is not this rig's. A file may be gone by now: SQLite's own come and go.
        if let Some(entries) = std::fs::read_dir(path).ok().filter(|_| !is_link) {
            entries.flatten().for_each(|entry| self.scan_files(&entry.path()));
            return;
        }
        let is_lent = path.extension().is_some_and(|extension| extension == "cwasm" || extension == "wasm");
        if is_lent && !lock(&LENT).insert(path.file_name().unwrap_or_default().into()) {
            return;
        }
        self.scan(&path.display().to_string(), &std::fs::read(path).unwrap_or_default());
    }

    /// A line for each form in each place.
    pub fn seen(&self) -> Vec<String> {
        lock(&self.seen).iter().cloned().collect()
    }

    /// Panics when one was seen.
    #[track_caller]
    pub fn check(&self) {
        let seen = self.seen();
        assert!(seen.is_empty(), "a planted secret was seen:\n  {}", seen.join("\n  "));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.over.iter().for_each(|path| self.canaries.scan_files(path));
            self.canaries.check();
        }
    }
}

/// What a thread that panicked left is still what was seen.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "canary/\"of a test\"-5f1c";

    fn planted() -> Canaries {
        Canaries::of(&[("the secret", SECRET), ("another", "canary-0815")])
    }

    #[test]
    fn what_was_planted_is_told_with_its_form_its_place_and_how_far_in() {
        let canaries = planted();
        canaries.scan("here", b"{{access.password}} canary-081 5");
        assert_eq!(canaries.seen(), Vec::<String>::new());
        canaries.scan("the log", b"0123 canary-0815, canary-0815");
        assert_eq!(canaries.seen(), ["another as it is in the log, 5 bytes in"]);
        canaries.forget("another");
        canaries.check();
    }

    #[test]
    fn a_folder_is_looked_through_to_its_depth_when_the_rig_ends() {
        let folder = std::env::temp_dir().join(format!("canary-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("deep")).unwrap();
        let watch = || Watch { canaries: planted().into(), over: vec![folder.clone()] };
        std::fs::write(folder.join("deep/moganite.db-wal"), "nothing").unwrap();
        drop(watch());
        std::fs::write(folder.join("deep/moganite.db-wal"), [b"\0\0", SECRET.as_bytes()].concat()).unwrap();
        let ended = std::panic::catch_unwind(|| drop(watch()));
        std::fs::remove_dir_all(&folder).unwrap();
        let said = ended.unwrap_err().downcast::<String>().unwrap();
        assert!(said.contains("the secret as it is in ") && said.contains("moganite.db-wal, 2 bytes in"), "{said}");
    }
}
