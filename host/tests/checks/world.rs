//! Far sides and a service in this process, on clocks moved by hand; the service can die and live again on its state folder.

#![expect(clippy::disallowed_methods, reason = "somebody must move the hand, and notice when nothing moves any more")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use canary::{Canaries, Watch};
use moganite::clock::Clock;
use moganite::config::{Config, Flows, Sandbox};
use moganite::driver::Drivers;
use moganite::flow::testing::Stage;
use moganite::lifecycle::Lifecycle;
use moganite::store::Store;
use moganite_sim::{Options, Sim};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::bind::{BMC_PASSWORD, CLOUDBOOT_PASSWORD};
use crate::compiled::share_compiled;

/// How much faster the hand moves than the sun.
const FASTER: u64 = 40;

/// Nobody looks or sweeps unasked within a run.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A run that takes longer than this in true time hangs.
const HANGS: Duration = Duration::from_secs(60);

/// The far sides, and the folder of one installation.
pub(crate) struct World {
    pub(crate) sim: Arc<Sim>,
    pub(crate) clock: Clock,
    pub(crate) stage: Stage,
    life: Option<Life>,
    /// Nodes that an operator enrolled himself.
    pub(crate) presets: BTreeSet<String>,
    /// Those of them on which somebody put a system without moganite.
    pub(crate) by_hand: RefCell<BTreeSet<String>>,
    flows: Flows,
    hand: Arc<Hand>,
    /// What `bind.rs` puts is in nothing that is written.
    _watch: Watch,
    folder: tempfile::TempDir,
    /// Where the far sides run: they outlive a death of the service.
    far: Runtime,
}

/// One life of the service: all that it has in memory.
struct Life {
    lifecycle: Lifecycle,
    _stop: watch::Sender<bool>,
    /// Dropped last, with every call that is under way.
    runtime: Runtime,
}

#[derive(Default)]
struct Hand {
    stands: AtomicBool,
    gone: AtomicBool,
}

impl World {
    pub(crate) fn new() -> Self {
        let flows = Flows {
            backoff: Duration::from_millis(100),
            backoff_max: Duration::from_secs(1),
            attempts: 12,
            revert_attempts: 12,
            revert_backoff_max: Duration::from_secs(1),
            deadline: Duration::from_secs(300),
            ..Flows::default()
        };
        Self::with(8, flows)
    }

    /// With so many systems in the pool, the last three of them pre-set nodes, and this patience.
    pub(crate) fn with(systems: u32, flows: Flows) -> Self {
        let far = runtime();
        let folder = tempfile::tempdir().unwrap();
        share_compiled(folder.path());
        let options = Options { hand_clock: true, systems: usize::try_from(systems).unwrap(), ..Options::default() };
        let sim = Arc::new(far.block_on(Sim::start(options)).unwrap());
        let clock = Clock::by_hand(1_800_000_000_000);
        let hand = Arc::new(Hand::default());
        let flows = Flows { observe_every: DAY, sweep_every: DAY, ..flows };
        let (stage, presets) = (Stage::default(), BTreeSet::new());
        let secrets = [("the BMC's password", BMC_PASSWORD), ("CloudBoot's password", CLOUDBOOT_PASSWORD)];
        let watch = Watch { canaries: Arc::new(Canaries::of(&secrets)), over: vec![folder.path().to_owned()] };
        let mut world = Self {
            sim,
            clock,
            stage,
            life: None,
            presets,
            by_hand: RefCell::default(),
            flows,
            hand,
            _watch: watch,
            folder,
            far,
        };
        world.move_on();
        world.live();
        crate::bind::all(&mut world, systems - 2..=systems);
        world
    }

    /// Drops everything that the service has in memory, mid-call, and starts it again on what it wrote.
    pub(crate) fn die(&mut self) {
        self.kill();
        self.stage.release();
        self.live();
    }

    pub(crate) fn kill(&mut self) {
        if let Some(Life { lifecycle, _stop, runtime }) = self.life.take() {
            // Its runtime first: what is under way is cut where it stands.
            drop(runtime);
            drop(lifecycle);
        }
    }

    pub(crate) fn live(&mut self) {
        let runtime = runtime();
        let (stop, stopped) = watch::channel(false);
        let lifecycle = runtime.block_on(async {
            let config = self.config();
            let store = Store::open(self.folder.path()).unwrap();
            let program = PathBuf::from(env!("CARGO_BIN_EXE_moganite"));
            let drivers = Drivers::open_with(&config, store.clone(), self.clock.clone(), program).await.unwrap();
            drivers.spawn_loading();
            let lifecycle =
                Lifecycle::open_staged(&config, store, drivers, self.clock.clone(), &self.stage).await.unwrap();
            let running = lifecycle.clone();
            tokio::spawn(async move { running.run(stopped).await });
            lifecycle
        });
        self.life = Some(Life { lifecycle, _stop: stop, runtime });
    }

    pub(crate) fn lifecycle(&self) -> &Lifecycle {
        &self.life.as_ref().unwrap().lifecycle
    }

    pub(crate) fn store(&self) -> &Store {
        self.lifecycle().store()
    }

    /// Does something in the service's present life. An error when it hangs.
    pub(crate) fn run<T>(&self, what: &str, work: impl Future<Output = T>) -> Result<T, String> {
        let runtime = &self.life.as_ref().unwrap().runtime;
        let timed = runtime.block_on(async { tokio::time::timeout(HANGS, work).await });
        timed.map_err(|_| format!("{what}: nothing moved for {} s", HANGS.as_secs()))
    }

    /// Does something beside the far sides.
    pub(crate) fn beside<T>(&self, work: impl Future<Output = T>) -> T {
        self.far.block_on(work)
    }

    /// The hand stands still, or moves again.
    pub(crate) fn stand(&self, stands: bool) {
        self.hand.stands.store(stands, Ordering::Release);
    }

    /// Moves both clocks by this much at once.
    pub(crate) fn advance(&self, by: Duration) {
        self.sim.advance(u64::try_from(by.as_millis()).unwrap());
        self.clock.advance(by);
    }

    /// Moves both clocks by this much, and returns when nothing is due any more.
    pub(crate) fn step(&self, by: Duration) -> Result<(), String> {
        self.advance(by);
        self.run("what is due", async {
            let mut changes = self.store().watch_flows();
            while !self.store().due_now(self.clock.now()).await.unwrap().is_empty() {
                // One that came too many to tell is a change, too.
                changes.recv().await.ok();
            }
        })
    }

    /// True as soon as `is` holds, which is of the far side and tells nobody; false when `work` ended first.
    pub(crate) fn until_either<T>(
        &self,
        work: impl Future<Output = T>,
        is: impl AsyncFn() -> bool,
    ) -> Result<bool, String> {
        self.run("a flow", async {
            tokio::pin!(work);
            loop {
                tokio::select! {
                    _ = &mut work => return is().await,
                    () = tokio::time::sleep(Duration::from_millis(1)) => if is().await { return true },
                }
            }
        })
    }

    /// Both clocks, in short steps: the far sides answer on real sockets, so hours may not pass faster than an answer comes.
    fn move_on(&self) {
        let (hand, clock, sim) = (self.hand.clone(), self.clock.clone(), self.sim.clone());
        self.far.spawn(async move {
            while !hand.gone.load(Ordering::Acquire) {
                tokio::time::sleep(Duration::from_millis(1)).await;
                if !hand.stands.load(Ordering::Acquire) {
                    sim.advance(FASTER);
                    clock.advance(Duration::from_millis(FASTER));
                }
            }
        });
    }

    fn config(&self) -> Config {
        Config {
            state: self.folder.path().to_owned(),
            plugins: Some(plugins()),
            listen: ([127, 0, 0, 1], 0).into(),
            sandbox: Sandbox { slots: 8, ..Sandbox::default() },
            flows: self.flows.clone(),
        }
    }
}

/// Where `cargo xtask plugins` puts the packed drivers.
pub(crate) fn plugins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins")
}

impl Drop for World {
    fn drop(&mut self) {
        self.hand.gone.store(true, Ordering::Release);
        self.kill();
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}
