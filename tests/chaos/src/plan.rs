//! Which runs are made, in which order: the same for the same seed.

use crate::point::Point;
use crate::scenario::{FAULTS, Far, Run, Scenario, What};

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// From 0 to `limit - 1`; 0 for a limit of 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit.max(1) as u64)).unwrap_or_default()
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }
}

/// A scenario, and what one life of it reached without a death.
pub(crate) struct Surveyed {
    pub(crate) scenario: Scenario,
    pub(crate) reached: Vec<Point>,
}

/// Every place once by its name, then the same places again where they are reached again; among them second deaths, and far sides that
/// die too.
pub(crate) fn plan(surveyed: &[Surveyed], seed: u64) -> Vec<Run> {
    let mut random = Random(seed);
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for Surveyed { scenario, reached } in surveyed {
        for (index, point) in reached.iter().enumerate() {
            let run = Run { scenario: *scenario, deaths: vec![index as u64 + 1], far: Far::Well };
            let is_new = !reached[..index].contains(point);
            if is_new { first.push(run) } else { again.push(run) }
        }
    }
    random.shuffle(&mut first);
    random.shuffle(&mut again);
    let once: Vec<Run> = first.into_iter().chain(again).collect();
    let mut runs = Vec::new();
    for (index, run) in once.iter().enumerate() {
        runs.push(run.clone());
        if index % 3 == 2 {
            runs.push(worse(&mut random, surveyed));
        }
    }
    runs
}

/// A place by chance, and something more.
fn worse(random: &mut Random, surveyed: &[Surveyed]) -> Run {
    let Surveyed { scenario, reached } = &surveyed[random.below(surveyed.len())];
    let at = random.below(reached.len()) as u64 + 1;
    // Recovery is shorter than a life: most second deaths are early.
    let second = random.below(24) as u64 + 1;
    let once = Run { scenario: *scenario, deaths: vec![at], far: Far::Well };
    let twice = Run { deaths: vec![at, second], ..once.clone() };
    let has_ironic = scenario.how.sides().contains(&"ironic");
    // A fault of the far side that spoils the one deployment which the scenario itself lets fail says nothing more.
    let restart = has_ironic && !(scenario.what == What::Create && scenario.how.is_claimed());
    match random.below(6) {
        0..=2 => twice,
        3 => Run { far: Far::Outage, ..twice },
        4 if restart => Run { far: Far::Restart, ..once },
        _ => {
            let kind = FAULTS[random.below(FAULTS.len())];
            Run { far: Far::Fault(kind, random.below(9) as u64), ..once }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_plan() {
        let surveyed: Vec<_> =
            Scenario::all().into_iter().map(|scenario| Surveyed { scenario, reached: Vec::new() }).collect();
        assert!(plan(&surveyed, 1).is_empty());
        let (mut one, mut other) = (Random(7), Random(7));
        let runs: Vec<_> = (0..50).map(|_| worse(&mut one, &surveyed)).collect();
        assert_eq!(runs, (0..50).map(|_| worse(&mut other, &surveyed)).collect::<Vec<_>>());
    }
}
