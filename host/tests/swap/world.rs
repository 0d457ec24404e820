//! A service with two versions of the driver `patient` and some backends that are bound to it, each with a far side of its own.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use canary::{Canaries, Watch};
use futures_util::{StreamExt as _, stream};
use moganite::clock::Clock;
use moganite::config::{Config, Flows, Sandbox};
use moganite::driver::{Drivers, pack};
use moganite::lifecycle::{Granting, Lifecycle, Request};
use moganite::model::{
    Auth, Budgets, By, Digest, Endpoint, Flow, FlowId, Image, Limits, Mark, Name, OperationId, Projects, Revision,
    RevisionId, SweepPolicy, Tls,
};
use moganite::store::{BREAKS, Lane, PutSecret, Store};
use serde_json::{Map, json};
use tokio::sync::watch;

use crate::compiled::share_compiled;
use crate::far::Far;

/// A secret of the store, which nothing writes in clear.
const CANARY: &str = "swap-canary-2f64";

/// How long an operation waits between its two calls.
pub(crate) const PARKED: Duration = Duration::from_secs(3600);

/// Nobody looks or sweeps unasked, nothing is overdue.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Calls that one backend may have at its far side at once: as many as an operator can allow it.
const AT_ONCE: usize = 64;

/// Of them those that do not end while plugins are swapped; the others are for what arrives meanwhile.
pub(crate) const HELD: usize = 50;

/// Creates that are ordered side by side.
const BESIDE: usize = 64;

pub(crate) struct World {
    pub(crate) far: Far,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) clock: Clock,
    pub(crate) backends: Vec<Name>,
    /// With what the far side sees of each.
    pub(crate) versions: [(Digest, String); 2],
    ordered: AtomicUsize,
    flows: Mutex<Vec<FlowId>>,
    _stop: watch::Sender<bool>,
    _watch: Watch,
    _folder: tempfile::TempDir,
}

impl World {
    /// With as many backends as so many held calls need, on the first version.
    pub(crate) async fn start(in_flight: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        share_compiled(folder.path());
        let at_once = in_flight + 100;
        let config = Config {
            state: folder.path().to_owned(),
            plugins: None,
            listen: ([127, 0, 0, 1], 0).into(),
            sandbox: Sandbox { slots: u32::try_from(at_once).unwrap(), ..Sandbox::default() },
            flows: Flows {
                at_once,
                at_once_per_backend: AT_ONCE,
                deadline: YEAR,
                observe_every: YEAR,
                sweep_every: YEAR,
                ..Flows::default()
            },
        };
        let store = Store::open(folder.path()).unwrap();
        let clock = Clock::by_hand(1_700_000_000_000);
        let program = PathBuf::from(env!("CARGO_BIN_EXE_moganite"));
        let drivers = Drivers::open_with(&config, store.clone(), clock.clone(), program).await.unwrap();
        let lifecycle = Lifecycle::open(&config, store, drivers, clock.clone()).await.unwrap();
        let canaries = Arc::new(Canaries::of(&[("a secret", CANARY)]));
        let sealed = lifecycle.drivers().vault().seal(&name("canary"), CANARY.as_bytes()).unwrap();
        let put = PutSecret { name: name("canary"), sealed, at: 0 };
        lifecycle.store().write(Lane::Interactive, put).await.unwrap();
        let versions = [added(&lifecycle, "0.1.0").await, added(&lifecycle, "0.1.1").await];
        let far = Far::serve().await;
        let backends: Vec<_> = (1..=in_flight.div_ceil(HELD)).map(|n| name(&format!("far-{n}"))).collect();
        for backend in &backends {
            bind(&lifecycle, &far, backend, &versions[0].0).await;
        }
        let known = backends.iter().map(|backend| (backend.clone(), Map::new())).collect();
        lifecycle.put_image(Image { name: name("none"), backends: known }).await.unwrap();
        let (stop, stopped) = watch::channel(false);
        let runs = lifecycle.clone();
        tokio::spawn(async move { runs.run(stopped).await });
        Self {
            far,
            lifecycle,
            clock,
            backends,
            versions,
            ordered: AtomicUsize::new(0),
            flows: Mutex::default(),
            _stop: stop,
            _watch: Watch { canaries, over: vec![folder.path().to_owned()] },
            _folder: folder,
        }
    }

    /// The next operations use this version, at this backend.
    pub(crate) async fn swap(&self, backend: &Name, version: usize) {
        let by = By::checked("ann", "under load").unwrap();
        let digest = self.versions[version].0.clone();
        self.lifecycle.swap(backend, digest, Vec::new(), None, BREAKS, by).await.unwrap();
    }

    pub(crate) async fn swap_all(&self, version: usize) {
        for backend in &self.backends {
            self.swap(backend, version).await;
        }
    }

    /// So many more, side by side.
    pub(crate) async fn creates(&self, n: usize) {
        stream::iter(0..n).for_each_concurrent(BESIDE, async |_| drop(self.create().await)).await;
    }

    /// One more, at the backend whose turn it is; answers the mark of its compose.
    pub(crate) async fn create(&self) -> Mark {
        let n = self.ordered.fetch_add(1, Ordering::Relaxed);
        let request = Request {
            name: name(&format!("web-{n}")),
            // A flavor has its backend's name.
            flavor: self.backends[n % self.backends.len()].clone(),
            image: name("none"),
            hostname: None,
            ssh_keys: Vec::new(),
            user_data: None,
            networks: Vec::new(),
            node: None,
            metadata: Map::new(),
        };
        let id = self.lifecycle.create(name("default"), request, None).await.unwrap();
        let (instance, _) = self.lifecycle.store().instance(None, id).await.unwrap().unwrap();
        self.flows.lock().unwrap().push(instance.flow);
        self.lifecycle.site().mark(&OperationId::doing(instance.flow, 0, 1))
    }

    pub(crate) fn flows(&self) -> Vec<FlowId> {
        self.flows.lock().unwrap().clone()
    }

    /// Returns when this is so of every create.
    pub(crate) async fn until(&self, is_so: impl Fn(&Flow) -> bool) {
        let store = self.lifecycle.store();
        for id in self.flows() {
            loop {
                let mut changes = store.watch_flows();
                if is_so(&store.flow(id).await.unwrap().unwrap()) {
                    break;
                }
                // One that missed some has news as well.
                changes.recv().await.ok();
            }
        }
    }

    /// Returns when every create waits between its two calls.
    pub(crate) async fn all_parked(&self) {
        let now = self.clock.now();
        self.until(|flow| flow.checkpoint.is_some() && flow.wake.is_some_and(|wake| wake > now)).await;
    }
}

async fn added(lifecycle: &Lifecycle, version: &str) -> (Digest, String) {
    let plugin = lifecycle.drivers().add(packed(version).into()).await.unwrap();
    (plugin.digest, format!("patient@{version}"))
}

/// Each limit is one that an operator may set: calls are held as long as the longest may last.
async fn bind(lifecycle: &Lifecycle, far: &Far, backend: &Name, digest: &Digest) {
    let endpoint = Endpoint { url: far.url(backend.as_str()), auth: Auth::None, tls: Tls::default() };
    let settings = json!({ "park_ms": u64::try_from(PARKED.as_millis()).unwrap() });
    let longest = Some(300_000);
    let revision = Revision {
        id: RevisionId(0),
        backend: backend.clone(),
        digest: digest.clone(),
        settings: settings.as_object().cloned().unwrap(),
        endpoints: [("far".to_owned(), endpoint)].into_iter().collect(),
        access: None,
        grants: Vec::new(),
        sweep: SweepPolicy::default(),
        budgets: Budgets::default(),
        projects: Projects::default(),
        granted: None,
        limits: Limits {
            at_once: Some(u64::try_from(AT_ONCE).unwrap()),
            // The clock stands, so that these are all that there are until it is moved.
            per_second: Some(10_000),
            wall_ms: longest,
            first_byte_ms: longest,
            exchange_ms: longest,
            ..Limits::default()
        },
    };
    let by = By::checked("ann", "the first").unwrap();
    lifecycle.bind(revision, None, Granting::default(), by).await.unwrap();
    let route = json!({ "compose": [backend], "enroll": [backend], "deploy": [backend] });
    let flavor = json!({ "name": backend, "shape": { "cores": 2 }, "route": route, "erase": "none" });
    lifecycle.put_flavor(serde_json::from_value(flavor).unwrap()).await.unwrap();
}

/// The same component as another version: another digest.
fn packed(version: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/patient");
    let file = target().join("plugins/patient.wasm");
    let bytes = std::fs::read(&file)
        .unwrap_or_else(|_| panic!("{} is missing: run `cargo xtask plugins` first", file.display()));
    let manifest = std::fs::read_to_string(root.join("plugin.toml")).unwrap();
    let manifest = manifest.replace("version = \"0.1.0\"", &format!("version = \"{version}\""));
    pack(&bytes, &manifest, &root).unwrap()
}

fn target() -> PathBuf {
    // target/tmp is cargo's folder for integration tests.
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_owned()
}

fn name(text: &str) -> Name {
    Name::parse("name", text).unwrap()
}
