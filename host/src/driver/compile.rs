//! Compiling a component in a child process, and the cache of what came out.
//!
//! A hostile component can make a compiler slow or large; in a child it costs the child. The service itself never
//! compiles: it loads what its own child wrote. That is native code, so a file of the cache begins with a tag over what it is of and what is in
//! it, by a key that is in no file beside it; one that was changed, or put under another name, is compiled anew.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail};
use ring::hmac;
use rustix::process::{Resource, Rlimit, Signal, nice, setrlimit};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::{Refusal, engine, text};
use crate::folder::{Folder, HALF};
use crate::harden::{Keep, give_up_all_but};
use crate::model::Digest;

/// Bytes of memory that the child may write to. A driver of 650 KB was seen to take 56 MB. Address space is no measure:
/// the engine reserves 16 GiB of it and uses none.
const MEMORY: u64 = 2 << 30;

/// Seconds that the child may keep processors busy. On the clock it may take much longer where others want them.
const PROCESSOR: u64 = 120;

/// What serves comes first: a large component takes a core for seconds.
const NICE: i32 = 19;

/// Bytes of a compiled file, at most: what the child may make of the largest plugin is less.
const LARGEST: usize = 1 << 30;

/// Bytes of a tag.
const TAG: usize = 32;

/// Makes `<hex>-<engine>.cwasm` files in one folder that only this user can write.
pub(super) struct Compiler {
    /// Understands `compile-plugin IN OUT`.
    pub(super) program: PathBuf,
    pub(super) folder: Folder,
    /// Of one compilation, on the clock.
    pub(super) limit: std::time::Duration,
    /// Makes and checks the tags.
    pub(super) authentic: hmac::Key,
}

/// The body of the hidden subcommand `compile-plugin`: `input`, a file named by its digest, is compiled to `output`, a file that is there
/// already. Whatever the component does to the compiler, this process reads the one and writes the other, and nothing else.
pub fn compile_child(input: &Path, output: &Path) -> anyhow::Result<()> {
    limit(Resource::Data, MEMORY).context("limiting the memory of this process")?;
    limit(Resource::Cpu, PROCESSOR).context("limiting the processor time of this process")?;
    nice(NICE).context("standing back for what serves")?;
    give_up_all_but(&Keep { read: vec![input.into()], write: vec![output.into()], ..Keep::default() })?;
    compile(input, output)
}

impl Compiler {
    /// The compiled component, from the cache when it is there. `file` is the component, named by its digest.
    pub(super) async fn component(
        self: &Arc<Self>,
        engine: &Engine,
        digest: &Digest,
        file: &Path,
    ) -> Result<Component, Refusal> {
        let cached = format!("{}-{}.cwasm", digest.hex(), engine::compatibility(engine));
        if self.folder.has(&cached) {
            let name = cached.clone();
            match self.loaded(engine, move |compiler| compiler.checked(&name)).await {
                Ok(component) => return Ok(component),
                Err(error) => {
                    tracing::warn!(plugin = %digest, error = format!("{error:#}"), "the compiled file is not used; compiling again")
                }
            }
        }
        // A name of its own: two may compile the same component at once, and an older file may be mapped.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let fresh = format!("{}-{}-{number}.{HALF}", digest.hex(), std::process::id());
        if let Err(refusal) = self.run(file, &fresh).await {
            // What a cut child left; most of the time there is nothing.
            self.folder.remove(&fresh).ok();
            return Err(refusal);
        }
        let name = fresh.clone();
        let loaded = self.loaded(engine, move |compiler| compiler.sealed(&name, &cached)).await;
        // Its content stands in the cache, or is of no use.
        self.folder.remove(&fresh).ok();
        loaded.map_err(|error| refused(format!("the compiled file cannot be loaded: {error:#}")))
    }

    /// Away from the threads that serve: whole files are read, tagged, written and loaded.
    async fn loaded(
        self: &Arc<Self>,
        engine: &Engine,
        compiled: impl FnOnce(&Self) -> anyhow::Result<Vec<u8>> + Send + 'static,
    ) -> anyhow::Result<Component> {
        let (compiler, engine) = (self.clone(), engine.clone());
        tokio::task::spawn_blocking(move || load(&engine, &compiled(&compiler)?)).await?
    }

    /// What the child made, which is in the cache from now on. Read once: what is tagged is what is loaded.
    fn sealed(&self, fresh: &str, cached: &str) -> anyhow::Result<Vec<u8>> {
        let compiled = self.folder.read(fresh, LARGEST)?;
        let tag = hmac::sign(&self.authentic, &signed(cached, &compiled));
        if let Err(error) = self.folder.write(cached, &[tag.as_ref(), &compiled]) {
            tracing::warn!(%error, "what was compiled is not kept, and will be compiled again at the next start");
        }
        Ok(compiled)
    }

    /// The compiled component in a file of the cache, when its tag is ours.
    fn checked(&self, cached: &str) -> anyhow::Result<Vec<u8>> {
        let mut compiled = self.folder.read(cached, LARGEST)?;
        if compiled.len() < TAG {
            bail!("it is cut off");
        }
        let tag: Vec<u8> = compiled.drain(..TAG).collect();
        let authentic = hmac::verify(&self.authentic, &signed(cached, &compiled), &tag);
        authentic.map_err(|_| anyhow::anyhow!("it is not what this installation compiled under this name"))?;
        Ok(compiled)
    }

    async fn run(&self, input: &Path, output: &str) -> Result<(), Refusal> {
        let path = self.folder.path(output);
        // Made here: the child may not make files.
        self.folder.create(output).map_err(|error| refused(format!("{} is not made: {error}", path.display())))?;
        let mut child = Command::new(&self.program)
            .arg("compile-plugin")
            .args([input, &path])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| refused(format!("{} does not start: {error}", self.program.display())))?;
        let stderr = child.stderr.take();
        let ended = async {
            let mut said = Vec::new();
            if let Some(stderr) = stderr {
                // What it says is only for people; a broken pipe shows in the status too.
                stderr.take(16 << 10).read_to_end(&mut said).await.ok();
            }
            (child.wait().await, said)
        };
        #[expect(clippy::disallowed_methods, reason = "a child process takes true time; no test moves it by hand")]
        let ended = tokio::time::timeout(self.limit, ended).await;
        match ended {
            Ok((Ok(status), _)) if status.success() => Ok(()),
            Ok((Ok(status), said)) => Err(refused(how_it_ended(status, &said))),
            Ok((Err(error), _)) => Err(refused(format!("waiting for the compiling child: {error}"))),
            Err(_) => Err(refused(format!("compiling took longer than {} s", self.limit.as_secs()))),
        }
    }
}

fn how_it_ended(status: ExitStatus, said: &[u8]) -> String {
    if status.signal() == Some(Signal::XCPU.as_raw()) {
        return format!("compiling took more than {PROCESSOR} s of processor time: build it smaller");
    }
    let said = text::plain(String::from_utf8_lossy(said).trim(), 1000);
    format!("compiling ended with {status}: {said}")
}

/// The name has digest and engine; neither it nor a hash has a zero.
fn signed(cached: &str, compiled: &[u8]) -> Vec<u8> {
    [cached.as_bytes(), b"\0", Digest::of(compiled).hex().as_bytes()].concat()
}

fn compile(input: &Path, output: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(input).with_context(|| format!("reading {}", input.display()))?;
    if input.file_stem().and_then(|name| name.to_str()) != Some(Digest::of(&bytes).hex()) {
        bail!("{} is not what its name says", input.display());
    }
    let compiled = engine::compiling()?.precompile_component(&bytes)?;
    let compiled = without_symbols(&compiled).context("leaving out its symbols")?;
    fs::write(output, compiled).with_context(|| format!("writing {}", output.display()))
}

/// Symbols are for debuggers, and an eighth of it; the service keeps the whole in memory.
fn without_symbols(compiled: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut file = object::build::elf::Builder::read(compiled)?;
    for section in file.sections.iter_mut().filter(|section| matches!(&section.name[..], b".symtab" | b".strtab")) {
        section.delete = true;
    }
    for symbol in &mut file.symbols {
        symbol.delete = true;
    }
    let mut written = Vec::with_capacity(compiled.len());
    file.write(&mut written)?;
    Ok(written)
}

/// Of this process, for good. What asks for more memory gets an error, and mostly aborts; more processor time ends it by a signal, one second
/// before the one that cannot be told from others'.
fn limit(resource: Resource, most: u64) -> std::io::Result<()> {
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most + 1) })?;
    Ok(())
}

/// From memory and not from the file: nobody changes it after it was checked.
fn load(engine: &Engine, compiled: &[u8]) -> anyhow::Result<Component> {
    #[expect(unsafe_code, reason = "loads native code that this host's own child wrote")]
    // SAFETY: the bytes came out of `compile_child` just now, or bear the tag that only this installation makes, over the digest and the engine
    // that they are loaded for.
    let component = unsafe { Component::deserialize(engine, compiled) }?;
    Ok(component)
}

fn refused(message: String) -> Refusal {
    Refusal::new("plugin-compile-failed", message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Set in a test that runs again as a child, which limits itself and then takes more.
    const HUNGRY: &str = "MOGANITE_TEST_HUNGRY";

    /// The test of this name, as a child.
    fn hungry(name: &str) -> std::process::Output {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", &format!("driver::compile::tests::{name}")]).env(HUNGRY, "1").output().unwrap()
    }

    #[test]
    fn a_child_that_takes_more_memory_than_it_has_is_refused_it() {
        if std::env::var_os(HUNGRY).is_some() {
            limit(Resource::Data, 64 << 20).unwrap();
            let take = |bytes: usize| Vec::<u8>::new().try_reserve_exact(bytes).is_ok();
            assert_eq!((take(16 << 20), take(128 << 20)), (true, false));
            return;
        }
        let child = hungry("a_child_that_takes_more_memory_than_it_has_is_refused_it");
        let said = String::from_utf8_lossy(&child.stdout).into_owned();
        assert!(child.status.success() && said.contains("1 passed"), "{said}");
    }

    #[test]
    fn a_child_that_keeps_a_processor_busy_for_too_long_is_ended_and_that_is_said() {
        if std::env::var_os(HUNGRY).is_some() {
            limit(Resource::Cpu, 1).unwrap();
            loop {
                std::hint::spin_loop();
            }
        }
        let child = hungry("a_child_that_keeps_a_processor_busy_for_too_long_is_ended_and_that_is_said");
        let said = how_it_ended(child.status, b"");
        assert!(said.contains("120 s of processor time"), "{said}");
    }

    #[test]
    fn the_child_refuses_a_file_that_is_not_what_its_name_says() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join(format!("{}.wasm", Digest::of(b"something else").hex()));
        fs::write(&input, b"\0asm").unwrap();
        let refused = compile(&input, &folder.path().join("out"));
        assert!(refused.is_err_and(|e| e.to_string().contains("not what its name says")));
    }

    #[test]
    fn what_is_compiled_is_loaded_without_its_symbols() {
        // A component with a module with a function.
        let module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x04\x01\x02\0\x0b";
        let component = [b"\0asm\x0d\0\x01\0\x01".as_slice(), &[module.len() as u8], module].concat();
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join(format!("{}.wasm", Digest::of(&component).hex()));
        let output = folder.path().join("out");
        fs::write(&input, &component).unwrap();
        compile(&input, &output).unwrap();

        let engine = engine::compiling().unwrap();
        let symbols = |compiled: &[u8]| object::build::elf::Builder::read(compiled).unwrap().symbols.count();
        let compiled = fs::read(output).unwrap();
        assert!(symbols(&engine.precompile_component(&component).unwrap()) > 0);
        assert_eq!(symbols(&compiled), 0);
        load(&engine, &compiled).unwrap();
    }

    fn key(byte: u8) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32])
    }

    #[test]
    fn a_compiled_file_that_was_changed_renamed_or_forged_is_not_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let compiler = |authentic| Compiler {
            program: PathBuf::new(),
            folder: Folder::open(folder.path()).unwrap(),
            limit: std::time::Duration::ZERO,
            authentic,
        };
        let (ours, cached) = (compiler(key(1)), folder.path().join("a"));
        fs::write(folder.path().join("a.new"), b"native code").unwrap();
        assert_eq!(ours.sealed("a.new", "a").unwrap(), b"native code");
        assert_eq!(ours.checked("a").unwrap(), b"native code");

        let whole = fs::read(&cached).unwrap();
        fs::write(folder.path().join("b"), &whole).unwrap();
        assert!(ours.checked("b").is_err(), "under another digest's name");
        assert!(compiler(key(2)).checked("a").is_err(), "of another installation");
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&cached, changed).unwrap();
            assert!(ours.checked("a").is_err(), "byte {at}");
        }
        for forged in [&whole[TAG..], &whole[..TAG], b""] {
            fs::write(&cached, forged).unwrap();
            assert!(ours.checked("a").is_err());
        }
    }

    #[tokio::test]
    async fn a_child_that_never_ends_is_ended_and_a_child_that_fails_is_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let compiler = |script: &str, name: &str, limit: u64| {
            let program = folder.path().join(name);
            fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            let limit = std::time::Duration::from_millis(limit);
            Compiler { program, folder: Folder::open(folder.path()).unwrap(), limit, authentic: key(1) }
        };
        let endless = compiler("exec /bin/sleep 60", "endless", 50).run(Path::new("in"), "a").await;
        assert!(endless.is_err_and(|r| r.message.contains("took longer")));
        let failing = compiler("echo no such opcode >&2; exit 3", "failing", 5_000);
        let failing = failing.run(Path::new("in"), "b").await;
        assert!(failing.is_err_and(|r| r.message.contains("no such opcode")));
    }
}
