//! What an undo left when it settled a holding: the receipt's words, made from what the gate saw.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Erase, Exchange, Mark, Name, Role};

/// One thing that was given back, as the call that settled it saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GivenBack {
    pub role: Role,
    pub backend: Name,
    pub mark: Mark,
    /// None when the answer of the doing verb was lost, or there was none.
    pub handle: Option<String>,
    /// The doing verb had answered something: it was more than an intent.
    pub began: bool,
    /// How far this undo was to erase.
    pub asked: Erase,
    /// What the driver answered with its done.
    pub said: Map<String, Value>,
    /// The exchange that the plugin's manifest names as the proof of the undo; none where it names none.
    pub proof: Option<Exchange>,
    /// What the look afterwards exchanged, which found nothing.
    pub looked: Vec<Exchange>,
    /// What the look that saw its machine off exchanged; none where no side tells of the power.
    pub off: Option<Vec<Exchange>>,
}

/// What became of the data, on the driver's word.
#[derive(Debug, Clone, PartialEq)]
pub struct Erased {
    pub asked: Erase,
    pub reached: Erase,
    pub verdict: Verdict,
    /// Empty where the driver does not say.
    pub method: String,
    /// Serials.
    pub disks: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Reached,
    /// Nobody asked for it.
    NotAsked,
    /// No deployment had begun: there was no data of the instance.
    NothingWritten,
    /// Less than was asked for: the disks may hold data.
    Below,
}

impl GivenBack {
    /// None for a role that touches no disk. `deployed`: a deployment of the instance had begun.
    pub fn erased(&self, deployed: bool) -> Option<Erased> {
        let text = |key: &str| self.said.get(key).and_then(Value::as_str).unwrap_or_default();
        let reached = self.said.get("erased").and_then(|level| Erase::deserialize(level).ok()).unwrap_or(Erase::None);
        let touches = match self.role {
            Role::Deploy => true,
            Role::Compose => self.asked > Erase::None || reached > Erase::None,
            Role::Claim | Role::Enroll => false,
        };
        let verdict = match (self.asked, reached) {
            (Erase::None, _) => Verdict::NotAsked,
            (asked, reached) if reached >= asked => Verdict::Reached,
            _ if deployed => Verdict::Below,
            _ => Verdict::NothingWritten,
        };
        let disks = self.said.get("disks").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        touches.then(|| Erased {
            asked: self.asked,
            reached,
            verdict,
            method: text("method").to_owned(),
            disks: disks.map(str::to_owned).collect(),
        })
    }
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::NotAsked => "not-asked",
            Self::NothingWritten => "nothing-written",
            Self::Below => "below",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn verdict(role: &str, asked: &str, said: Value, deployed: bool) -> Option<&'static str> {
        let given_back: GivenBack = serde_json::from_value(json!({
            "role": role, "backend": "b", "mark": "m", "handle": null, "began": true, "asked": asked, "said": said,
            "proof": null, "looked": [], "off": null,
        }))
        .expect("a line of a receipt");
        given_back.erased(deployed).map(|erased| erased.verdict.as_str())
    }

    #[test]
    fn less_than_was_asked_for_is_below_only_where_a_deployment_had_begun() {
        assert_eq!(verdict("deploy", "quick", json!({"erased": "full"}), true), Some("reached"));
        assert_eq!(verdict("deploy", "full", json!({"erased": "quick"}), true), Some("below"));
        assert_eq!(verdict("deploy", "quick", json!({}), true), Some("below"), "silence reaches nothing");
        assert_eq!(verdict("deploy", "quick", json!({"erased": "wiped"}), true), Some("below"));
        assert_eq!(verdict("deploy", "quick", json!({"erased": "none"}), false), Some("nothing-written"));
        assert_eq!(verdict("deploy", "none", json!({"erased": "none"}), true), Some("not-asked"));
    }

    #[test]
    fn a_role_that_touches_no_disk_says_nothing_of_data() {
        assert_eq!(verdict("enroll", "none", json!({}), true), None);
        assert_eq!(verdict("compose", "none", json!({"erased": "none"}), true), None);
        assert_eq!(verdict("compose", "quick", json!({"erased": "none"}), true), Some("below"));
    }
}
