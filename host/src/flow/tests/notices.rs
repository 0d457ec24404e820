//! Waits that are left to looks at many machines, with the clock in the hand.

use super::*;
use crate::flow::Shown;

/// A flow whose second task waits twice for ten seconds, seen at its machine.
struct Waiting {
    bench: Bench,
    runner: Runner,
    service: Service,
    flow: FlowId,
    shown: Shown,
}

impl Waiting {
    async fn with(budget: Option<Duration>) -> Self {
        let mut bench = Bench::new();
        let shown = Shown { revision: RevisionId(1), handle: "node-1".into(), verb: "deploy" };
        (bench.tasks[1].shown, bench.tasks[1].budget) = (Some(shown.clone()), budget);
        bench.answers(1, [pending(10), pending(10)]);
        let (_, flow) = bench.create().await;
        let runner = bench.runner();
        let service = bench.serve_by(runner.clone());
        Self { bench, runner, service, flow, shown }
    }

    /// Its wait as of now: from the last call to the next, in seconds.
    async fn rests(&self, calls: usize) -> i64 {
        // What the call that is under way finds is due already.
        let now = self.bench.clock.now();
        let rests = |flow: &Flow| self.bench.calls().len() == calls && flow.wake.is_some_and(|wake| wake > now);
        let flow = self.bench.until(self.flow, rests).await;
        (flow.wake.unwrap() - flow.updated_at) / 1_000
    }

    /// One look; true when the wait is over.
    fn look(&self, state: &str) -> bool {
        let asked = [(self.flow, self.shown.clone())];
        self.runner.notices().saw(&asked, |_| Some(state.to_owned())) == [self.flow]
    }

    async fn hasten(&self) {
        let hasten = Hasten { flows: vec![self.flow], at: self.bench.clock.now() };
        self.bench.store.write(Lane::Flow, hasten).await.unwrap();
    }
}

#[tokio::test]
async fn a_wait_that_a_look_saw_rests_until_a_look_sees_its_end() {
    let waiting = Waiting::with(None).await;
    assert_eq!(waiting.rests(2).await, 10, "nobody looked yet");
    assert!(!waiting.look("deploying"));
    waiting.bench.clock.advance(Duration::from_secs(10));
    assert_eq!(waiting.rests(3).await, 300);
    assert!(waiting.bench.store.flow(waiting.flow).await.unwrap().unwrap().shown);
    assert!(!waiting.look("deploying"));
    assert!(waiting.look("active"));
    waiting.hasten().await;
    let flow = waiting.bench.until(waiting.flow, ended).await;
    assert!(!flow.shown && waiting.runner.notices().waiting().is_empty());
    assert_eq!(waiting.bench.calls(), ["one 1", "two 1", "two 1", "two 1", "three 1", "four 1"]);
}

#[tokio::test]
async fn a_wait_that_nobody_looks_at_goes_on_by_itself() {
    let waiting = Waiting::with(None).await;
    for calls in [2, 3] {
        assert_eq!(waiting.rests(calls).await, 10);
        waiting.bench.clock.advance(Duration::from_secs(10));
    }
    waiting.bench.until(waiting.flow, ended).await;
}

#[tokio::test]
async fn a_wait_that_is_left_to_the_looks_ends_with_its_budget() {
    let waiting = Waiting::with(Some(Duration::from_secs(70))).await;
    waiting.rests(2).await;
    waiting.look("deploying");
    waiting.bench.clock.advance(Duration::from_secs(10));
    assert_eq!(waiting.rests(3).await, 60);
}

#[tokio::test]
async fn a_new_run_calls_every_flow_that_the_last_one_left_to_its_looks() {
    let waiting = Waiting::with(None).await;
    waiting.rests(2).await;
    waiting.look("deploying");
    waiting.bench.clock.advance(Duration::from_secs(10));
    assert_eq!(waiting.rests(3).await, 300);
    let Waiting { bench, service, flow, .. } = waiting;
    drop(service);
    let runner = bench.runner();
    runner.take_over().await.unwrap();
    let _service = bench.serve_by(runner);
    bench.until(flow, ended).await;
    assert_eq!(bench.calls()[3], "two 1", "no call was lost, so none is counted");
}
