//! How long each verb may take before it is overdue.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Invalid;

/// By verb, in seconds. What is left out falls to the next: the flavor's, then the backend's, then the service's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Budgets(BTreeMap<String, u64>);

/// What a flow's tasks ask of drivers.
const VERBS: [&str; 10] =
    ["compose", "release", "claim", "unclaim", "enroll", "refresh", "unenroll", "deploy", "undeploy", "set-power"];
/// Thirty days.
const MOST: u64 = 30 * 24 * 3600;

impl Budgets {
    pub fn of(&self, verb: &str) -> Option<Duration> {
        self.0.get(verb).copied().map(Duration::from_secs)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn check(&self) -> Result<(), Invalid> {
        if let Some(bad) = self.0.keys().find(|verb| !VERBS.contains(&verb.as_str())) {
            return Err(Invalid::new("budgets", format!("{bad:?} is none of {}", VERBS.join(", "))));
        }
        match self.0.iter().find(|(_, seconds)| !(1..=MOST).contains(*seconds)) {
            Some((verb, _)) => Err(Invalid::new(format!("budgets.{verb}"), format!("1 to {MOST} seconds"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(budgets: serde_json::Value) -> Result<(), Invalid> {
        serde_json::from_value::<Budgets>(budgets).expect("seconds by verb").check()
    }

    #[test]
    fn a_budget_is_of_a_verb_that_there_is_and_not_nothing() {
        assert!(check(serde_json::json!({"deploy": 1800, "undeploy": 7200})).is_ok());
        for bad in [serde_json::json!({"deplay": 1}), serde_json::json!({"deploy": 0}), serde_json::json!({"find": 1})]
        {
            assert!(check(bad.clone()).is_err(), "{bad}");
        }
    }
}
