//! Others who work meanwhile: instances that are made and deleted through honest drivers, and calls of an honest driver that are timed.
//!
//! They begin at fixed times, whatever the attacker does, and everything is counted twice: while a case runs, and while nothing does.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, ensure};
use scenarios::{Http, pause, stopwatch};
use serde_json::{Value, json};

/// From one begin to the next: a life on the simulators, a life of the smallest driver, a call that is timed.
const LIFE: Duration = Duration::from_millis(900);
const SMALL: Duration = Duration::from_millis(300);
const CALL: Duration = Duration::from_millis(100);
/// Lives of one kind at once; one that would be more is not begun, and that counts.
const AT_ONCE: u32 = 6;

#[derive(Clone)]
pub(crate) struct Honest(Rc<Shared>);

struct Shared {
    api: Http,
    seconds: Box<dyn Fn() -> f64>,
    /// Where what is counted goes.
    attacked: Cell<bool>,
    since: Cell<f64>,
    stop: Cell<bool>,
    running: Cell<u32>,
    lives: Cell<u32>,
    quiet: RefCell<Count>,
    under: RefCell<Count>,
    failed: RefCell<Vec<String>>,
}

/// What was counted in one of the two times.
#[derive(Debug, Clone, Default)]
pub(crate) struct Count {
    pub(crate) seconds: f64,
    pub(crate) lives: u32,
    /// Seconds from the request to *active*.
    pub(crate) creates: Vec<f64>,
    /// Seconds of one call of a driver, through the API.
    pub(crate) calls: Vec<f64>,
}

impl Count {
    pub(crate) fn rate(&self) -> f64 {
        f64::from(self.lives) / self.seconds.max(0.001)
    }
}

/// The value below which `part` of them are.
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).round() as usize).copied().unwrap_or(0.0)
}

impl Honest {
    /// Begins to work on this runtime's local set.
    pub(crate) fn spawn(api: Http) -> Self {
        let honest = Self(Rc::new(Shared {
            api,
            seconds: Box::new(stopwatch()),
            attacked: Cell::new(false),
            since: Cell::new(0.0),
            stop: Cell::new(false),
            running: Cell::new(0),
            lives: Cell::new(0),
            quiet: RefCell::default(),
            under: RefCell::default(),
            failed: RefCell::default(),
        }));
        for (kind, flavor, every) in [("sim", "small", LIFE), ("zero", "tiny", SMALL)] {
            let honest = honest.clone();
            tokio::task::spawn_local(async move { honest.live_on(kind, flavor, every).await });
        }
        let calling = honest.clone();
        tokio::task::spawn_local(async move { calling.call_on().await });
        honest
    }

    /// From now on a case runs, or none.
    pub(crate) fn attacked(&self, attacked: bool) {
        let (shared, now) = (&self.0, (self.0.seconds)());
        self.count().borrow_mut().seconds += now - shared.since.get();
        shared.since.set(now);
        shared.attacked.set(attacked);
    }

    /// Begins nothing more and waits for what runs; answers quiet and attacked times, and what failed.
    pub(crate) async fn end(&self) -> (Count, Count, Vec<String>) {
        self.attacked(false);
        self.0.stop.set(true);
        for _ in 0..1_200 {
            if self.0.running.get() == 0 {
                break;
            }
            pause(Duration::from_millis(50)).await;
        }
        let mut failed = self.0.failed.borrow().clone();
        if self.0.running.get() > 0 {
            failed.push(format!("{} did not end within a minute", self.0.running.get()));
        }
        (self.0.quiet.borrow().clone(), self.0.under.borrow().clone(), failed)
    }

    pub(crate) fn lives(&self) -> u32 {
        self.0.lives.get()
    }

    fn count(&self) -> &RefCell<Count> {
        if self.0.attacked.get() { &self.0.under } else { &self.0.quiet }
    }

    async fn live_on(self, kind: &'static str, flavor: &'static str, every: Duration) {
        let at_once = Rc::new(Cell::new(0_u32));
        let mut number = 0_u32;
        while !self.0.stop.get() {
            number += 1;
            if at_once.get() < AT_ONCE {
                let (honest, at_once, name) = (self.clone(), at_once.clone(), format!("honest-{kind}-{number}"));
                at_once.set(at_once.get() + 1);
                self.0.running.set(self.0.running.get() + 1);
                tokio::task::spawn_local(async move {
                    if let Err(error) = honest.live(&name, flavor).await {
                        honest.0.failed.borrow_mut().push(format!("{name}: {error:#}"));
                    }
                    at_once.set(at_once.get() - 1);
                    honest.0.running.set(honest.0.running.get() - 1);
                });
            }
            pause(every).await;
        }
    }

    /// Made, seen active, deleted, seen gone.
    async fn live(&self, name: &str, flavor: &str) -> Result<()> {
        let api = &self.0.api;
        let begin = (self.0.seconds)();
        let image = if flavor == "tiny" { "none" } else { "cirros" };
        let made = api.post("/v1/instances", &json!({"name": name, "flavor": flavor, "image": image})).await?.ok()?;
        let path = format!("/v1/instances/{}", made["id"].as_str().unwrap_or_default());
        let active = self.when(&path, |status, body| status == 200 && body["state"] != "creating").await?;
        ensure!(active["state"] == "active", "{}: {}", active["state"], active["reason"]);
        let took = (self.0.seconds)() - begin;
        self.count().borrow_mut().creates.push(took);
        api.delete(&path).await?.ok()?;
        self.when(&path, |status, body| status == 404 || body["state"] == "failed").await?;
        self.count().borrow_mut().lives += 1;
        self.0.lives.set(self.0.lives.get() + 1);
        Ok(())
    }

    async fn when(&self, path: &str, is: impl Fn(u16, &Value) -> bool) -> Result<Value> {
        for _ in 0..600 {
            let answer = self.0.api.get(path).await?;
            if is(answer.status, &answer.body) {
                return Ok(answer.body);
            }
            pause(Duration::from_millis(100)).await;
        }
        anyhow::bail!("a minute was not enough")
    }

    async fn call_on(self) {
        while !self.0.stop.get() {
            let (attacked, begin) = (self.0.attacked.get(), (self.0.seconds)());
            let answer = self.0.api.post("/v1/backends/pod-a/probe", &Value::Null).await;
            let took = (self.0.seconds)() - begin;
            match answer {
                Ok(answer) if answer.status == 200 && attacked == self.0.attacked.get() => {
                    self.count().borrow_mut().calls.push(took);
                }
                // It began in one time and ended in the other.
                Ok(answer) if answer.status == 200 => {}
                Ok(answer) => self.0.failed.borrow_mut().push(format!("a call: {} {}", answer.status, answer.body)),
                Err(error) => self.0.failed.borrow_mut().push(format!("a call: {error:#}")),
            }
            pause(CALL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_value_that_was_seen() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.99), quantile(&[], 0.5)), (50.0, 99.0, 0.0));
    }
}
