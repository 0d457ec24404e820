//! One provision verb to its end: what may be sent from which state, how long to wait, and when a verb has failed. The roles decide
//! the next [`Step`] from a node's record alone, in a function without requests; [`Walk::take`] does it, one request at most.

use crate::api::{Ironic, Said};
use crate::history;
use crate::node::Record;
use moganite_driver::{Answer, fault};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// What is asked of Ironic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verb {
    Manage,
    Inspect,
    Provide,
    Active,
    Deleted,
    Clean,
    Abort,
    /// A power action, for the same walk.
    PowerOff,
}

/// What comes next on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Send(Verb),
    /// Ironic is at work; only time helps.
    Wait,
    /// The wanted state is reached and the lock is released.
    Done,
    /// The verb sent last ended where its failures end.
    Failed(Verb),
    /// No way leads from here that this driver takes; one sentence why.
    Stuck(String),
}

/// What a walk remembers between two calls. Part of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Walk {
    /// The verb that was taken last, until it failed.
    pub(crate) sent: Option<Verb>,
    /// How often the verb ended in failure.
    pub(crate) fails: u32,
    /// How often Ironic refused the verb although the state that was read allows it.
    pub(crate) refusals: u32,
    /// Looks since the last verb.
    pub(crate) polls: u32,
}

/// How often in a row Ironic may refuse a verb that the state allows, before a person must look.
const REFUSALS: u32 = 5;
/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

impl Verb {
    /// The word for it in a PUT.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::Manage => "manage",
            Self::Inspect => "inspect",
            Self::Provide => "provide",
            Self::Active => "active",
            Self::Deleted => "deleted",
            Self::Clean => "clean",
            Self::Abort => "abort",
            Self::PowerOff => "power off",
        }
    }

    /// Tries before its failure counts. A BMC that a pod manager has just made may not answer yet, and one that is restarting does
    /// not while a machine must be brought down; a deployment is tried again on another machine, by the host.
    fn tries(self) -> u32 {
        match self {
            Self::Manage | Self::Deleted | Self::PowerOff => 3,
            Self::Inspect | Self::Provide | Self::Active | Self::Clean | Self::Abort => 1,
        }
    }

    /// `event_type` of its failures in a node's history.
    fn event(self) -> &'static str {
        match self {
            Self::Manage => "verify",
            Self::Inspect => "introspection",
            Self::Provide | Self::Clean => "cleaning",
            Self::Active => "deploying",
            Self::Deleted | Self::Abort => "unprovision",
            Self::PowerOff => "power",
        }
    }
}

impl Walk {
    /// Does the step; `with` goes with a verb that is sent. True: the walk has ended. False: pause, then read the node again.
    pub(crate) fn take(&mut self, ironic: &Ironic, record: &Record, step: Step, with: Option<&Value>) -> Answer<bool> {
        match step {
            Step::Done => return Ok(true),
            Step::Wait => self.polls += 1,
            Step::Stuck(why) => return Err(fault::conflict(why)),
            Step::Send(verb) => match ironic.provision(&record.uuid, verb, with)? {
                Said::Done(_) => {
                    let fails = if self.sent.is_none() || self.sent == Some(verb) { self.fails } else { 0 };
                    *self = Self { sent: Some(verb), fails, ..Self::default() };
                }
                Said::Locked | Said::Missing => self.polls += 1,
                Said::Conflict(why) => return Err(fault::conflict(format!("{}: {why}", verb.target()))),
                Said::Refused(why) => self.refused(verb, why)?,
            },
            Step::Failed(verb) => {
                self.fails += 1;
                if self.fails >= verb.tries() {
                    let cause = history::cause(ironic, record, verb.event())?;
                    return Err(fault::broken(format!(
                        "{} of node {} ended in {:?}: {cause}",
                        verb.target(),
                        record.uuid,
                        record.provision_state.to_string()
                    )));
                }
                self.sent = None;
                self.polls = 0;
            }
        }
        Ok(false)
    }

    /// A call of an undoing verb that is repeated without a new checkpoint may be a person's wish to try again: failures count anew.
    pub(crate) fn forgive(&mut self) {
        *self = Self::default();
    }

    /// How long to pause: the operator's shortest pause, doubled every eight looks and with every failure.
    pub(crate) fn pause(&self, shortest: Duration) -> Duration {
        let doublings = (self.polls / 8 + self.fails + self.refusals).min(16);
        LONGEST_PAUSE.max(shortest).min(shortest * 2_u32.pow(doublings))
    }

    /// What the pause after this step waits for, for people.
    pub(crate) fn note(&self, record: &Record, goal: &str) -> String {
        match self.sent {
            Some(verb) if self.polls == 0 && !record.is_busy() => {
                format!("node {} was asked for {}, on its way to {goal}", record.uuid, verb.target())
            }
            None if self.fails > 0 => {
                format!(
                    "node {} failed on its way to {goal} and is tried again: {} times so far",
                    record.uuid, self.fails
                )
            }
            _ => note(record, goal),
        }
    }

    /// A 400. A validation of `active` that fails never works here. That the state does not allow the verb may be an old reading.
    fn refused(&mut self, verb: Verb, why: String) -> Answer<()> {
        if why.contains("while it is in state") && self.refusals < REFUSALS {
            self.refusals += 1;
            return Ok(());
        }
        let why = format!("ironic refused {}: {why}", verb.target());
        match verb {
            Verb::Active => Err(fault::rejected(why)),
            _ => Err(fault::broken(why)),
        }
    }
}

/// What a pause waits for, for people.
pub(crate) fn note(record: &Record, goal: &str) -> String {
    let state = &record.provision_state;
    let lock = if record.is_locked() && !state.is_moving() { ", locked" } else { "" };
    format!("node {} is {state}{lock}, on its way to {goal}", record.uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_in_a_long_wait_and_stay_under_a_quarter_of_a_minute() {
        let shortest = Duration::from_secs(1);
        let pause = |polls| Walk { polls, ..Walk::default() }.pause(shortest).as_secs();
        assert_eq!([0, 7, 8, 16, 24, 32, 4_000].map(pause), [1, 1, 2, 4, 8, 15, 15]);
    }

    #[test]
    fn a_shortest_pause_over_the_longest_is_kept() {
        let minute = Duration::from_secs(60);
        assert_eq!(Walk { polls: 99, ..Walk::default() }.pause(minute), minute);
    }

    #[test]
    fn a_failed_validation_is_rejected_and_a_state_that_moved_is_read_again() {
        let mut walk = Walk::default();
        let state =
            "The requested action \"active\" can not be performed on node \"n\" while it is in state \"active\".";
        for _ in 0..REFUSALS {
            assert_eq!(walk.refused(Verb::Active, state.into()), Ok(()));
        }
        assert!(walk.refused(Verb::Manage, state.into()).is_err());
        let invalid = "Failed to validate deploy or power info for node n: Missing are: ['kernel', 'ramdisk']";
        let refused = Walk::default().refused(Verb::Active, invalid.into());
        assert!(matches!(refused, Err(moganite_driver::Fault::Rejected(_))));
    }
}
