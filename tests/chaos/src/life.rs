//! One run: the user does what the scenario says, the service dies where the run says and is started again, until all came to its end.
//!
//! The user is a patient one: a request whose answer did not come is sent again, with the same key; one that was answered is not.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use scenarios::{pause, stopwatch};
use serde_json::{Value, json};

use crate::lane::Lane;
use crate::point::Point;
use crate::scenario::{Far, How, Run, Scenario, What};
use crate::truth;

/// What was seen of one run.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Where it died, in order.
    pub(crate) died: Vec<Point>,
    /// The places that the first service reached.
    pub(crate) reached: Vec<Point>,
    pub(crate) left: Vec<String>,
    pub(crate) alarms: Vec<String>,
    pub(crate) untrue: Vec<String>,
    /// `active`, `failed` or `gone`.
    pub(crate) ended: String,
}

/// What the user asked for, and what of it was answered.
struct Order {
    scenario: Scenario,
    key: String,
    instance: Option<String>,
    flow: Option<String>,
    deleted: bool,
    gone: bool,
    /// What was not as it read at the moment that it read so.
    untrue: Vec<String>,
}

enum Drive {
    Ended(String),
    Died,
}

/// Seconds until an end is seen; recovery has waits of its own (a compose whose answer was lost may take effect late), and a machine with
/// other work stands still at times.
const PATIENCE: f64 = 120.0;
/// Seconds from a connection that is cut to the end of the process behind it.
const DYING: f64 = 30.0;
const OUTAGE: Duration = Duration::from_millis(300);

impl Seen {
    pub(crate) fn is_good(&self) -> bool {
        self.left.is_empty() && self.alarms.is_empty() && self.untrue.is_empty()
    }
}

/// Lives through one run. An error is the harness's own, or a service that ended unasked.
pub(crate) async fn live(lane: &mut Lane, run: &Run, number: usize) -> Result<Seen> {
    let mut seen = Seen::default();
    lane.stack.sim.no_faults().await?;
    let mut order = Order {
        scenario: run.scenario,
        key: format!("run-{number}"),
        instance: None,
        flow: None,
        deleted: false,
        gone: false,
        untrue: Vec::new(),
    };
    if run.scenario.what == What::Delete {
        lane.disarm().await?;
        order.scenario.what = What::Create;
        let Drive::Ended(state) = drive(lane, &mut order).await? else { bail!("the service died unasked") };
        anyhow::ensure!(state == "active", "what is to be deleted is {state}");
        order.scenario.what = What::Delete;
    }
    befall(lane, run).await?;
    let mut deaths = run.deaths.iter().copied();
    seen.ended = loop {
        let at = deaths.next();
        let begun = lane.start(at).await?;
        let drive = if begun { drive(lane, &mut order).await } else { Ok(Drive::Died) };
        if seen.reached.is_empty() {
            seen.reached = lane.places()?;
        }
        match (drive, lane.died_at(at)?) {
            (Ok(Drive::Ended(state)), _) => break state,
            (Ok(Drive::Died), Some(point)) => {
                seen.died.push(point);
                if run.far == Far::Outage {
                    lane.stack.sim.outage(OUTAGE).await?;
                }
            }
            (Ok(Drive::Died), None) => bail!("the service died unasked"),
            (Err(error), _) => {
                seen.untrue.push(format!("it did not end: {error:#}"));
                seen.untrue.extend(story(lane, &order).await);
                break "nothing".to_owned();
            }
        }
    };
    if seen.untrue.is_empty() {
        lane.stack.sim.no_faults().await?;
        settle(lane, &mut order, &mut seen).await?;
    }
    Ok(seen)
}

/// The state must be true; then everything is given back, and the far sides are asked.
async fn settle(lane: &mut Lane, order: &mut Order, seen: &mut Seen) -> Result<()> {
    lane.disarm().await?;
    let ledger = lane.stack.sim.ledger().await?;
    match seen.ended.as_str() {
        "active" => seen.untrue.extend(truth::not_running(&ledger, order.scenario.how)),
        ended => {
            let held = truth::held(lane).await?;
            seen.untrue.extend(held.into_iter().map(|held| format!("{ended}, and yet {held}")));
        }
    }
    if !seen.untrue.is_empty() {
        seen.untrue.extend(story(lane, order).await);
    }
    if order.scenario.what == What::Create {
        order.scenario.what = What::Delete;
        if let Err(error) = drive(lane, order).await {
            seen.untrue.push(format!("its delete did not end: {error:#}"));
            seen.untrue.extend(story(lane, order).await);
        }
    }
    seen.untrue.append(&mut order.untrue);
    seen.left = truth::held(lane).await?;
    if !seen.left.is_empty() {
        seen.left.extend(story(lane, order).await);
    }
    for alarm in lane.new_alarms().await? {
        let list = if alarm.starts_with("released while enrolled") { &mut seen.alarms } else { &mut seen.untrue };
        list.push(alarm);
    }
    lane.clear_quarantine().await
}

/// Sets what the scenario and the run want of the far sides.
async fn befall(lane: &Lane, run: &Run) -> Result<()> {
    let sim = &lane.stack.sim;
    match (run.scenario.what, run.scenario.how) {
        (What::Create, How::Preset) => sim.fault(json!({"kind": "deploy-fails"})).await?,
        (What::Create, How::Discovered) => sim.fault(json!({"kind": "install-fails"})).await?,
        _ => (),
    }
    match run.far {
        Far::Well | Far::Outage => Ok(()),
        Far::Restart => sim.fault(json!({"kind": "restart-during"})).await,
        Far::Fault(kind, skip) => {
            let sides = run.scenario.how.sides();
            let first = run.deaths.first().copied().unwrap_or_default();
            let side = sides[usize::try_from(first).unwrap_or_default() % sides.len()];
            let method = if skip % 3 == 2 { "DELETE" } else { "POST" };
            let fault = json!({"kind": kind, "side": side, "method": method, "skip": skip / 3, "ms": 200});
            sim.fault(fault).await
        }
    }
}

/// Does what is still to be done and waits for its end, or for the service's.
async fn drive(lane: &mut Lane, order: &mut Order) -> Result<Drive> {
    let waited = stopwatch();
    loop {
        match order.step(lane).await {
            Ok(Some(state)) => return Ok(Drive::Ended(state)),
            Ok(None) => (),
            // Killed between two looks, or while it was asked: the connection goes some moments before the process.
            Err(error) => {
                let gone = stopwatch();
                while !lane.stack.service.has_ended()? {
                    if gone() > DYING {
                        return Err(error);
                    }
                    pause(Duration::from_millis(2)).await;
                }
                return Ok(Drive::Died);
            }
        }
        if waited() > PATIENCE {
            bail!("waited {PATIENCE} s");
        }
        pause(Duration::from_millis(10)).await;
    }
}

impl Order {
    /// Sends what was not answered yet, looks at the instance; its state once it is the last one.
    async fn step(&mut self, lane: &Lane) -> Result<Option<String>> {
        let api = lane.api();
        if self.instance.is_none() {
            let how = self.scenario.how;
            let order = json!({"name": "web", "flavor": how.flavor(), "image": how.image()});
            let made = api.clone().always("idempotency-key", &self.key).post("/v1/instances", &order).await?.ok()?;
            let text = |field: &str| made[field].as_str().map(str::to_owned).with_context(|| format!("no {field}"));
            (self.instance, self.flow) = (Some(text("id")?), Some(text("flow")?));
        }
        let instance = self.instance.as_deref().unwrap_or_default();
        let path = format!("/v1/instances/{instance}");
        let wants_delete = match self.scenario.what {
            What::Create => false,
            What::Delete => true,
            What::DeleteDuring(task) => {
                let flow = self.flow.as_deref().unwrap_or_default();
                let flow = api.get(&format!("/v1/flows/{flow}")).await?.ok()?;
                flow["task"] == task || flow["phase"] != "forward"
            }
        };
        if wants_delete && !self.deleted {
            let answer = api.delete(&path).await?;
            if answer.status != 404 {
                let answer = answer.ok()?;
                self.flow = answer["flow"].as_str().map(str::to_owned);
            }
            self.deleted = true;
        }
        let answer = api.get(&path).await?;
        if answer.status == 404 {
            if !std::mem::replace(&mut self.gone, true) {
                self.untrue.extend(truth::running(&lane.stack.sim.ledger().await?));
            }
            let ended = !self.is_worked_on(lane).await?;
            return Ok(ended.then(|| "gone".to_owned()));
        }
        let instance = answer.ok()?;
        if instance["now"]["needs_operator"] == true {
            bail!("it needs an operator: {}", instance["now"]["waits_for"]);
        }
        let ended =
            self.scenario.what == What::Create && instance["state"] != "creating" && instance["now"] == Value::Null;
        Ok(ended.then(|| instance["state"].as_str().unwrap_or_default().to_owned()))
    }
}

impl Order {
    /// Gone means off; what is still owed is given back afterwards.
    async fn is_worked_on(&self, lane: &Lane) -> Result<bool> {
        let flows = lane.api().get("/v1/flows?limit=20").await?.ok()?;
        let mine = flows["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|flow| flow["instance"].as_str() == self.instance.as_deref());
        Ok(mine.filter_map(|flow| flow["phase"].as_str()).any(|phase| matches!(phase, "forward" | "backward")))
    }
}

/// The timeline of its last flow, for people.
async fn story(lane: &Lane, order: &Order) -> Vec<String> {
    let Some(flow) = &order.flow else { return vec!["    it was never answered".to_owned()] };
    match lane.stack.timeline(flow).await {
        Ok(lines) => lines.into_iter().map(|line| format!("    {line}")).collect(),
        Err(error) => vec![format!("    no timeline: {error:#}")],
    }
}
