//! Claim: an allocation under a uuid made from the mark, with the mark as its name. Ironic gives each node to one allocation only; its
//! conductor does so after the answer, so the allocation is watched until it has a node or failed. One that failed, or that stays
//! undecided, is withdrawn before anything else is said or tried, since its name would stand in the way.

use crate::adopt::{self, Adopted};
use crate::allocation::{self, Allocation, State};
use crate::api::{Ironic, Said};
use crate::inspected;
use crate::node::Record;
use crate::ports;
use crate::settings::Settings;
use crate::wish::Wish;
use moganite_driver::{Answer, Context, Identity, Node, NodeDoing, Shape, fault, intent, mark, now, wait};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// How old the intent may be when the allocation is asked for. An older one is renewed first, so that `begun_ms` is never long before
/// the request.
const FRESH: Duration = Duration::from_secs(5);

/// Allocations asked for before contention counts as want of a node.
const TRIES: u32 = 3;

/// `last_error` of an allocation whose candidates were all locked or taken while it was decided: another try may find a node. Source:
/// `ironic/conductor/allocations.py` of 39.0.0; the first was seen on the wire, the last is of a backfill.
const CONTENDED: [&str; 3] = ["could not reserve any of", "were filtered out during reservation", "is locked by host"];

/// The checkpoint of a claim, and the trail that its holding keeps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Claiming {
    /// When the allocation was meant to be asked for, in ms since 1970: what is not there so long after will not appear.
    pub(crate) begun_ms: u64,
    pub(crate) phase: Phase,
    /// The `begun_ms` of a request whose answer was lost; 0: none was. It may take effect after a later one did and was undone.
    pub(crate) unanswered_ms: u64,
    /// The node that is adopted; none for a free one, which Ironic chooses.
    pub(crate) adopts: Option<Adopted>,
    /// Allocations withdrawn so far.
    tries: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// It may have been asked for.
    #[default]
    Ask,
    /// It was seen.
    Settle,
    /// It is to be deleted, for this reason; `again`: another is asked for afterwards.
    Withdraw { why: String, again: bool },
}

pub(crate) fn claim(cx: &Context, mark: &str, want: &Shape, exclude: &[String]) -> Answer<NodeDoing> {
    let settings = Settings::of(cx)?;
    let wish = Wish::of(&settings, want, exclude)?;
    let claim = Claim { ironic: Ironic::of(&settings), settings, mark, wish };
    let Some(mut at) = cx.resume::<Claiming>()? else {
        claim.ironic.check_version()?;
        return begin(Claiming { adopts: claim.adopted()?, ..Claiming::default() });
    };
    if at.phase == Phase::Ask && cx.attempt > 1 {
        at.unanswered_ms = at.begun_ms;
    }
    match allocation::of_mark(&claim.ironic, mark)? {
        Some(allocation) => match at.phase {
            Phase::Withdraw { .. } => claim.withdraw(at, &allocation),
            Phase::Ask | Phase::Settle => claim.settle(at, &allocation),
        },
        None => claim.without(at),
    }
}

struct Claim<'a> {
    ironic: Ironic,
    settings: Settings,
    mark: &'a str,
    wish: Wish,
}

impl Claim<'_> {
    /// There is no allocation: not yet, or no longer.
    fn without(&self, at: Claiming) -> Answer<NodeDoing> {
        match at.phase {
            Phase::Withdraw { ref why, again } => match unsettled_since(at.unanswered_ms, &self.settings) {
                Some(left) => wait(&at, left, "a lost request for an allocation may still take effect"),
                None if again => begin(Claiming { tries: at.tries + 1, ..at }),
                None if at.adopts.is_some() => Err(fault::conflict(why)),
                None => Err(fault::capacity(why)),
            },
            Phase::Settle => {
                Err(fault::conflict(format!("the allocation {} was deleted from ironic by somebody else", self.mark)))
            }
            Phase::Ask if now().saturating_sub(Duration::from_millis(at.begun_ms)) > FRESH => begin(at),
            Phase::Ask => self.ask(at),
        }
    }

    fn ask(&self, at: Claiming) -> Answer<NodeDoing> {
        let candidates = match self.adopted()? {
            Some(_) => None,
            None => self.wish.candidates(&self.ironic)?,
        };
        match self.ironic.post("/v1/allocations", &self.body(&at, candidates.as_deref()))? {
            // A backfill that meets a lock leaves an allocation that failed.
            Said::Done(_) | Said::Locked => self.watch(at),
            Said::Conflict(why) => match allocation::get(&self.ironic, self.mark)? {
                Some(other) if other.uuid != mark::uuid(self.mark).to_string() => {
                    Err(fault::conflict(format!("allocation {} in ironic has the name {}", other.uuid, self.mark)))
                }
                Some(_) => self.watch(at),
                None => Err(fault::retry(why)),
            },
            // A candidate that was deleted meanwhile is a 400.
            Said::Refused(why) if candidates.is_some() && why.contains("could not be found") => Err(fault::retry(why)),
            Said::Refused(why) => Err(fault::rejected(format!("ironic refused the allocation: {why}"))),
            other => Err(other.unexpected("asking for an allocation")),
        }
    }

    /// The node that is to be adopted, as it stands now; none where a free one is wanted.
    fn adopted(&self) -> Answer<Option<Adopted>> {
        self.wish.adopts().map(|node| adopt::look(&self.ironic, &self.wish, self.mark, node)).transpose()
    }

    fn body(&self, at: &Claiming, candidates: Option<&[String]>) -> Value {
        if let Some(adopted) = &at.adopts {
            return adopted.body(self.mark);
        }
        let mut body = json!({
            "uuid": mark::uuid(self.mark).to_string(),
            "name": self.mark,
            "resource_class": self.wish.class,
            "extra": { "moganite_mark": self.mark },
        });
        if !self.wish.traits.is_empty() {
            body["traits"] = self.wish.traits.as_slice().into();
        }
        if let Some(candidates) = candidates {
            body["candidate_nodes"] = candidates.into();
        }
        body
    }

    fn settle(&self, at: Claiming, allocation: &Allocation) -> Answer<NodeDoing> {
        match allocation.state {
            State::Active => self.done(at, allocation),
            State::Error => {
                let why = allocation.last_error.clone().unwrap_or_else(|| "ironic kept no cause".into());
                let again = CONTENDED.iter().any(|words| why.contains(words));
                withdrawn(at, why, again)
            }
            State::Allocating => {
                let age = now().saturating_sub(Duration::from_millis(at.begun_ms));
                if age < self.settings.allocate() {
                    return self.watch(at);
                }
                withdrawn(at, format!("ironic left the allocation undecided for {} s", age.as_secs()), true)
            }
        }
    }

    fn watch(&self, at: Claiming) -> Answer<NodeDoing> {
        let at = Claiming { phase: Phase::Settle, ..at };
        let note = match &at.adopts {
            Some(adopted) => format!("ironic allocates node {} as it runs", adopted.node),
            None => format!("ironic looks for a free node of class {:?}", self.wish.class),
        };
        wait(&at, self.settings.poll(), note)
    }

    fn withdraw(&self, at: Claiming, allocation: &Allocation) -> Answer<NodeDoing> {
        match allocation::delete(&self.ironic, &allocation.uuid)? {
            Said::Done(_) | Said::Missing => self.without(at),
            Said::Locked => wait(&at, self.settings.poll(), "an allocation's node is locked"),
            other => Err(other.unexpected("withdrawing an allocation")),
        }
    }

    fn done(&self, at: Claiming, allocation: &Allocation) -> Answer<NodeDoing> {
        let uuid = allocation.node_uuid.as_deref().unwrap_or_default();
        let record = self.ironic.node(uuid)?.filter(|record| record.instance_uuid.as_ref() == Some(&allocation.uuid));
        let Some(record) = record else {
            return Err(fault::retry(format!("ironic shows no node {uuid} with the instance {}", allocation.uuid)));
        };
        if at.adopts.is_some() {
            adopt::check_running(&record)?;
        } else if let Some(why) = self.wish.refuses_by_nature(&self.ironic, &record)? {
            return withdrawn(at, why, true);
        }
        Ok(NodeDoing::Done(self.seen(&record, allocation)?))
    }

    /// The node as Ironic knows it.
    fn seen(&self, record: &Record, allocation: &Allocation) -> Answer<Node> {
        let seen = inspected::look(&self.ironic, record, 1)?;
        let macs = ports::of(&self.ironic, &record.uuid)?;
        Ok(Node {
            handle: record.uuid.clone(),
            identity: Identity { system_uuid: seen.system_uuid, serial: seen.serial, macs },
            parts: seen.parts,
            place: record.name.clone(),
            access: None,
            facts: json!({
                "allocation": allocation.uuid,
                "name": record.name,
                "resource_class": record.resource_class,
                "traits": record.traits,
                "adopted": allocation.adopts(),
            })
            .to_string(),
        })
    }
}

fn begin(at: Claiming) -> Answer<NodeDoing> {
    let begun_ms = u64::try_from(now().as_millis()).unwrap_or(u64::MAX);
    intent(&Claiming { begun_ms, phase: Phase::Ask, ..at }, "a node is about to be allocated in ironic")
}

/// How long a request of that time may still take effect; none when it no longer can.
pub(crate) fn unsettled_since(begun_ms: u64, settings: &Settings) -> Option<Duration> {
    let end = Duration::from_millis(begun_ms.saturating_add(settings.settle_ms));
    Some(end.saturating_sub(now())).filter(|left| begun_ms > 0 && !left.is_zero())
}

/// The decision to withdraw is stored before it is done: a repeat must not take the missing allocation for somebody else's deed.
fn withdrawn(at: Claiming, why: String, again: bool) -> Answer<NodeDoing> {
    let again = again && at.tries + 1 < TRIES;
    let note = format!("an allocation is about to be withdrawn: {why}");
    intent(&Claiming { phase: Phase::Withdraw { why, again }, ..at }, note)
}
