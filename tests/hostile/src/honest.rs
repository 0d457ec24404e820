//! Others who work meanwhile: instances that are made and deleted through honest drivers, and calls of an honest driver that are timed.
//!
//! They begin at fixed times, whatever the attacker does, on a thread and connections of their own: what the attack costs this program is
//! not counted as theirs. `count.rs` has what is made of it.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use scenarios::{Http, pause, stopwatch};
use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};

use crate::count::{Counts, During};

/// From one begin to the next: a life on the simulators, a life of the smallest driver, a call that is timed.
const LIFE: Duration = Duration::from_millis(900);
const SMALL: Duration = Duration::from_millis(300);
const CALL: Duration = Duration::from_millis(50);
/// Lives of one kind at once, and calls; one that would be more is not begun, and that counts.
const AT_ONCE: usize = 6;
const CALLS_AT_ONCE: usize = 40;

pub(crate) struct Honest {
    shared: Arc<Shared>,
    thread: JoinHandle<Result<()>>,
}

struct Shared {
    seconds: Box<dyn Fn() -> f64 + Send + Sync>,
    stop: AtomicBool,
    lives: AtomicU32,
    counts: Mutex<Counts>,
    failed: Mutex<Vec<String>>,
}

/// What the thread works with.
#[derive(Clone)]
struct Worker {
    shared: Arc<Shared>,
    api: Http,
}

impl Honest {
    /// Begins to work.
    pub(crate) fn spawn(api: &Http) -> Result<Self> {
        let shared = Arc::new(Shared {
            seconds: Box::new(stopwatch()),
            stop: AtomicBool::new(false),
            lives: AtomicU32::new(0),
            counts: Mutex::default(),
            failed: Mutex::default(),
        });
        let (api, of_thread) = (api.apart()?, shared.clone());
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let worker = Worker { shared: of_thread, api };
            LocalSet::new().block_on(&runtime, worker.work());
            Ok(())
        });
        Ok(Self { shared, thread })
    }

    /// From now on this is the time: what ends and begins is counted in it.
    pub(crate) fn during(&self, during: During) {
        self.shared.counts().turn((self.shared.seconds)(), during);
    }

    /// Begins nothing more and waits for what runs; answers what was counted, and what failed.
    pub(crate) fn end(self) -> Result<(Counts, Vec<String>)> {
        self.during(During::Between);
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the thread of the others broke")??;
        let counts = std::mem::take(&mut *self.shared.counts());
        let failed = std::mem::take(&mut *lock(&self.shared.failed));
        Ok((counts, failed))
    }

    pub(crate) fn lives(&self) -> u32 {
        self.shared.lives.load(Ordering::Relaxed)
    }

    /// Milliseconds of the calls of the case that ran last: half of them took no longer, and the longest.
    pub(crate) fn last(&self) -> (f64, f64) {
        self.shared.counts().last()
    }
}

impl Shared {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        lock(&self.counts)
    }

    fn failed(&self, what: String) {
        lock(&self.failed).push(what);
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// A thread that broke is told of by its end.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Worker {
    /// Until it is told to stop, and what it began has ended or a minute has passed.
    async fn work(self) {
        // As many as there are of it but one, run.
        let running = Rc::new(());
        for (kind, flavor, every) in [("sim", "small", LIFE), ("zero", "tiny", SMALL)] {
            let live = async move |worker: Self, n| worker.live(&format!("honest-{kind}-{n}"), flavor).await;
            spawn_local(self.clone().begin_every(every, AT_ONCE, running.clone(), live));
        }
        let call = async |worker: Self, _| worker.call().await;
        spawn_local(self.clone().begin_every(CALL, CALLS_AT_ONCE, running.clone(), call));
        while !self.shared.stops() {
            pause(CALL).await;
        }
        for _ in 0..1_200 {
            if Rc::strong_count(&running) == 1 {
                return;
            }
            pause(CALL).await;
        }
        self.shared.failed(format!("{} did not end within a minute", Rc::strong_count(&running) - 1));
    }

    async fn begin_every(
        self,
        every: Duration,
        most: usize,
        running: Rc<()>,
        one: impl AsyncFn(Self, u32) -> Result<()> + 'static,
    ) {
        let (one, at_once) = (Rc::new(one), Rc::new(()));
        let mut number = 0_u32;
        while !self.shared.stops() {
            number += 1;
            if Rc::strong_count(&at_once) <= most {
                let (worker, one, places) = (self.clone(), one.clone(), (at_once.clone(), running.clone()));
                spawn_local(async move {
                    if let Err(error) = (*one)(worker.clone(), number).await {
                        worker.shared.failed(format!("{error:#}"));
                    }
                    drop(places);
                });
            }
            pause(every).await;
        }
    }

    /// Made, seen active, deleted, seen gone.
    async fn live(&self, name: &str, flavor: &str) -> Result<()> {
        let begin = (self.shared.seconds)();
        let image = if flavor == "tiny" { "none" } else { "cirros" };
        let order = json!({"name": name, "flavor": flavor, "image": image});
        let made = self.api.post("/v1/instances", &order).await?.ok().with_context(|| name.to_owned())?;
        let path = format!("/v1/instances/{}", made["id"].as_str().unwrap_or_default());
        let active = self.when(&path, |status, body| status == 200 && body["state"] != "creating").await?;
        ensure!(active["state"] == "active", "{name}: {}: {}", active["state"], active["reason"]);
        let took = (self.shared.seconds)() - begin;
        self.shared.counts().created(took);
        self.api.delete(&path).await?.ok().with_context(|| name.to_owned())?;
        self.when(&path, |status, body| status == 404 || body["state"] == "failed").await?;
        self.shared.counts().lived();
        self.shared.lives.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn when(&self, path: &str, is: impl Fn(u16, &Value) -> bool) -> Result<Value> {
        for _ in 0..600 {
            let answer = self.api.get(path).await?;
            if is(answer.status, &answer.body) {
                return Ok(answer.body);
            }
            pause(Duration::from_millis(100)).await;
        }
        anyhow::bail!("{path}: a minute was not enough")
    }

    async fn call(&self) -> Result<()> {
        let (during, begin) = (self.shared.counts().now(), (self.shared.seconds)());
        let answer = self.api.post("/v1/backends/pod-a/probe", &Value::Null).await.context("a call")?;
        ensure!(answer.status == 200, "a call: {} {}", answer.status, answer.body);
        let took = (self.shared.seconds)() - begin;
        self.shared.counts().called(during, took);
        Ok(())
    }
}
