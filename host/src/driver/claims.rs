//! What a driver says, from `moganite:driver@0.9` to the host's own types.
//!
//! It is a claim: every text has a bound, every JSON text is an object, every handle is printable. What is too much is
//! refused and not cut, but for notes, which are for people.

use std::time::Duration;

use serde_json::{Map, Value};

use super::answer::{Deployed, Doing, Held, Observed, Page, Pause, Presence};
use super::bindings::deploy::exports::moganite::driver::deploy as wit_deploy;
use super::bindings::types;
use super::text::plain;
use crate::model::{Fault, FaultKind, Identity, Invalid, Machine, Node, Part, PartKind};

/// Characters of a note and of a fault's message.
const NOTE: usize = 500;
const MESSAGE: usize = 2_000;
/// Bytes of a name, serial, path or state.
const WORD: usize = 500;
/// Items of one page, and of one observation.
const ITEMS: usize = 1_000;
const DAY_MS: u64 = 86_400_000;

pub(super) fn fault(fault: types::Fault) -> Fault {
    let (kind, message, after) = match fault {
        types::Fault::Retry((message, after)) => (FaultKind::Retry, message, after),
        types::Fault::Rejected(message) => (FaultKind::Rejected, message, None),
        types::Fault::Capacity(message) => (FaultKind::Capacity, message, None),
        types::Fault::Conflict(message) => (FaultKind::Conflict, message, None),
        types::Fault::Broken(message) => (FaultKind::Broken, message, None),
    };
    // A day is the longest that the contract knows.
    Fault { after_ms: after.map(|after| after.min(86_400_000)), ..Fault::new(kind, plain(&message, MESSAGE)) }
}

/// Reads claims. `text`: bytes of one JSON text or checkpoint.
#[derive(Clone, Copy)]
pub(super) struct Reader {
    pub(super) text: usize,
}

impl Reader {
    pub(super) fn node_doing(self, doing: types::NodeDoing) -> Result<Doing<Node>, Invalid> {
        match doing {
            types::NodeDoing::Done(node) => self.node(node).map(Doing::Done),
            types::NodeDoing::Pending(pause) => self.pause(pause).map(Doing::Pending),
        }
    }

    pub(super) fn deploy_doing(self, doing: wit_deploy::DeployDoing) -> Result<Doing<Deployed>, Invalid> {
        match doing {
            wit_deploy::DeployDoing::Done(deployed) => Ok(Doing::Done(Deployed {
                handle: handle(deployed.handle)?,
                addresses: self.object("addresses", &deployed.addresses)?,
                facts: self.object("facts", &deployed.facts)?,
            })),
            wit_deploy::DeployDoing::Pending(pause) => self.pause(pause).map(Doing::Pending),
        }
    }

    pub(super) fn undoing(self, undoing: types::Undoing) -> Result<Doing<Map<String, Value>>, Invalid> {
        match undoing {
            types::Undoing::Done(receipt) => self.object("done", &receipt).map(Doing::Done),
            types::Undoing::Pending(pause) => self.pause(pause).map(Doing::Pending),
        }
    }

    pub(super) fn presence(self, presence: types::Presence) -> Result<Presence, Invalid> {
        Ok(match presence {
            types::Presence::Present(held) => {
                let held = self.held(held)?;
                Presence::Present { handle: held.handle, state: held.state, note: held.note }
            }
            types::Presence::Absent => Presence::Absent,
            types::Presence::Unsettled(after) => Presence::Unsettled(millis(after)),
        })
    }

    pub(super) fn page(self, page: types::Page) -> Result<Page, Invalid> {
        if page.items.len() > ITEMS {
            return Err(Invalid::new("items", format!("at most {ITEMS} on a page")));
        }
        let items = page.items.into_iter().map(|held| self.held(held)).collect::<Result<_, _>>()?;
        Ok(Page { items, next: page.next.map(|next| word("next", next)).transpose()? })
    }

    pub(super) fn observed(self, seen: Vec<wit_deploy::Observed>) -> Result<Vec<Observed>, Invalid> {
        if seen.len() > ITEMS {
            return Err(Invalid::new("observed", format!("at most {ITEMS} at once")));
        }
        let one = |seen: wit_deploy::Observed| {
            Ok(Observed {
                handle: handle(seen.handle)?,
                is_on: match seen.power {
                    types::Power::On => Some(true),
                    types::Power::Off => Some(false),
                    types::Power::Unknown => None,
                },
                state: word("state", seen.state)?,
                note: plain(&seen.note, NOTE),
            })
        };
        seen.into_iter().map(one).collect()
    }

    /// A JSON object within the bound.
    pub(super) fn object(self, field: &str, text: &str) -> Result<Map<String, Value>, Invalid> {
        if text.len() > self.text {
            return Err(Invalid::new(field, format!("at most {} bytes of JSON", self.text)));
        }
        match serde_json::from_str(text) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(Invalid::new(field, "a JSON object")),
            Err(error) => Err(Invalid::new(field, format!("a JSON object: {error}"))),
        }
    }

    fn node(self, node: types::Node) -> Result<Node, Invalid> {
        let parts = node.parts.into_iter().map(|part| {
            Ok(Part {
                id: word("parts.id", part.id)?,
                kind: from_kind(part.kind),
                size: part.size,
                serial: part.serial.map(|serial| word("parts.serial", serial)).transpose()?,
                properties: self.object("parts.properties", &part.properties)?,
            })
        });
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let access = node.access.map(|access| {
            Ok(Machine {
                protocol: word("access.protocol", access.protocol)?,
                path: word("access.path", access.path)?,
                properties: self.object("access.properties", &access.properties)?,
            })
        });
        let identity = node.identity;
        let node = Node {
            handle: node.handle,
            identity: Identity {
                system_uuid: identity.system_uuid.map(|uuid| word("identity.system-uuid", uuid)).transpose()?,
                serial: identity.serial.map(|serial| word("identity.serial", serial)).transpose()?,
                macs: identity.macs,
            },
            parts,
            place: node.place.map(|place| plain(&place, NOTE)),
            access: access.transpose()?,
            facts: self.object("facts", &node.facts)?,
        };
        node.check()?;
        // The bounds above are per text; this one is for a thousand parts with a full text each.
        let whole = serde_json::to_vec(&node).map_or(usize::MAX, |json| json.len());
        if whole > 16 * self.text {
            return Err(Invalid::new("node", format!("at most {} bytes as a whole", 16 * self.text)));
        }
        Ok(node)
    }

    fn pause(self, pause: types::Pause) -> Result<Pause, Invalid> {
        if pause.checkpoint.len() > self.text {
            return Err(Invalid::new("checkpoint", format!("at most {} bytes", self.text)));
        }
        Ok(Pause {
            checkpoint: pause.checkpoint,
            after: millis(pause.after),
            percent: pause.percent.map(|percent| percent.min(100)),
            note: plain(&pause.note, NOTE),
        })
    }

    fn held(self, held: types::Held) -> Result<Held, Invalid> {
        Ok(Held {
            mark: word("mark", held.mark)?,
            handle: handle(held.handle)?,
            state: word("state", held.state)?,
            note: plain(&held.note, NOTE),
        })
    }
}

fn handle(handle: String) -> Result<String, Invalid> {
    let fits = !handle.is_empty() && handle.len() <= 200 && handle.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(handle) } else { Err(Invalid::new("handle", "1 to 200 printable ASCII characters")) }
}

fn word(field: &str, text: String) -> Result<String, Invalid> {
    if text.len() > WORD || text.chars().any(char::is_control) {
        return Err(Invalid::new(field, format!("at most {WORD} bytes without control characters")));
    }
    Ok(text)
}

fn millis(after: u64) -> Duration {
    Duration::from_millis(after.min(DAY_MS))
}

fn from_kind(kind: types::PartKind) -> PartKind {
    match kind {
        types::PartKind::Cpu => PartKind::Cpu,
        types::PartKind::Memory => PartKind::Memory,
        types::PartKind::Disk => PartKind::Disk,
        types::PartKind::Nic => PartKind::Nic,
        types::PartKind::Gpu => PartKind::Gpu,
        types::PartKind::Other => PartKind::Other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::driver::arguments;

    const READER: Reader = Reader { text: 100 };

    fn claimed() -> types::Node {
        types::Node {
            handle: "node-1".into(),
            identity: types::Identity { system_uuid: None, serial: None, macs: vec!["52:54:00:00:00:01".into()] },
            parts: vec![types::Part {
                id: "cpu0".into(),
                kind: types::PartKind::Cpu,
                size: 4,
                serial: None,
                properties: "{}".into(),
            }],
            place: Some("rack 1\u{1b}[31m".into()),
            access: None,
            facts: r#"{"index": 7}"#.into(),
        }
    }

    fn refused(change: impl FnOnce(&mut types::Node)) -> Option<String> {
        let mut node = claimed();
        change(&mut node);
        READER.node(node).err().map(|invalid| invalid.field)
    }

    #[test]
    fn a_claim_that_holds_comes_through_and_goes_back_unchanged() {
        let read = READER.node(claimed()).unwrap();
        assert_eq!(read.place.as_deref(), Some(r"rack 1\u{1b}[31m"));
        let back = READER.node(arguments::node(&read)).unwrap();
        assert_eq!(back, read);
    }

    #[test]
    fn a_claim_out_of_bounds_is_refused_by_its_field() {
        assert_eq!(refused(|n| n.handle = "a b".into()).as_deref(), Some("handle"));
        assert_eq!(refused(|n| n.identity.macs = vec!["52:54:00:AB:00:01".into()]).as_deref(), Some("identity.macs"));
        assert_eq!(refused(|n| n.identity.serial = Some("a\nb".into())).as_deref(), Some("identity.serial"));
        assert_eq!(refused(|n| n.facts = "[]".into()).as_deref(), Some("facts"));
        assert_eq!(refused(|n| n.facts = "{".into()).as_deref(), Some("facts"));
        assert_eq!(refused(|n| n.facts = format!("{{\"a\": \"{}\"}}", "x".repeat(100))).as_deref(), Some("facts"));
        assert_eq!(refused(|n| n.parts[0].properties = "null".into()).as_deref(), Some("parts.properties"));
        assert_eq!(refused(|n| n.parts = vec![n.parts[0].clone(); 1025]).as_deref(), Some("node"));
    }

    #[test]
    fn a_pause_is_bounded() {
        let pause = |checkpoint: usize| types::Pause {
            checkpoint: vec![0; checkpoint],
            after: u64::MAX,
            percent: Some(200),
            note: "x\ny".repeat(400),
        };
        let read = READER.pause(pause(100)).unwrap();
        assert_eq!((read.after, read.percent), (Duration::from_secs(86_400), Some(100)));
        assert!(read.note.chars().count() <= NOTE * 2 && !read.note.contains('\n'), "{}", read.note);
        assert!(READER.pause(pause(101)).is_err());
    }
}
