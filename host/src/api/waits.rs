//! Why is it not moving? What a flow waits for, as it is shown.

use serde::Serialize;
use utoipa::ToSchema;

use super::time;
use crate::lifecycle::Waits;

/// What an unfinished flow waits for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Waits)]
pub(super) struct WaitsView {
    #[serde(rename = "for")]
    what: String,
    since: String,
    /// Seconds until the current task is overdue, below zero when it is; null while nothing is to be done within a time.
    budget_left_s: Option<i64>,
    /// Null while it waits for another flow or for a person.
    next_try: Option<String>,
    /// moganite: it goes on by itself; far-side, or operator.
    who: &'static str,
}

impl WaitsView {
    pub(super) fn of(waits: &Waits) -> Self {
        Self {
            what: waits.what.clone(),
            since: time::show(waits.since),
            budget_left_s: waits.budget_left.map(|left| left.div_euclid(1000)),
            next_try: waits.next_try.map(time::show),
            who: waits.who.as_str(),
        }
    }
}
