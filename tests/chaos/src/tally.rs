//! The sums: points by flow and driver, and what went wrong.

use std::collections::{BTreeMap, BTreeSet};

use crate::life::Seen;
use crate::point::Point;
use crate::scenario::{Run, Scenario};

#[derive(Default)]
pub(crate) struct Tally {
    /// By row of the table.
    rows: BTreeMap<String, Row>,
    pub(crate) runs: usize,
    pub(crate) deaths: usize,
    /// How often a run ended so.
    pub(crate) ended: BTreeMap<String, usize>,
    left: usize,
    alarms: usize,
    untrue: usize,
}

#[derive(Default)]
struct Row {
    points: BTreeSet<Point>,
    died: BTreeSet<Point>,
}

const COLUMNS: [&str; 4] = ["valence-redfish", "ironic", "cloudboot", "moganite"];

impl Tally {
    /// The places of a life without a death.
    pub(crate) fn count(&mut self, scenario: Scenario, reached: &[Point]) {
        self.rows.entry(scenario.flow()).or_default().points.extend(reached.iter().cloned());
    }

    pub(crate) fn add(&mut self, run: &Run, seen: &Seen) {
        self.runs += 1;
        self.deaths += seen.died.len();
        *self.ended.entry(seen.ended.clone()).or_default() += 1;
        self.left += usize::from(!seen.left.is_empty());
        self.alarms += usize::from(!seen.alarms.is_empty());
        self.untrue += usize::from(!seen.untrue.is_empty());
        let row = self.rows.entry(run.scenario.flow()).or_default();
        row.points.extend(seen.died.first().cloned());
        row.died.extend(seen.died.first().cloned());
    }

    /// A run that the harness itself could not make.
    pub(crate) fn broken(&mut self) {
        self.runs += 1;
        self.untrue += 1;
    }

    pub(crate) fn points(&self) -> usize {
        self.rows.values().map(|row| row.points.len()).sum()
    }

    pub(crate) fn died_at(&self) -> usize {
        self.rows.values().map(|row| row.died.len()).sum()
    }

    pub(crate) fn wrong(&self) -> usize {
        self.left + self.alarms + self.untrue
    }

    /// Points by flow and driver, and at how many of them it died at least once.
    pub(crate) fn table(&self) -> String {
        let mut lines = vec![format!("{:36}{}{:>10}{:>10}", "points", head(), "all", "died at")];
        for (name, row) in &self.rows {
            let of = |driver: &str| row.points.iter().filter(|point| point.whose == driver).count();
            let cells: String = COLUMNS.iter().map(|driver| format!("{:>17}", of(driver))).collect();
            lines.push(format!("{name:36}{cells}{:>10}{:>10}", row.points.len(), row.died.len()));
        }
        lines.join("\n")
    }

    pub(crate) fn last_line(&self) -> String {
        format!(
            "points {}, runs {}, left behind {}, released while enrolled {}, untrue {}",
            self.points(),
            self.runs,
            self.left,
            self.alarms,
            self.untrue
        )
    }
}

fn head() -> String {
    COLUMNS.iter().map(|driver| format!("{driver:>17}")).collect()
}
