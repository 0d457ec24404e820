//! What the engine promises, each a ratio of figures of one run: name, goal, how it is read off the medians.

use anyhow::{Context, Result, bail};

use crate::figures::Rounds;

/// One promise; it holds when all its parts do.
pub(crate) struct Goal {
    pub(crate) number: u8,
    pub(crate) name: &'static str,
    /// The measurements that it is read off.
    pub(crate) needs: &'static [&'static str],
    pub(crate) parts: fn(&Rounds) -> Vec<Part>,
}

/// One bound of a goal.
pub(crate) struct Part {
    what: String,
    bound: Bound,
    measured: Option<f64>,
}

enum Bound {
    AtLeast(f64),
    AtMost(f64),
    Exactly(f64),
}

pub(crate) const GOALS: [Goal; 8] = [
    Goal {
        number: 1,
        name: "transitions",
        needs: &["raw-512", "raw-1024", "flows-1000", "flows-10000"],
        parts: |of| {
            vec![
                at_least("of raw 512, 1,000 at once", 0.6, of.ratio(("flows-1000", "per_s"), ("raw-512", "per_s"))),
                at_least("of raw 1024, 10,000 at once", 0.5, of.ratio(("flows-10000", "per_s"), ("raw-1024", "per_s"))),
                at_most("x raw's CPU each", 3.0, of.ratio(("flows-1000", "cpu_us"), ("raw-512", "cpu_us"))),
            ]
        },
    },
    Goal {
        number: 2,
        name: "one flow alone",
        needs: &["commit", "alone"],
        parts: |of| {
            let five_commits = of.ratio(("alone", "p50_ms"), ("commit", "p50_ms")).map(|ratio| ratio / 5.0);
            vec![at_most("x five lone commits, p50", 2.0, five_commits)]
        },
    },
    Goal {
        number: 3,
        name: "beside TaskFlow",
        needs: &["taskflow-sqlite", "taskflow-memory", "alone", "flows-1000"],
        parts: |of| {
            let over = |ours, theirs| of.ratio((ours, "flows_per_s"), (theirs, "flows_per_s"));
            vec![
                at_least("x its sqlite, one after the other", 100.0, over("alone", "taskflow-sqlite")),
                at_least("x its sqlite, 1,000 at once", 2_000.0, over("flows-1000", "taskflow-sqlite")),
                at_least("x its memory backend", 30.0, over("flows-1000", "taskflow-memory")),
            ]
        },
    },
    Goal {
        number: 5,
        name: "commits",
        needs: &["alone"],
        parts: |of| {
            let bound = Bound::Exactly(5.0);
            vec![Part {
                what: "a flow = 1 + 4 tasks + 0 pendings".into(),
                bound,
                measured: of.median("alone", "commits_per_flow"),
            }]
        },
    },
    Goal {
        number: 6,
        name: "recovery",
        needs: &["recover", "recover-beside"],
        parts: |of| {
            vec![
                at_most("s until 100,000 are queued", 2.0, of.median("recover", "queued_s")),
                at_most("MiB", 256.0, of.median("recover", "memory_mib")),
                at_most("ms the longest read meanwhile", 500.0, of.median("recover", "longest_read_ms")),
                at_most(
                    "x that with the finished beside them",
                    1.2,
                    of.ratio(("recover-beside", "queued_s"), ("recover", "queued_s")),
                ),
            ]
        },
    },
    Goal {
        number: 7,
        name: "parked",
        needs: &["park-none", "park"],
        parts: |of| {
            let bytes = of.median("park", "memory_mib").zip(of.median("park-none", "memory_mib"));
            let each = bytes.zip(of.median("park", "flows")).map(|((with, without), n)| (with - without).max(0.0) / n);
            vec![
                at_most("B of memory each", 200.0, each.map(|mib| mib * 1_048_576.0)),
                at_most("MiB in all", 256.0, of.median("park", "memory_mib")),
            ]
        },
    },
    Goal {
        number: 8,
        name: "disk",
        needs: &["flows-64", "flows-1000"],
        parts: |of| {
            vec![
                at_most("B a flow", 1_536.0, of.median("flows-1000", "disk_bytes")),
                at_most("B written a transition, 64 at once", 2_048.0, of.median("flows-64", "written_bytes")),
                at_most("B, 1,000 at once", 2_048.0, of.median("flows-1000", "written_bytes")),
            ]
        },
    },
    Goal {
        number: 9,
        name: "a small write",
        needs: &["flows-10000"],
        parts: |of| {
            let batches = of.ratio(("flows-10000", "write_p99_ms"), ("flows-10000", "batch_ms"));
            vec![at_most("batches, p99 beside 10,000 flows", 3.0, batches)]
        },
    },
];

/// Prints the medians of every measurement.
pub(crate) fn tell(count: usize, rounds: &Rounds) {
    println!("\nmedians of {count} rounds, on a machine that is shared as the pressure says:");
    for (name, figures) in rounds.measured() {
        let told: Vec<_> = figures.iter().map(|(figure, value)| format!("{figure} {}", short(*value))).collect();
        println!("{name:<16} {}", told.join("  "));
    }
}

/// Prints a line for each goal, and answers how many are missed.
pub(crate) fn judge(goals: &[&Goal], rounds: &Rounds) -> u8 {
    let mut missed = 0;
    for goal in goals {
        let (line, holds) = goal.judge(rounds);
        println!("{line}");
        missed += u8::from(!holds);
    }
    println!("{missed} missed");
    missed
}

/// Whether `--quick` was said, and which goals: those that `--only` names, or all.
pub(crate) fn asked<'a>(flags: &[&str], all: &'a [Goal]) -> Result<(bool, Vec<&'a Goal>)> {
    let (mut quick, mut goals, mut flags) = (false, Vec::new(), flags.iter());
    while let Some(flag) = flags.next() {
        match *flag {
            "--quick" => quick = true,
            "--only" => {
                let word = flags.next().context("--only GOAL: a goal's number or name")?;
                let goal = all.iter().find(|goal| goal.is_called(word));
                let names = || all.iter().map(|goal| format!("{} ({})", goal.number, goal.name)).collect::<Vec<_>>();
                goals.push(goal.with_context(|| format!("no goal is called {word}: {}", names().join(", ")))?);
            }
            other => bail!("unknown flag {other}: --quick, --only GOAL"),
        }
    }
    if goals.is_empty() {
        goals = all.iter().collect();
    }
    Ok((quick, goals))
}

impl Goal {
    fn is_called(&self, word: &str) -> bool {
        self.name == word || self.number.to_string() == word
    }

    /// One line, and whether it holds.
    fn judge(&self, rounds: &Rounds) -> (String, bool) {
        let parts = (self.parts)(rounds);
        let holds = parts.iter().all(Part::holds);
        let told: Vec<_> = parts.iter().map(Part::told).collect();
        let verdict = if holds { "holds" } else { "missed" };
        (format!("{} {:<16} {:<6} {}", self.number, self.name, verdict, told.join("; ")), holds)
    }
}

impl Part {
    fn holds(&self) -> bool {
        self.measured.is_some_and(|measured| match self.bound {
            Bound::AtLeast(bound) => measured >= bound,
            Bound::AtMost(bound) => measured <= bound,
            Bound::Exactly(bound) => (measured - bound).abs() < 1e-9,
        })
    }

    fn told(&self) -> String {
        let measured = self.measured.map_or("not measured".into(), short);
        let bound = match self.bound {
            Bound::AtLeast(bound) => format!(">= {}", short(bound)),
            Bound::AtMost(bound) => format!("<= {}", short(bound)),
            Bound::Exactly(bound) => format!("= {}", short(bound)),
        };
        let mark = if self.holds() { "" } else { "MISSED " };
        format!("{mark}{measured} {} ({bound})", self.what)
    }
}

pub(crate) fn at_least(what: impl Into<String>, bound: f64, measured: Option<f64>) -> Part {
    Part { what: what.into(), bound: Bound::AtLeast(bound), measured }
}

pub(crate) fn at_most(what: impl Into<String>, bound: f64, measured: Option<f64>) -> Part {
    Part { what: what.into(), bound: Bound::AtMost(bound), measured }
}

/// Three digits that count.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figures;

    #[test]
    fn a_goal_that_was_not_measured_is_missed() {
        let (line, holds) = GOALS[1].judge(&Rounds::default());
        assert!(!holds && line.contains("not measured"), "{line}");
    }

    #[test]
    fn a_goal_is_missed_when_one_of_its_bounds_is() {
        let mut rounds = Rounds::default();
        rounds.add("commit", Figures::from([("p50_ms".into(), 0.2)]));
        rounds.add("alone", Figures::from([("p50_ms".into(), 1.9), ("commits_per_flow".into(), 5.2)]));
        assert_eq!(
            GOALS[1].judge(&rounds),
            ("2 one flow alone   holds  1.90 x five lone commits, p50 (<= 2)".into(), true)
        );
        assert!(!GOALS[3].judge(&rounds).1);
    }
}
