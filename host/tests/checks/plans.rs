//! What goes wrong, made of what a flow does when nothing does: every call of every task, in both directions, without being named.

use moganite::flow::testing::{Act, Ended, Moment};
use moganite::model::Direction;

use crate::play::{AtHold, Plan};

/// Pairs of a death and a fault, drawn for each beginning.
const PAIRS: usize = 8;

/// Of the calls that went well, in their order.
pub(crate) fn forward(seen: &[(Moment, Ended)]) -> Vec<Plan> {
    let mut plans = vec![Plan { every: Some(Act::Twice), ..Plan::default() }];
    for (moment, _) in seen {
        plans.push(one(moment, Act::HoldBefore, AtHold::Die));
        plans.push(one(moment, Act::HoldAfter, AtHold::Die));
    }
    for moment in telling(seen) {
        plans.push(one(&moment, Act::FailBefore, AtHold::Die));
        plans.push(one(&moment, Act::FailAfter, AtHold::Die));
        plans.push(one(&moment, Act::RetryAfter, AtHold::Die));
        plans.push(one(&moment, Act::Twice, AtHold::Die));
        plans.push(one(&moment, Act::HoldBefore, AtHold::Delete));
        plans.push(one(&moment, Act::HoldAfter, AtHold::Delete));
    }
    plans.extend(pairs(seen));
    plans
}

/// All of it happened and then it failed: how a flow that turns round is seen on its way back.
pub(crate) fn at_the_end(seen: &[(Moment, Ended)]) -> Plan {
    let last = seen.last().map(|(moment, _)| (moment.clone(), Act::FailAfter));
    Plan { acts: last.into_iter().collect(), ..Plan::default() }
}

/// Of the calls after that fault: the same troubles on the way back, and in the round that follows it.
pub(crate) fn backward(fault: &Plan, seen: &[(Moment, Ended)]) -> Vec<Plan> {
    let is_back = |moment: &Moment| moment.direction == Direction::Revert;
    let first = seen.iter().position(|(moment, _)| is_back(moment)).unwrap_or(seen.len());
    let mut plans = Vec::new();
    for moment in telling(&seen[first..]) {
        let acts = match moment.direction {
            Direction::Revert => &[Act::FailBefore, Act::FailAfter, Act::RetryAfter, Act::Twice][..],
            Direction::Execute => &[][..],
        };
        let holds = [
            (Act::HoldBefore, AtHold::Die),
            (Act::HoldAfter, AtHold::Die),
            (Act::HoldBefore, AtHold::Delete),
            (Act::HoldAfter, AtHold::Delete),
        ];
        let struck = acts.iter().map(|act| (*act, AtHold::Die)).chain(holds);
        plans.extend(struck.map(|(act, at_hold)| with(fault, &moment, act, at_hold)));
    }
    plans
}

/// A death and then a fault, a fault and then a death, two deaths: some of all pairs.
fn pairs(seen: &[(Moment, Ended)]) -> Vec<Plan> {
    let mut plans = Vec::new();
    for n in 0..PAIRS.min(seen.len()) {
        // Spread over the flow, the second after the first.
        let first = n * seen.len() / PAIRS.min(seen.len());
        let second = (first + 1 + n % 3).min(seen.len() - 1);
        let then = [Act::FailAfter, Act::RetryAfter, Act::HoldAfter][n % 3];
        let begun = one(&seen[first].0, if n % 2 == 0 { Act::HoldAfter } else { Act::HoldBefore }, AtHold::Die);
        if first != second {
            plans.push(with(&begun, &seen[second].0, then, AtHold::Die));
        }
    }
    plans
}

/// The first call of each task, the first that waited longer, and the last.
fn telling(seen: &[(Moment, Ended)]) -> Vec<Moment> {
    let mut telling: Vec<Moment> = Vec::new();
    for (n, (moment, _)) in seen.iter().enumerate() {
        let same = |other: &Moment| {
            (other.direction, other.round, other.task) == (moment.direction, moment.round, moment.task)
        };
        let is_last = seen.get(n + 1).is_none_or(|(next, _)| !same(next));
        if moment.call <= 2 || is_last {
            telling.push(moment.clone());
        }
    }
    telling
}

fn one(moment: &Moment, act: Act, at_hold: AtHold) -> Plan {
    Plan { acts: vec![(moment.clone(), act)], at_hold, ..Plan::default() }
}

fn with(plan: &Plan, moment: &Moment, act: Act, at_hold: AtHold) -> Plan {
    let mut plan = Plan { at_hold, ..plan.clone() };
    plan.acts.push((moment.clone(), act));
    plan
}
