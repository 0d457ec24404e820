//! The plugins that this host knows, and the way from a backend's revision to something callable.
//!
//! The files are the truth: `<state>/plugins/<hex>.wasm` by digest, read once, hashed as read. What a file compiles to is a cache.
//! Next: `manifest.rs`, `compile.rs`, `load.rs`, in the order in which a file goes through them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context as _;
use bytes::Bytes;
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::Linker;

use super::call::Target;
use super::compile::Compiler;
use super::egress::Lines;
use super::limits::State;
use super::load::{self, Loaded};
use super::{Composer, Deployer, Enroller, Prober, Vault, binding, engine, manifest};
use crate::clock::Clock;
use crate::config::{Config, Sandbox};
use crate::model::{Digest, Fault, FaultKind, Manifest, Revision, RevisionId, Role};
use crate::store::Store;

/// Compilations at once; each is a process of its own.
const COMPILING: usize = 2;

/// The plugins of this host, and everything that their calls share. Cheap to clone.
#[derive(Clone)]
pub struct Drivers(Arc<Inner>);

pub(super) struct Inner {
    pub(super) sandbox: Sandbox,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) vault: Vault,
    pub(super) engine: Engine,
    pub(super) lines: Lines,
    /// In front of the pool, whose exhaustion would be an error and not a wait.
    pub(super) slots: Semaphore,
    linker: Linker<State>,
    compiler: Compiler,
    compiling: Semaphore,
    /// Copies by digest.
    copies: PathBuf,
    /// Where else plugin files are offered.
    offered: Option<PathBuf>,
    known: RwLock<BTreeMap<Digest, Known>>,
    /// False until every file was read at least to its manifest: a digest that is not known may still come.
    listed: AtomicBool,
}

#[derive(Clone)]
struct Known {
    plugin: Arc<Plugin>,
    loaded: Option<Arc<Loaded>>,
}

/// A driver as shipped.
#[derive(Debug, Clone)]
pub struct Plugin {
    pub digest: Digest,
    pub manifest: Manifest,
    /// Empty until it is ready.
    pub roles: Vec<Role>,
    pub state: PluginState,
    /// Bytes of the file.
    pub size: u64,
    /// `name@version sha256:abcdef012345`.
    pub(super) label: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginState {
    Compiling,
    Ready,
    /// One sentence: what does not fit, and what to do.
    Refused(String),
}

/// Why a plugin or a binding is not taken: a stable code, and a sentence that says what and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    pub code: &'static str,
    pub message: String,
}

impl Refusal {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl Drivers {
    /// Engine, pool and ticker; nothing is read or compiled yet. Compiles with this program.
    pub async fn open(config: &Config, store: Store, clock: Clock) -> Result<Self, anyhow::Error> {
        let program = std::env::current_exe().context("which program is this")?;
        Self::open_with(config, store, clock, program).await
    }

    /// The same, with another program that understands `compile-plugin IN OUT`.
    pub async fn open_with(
        config: &Config,
        store: Store,
        clock: Clock,
        program: PathBuf,
    ) -> Result<Self, anyhow::Error> {
        // Another part of the process may have chosen it already: then it is the same one.
        rustls::crypto::ring::default_provider().install_default().ok();
        let (copies, compiled) = (config.state.join("plugins"), config.state.join("compiled"));
        for folder in [&copies, &compiled] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .with_context(|| format!("making {}", folder.display()))?;
        }
        let sandbox = config.sandbox.clone();
        let engine = engine::serving(&sandbox).context("making the engine for drivers")?;
        Ok(Self(Arc::new(Inner {
            vault: Vault::open_or_make(&config.state.join("secret.key"))?,
            linker: engine::linker(&engine)?,
            lines: Lines::default(),
            slots: Semaphore::new(usize::try_from(sandbox.slots.max(1)).unwrap_or(1)),
            compiler: Compiler { program, folder: compiled, limit: sandbox.compile },
            compiling: Semaphore::new(COMPILING),
            copies,
            offered: config.plugins.clone(),
            known: RwLock::default(),
            listed: AtomicBool::new(false),
            engine,
            sandbox,
            store,
            clock,
        })))
    }

    /// Takes a plugin: checks it, keeps a copy by digest, compiles and links it. Repeatable; nothing is kept of one that is
    /// refused.
    pub async fn add(&self, bytes: Bytes) -> Result<Plugin, Refusal> {
        let plugin = self.0.examined(&bytes)?;
        let digest = plugin.digest.clone();
        if let Some(known) = self.0.known(&digest).filter(|known| known.plugin.state == PluginState::Ready) {
            return Ok((*known.plugin).clone());
        }
        let file = self.0.kept(&digest, &bytes)?;
        match self.0.loaded(plugin, &file).await {
            Ok(plugin) => Ok(plugin),
            Err(refusal) => {
                // Gone already, or never there: both are what is wanted.
                fs::remove_file(&file).ok();
                self.0.known.write().unwrap_or_else(PoisonError::into_inner).remove(&digest);
                Err(refusal)
            }
        }
    }

    /// Loads what the folders hold, in the background; [`Drivers::plugins`] tells how far it is. A file that is no plugin is
    /// logged and passed over.
    pub fn spawn_loading(&self) {
        let inner = self.0.clone();
        tokio::spawn(async move {
            let mut found = Vec::new();
            for file in inner.files() {
                match inner.listed(&file) {
                    Ok(plugin) => found.push(plugin),
                    Err(why) => tracing::error!(file = %file.display(), %why, "this plugin is not loaded"),
                }
            }
            inner.listed.store(true, Ordering::Release);
            for (plugin, file) in found {
                let inner = inner.clone();
                tokio::spawn(async move {
                    let label = plugin.label.clone();
                    match inner.loaded(plugin, &file).await {
                        Ok(_) => tracing::info!(plugin = label, "plugin ready"),
                        Err(refusal) => tracing::error!(plugin = label, %refusal, "plugin refused"),
                    }
                });
            }
        });
    }

    /// Ordered by digest.
    pub fn plugins(&self) -> Vec<Plugin> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        known.values().map(|known| (*known.plugin).clone()).collect()
    }

    pub fn plugin(&self, digest: &Digest) -> Option<Plugin> {
        self.0.known(digest).map(|known| (*known.plugin).clone())
    }

    /// Whether a revision may be written: the plugin is known and not refused, and settings, endpoints and grants fit it.
    pub fn check_binding(&self, digest: &Digest, revision: &Revision) -> Result<(), Refusal> {
        let known = self.0.known(digest).ok_or_else(|| {
            Refusal::new(
                "plugin-unknown",
                format!("no plugin {digest} is here: add it with `moganite plugin add FILE`"),
            )
        })?;
        if let PluginState::Refused(why) = &known.plugin.state {
            return Err(Refusal::new("plugin-refused", format!("{} was refused: {why}", known.plugin.label)));
        }
        binding::check(&known.plugin.manifest, revision, self.0.sandbox.text)
    }

    pub async fn composer(&self, revision: RevisionId) -> Result<Composer, Fault> {
        self.0.target(revision, Some(Role::Compose)).await.map(Composer)
    }

    pub async fn enroller(&self, revision: RevisionId) -> Result<Enroller, Fault> {
        self.0.target(revision, Some(Role::Enroll)).await.map(Enroller)
    }

    pub async fn deployer(&self, revision: RevisionId) -> Result<Deployer, Fault> {
        self.0.target(revision, Some(Role::Deploy)).await.map(Deployer)
    }

    pub async fn prober(&self, revision: RevisionId) -> Result<Prober, Fault> {
        self.0.target(revision, None).await.map(Prober)
    }

    pub fn vault(&self) -> &Vault {
        &self.0.vault
    }
}

impl Inner {
    /// What can be said before compiling.
    fn examined(&self, bytes: &[u8]) -> Result<Plugin, Refusal> {
        if bytes.len() > self.sandbox.plugin {
            let (size, limit) = (bytes.len(), self.sandbox.plugin);
            return Err(Refusal::new(
                "plugin-too-large",
                format!("the file has {size} bytes; this host takes {limit}"),
            ));
        }
        let manifest = manifest::read(bytes)?;
        let digest = Digest::of(bytes);
        let label = format!("{} sha256:{}", manifest.title(), digest.short());
        Ok(Plugin {
            manifest,
            roles: Vec::new(),
            state: PluginState::Compiling,
            size: bytes.len() as u64,
            digest,
            label,
        })
    }

    /// The copy by digest: written under another name and renamed, so that it is whole or not there.
    fn kept(&self, digest: &Digest, bytes: &[u8]) -> Result<PathBuf, Refusal> {
        let file = self.copies.join(format!("{}.wasm", digest.hex()));
        if !file.exists() {
            write_whole(&file, bytes).map_err(|error| {
                Refusal::new(
                    "plugin-not-kept",
                    format!("the plugin cannot be kept in {}: {error}", self.copies.display()),
                )
            })?;
        }
        Ok(file)
    }

    /// Compiles and links, and writes down how it went.
    async fn loaded(&self, mut plugin: Plugin, file: &Path) -> Result<Plugin, Refusal> {
        self.know(&plugin, None);
        let stopping = |_| Refusal::new("plugin-compile-failed", "the service is stopping");
        let _turn = self.compiling.acquire().await.map_err(stopping)?;
        let loaded = match self.compiler.component(&self.engine, &plugin.digest, file).await {
            Ok(component) => load::load(&self.linker, &component),
            Err(refusal) => Err(refusal),
        };
        match loaded {
            Ok(loaded) => {
                plugin.roles = loaded.roles();
                plugin.state = PluginState::Ready;
                self.know(&plugin, Some(Arc::new(loaded)));
                Ok(plugin)
            }
            Err(refusal) => {
                plugin.state = PluginState::Refused(refusal.message.clone());
                self.know(&plugin, None);
                Err(refusal)
            }
        }
    }

    /// A plugin that is ready stays so: the same bytes load the same.
    fn know(&self, plugin: &Plugin, loaded: Option<Arc<Loaded>>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let is_ready = known.get(&plugin.digest).is_some_and(|known| known.loaded.is_some());
        if !is_ready {
            known.insert(plugin.digest.clone(), Known { plugin: Arc::new(plugin.clone()), loaded });
        }
    }

    fn known(&self, digest: &Digest) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for folder in self.offered.iter().chain([&self.copies]) {
            match fs::read_dir(folder) {
                Ok(entries) => files.extend(entries.flatten().map(|entry| entry.path())),
                Err(error) => {
                    tracing::error!(folder = %folder.display(), %error, "no plugins are read from this folder")
                }
            }
        }
        files.retain(|file| file.extension().is_some_and(|extension| extension == "wasm"));
        files.sort();
        files
    }

    /// Reads a file once, keeps a copy by digest, and knows it as compiling.
    fn listed(&self, file: &Path) -> anyhow::Result<(Plugin, PathBuf)> {
        let bytes = fs::read(file)?;
        let plugin = self.examined(&bytes)?;
        if file.parent() == Some(&self.copies) && file.file_stem() != Some(plugin.digest.hex().as_ref()) {
            anyhow::bail!("its content is not what its name says: {}", plugin.digest);
        }
        let copy = self.kept(&plugin.digest, &bytes)?;
        self.know(&plugin, None);
        Ok((plugin, copy))
    }

    async fn target(self: &Arc<Self>, id: RevisionId, role: Option<Role>) -> Result<Target, Fault> {
        let retry = |message: String| Fault::new(FaultKind::Retry, message);
        let broken = |message: String| Fault::new(FaultKind::Broken, message);
        let revision = self
            .store
            .revision(id)
            .await
            .map_err(|error| retry(format!("the store does not answer: {error}")))?
            .ok_or_else(|| broken(format!("no backend has the revision {}", id.0)))?;
        let (backend, digest) = (&revision.backend, &revision.digest);
        let known = self.known(digest).ok_or_else(|| {
            if self.listed.load(Ordering::Acquire) {
                broken(format!(
                    "backend {backend} names plugin {digest}, which is not here: add it with `moganite plugin add`"
                ))
            } else {
                retry(format!("the plugin of backend {backend} is not read yet"))
            }
        })?;
        let label = &known.plugin.label;
        let loaded = match (&known.plugin.state, known.loaded) {
            (PluginState::Refused(why), _) => {
                return Err(broken(format!("{label} of backend {backend} was refused: {why}")));
            }
            (PluginState::Ready, Some(loaded)) => loaded,
            _ => return Err(retry(format!("{label} of backend {backend} is still compiling"))),
        };
        if let Some(role) = role.filter(|role| !known.plugin.roles.contains(role)) {
            return Err(broken(format!("{label} of backend {backend} does not export {}", role.as_str())));
        }
        Ok(Target { inner: self.clone(), loaded, plugin: known.plugin, revision: Arc::new(revision) })
    }
}

fn write_whole(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let fresh = file.with_extension(format!("new{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    // Left over from a process that died: nobody else uses this name.
    fs::remove_file(&fresh).ok();
    let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o400).open(&fresh)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    fs::rename(&fresh, file)
}

impl fmt::Debug for Drivers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drivers").field("plugins", &self.plugins().len()).finish_non_exhaustive()
    }
}
