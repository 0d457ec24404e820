//! A whole life as a client of the service sees it: create, active, delete, gone. It waits on the flow's stream of events, so that it
//! learns of an end when there is one and does not ask in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use scenarios::{Http, Service};
use serde_json::{Value, json};

use super::figures;
use crate::clock::Moment;
use crate::figures::{Figures, quantile};
use crate::process::Used;

/// Lives before and after those that are measured.
pub(super) const BESIDE: u32 = FIRST + 1;

/// The first ones load what is loaded once.
const FIRST: u32 = 5;

/// What is ordered.
#[derive(Clone, Copy)]
pub(super) struct Order {
    pub(super) flavor: &'static str,
    pub(super) image: &'static str,
}

/// The flows of one life.
pub(super) struct Life {
    pub(super) create: String,
    pub(super) delete: String,
}

/// POST; answers the ids of the instance and its flow.
pub(super) async fn create(api: &Http, order: Order, name: &str) -> Result<(String, String)> {
    let body = json!({"name": name, "flavor": order.flavor, "image": order.image});
    let made = api.post("/v1/instances", &body).await?.ok()?;
    Ok((text(&made, "id")?, text(&made, "flow")?))
}

/// From nothing to nothing.
pub(super) async fn live(api: &Http, order: Order, name: &str) -> Result<Life> {
    let (id, create) = create(api, order, name).await?;
    ends(api, &create).await?;
    let path = format!("/v1/instances/{id}");
    let delete = text(&api.delete(&path).await?.ok()?, "flow")?;
    ends(api, &delete).await?;
    Ok(Life { create, delete })
}

/// Waits for the end of a flow, which must be a good one.
pub(super) async fn ends(api: &Http, flow: &str) -> Result<()> {
    let events = api.text(&format!("/v1/flows/{flow}/events")).await?;
    let last = events.lines().rev().find_map(|line| line.strip_prefix("data:")).context("a flow without events")?;
    let last: Value = serde_json::from_str(last)?;
    ensure!(last["kind"] == "ended" && last["direction"] == "execute", "flow {flow} did not end well: {last}");
    Ok(())
}

/// So many clients, each with one life after the other.
pub(super) async fn by(service: &Service, order: Order, clients: u32, seconds: f64) -> Result<Figures> {
    let (api, pid) = (&service.api, service.pid().context("the service has ended")?);
    for n in 0..FIRST {
        live(api, order, &format!("first-{n}")).await?;
    }
    let (number, before, begun) = (Arc::new(AtomicU64::new(0)), Used::by(pid), Moment::now());
    let clients: Vec<_> = (0..clients)
        .map(|_| {
            let (api, number) = (api.clone(), number.clone());
            tokio::spawn(async move {
                let mut each = Vec::new();
                while begun.seconds() < seconds {
                    let one = Moment::now();
                    live(&api, order, &format!("life-{}", number.fetch_add(1, Ordering::Relaxed))).await?;
                    each.push(one.seconds() * 1e3);
                }
                anyhow::Ok(each)
            })
        })
        .collect();
    let (many, mut each) = (clients.len() as f64, Vec::new());
    for client in clients {
        each.extend(client.await??);
    }
    let (took, cpu, lives) = (begun.seconds(), Used::by(pid).since(&before), each.len() as f64);
    let last = live(api, order, "last").await?;
    Ok(figures([
        ("lives", lives),
        ("clients", many),
        ("seconds", seconds),
        ("lives_per_s", lives / took),
        ("cpu_ms", cpu * 1e3 / lives),
        ("p50_ms", quantile(each.clone(), 0.5)),
        ("p99_ms", quantile(each, 0.99)),
        ("commits", events(api, &last.create).await? + events(api, &last.delete).await?),
    ]))
}

/// Lines of a flow's timeline, each of which is a commit.
async fn events(api: &Http, flow: &str) -> Result<f64> {
    let flow = api.get(&format!("/v1/flows/{flow}")).await?.ok()?;
    Ok(flow["events"].as_array().map_or(0, Vec::len) as f64)
}

pub(super) fn text(body: &Value, field: &str) -> Result<String> {
    body[field].as_str().map(str::to_owned).with_context(|| format!("no {field} in {body}"))
}
