//! `kill -9` of the real binary in the middle of a create and of a delete: it goes on by itself and ends.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use scenarios::{Options, Stack, pause};

/// Moments spread over the life, other ones in each run; printed, so that a failure can be repeated.
fn moments(within: Duration) -> Vec<Duration> {
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    let mut state = u64::from(seed) | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..5).map(|_| Duration::from_millis(random() % u64::try_from(within.as_millis()).unwrap())).collect()
}

#[tokio::test]
async fn killed_at_five_moments_of_a_create_it_ends_active() {
    let mut stack = Stack::with(Options { sim: &["--deploy-ms", "200"], ..Options::default() }).await.unwrap();
    for moment in moments(Duration::from_millis(1200)) {
        let (id, _) = stack.create("web", "small").await.unwrap();
        pause(moment).await;
        stack = stack.restart().await.unwrap();
        let active = stack.service.instance(&id, "ended", |instance| instance["state"] != "creating").await.unwrap();
        assert_eq!(active["state"], "active", "killed after {moment:?}: {}", active["reason"]);
        stack.delete_and_wait(&id).await.unwrap();
        assert_eq!(stack.sim.left_behind().await.unwrap(), Vec::<String>::new(), "killed after {moment:?}");
    }
}

#[tokio::test]
async fn killed_at_five_moments_of_a_delete_it_ends_gone() {
    let mut stack = Stack::with(Options { sim: &["--step-ms", "100"], ..Options::default() }).await.unwrap();
    for moment in moments(Duration::from_millis(800)) {
        let (id, _) = stack.create("web", "small").await.unwrap();
        stack.service.instance_in(&id, "active").await.unwrap();
        stack.delete(&id).await.unwrap();
        pause(moment).await;
        stack = stack.restart().await.unwrap();
        stack.service.instance_gone(&id).await.unwrap();
        assert_eq!(stack.sim.left_behind().await.unwrap(), Vec::<String>::new(), "killed after {moment:?}");
    }
}
