//! The drivers of this host, as the layers above see them: plugins come in, revisions become callable.
//!
//! Next: `library.rs`, where they are kept.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::egress::reach;
use super::library::Library;
use super::{Claimer, Composer, Denied, Deployer, Enroller, Pair, Prober, Reached, Unreached, Vault, binding};
use crate::clock::Clock;
use crate::config::Config;
use crate::model::{Digest, Endpoint, Fault, Manifest, Revision, RevisionId, Role};
use crate::store::Store;

/// The program that runs, also after an upgrade put another file in its place.
pub const OWN_PROGRAM: &str = "/proc/self/exe";

/// The plugins of this host, and everything that their calls share. Cheap to clone.
#[derive(Clone)]
pub struct Drivers(Arc<Library>);

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
    Refused(Refusal),
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
        Self::open_with(config, store, clock, OWN_PROGRAM.into()).await
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
        Ok(Self(Arc::new(Library::open(config, store, clock, program)?)))
    }

    /// Takes a plugin: checks it, keeps a copy by digest, compiles and links it. Repeatable; nothing is kept of one
    /// that is refused.
    pub async fn add(&self, bytes: Bytes) -> Result<Plugin, Refusal> {
        let library = self.0.clone();
        // A whole file is read and written: away from the threads that serve.
        let taken = tokio::task::spawn_blocking(move || {
            let plugin = library.examined(&bytes)?;
            match library.known(&plugin.digest).filter(|known| known.plugin.state == PluginState::Ready) {
                Some(known) => Ok(((*known.plugin).clone(), None)),
                None => library.kept(&plugin.digest, &bytes).map(|file| (plugin, Some(file))),
            }
        });
        let stopping = |_| Refusal::new("plugin-not-kept", "the service is stopping");
        let (plugin, file) = taken.await.map_err(stopping)??;
        let Some(file) = file else { return Ok(plugin) };
        let digest = plugin.digest.clone();
        match self.0.loaded(plugin, &file).await {
            Ok(plugin) => Ok(plugin),
            Err(refusal) => {
                self.0.forget(&digest);
                Err(refusal)
            }
        }
    }

    /// Whether it still reads which plugins there are: one that is not known may come.
    pub fn is_listing(&self) -> bool {
        self.0.loading.load(Ordering::Acquire) && !self.0.listed.load(Ordering::Acquire)
    }

    /// Loads what the folders hold, in the background; [`Drivers::plugins`] tells how far it is. A file that is no
    /// plugin is logged and stands in [`Drivers::refused_files`].
    pub fn spawn_loading(&self) {
        let library = self.0.clone();
        library.loading.store(true, Ordering::Release);
        tokio::spawn(async move {
            for (plugin, file) in library.list() {
                let library = library.clone();
                tokio::spawn(async move {
                    let label = plugin.label.clone();
                    match library.loaded(plugin, &file).await {
                        Ok(_) => tracing::info!(plugin = label, "plugin ready"),
                        Err(refusal) => tracing::error!(plugin = label, %refusal, "plugin refused"),
                    }
                });
            }
        });
    }

    /// Files of the folders that are no plugins, by file name: nothing else shows them. Complete once every file was
    /// read.
    pub fn refused_files(&self) -> Vec<(String, Refusal)> {
        self.0.refused_files()
    }

    /// Ordered by digest.
    pub fn plugins(&self) -> Vec<Plugin> {
        self.0.plugins()
    }

    pub fn plugin(&self, digest: &Digest) -> Option<Plugin> {
        self.0.known(digest).map(|known| (*known.plugin).clone())
    }

    /// Whether a revision may be written: the plugin is known and not refused, and settings, endpoints and grants fit
    /// it.
    pub fn check_binding(&self, digest: &Digest, revision: &Revision) -> Result<(), Refusal> {
        let known = self.0.known(digest).ok_or_else(|| {
            Refusal::new(
                "plugin-unknown",
                format!("no plugin {digest} is here: add it with `moganite plugin add FILE`"),
            )
        })?;
        if let PluginState::Refused(why) = &known.plugin.state {
            let message = format!("{} was refused: {} ({})", known.plugin.label, why.message, why.code);
            return Err(Refusal::new("plugin-refused", message));
        }
        binding::check(&known.plugin.manifest, revision, self.0.sandbox.text)
    }

    pub async fn composer(&self, revision: RevisionId) -> Result<Composer, Fault> {
        self.0.target(revision, Some(Role::Compose)).await.map(Composer)
    }

    pub async fn claimer(&self, revision: RevisionId) -> Result<Claimer, Fault> {
        self.0.target(revision, Some(Role::Claim)).await.map(Claimer)
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

    /// Whether a far side answers at the URL that it is bound to. No driver runs, no credential is sent.
    pub async fn check_endpoint(&self, endpoint: &Endpoint) -> Result<Reached, Unreached> {
        reach(endpoint, &self.0.clock).await
    }

    /// From now on these plugins are not called, each with why; calls of them that are under way are cut.
    pub fn set_stopped(&self, stopped: BTreeMap<Digest, String>) {
        self.0.stop(stopped);
    }

    /// From now on the gate holds back every request that changes something, but for logins; or no longer.
    pub fn set_read_only(&self, read_only: bool) {
        self.0.read_only.store(read_only, Ordering::SeqCst);
    }

    /// What the gate denied since the start.
    pub fn denied(&self) -> BTreeMap<Pair, Denied> {
        self.0.tally.denied()
    }

    /// How many calls ended since the start, by what ended them: a [`crate::model::Cause`], `answered`, or `said` where the driver
    /// itself said why not.
    pub fn ended(&self) -> BTreeMap<(Pair, &'static str), u64> {
        self.0.tally.ended()
    }

    pub fn vault(&self) -> &Vault {
        &self.0.vault
    }

    /// Where the file of a plugin is kept, if it is here.
    pub fn plugin_file(&self, digest: &Digest) -> PathBuf {
        self.0.copy(digest)
    }
}

impl fmt::Debug for Drivers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drivers").field("plugins", &self.plugins().len()).finish_non_exhaustive()
    }
}
