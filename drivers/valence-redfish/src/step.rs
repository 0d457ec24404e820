//! What a compose keeps between calls, format `valence-1`. Valence has no idempotency key and works on after its client
//! has gone, so the point of these steps is one question: can an earlier request still take effect?

use crate::podm::Hint;
use moganite_driver::{Fault, Holding};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A request is sent only while its intent is younger than this; an older one is renewed first. So the time in the
/// intent bounds the time of the request, whatever happened to the host in between.
pub(crate) const FRESH: Duration = Duration::from_secs(15);

/// The handle of a node that only the pod manager has: this and its index. `list` and `find` answer it.
pub(crate) const PODM_HANDLE: &str = "podm:";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub(crate) enum Step {
    /// Stored before the POST. With a first attempt the POST was never sent; with a later one it may have been.
    Asking(Ask),
    /// The POST was sent and did not answer with a node.
    Settling(Settle),
    /// Valence has a record; the hardware is still being put together.
    Assembling { since_ms: u64, place: Place },
    /// The assembly failed; what is left of it is being given back.
    Clearing(Clear),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ask {
    pub(crate) since_ms: u64,
    /// The pod manager's nodes before the POST: what is among them is not ours.
    pub(crate) seen: Vec<String>,
    /// Requests of this operation, this one included.
    pub(crate) tries: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settle {
    /// From when on nothing can appear by itself, in milliseconds since 1970. 0: already, since Valence did answer.
    pub(crate) quiet_ms: u64,
    pub(crate) ask: Ask,
    /// What Valence answered, when it answered; without it nobody knows.
    pub(crate) cause: Option<Cause>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Clear {
    pub(crate) since_ms: u64,
    pub(crate) place: Place,
    /// Why, for the fault at its end.
    pub(crate) cause: String,
}

/// Which node it is, in every name it has. Also the facts that the node answers and that release gets back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Place {
    /// Valence's own.
    pub(crate) uuid: Option<String>,
    /// The pod manager's number of the node; reused after a delete.
    pub(crate) index: Option<String>,
    /// The pod manager's uuid of the node; none in the release.
    pub(crate) podm_uuid: Option<String>,
    pub(crate) name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cause {
    pub(crate) fault: Fault,
    /// Whether the same request may succeed later.
    pub(crate) passing: bool,
}

impl Step {
    /// From when on nothing of this operation can appear by itself, in milliseconds since 1970. 0: already.
    pub(crate) fn quiet_ms(&self, settle: Duration) -> u64 {
        match self {
            Self::Asking(ask) => after(ask.since_ms, FRESH + settle),
            Self::Settling(settling) => settling.quiet_ms,
            Self::Assembling { .. } | Self::Clearing(_) => 0,
        }
    }

    fn seen(&self) -> Option<&[String]> {
        match self {
            Self::Asking(ask) | Self::Settling(Settle { ask, .. }) => Some(&ask.seen),
            Self::Assembling { .. } | Self::Clearing(_) => None,
        }
    }

    fn place(self) -> Option<Place> {
        match self {
            Self::Assembling { place, .. } | Self::Clearing(Clear { place, .. }) => Some(place),
            Self::Asking(_) | Self::Settling(_) => None,
        }
    }
}

impl Place {
    /// What is known of a holding: its facts; without them the last step; and the handle.
    pub(crate) fn of(what: &Holding) -> Result<Self, Fault> {
        let mut place: Self = what.facts()?;
        if place == Self::default() {
            place = what.trail::<Step>()?.and_then(Step::place).unwrap_or_default();
        }
        if let Some(handle) = &what.handle {
            match handle.strip_prefix(PODM_HANDLE) {
                Some(index) => place.index = Some(index.to_owned()),
                None => place.uuid = Some(handle.clone()),
            }
        }
        Ok(place)
    }

    pub(crate) fn hint<'a>(&'a self, trail: Option<&'a Step>) -> Hint<'a> {
        Hint { index: self.index.as_deref(), seen: trail.and_then(Step::seen) }
    }
}

/// So long after a time, in milliseconds.
pub(crate) fn after(since_ms: u64, duration: Duration) -> u64 {
    since_ms.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_checkpoint_of_the_format_valence_1_is_read_for_ever() {
        let stored = json!({ "step": "asking", "since_ms": 7, "seen": ["1"], "tries": 1 });
        let step: Step = serde_json::from_value(stored).unwrap();
        assert_eq!(step, Step::Asking(Ask { since_ms: 7, seen: vec!["1".into()], tries: 1 }));
        assert_eq!(step.quiet_ms(Duration::from_secs(1)), 7 + 16_000);
    }

    #[test]
    fn a_holding_without_facts_is_known_by_its_last_step() {
        let place = Place { index: Some("3".into()), ..Place::default() };
        let step = Step::Assembling { since_ms: 0, place };
        let what = Holding {
            mark: "mg-a-1".into(),
            handle: None,
            facts: "{}".into(),
            trail: Some(serde_json::to_vec(&step).unwrap()),
        };
        assert_eq!(Place::of(&what).unwrap().index.as_deref(), Some("3"));
        let listed = Holding { handle: Some("podm:4".into()), trail: None, ..what };
        assert_eq!(Place::of(&listed).unwrap().index.as_deref(), Some("4"));
    }
}
