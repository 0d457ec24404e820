//! Where plugins are kept: the files are the truth, `<state>/plugins/<hex>.wasm` by digest, read once and hashed as read.
//! What a file compiles to is a cache.
//!
//! Next: `manifest.rs`, `compile.rs`, `load.rs`, in the order in which a file goes through them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context as _;
use tokio::sync::{Notify, Semaphore, watch};
use wasmtime::Engine;
use wasmtime::component::Linker;

use super::call::Target;
use super::compile::Compiler;
use super::egress::Lines;
use super::lane::Lane;
use super::limits::State;
use super::load::{self, Loaded};
use super::sessions::Sessions;
use super::tally::Tally;
use super::ticker::Ticker;
use super::{Plugin, PluginState, Refusal, Vault, engine, manifest, text, weight};
use crate::clock::Clock;
use crate::config::{Config, Sandbox};
use crate::folder::Folder;
use crate::model::{Digest, Fault, FaultKind, RevisionId, Role};
use crate::store::Store;

/// Compilations at once; each is a process of its own.
const COMPILING: usize = 2;

/// Plugins and what their calls share.
pub(super) struct Library {
    pub(super) sandbox: Sandbox,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) vault: Vault,
    pub(super) engine: Engine,
    pub(super) ticker: Arc<Ticker>,
    pub(super) lines: Lines,
    pub(super) sessions: Sessions,
    pub(super) tally: Tally,
    /// In front of the pool, whose exhaustion would be an error and not a wait.
    pub(super) slots: Arc<Semaphore>,
    pub(super) lane: Lane,
    linker: Linker<State>,
    compiler: Arc<Compiler>,
    compiling: Semaphore,
    /// Copies by digest.
    copies: Folder,
    /// Where else plugin files are offered.
    offered: Option<PathBuf>,
    known: RwLock<BTreeMap<Digest, Known>>,
    /// By file name, of those that are no plugins.
    refused: RwLock<BTreeMap<String, Refusal>>,
    /// False until every file was read at least to its manifest: a digest that is not known may still come.
    pub(super) listed: AtomicBool,
    /// Why these plugins are not called; what is under way with one is cut.
    stopped: watch::Sender<BTreeMap<Digest, String>>,
    /// The gate lets nothing out that changes something.
    pub(super) read_only: AtomicBool,
    /// The folders are being read: what is not ready now will be, or will be refused.
    pub(super) loading: AtomicBool,
    /// A plugin is known, ready or refused, or every file was read.
    changed: Notify,
}

#[derive(Clone)]
pub(super) struct Known {
    pub(super) plugin: Arc<Plugin>,
    loaded: Option<Arc<Loaded>>,
}

impl Library {
    pub(super) fn open(config: &Config, store: Store, clock: Clock, program: PathBuf) -> anyhow::Result<Self> {
        let folder = |name: &str| {
            let path = config.state.join(name);
            Folder::make(&path).with_context(|| format!("making {}", path.display()))
        };
        let (copies, compiled) = (folder("plugins")?, folder("compiled")?);
        let sandbox = config.sandbox.clone();
        let engine = engine::serving(&sandbox).context("making the engine for drivers")?;
        let ticker = Ticker::start(&engine).context("starting what interrupts drivers")?;
        Ok(Self {
            vault: Vault::of(store.sealer().clone()),
            linker: engine::linker(&engine)?,
            lines: Lines::default(),
            sessions: Sessions::default(),
            tally: Tally::default(),
            slots: Arc::new(Semaphore::new(usize::try_from(sandbox.slots.max(1)).unwrap_or(1))),
            lane: Lane::open().context("making the threads for calls that compute long")?,
            compiler: Arc::new(Compiler {
                program,
                folder: compiled,
                limit: sandbox.compile,
                authentic: store.authentic().clone(),
            }),
            compiling: Semaphore::new(COMPILING),
            copies,
            offered: config.plugins.clone(),
            known: RwLock::default(),
            refused: RwLock::default(),
            listed: AtomicBool::new(false),
            stopped: watch::Sender::default(),
            read_only: AtomicBool::new(false),
            loading: AtomicBool::new(false),
            changed: Notify::new(),
            engine,
            ticker: Arc::new(ticker),
            sandbox,
            store,
            clock,
        })
    }

    /// What can be said before compiling.
    pub(super) fn examined(&self, bytes: &[u8]) -> Result<Plugin, Refusal> {
        if bytes.len() > self.sandbox.plugin {
            let message = format!("the file has more than the {} bytes that this host takes", self.sandbox.plugin);
            return Err(Refusal::new("plugin-too-large", message));
        }
        let manifest = manifest::read(bytes)?;
        weight::check(bytes)?;
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

    /// The copy by digest, whole or not there.
    pub(super) fn kept(&self, digest: &Digest, bytes: &[u8]) -> Result<PathBuf, Refusal> {
        let name = copy_of(digest);
        if !self.copies.has(&name) {
            self.copies.write(&name, &[bytes]).map_err(|error| {
                let message = format!("the plugin cannot be kept in {}: {error}", self.copies.path("").display());
                Refusal::new("plugin-not-kept", message)
            })?;
        }
        Ok(self.copy(digest))
    }

    /// Where the copy of a plugin is, or would be.
    pub(super) fn copy(&self, digest: &Digest) -> PathBuf {
        self.copies.path(copy_of(digest))
    }

    /// Compiles and links, and writes down how it went.
    pub(super) async fn loaded(&self, mut plugin: Plugin, file: &Path) -> Result<Plugin, Refusal> {
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
                plugin.state = PluginState::Refused(refusal.clone());
                self.know(&plugin, None);
                Err(refusal)
            }
        }
    }

    /// Keeps nothing of a plugin that was refused, unless it is ready: the same bytes may come in twice at once.
    pub(super) fn forget(&self, digest: &Digest) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.get(digest).is_none_or(|known| known.loaded.is_none()) {
            known.remove(digest);
            // Gone already, or never there: both are what is wanted.
            self.copies.remove(copy_of(digest)).ok();
        }
    }

    pub(super) fn plugins(&self) -> Vec<Plugin> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.values().map(|known| (*known.plugin).clone()).collect()
    }

    /// Reads every file to its manifest. From then on a digest that is not known is not here.
    pub(super) fn list(&self) -> Vec<(Plugin, PathBuf)> {
        let (mut found, mut refused) = (BTreeMap::new(), BTreeMap::new());
        let offered = self.offered.as_deref().and_then(|path| {
            let not_read =
                |error| tracing::error!(folder = %path.display(), %error, "no plugins are read from this folder");
            Folder::open(path).map_err(not_read).ok()
        });
        let folders = offered.iter().chain([&self.copies]);
        for (folder, name) in folders.flat_map(|folder| plugins_in(folder).into_iter().map(move |name| (folder, name)))
        {
            match self.listed(folder, &name) {
                // What is offered is mostly here from an earlier start, too.
                Ok((plugin, copy)) => {
                    found.insert(copy, plugin);
                }
                Err(refusal) => {
                    tracing::error!(file = %folder.path(&name).display(), %refusal, "this plugin is not loaded");
                    refused.insert(text::plain(&name.to_string_lossy(), 255), refusal);
                }
            }
        }
        *self.refused.write().unwrap_or_else(PoisonError::into_inner) = refused;
        self.listed.store(true, Ordering::Release);
        self.changed.notify_waiters();
        found.into_iter().map(|(copy, plugin)| (plugin, copy)).collect()
    }

    pub(super) fn refused_files(&self) -> Vec<(String, Refusal)> {
        let refused = self.refused.read().unwrap_or_else(PoisonError::into_inner);
        refused.iter().map(|(name, refusal)| (name.clone(), refusal.clone())).collect()
    }

    /// A plugin that is ready stays so: the same bytes load the same.
    fn know(&self, plugin: &Plugin, loaded: Option<Arc<Loaded>>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let is_ready = known.get(&plugin.digest).is_some_and(|known| known.loaded.is_some());
        if !is_ready {
            known.insert(plugin.digest.clone(), Known { plugin: Arc::new(plugin.clone()), loaded });
        }
        drop(known);
        self.changed.notify_waiters();
    }

    /// From now on these are not called, each with why.
    pub(super) fn stop(&self, stopped: BTreeMap<Digest, String>) {
        self.stopped.send_replace(stopped);
    }

    pub(super) fn stopped(&self, digest: &Digest) -> Option<String> {
        self.stopped.borrow().get(digest).cloned()
    }

    /// Returns why, once the plugin is stopped.
    pub(super) async fn until_stopped(&self, digest: &Digest) -> String {
        let mut stopped = self.stopped.subscribe();
        let stopped = stopped.wait_for(|stopped| stopped.contains_key(digest)).await;
        // Its sender is the library itself, which the caller holds.
        stopped.ok().and_then(|stopped| stopped.get(digest).cloned()).unwrap_or_default()
    }

    pub(super) fn known(&self, digest: &Digest) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    /// Reads a file once, keeps a copy by digest, and knows it as compiling.
    fn listed(&self, folder: &Folder, name: &OsStr) -> Result<(Plugin, PathBuf), Refusal> {
        let unread = |error| Refusal::new("plugin-unreadable", format!("the file cannot be read: {error}"));
        let bytes = folder.read(name, self.sandbox.plugin).map_err(unread)?;
        let digest = Digest::of(&bytes);
        if std::ptr::eq(folder, &self.copies) && *name != *copy_of(&digest) {
            let message = format!("its content is not what its name says: {digest}; add the plugin again");
            return Err(Refusal::new("plugin-changed", message));
        }
        let plugin = self.examined(&bytes)?;
        let copy = self.kept(&plugin.digest, &bytes)?;
        self.know(&plugin, None);
        Ok((plugin, copy))
    }

    /// Returns when it is ready or refused, or not among the files. A compilation is bounded in time, so this is too; and a start of the
    /// service costs no flow a try.
    async fn settled(&self, digest: &Digest) {
        loop {
            let changed = self.changed.notified();
            let is_settled = match self.known(digest) {
                Some(known) => known.plugin.state != PluginState::Compiling,
                None => self.listed.load(Ordering::Acquire),
            };
            if is_settled || !self.loading.load(Ordering::Acquire) {
                return;
            }
            changed.await;
        }
    }

    pub(super) async fn target(self: &Arc<Self>, id: RevisionId, role: Option<Role>) -> Result<Target, Fault> {
        let retry = |message: String| Fault::new(FaultKind::Retry, message);
        let broken = |message: String| Fault::new(FaultKind::Broken, message);
        let revision = self
            .store
            .revision(id)
            .await
            .map_err(|error| retry(format!("the store does not answer: {error}")))?
            .ok_or_else(|| broken(format!("no backend has the revision {}", id.0)))?;
        let (backend, digest) = (&revision.backend, &revision.digest);
        if let Some(why) = self.stopped(digest) {
            return Err(Fault::new(
                FaultKind::Stopped,
                format!("plugin {} of backend {backend} {why}", digest.short()),
            ));
        }
        self.settled(digest).await;
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
                return Err(broken(format!("{label} of backend {backend} was refused: {}", why.message)));
            }
            (PluginState::Ready, Some(loaded)) => loaded,
            _ => return Err(retry(format!("{label} of backend {backend} is still compiling"))),
        };
        if let Some(role) = role.filter(|role| !known.plugin.roles.contains(role)) {
            return Err(broken(format!("{label} of backend {backend} does not export {}", role.as_str())));
        }
        Ok(Target { shared: self.clone(), loaded, plugin: known.plugin, revision: Arc::new(revision) })
    }
}

fn copy_of(digest: &Digest) -> String {
    format!("{}.wasm", digest.hex())
}

fn plugins_in(folder: &Folder) -> Vec<OsString> {
    let not_read = |error| {
        tracing::error!(folder = %folder.path("").display(), %error, "no plugins are read from this folder");
    };
    let mut names = folder.names().map_err(not_read).unwrap_or_default();
    names.retain(|name| Path::new(name).extension().is_some_and(|extension| extension == "wasm"));
    names.sort();
    names
}
