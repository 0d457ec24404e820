//! A plugin is swapped over and over while operations wait between two calls, calls are in flight and creates arrive: nothing fails, and
//! every operation ends on the version that it began with, as the far side's own log has it.
//!
//! Every test run has it small; `MOGANITE_SWAP=full cargo test -p moganite --test swap -- --nocapture` has it whole.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod clock;
#[path = "../shared/compiled.rs"]
mod compiled;
mod far;
mod world;

use std::collections::BTreeMap;

use moganite::model::Role;
use moganite::store::HoldingFilter;

use crate::clock::Watch;
use crate::world::{HELD, PARKED, World};

/// Creates that are ordered while the backends are swapped, and as many again when they were.
const ARRIVING: usize = 5;

#[derive(Debug, Clone, Copy)]
struct Size {
    /// Operations that wait between their two calls.
    parked: usize,
    /// Calls that get no answer before the last swap.
    in_flight: usize,
    /// How often each backend is swapped.
    swaps: usize,
}

impl Size {
    fn asked() -> Self {
        match std::env::var("MOGANITE_SWAP").as_deref() {
            Ok("full") => Self { parked: 10_000, in_flight: 20 * HELD, swaps: 100 },
            _ => Self { parked: 200, in_flight: 2 * HELD, swaps: 10 },
        }
    }
}

/// How long things took. Unit: milliseconds.
#[derive(Default)]
struct Took {
    /// From a create's order to its first request at the far side.
    creates: Vec<u128>,
    /// The swap of one backend.
    swaps: Vec<u128>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_under_load_fail_nothing_and_every_operation_ends_on_the_version_it_began_with() {
    let (size, whole) = (Size::asked(), Watch::start());
    let world = World::start(size.in_flight).await;
    let began = with_load(&world, size).await;
    println!(
        "{} operations parked, {} calls in flight at {} backends, after {} ms; each backend is swapped {} times",
        size.parked,
        size.in_flight,
        world.backends.len(),
        whole.ms(),
        size.swaps
    );

    let before = quiet(&world, size.swaps).await;
    let during = swapped(&world, size.swaps).await;
    let after = quiet(&world, size.swaps).await;
    println!("creates arriving: {} before, {} during, {} after", before.len(), during.creates.len(), after.len());
    for (when, ms) in [("before", before), ("during", during.creates), ("after", after)] {
        println!("from a create's order to the far side, {when} the swaps: {}", percentiles(ms));
    }
    println!("{} swaps of one backend each: {}", during.swaps.len(), percentiles(during.swaps));
    assert_eq!(world.far.log().len(), began + 3 * size.swaps * 2 * ARRIVING, "nothing that was parked was called");

    world.far.let_go();
    world.all_parked().await;
    world.clock.advance(PARKED);
    world.until(|flow| !flow.position.phase.runs()).await;
    let wrong = not_done(&world).await;
    let by_version = compare(&world).await;
    println!("failed operations: {wrong}; operations by version: {by_version:?}; the whole took {} ms", whole.ms());
    assert_eq!(wrong, 0);
    assert_eq!(by_version.len(), 2, "{by_version:?}");
}

/// Half of the load begins on the one version and half on the other; the first one serves in the end. Answers how many operations began.
async fn with_load(world: &World, size: Size) -> usize {
    for version in [0, 1] {
        world.swap_all(version).await;
        world.creates(size.parked / 2).await;
        world.all_parked().await;
    }
    for version in [1, 0] {
        world.swap_all(version).await;
        world.far.hold(size.in_flight / 2);
        world.creates(size.in_flight / 2).await;
        world.far.all_held().await;
    }
    world.flows().len()
}

/// As many creates as arrive during so many swaps, and none of those.
async fn quiet(world: &World, swaps: usize) -> Vec<u128> {
    let mut ms = Vec::new();
    for _ in 0..2 * ARRIVING * swaps {
        ms.push(create(world).await.0);
    }
    ms
}

/// So many times all backends are swapped to the other version, one after the other, while creates arrive; then more arrive.
async fn swapped(world: &World, swaps: usize) -> Took {
    let mut took = Took::default();
    for swap in 1..=swaps {
        let (_, title) = &world.versions[swap % 2];
        let swapping = async {
            let mut ms = Vec::new();
            for backend in &world.backends {
                let watch = Watch::start();
                world.swap(backend, swap % 2).await;
                ms.push(watch.ms());
            }
            ms
        };
        let arriving = async {
            let mut ms = Vec::new();
            for _ in 0..ARRIVING {
                ms.push(create(world).await.0);
            }
            ms
        };
        let (of_swaps, of_creates) = tokio::join!(swapping, arriving);
        took.swaps.extend(of_swaps);
        took.creates.extend(of_creates);
        for _ in 0..ARRIVING {
            let (ms, agent) = create(world).await;
            took.creates.push(ms);
            assert!(agent.contains(title.as_str()), "ordered after the swap to {title}, asked by {agent}");
        }
    }
    took
}

/// One more; answers how long its first request took to the far side, and who asked it.
async fn create(world: &World) -> (u128, String) {
    let watch = Watch::start();
    let mark = world.create().await;
    let agent = world.far.arrived(&mark.0).await;
    (watch.ms(), agent)
}

/// Flows that did not end well.
async fn not_done(world: &World) -> u64 {
    let counts = world.lifecycle.store().count_flows().await.unwrap();
    counts.iter().filter(|(phase, _)| phase != "done").map(|(_, n)| n).sum()
}

/// The far side got every request of every operation once, each from the version that the operation is pinned to; answers how many
/// operations each version had.
async fn compare(world: &World) -> BTreeMap<String, usize> {
    let store = world.lifecycle.store();
    let mut titles = BTreeMap::new();
    for backend in &world.backends {
        for written in store.revisions(backend).await.unwrap() {
            let bound = &written.revision.digest;
            let (_, title) = world.versions.iter().find(|(digest, _)| digest == bound).unwrap();
            titles.insert(written.revision.id, title);
        }
    }
    let mut log = world.far.log();
    let mut by_version = BTreeMap::new();
    for holding in store.holdings(HoldingFilter::default()).await.unwrap() {
        let title = titles[&holding.revision];
        let agents = log.remove(&holding.mark.0).expect("asked under its mark");
        assert!(agents.iter().all(|agent| agent.contains(title.as_str())), "{}: {agents:?}", holding.mark.0);
        // Compose asks before it waits and after.
        assert_eq!(agents.len(), if holding.role == Role::Compose { 2 } else { 1 }, "{}", holding.mark.0);
        *by_version.entry(title.clone()).or_default() += 1;
    }
    assert!(log.is_empty(), "asked under no holding's mark: {log:?}");
    by_version
}

fn percentiles(mut ms: Vec<u128>) -> String {
    ms.sort_unstable();
    let p = |hundredth: usize| ms[(ms.len() - 1) * hundredth / 100];
    format!("p50 {} ms, p99 {} ms", p(50), p(99))
}
