use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    tasks: 4,
    attempts: 3,
    revert_attempts: 5,
    turns: true,
    patient: false,
    backoff: Duration::from_secs(1),
    backoff_max: Duration::from_secs(8),
    revert_backoff_max: Duration::from_secs(60),
};

fn at(phase: Phase, task: usize, attempt: u32) -> Position {
    Position { phase, task, attempt, round: 1 }
}

fn pending() -> Outcome {
    Outcome::Pending { checkpoint: vec![1], after: Duration::from_secs(5), percent: None, note: "a disk spins".into() }
}

fn broken() -> Outcome {
    Outcome::Fail(Fault::new(FaultKind::Broken, "the pod manager is on fire"))
}

fn next(position: Position, outcome: &Outcome, signals: Signals) -> Next {
    advance(position, outcome, signals, &LIMITS)
}

#[test]
fn done_begins_the_next_task_and_the_last_one_ends_the_flow() {
    let second = next(at(Phase::Forward, 0, 2), &Outcome::Done, Signals::default());
    assert_eq!(second.position, at(Phase::Forward, 1, 1));
    assert_eq!((second.wake, second.task_over), (Wake::Now, true));
    let end = next(at(Phase::Forward, 3, 1), &Outcome::Done, Signals::default());
    assert_eq!((end.position.phase, end.wake), (Phase::Done, Wake::Never));
}

#[test]
fn pending_waits_as_long_as_asked_and_starts_the_count_of_attempts_anew() {
    let waits = next(at(Phase::Forward, 1, 3), &pending(), Signals::default());
    assert_eq!(waits.position, at(Phase::Forward, 1, 1));
    assert_eq!((waits.wake, waits.task_over), (Wake::After(Duration::from_secs(5)), false));
}

#[test]
fn law_6_the_task_that_failed_is_reverted_first() {
    let turned = next(at(Phase::Forward, 2, 1), &broken(), Signals::default());
    assert_eq!(turned.position, at(Phase::Backward, 2, 1));
    assert_eq!(turned.fault.map(|f| f.kind), Some(FaultKind::Broken));
}

#[test]
fn law_7_a_retry_waits_twice_as_long_each_time_and_the_last_one_turns_the_flow() {
    let retry = Outcome::retry("no answer");
    let waits: Vec<_> = (1..3).map(|n| next(at(Phase::Forward, 0, n), &retry, Signals::default()).wake).collect();
    assert_eq!(waits, [Wake::After(Duration::from_secs(1)), Wake::After(Duration::from_secs(2))]);
    assert_eq!(next(at(Phase::Forward, 0, 3), &retry, Signals::default()).position, at(Phase::Backward, 0, 1));
}

#[test]
fn law_7_a_revert_out_of_attempts_needs_an_operator() {
    let rests = next(at(Phase::Backward, 1, 5), &Outcome::retry("no answer"), Signals::default());
    assert_eq!((rests.position.phase, rests.wake), (Phase::NeedsOperator, Wake::Never));
    assert_eq!(rests.position.task, 1);
    assert_eq!(next(at(Phase::Backward, 1, 1), &broken(), Signals::default()).position.phase, Phase::NeedsOperator);
}

#[test]
fn law_7_a_flow_that_is_an_undo_has_nowhere_to_turn() {
    let undo = Limits { turns: false, ..LIMITS };
    let rests = advance(at(Phase::Forward, 0, 5), &Outcome::retry("no answer"), Signals::default(), &undo);
    assert_eq!(rests.position.phase, Phase::NeedsOperator);
    let patient = advance(at(Phase::Forward, 0, 4), &Outcome::retry("no answer"), Signals::default(), &undo);
    assert_eq!(patient.position, at(Phase::Forward, 0, 5));
}

#[test]
fn law_7_a_flow_that_never_gives_up_tries_what_fails_again_ever_more_slowly() {
    let patient = Limits { turns: false, patient: true, ..LIMITS };
    let overdue = Signals { overdue: true, ..Signals::default() };
    for outcome in [broken(), Outcome::retry("no answer")] {
        let next = advance(at(Phase::Forward, 0, 100), &outcome, overdue, &patient);
        assert_eq!((next.position, next.wake), (at(Phase::Forward, 0, 101), Wake::After(Duration::from_secs(60))));
    }
}

#[test]
fn law_8_a_cancel_turns_a_wait_round_but_loses_no_answer() {
    let cancelled = Signals { cancelled: true, ..Signals::default() };
    assert_eq!(next(at(Phase::Forward, 1, 1), &pending(), cancelled).position, at(Phase::Backward, 1, 1));
    assert_eq!(next(at(Phase::Forward, 1, 1), &Outcome::Done, cancelled).position, at(Phase::Forward, 2, 1));
    assert_eq!(next(at(Phase::Backward, 1, 1), &pending(), cancelled).position, at(Phase::Backward, 1, 1));
}

#[test]
fn law_9_another_round_begins_only_after_everything_was_reverted_and_nobody_cancelled() {
    let again = Signals { again: Some(2), ..Signals::default() };
    let second = next(at(Phase::Backward, 0, 1), &Outcome::Done, again);
    assert_eq!(second.position, Position { phase: Phase::Forward, task: 0, attempt: 1, round: 2 });
    assert_eq!(next(at(Phase::Backward, 1, 1), &Outcome::Done, again).position, at(Phase::Backward, 0, 1));
    for signals in [Signals::default(), Signals { cancelled: true, ..again }] {
        assert_eq!(next(at(Phase::Backward, 0, 1), &Outcome::Done, signals).position.phase, Phase::Reverted);
    }
    let second = Position { round: 2, ..at(Phase::Backward, 0, 1) };
    assert_eq!(next(second, &Outcome::Done, again).position.phase, Phase::Reverted, "a round begins once");
}

#[test]
fn law_10_a_wait_over_its_deadline_ends() {
    let overdue = Signals { overdue: true, ..Signals::default() };
    let turned = next(at(Phase::Forward, 2, 1), &pending(), overdue);
    assert_eq!(turned.position.phase, Phase::Backward);
    assert!(turned.fault.is_some_and(|f| f.kind == FaultKind::Overdue && f.message.contains("a disk spins")));
    assert_eq!(next(at(Phase::Backward, 2, 1), &pending(), overdue).position.phase, Phase::NeedsOperator);
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![Just(Outcome::Done), Just(pending()), Just(Outcome::retry("no answer")), Just(broken())]
}

proptest! {
    /// Whatever happens, a flow ends, rests or waits: it never leaves its list, and the tasks that it passed forward are passed
    /// backward before it ends as reverted.
    #[test]
    fn from_any_outcomes_a_flow_ends_rests_or_waits(
        steps in prop::collection::vec((outcomes(), any::<bool>(), any::<bool>(), prop::option::of(1..4_u32)), 1..200),
    ) {
        let mut position = at(Phase::Forward, 0, 1);
        let mut owed = vec![0_usize];
        for (outcome, cancelled, overdue, again) in steps {
            let next = next(position, &outcome, Signals { cancelled, overdue, again });
            prop_assert!(next.position.task < LIMITS.tasks);
            prop_assert!(next.position.round >= position.round);
            if position.phase == Phase::Backward && outcome == Outcome::Done {
                prop_assert_eq!(owed.pop(), Some(position.task));
            }
            match next.position.phase {
                Phase::Forward if next.task_over => owed.push(next.position.task),
                Phase::Reverted => prop_assert!(owed.is_empty()),
                Phase::NeedsOperator => prop_assert!(next.fault.is_some()),
                _ => (),
            }
            prop_assert_eq!(next.position.phase.runs(), next.wake != Wake::Never);
            if !next.position.phase.runs() {
                return Ok(());
            }
            position = next.position;
        }
    }
}

#[test]
fn a_plugin_that_is_stopped_costs_no_try_unless_a_call_was_cut() {
    let stopped = |tried| Outcome::Stopped { fault: Fault::new(FaultKind::Stopped, "it is disabled"), tried };
    for phase in [Phase::Forward, Phase::Backward] {
        let position = at(phase, 1, 5);
        assert_eq!(next(position, &stopped(false), Signals::default()).position, position);
        assert_eq!(next(position, &stopped(true), Signals::default()).position, at(phase, 1, 6));
    }
    let cancelled = Signals { cancelled: true, ..Signals::default() };
    assert_eq!(next(at(Phase::Forward, 1, 1), &stopped(false), cancelled).position.phase, Phase::Backward);
    let overdue = Signals { overdue: true, ..Signals::default() };
    let turned = next(at(Phase::Forward, 1, 1), &stopped(false), overdue);
    assert!(turned.fault.is_some_and(|fault| fault.message.contains("it is disabled")));
}
