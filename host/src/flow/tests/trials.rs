//! Another plugin on trial: who gets it, when it stays, when it is taken back.

use super::*;

fn by() -> By {
    By::checked("ann", "a newer one").unwrap()
}

fn broke() -> Outcome {
    Outcome::Fail(Fault::new(FaultKind::Broken, BROKE))
}

/// `pod-a` with the plugin "plugin"; the flows' first task calls it.
async fn bound() -> Bench {
    let mut bench = Bench::new();
    bind(&bench, &[]).await;
    bench.tasks[0].takes = Some(name("pod-a"));
    bench
}

fn new() -> Digest {
    Digest::of(b"new")
}

async fn swap(bench: &Bench, digest: Digest, canary: Option<Canary>) -> Result<RevisionId> {
    let newest = bench.store.newest_revision(&name("pod-a")).await?.unwrap();
    let after = Some(newest.id);
    let write = WriteRevision { revision: Revision { digest, ..newest }, exclusive: Vec::new(), after, at: 2 };
    bench.store.write(Lane::Interactive, Activate { write, granted: Vec::new(), canary, breaks: 3, by: by() }).await
}

async fn newest(bench: &Bench) -> Digest {
    bench.store.newest_revision(&name("pod-a")).await.unwrap().unwrap().digest
}

async fn trial(bench: &Bench) -> Option<Trial> {
    bench.store.trial(&name("pod-a")).await.unwrap()
}

/// Which plugin the flow's operation is pinned to.
async fn pinned(bench: &Bench, flow: FlowId) -> Digest {
    let holding = bench.store.holding(OperationId::doing(flow, 0, 1)).await.unwrap().unwrap();
    bench.store.revision(holding.revision).await.unwrap().unwrap().digest
}

async fn roll_back(bench: &Bench) -> Result<()> {
    let backend = name("pod-a");
    let canary = trial(bench).await.is_some_and(|trial| trial.canary.is_some());
    let before = bench.store.ran_before(&backend).await?.map(|revision| revision.id);
    let to = before.filter(|_| !canary);
    bench.store.write(Lane::Interactive, RollBack { backend, to, by: by(), at: 3 }).await
}

async fn decided(bench: &Bench) -> Vec<(String, String)> {
    let audit = bench.store.audit(None, 10).await.unwrap();
    audit.into_iter().map(|line| (line.who, line.verb)).collect()
}

fn decision(who: &str, verb: &str) -> (String, String) {
    (who.into(), verb.into())
}

#[tokio::test]
async fn a_canary_gets_the_next_operations_and_all_of_them_once_those_ended_whole() {
    let bench = bound().await;
    swap(&bench, new(), Some(Canary::Next(2))).await.unwrap();
    let mut flows = Vec::new();
    for expected in [new(), new(), Digest::of(b"plugin")] {
        let (_, flow) = bench.create().await;
        assert_eq!(pinned(&bench, flow).await, expected);
        flows.push(flow);
    }
    assert_eq!(newest(&bench).await, Digest::of(b"plugin"), "it is still the usual one");
    let _service = bench.serve();
    for flow in flows {
        assert_eq!(bench.until(flow, ended).await.position.phase, Phase::Done);
    }
    assert_eq!(newest(&bench).await, new());
    assert_eq!(decided(&bench).await, [decision("moganite", "backend.promote"), decision("ann", "backend.canary")]);
    assert_eq!(trial(&bench).await.map(|trial| (trial.canary, trial.ended)), Some((None, 0)), "it is on trial still");
}

#[tokio::test]
async fn a_canary_that_breaks_too_often_ends_and_nobody_else_is_touched() {
    let bench = bound().await;
    swap(&bench, new(), Some(Canary::Next(2))).await.unwrap();
    bench.answers(0, [broke(), broke(), broke()]);
    let _service = bench.serve();
    for round in 0..3 {
        let (_, flow) = bench.create().await;
        assert_eq!(pinned(&bench, flow).await, new(), "who broke gets one operation more: {round}");
        assert_eq!(bench.until(flow, ended).await.position.phase, Phase::Reverted);
    }
    assert_eq!((trial(&bench).await, newest(&bench).await), (None, Digest::of(b"plugin")));
    let (_, next) = bench.create().await;
    assert_eq!(pinned(&bench, next).await, Digest::of(b"plugin"));
    let audit = bench.store.audit(None, 1).await.unwrap().remove(0);
    assert_eq!((audit.who.as_str(), audit.verb.as_str()), ("moganite", "backend.roll-back"));
    assert!(audit.reason.contains("broke 3 times, the last: it crashed"), "{}", audit.reason);
}

#[tokio::test]
async fn a_named_instance_has_the_canary_to_itself_until_a_person_promotes_it() {
    let bench = bound().await;
    let (chosen, _) = bench.create().await;
    let canary = Canary::Instance { instance: chosen.to_string(), project: name("default") };
    swap(&bench, new(), Some(canary)).await.unwrap();
    let (_, other) = bench.create().await;
    assert_eq!(pinned(&bench, other).await, Digest::of(b"plugin"));
    let begin = Effect::BeginUndo { instance: chosen, role: Role::Compose };
    step(&bench, other, vec![begin]).await;
    let undone = bench.store.last_holding(chosen, Role::Compose).await.unwrap().unwrap();
    assert_eq!(bench.store.revision(undone.revision).await.unwrap().unwrap().digest, new());
    let promote = || Promote { backend: name("pod-a"), by: by(), at: 3 };
    bench.store.write(Lane::Interactive, promote()).await.unwrap();
    assert_eq!(newest(&bench).await, new());
    assert!(matches!(bench.store.write(Lane::Interactive, promote()).await, Err(Error::Refused(_))));
}

#[tokio::test]
async fn nobody_changes_a_backend_while_a_canary_runs_there() {
    let bench = bound().await;
    swap(&bench, new(), Some(Canary::Next(1))).await.unwrap();
    for canary in [None, Some(Canary::Next(1))] {
        let refused = swap(&bench, Digest::of(b"third"), canary).await;
        assert!(matches!(refused, Err(Error::Refused(why)) if why.contains("promote it or roll it back first")));
    }
    roll_back(&bench).await.unwrap();
    swap(&bench, Digest::of(b"third"), None).await.unwrap();
    assert_eq!(newest(&bench).await, Digest::of(b"third"));
}

#[tokio::test]
async fn a_swap_that_breaks_too_often_is_taken_back_and_the_plugin_before_runs_again() {
    let bench = bound().await;
    swap(&bench, new(), None).await.unwrap();
    bench.answers(0, [broke(), Outcome::Done, broke(), broke()]);
    let _service = bench.serve();
    for _ in 0..4 {
        let (_, flow) = bench.create().await;
        bench.until(flow, ended).await;
    }
    assert_eq!((trial(&bench).await, newest(&bench).await), (None, Digest::of(b"plugin")));
    assert_eq!(decided(&bench).await[0], decision("moganite", "backend.roll-back"));
    assert_eq!(bench.store.count_rolled_back().await.unwrap(), [(name("pod-a"), 1)]);
    assert!(roll_back(&bench).await.is_err(), "what was taken back is nothing to go back to");
}

#[tokio::test]
async fn a_plugin_that_an_operator_stopped_is_not_gone_back_to() {
    let bench = bound().await;
    swap(&bench, new(), None).await.unwrap();
    let digest = Digest::of(b"plugin");
    let stop = StopPlugin { digest, how: PluginStop::Denied, by: by(), at: bench.clock.now() };
    bench.store.write(Lane::Interactive, stop).await.unwrap();
    bench.answers(0, [broke(), broke(), broke(), broke()]);
    let _service = bench.serve();
    for _ in 0..4 {
        let (_, flow) = bench.create().await;
        bench.until(flow, ended).await;
    }
    assert_eq!(newest(&bench).await, new());
    assert!(bench.store.ran_before(&name("pod-a")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_roll_back_by_a_person_goes_to_the_plugin_that_ran_before_with_its_settings() {
    let bench = bound().await;
    let first = bench.store.newest_revision(&name("pod-a")).await.unwrap().unwrap();
    swap(&bench, new(), None).await.unwrap();
    let revision =
        Revision { settings: [("a".to_owned(), 1.into())].into_iter().collect(), digest: new(), ..first.clone() };
    let after = bench.store.newest_revision(&name("pod-a")).await.unwrap().map(|revision| revision.id);
    let write = WriteRevision { revision, exclusive: Vec::new(), after, at: 2 };
    let settings = bench.store.write(Lane::Interactive, write).await.unwrap();
    assert_eq!(trial(&bench).await.map(|trial| trial.revision), Some(settings), "new settings go on with the trial");
    roll_back(&bench).await.unwrap();
    let now = bench.store.newest_revision(&name("pod-a")).await.unwrap().unwrap();
    assert!(now.id > settings);
    assert_eq!(Revision { id: first.id, ..now }, first);
    let revisions = bench.store.revisions(&name("pod-a")).await.unwrap();
    let withdrawn: Vec<_> = revisions.into_iter().map(|written| written.withdrawn).collect();
    assert_eq!(withdrawn, [false, true, true, false]);
}

/// A flow's step that has these effects.
async fn step(bench: &Bench, flow: FlowId, effects: Vec<Effect>) {
    let row = bench.store.flow(flow).await.unwrap().unwrap();
    let event = bench.store.events(flow, 0).await.unwrap().remove(0);
    let update = FlowUpdate {
        position: row.position,
        state: row.state,
        checkpoint: None,
        task_since: 0,
        wake: None,
        fault: None,
        backend: None,
        calls: None,
        progress: Progress::default(),
        task_over: false,
        shown: false,
        as_due_as_before: false,
    };
    bench.store.transit(Transition { flow, row: row.row, from: row.revision, update, event, effects }).await.unwrap();
}
