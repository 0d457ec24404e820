//! Many lives that wait for a slow far side, beside a service that has none: memory, and what reading costs.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use scenarios::{Http, Service};
use serde_json::json;

use super::lives::{self, text};
use super::{figures, zero};
use crate::clock::{Moment, pause};
use crate::figures::{Figures, quantile};
use crate::process::memory_of;

/// How long the made-up far side deploys: longer than the measurement. Milliseconds.
const DEPLOYS_MS: u64 = 6 * 3_600_000;

/// Active instances of the idle service: a list of 100 is full there, too.
const ACTIVE: u32 = 100;

/// Clients that order at once.
const CLIENTS: u32 = 16;

pub(super) async fn measure(folder: &Path, parked: u32, reads: u32) -> Result<Figures> {
    let idle = zero::service(folder, "idle", json!({})).await?;
    let full = zero::service(folder, "parked", json!({"deploy_ms": DEPLOYS_MS})).await?;
    order(&idle, ACTIVE).await?;
    let (before, begun) = (memory(&full)?, Moment::now());
    order(&full, parked).await?;
    let took = begun.seconds();
    let pairs = [Reader::of(&idle).await?, Reader::of(&full).await?];
    let mut each: [[Vec<f64>; 2]; 2] = Default::default();
    // In turn, so that what else the machine does hits both alike.
    for _ in 0..reads {
        for (reader, each) in pairs.iter().zip(&mut each) {
            each[0].push(reader.read(&reader.one).await?);
            each[1].push(reader.read("/v1/instances?limit=100").await?);
        }
    }
    let [[idle_one, idle_list], [full_one, full_list]] = each;
    let p99 = |each: Vec<f64>| quantile(each, 0.99);
    let [idle_one, idle_list, full_one, full_list] = [idle_one, idle_list, full_one, full_list].map(p99);
    Ok(figures([
        ("parked", f64::from(parked)),
        ("parked_after_s", took),
        ("memory_before_mib", before),
        ("memory_mib", memory(&full)?),
        ("one_p99_ms", full_one),
        ("one_p99_of_idle", full_one / idle_one),
        ("list_p99_ms", full_list),
        ("list_p99_of_idle", full_list / idle_list),
    ]))
}

fn memory(service: &Service) -> Result<f64> {
    Ok(memory_of(service.pid().context("the service has ended")?, "VmRSS"))
}

/// So many instances, until none of them moves any more.
async fn order(service: &Service, many: u32) -> Result<()> {
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let api = service.api.clone();
            tokio::spawn(async move {
                for n in (client..many).step_by(CLIENTS as usize) {
                    lives::create(&api, zero::ORDER, &format!("life-{n}")).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for client in clients {
        client.await??;
    }
    let begun = Moment::now();
    while written(service).await? {
        ensure!(begun.seconds() < 600.0, "the {many} lives do not come to rest");
    }
    Ok(())
}

/// Whether the service wrote something in the last two seconds.
async fn written(service: &Service) -> Result<bool> {
    let wal = service.state.join("moganite.db-wal");
    let changed = || std::fs::metadata(&wal).and_then(|file| file.modified()).ok();
    let before = changed();
    pause(2.0).await;
    Ok(changed() != before)
}

struct Reader {
    api: Http,
    /// The path of one instance.
    one: String,
}

impl Reader {
    async fn of(service: &Service) -> Result<Self> {
        let list = service.api.get("/v1/instances?limit=1").await?.ok()?;
        let one = format!("/v1/instances/{}", text(&list["items"][0], "id")?);
        Ok(Self { api: service.api.clone(), one })
    }

    /// Milliseconds.
    async fn read(&self, path: &str) -> Result<f64> {
        let begun = Moment::now();
        self.api.get(path).await?.ok()?;
        Ok(begun.seconds() * 1e3)
    }
}
