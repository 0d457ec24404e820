//! Why is it not moving? For every unfinished flow: what it waits for, since when, how much of its budget is left, when it is tried
//! again, and who has to act.

use std::time::Duration;

use super::{Error, Lifecycle};
use crate::model::{Broken, Digest, Flow, Millis, Paused, Phase, PluginStop, Stopped};
use crate::store::{Ahead, Obstacles};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waits {
    pub what: String,
    pub since: Millis,
    /// Below zero: overdue by as much. None while nothing is to be done within a time. Milliseconds.
    pub budget_left: Option<Millis>,
    /// None while it waits for another flow or for a person.
    pub next_try: Option<Millis>,
    /// It is tried sooner, when a look at all machines that are waited for there shows another state.
    pub looked_at: bool,
    pub who: Who,
    /// When this was asked.
    now: Millis,
}

/// Who has to act before it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// It goes on by itself.
    Moganite,
    FarSide,
    Operator,
}

impl Lifecycle {
    /// For each of these flows, in their order; none for one that ended.
    pub async fn waits(&self, flows: &[Flow]) -> Result<Vec<Option<Waits>>, Error> {
        let running: Vec<_> = flows.iter().filter(|flow| flow.position.phase.runs()).cloned().collect();
        let obstacles = if running.is_empty() { Obstacles::default() } else { self.store.obstacles(&running).await? };
        let now = self.clock.now();
        Ok(flows.iter().map(|flow| Waits::of(flow, &obstacles, now, self.deadline)).collect())
    }

    /// How many flows of each kind are overdue.
    pub async fn count_overdue(&self) -> Result<Vec<(String, u64)>, Error> {
        Ok(self.store.count_overdue(self.clock.now(), millis(self.deadline)).await?)
    }
}

impl Waits {
    /// `usual`: how long a task may take of which nobody said it.
    fn of(flow: &Flow, obstacles: &Obstacles, now: Millis, usual: Duration) -> Option<Self> {
        // Its clocks stand: nothing is to be done within a time.
        let stands = |what: String, since: Millis| Self {
            what,
            since,
            budget_left: None,
            next_try: None,
            looked_at: false,
            who: Who::Operator,
            now,
        };
        match flow.position.phase {
            Phase::Done | Phase::Reverted => return None,
            Phase::NeedsOperator => {
                let why = flow.fault.as_ref().map_or("it rests", |fault| fault.message.as_str());
                return Some(stands(format!("an operator must look: {why}"), flow.updated_at));
            }
            Phase::Forward | Phase::Backward => {}
        }
        if let Some(paused) = &flow.paused {
            return Some(stands(format!("an operator paused it: {}", paused.why), paused.at));
        }
        if let Some(frozen) = &obstacles.standing.frozen {
            return Some(stands(format!("everything is frozen: {}", frozen.why), frozen.at));
        }
        if let Some(at) = obstacles.standing.restored_at {
            let what =
                "the store was restored: what differs from the far sides is to be decided, see `moganite reconcile`";
            return Some(stands(what.into(), at));
        }
        if let Some((name, paused)) = flow.backend.as_ref().and_then(|name| obstacles.paused.get_key_value(name)) {
            let what = format!("backend {name} is paused: {}", paused.why);
            return Some(stands(what, paused.at));
        }
        if let Some(stopped) = obstacles.stopped.get(&flow.id)
            && let Some((how, paused)) = stopped.by()
        {
            return Some(stands(stopped_plugin(flow, stopped, how, paused), paused.at));
        }
        if let (None, Some(before)) = (flow.wake, flow.follows) {
            let other = obstacles.before.get(&flow.id);
            let other = other.and_then(|other| Self::of(other, &Obstacles::default(), now, usual));
            let what = other.as_ref().map_or_else(String::new, |other| format!(", which waits for {}", other.what));
            return Some(Self {
                what: format!("flow {before} to end{what}"),
                since: flow.task_since,
                budget_left: None,
                next_try: None,
                looked_at: false,
                who: other.map_or(Who::Moganite, |other| other.who),
                now,
            });
        }
        let budget = flow.progress.budget_ms.unwrap_or(millis(usual));
        let broken = obstacles.broken.get(&flow.id);
        let (what, who) = match broken {
            Some(broken) => (broken_plugin(flow, broken), Who::Moganite),
            None => held_up(flow, obstacles.ahead.get(&flow.id)),
        };
        Some(Self {
            what,
            since: broken.map_or(flow.task_since, |broken| broken.since.max(flow.task_since)),
            // In a line the clock stands.
            budget_left: flow
                .place
                .is_none_or(|place| place == 0)
                .then(|| budget.saturating_sub(now.saturating_sub(flow.task_since))),
            next_try: flow.wake.max(broken.and_then(|broken| broken.until)),
            looked_at: flow.shown && broken.is_none(),
            who,
            now,
        })
    }

    pub fn is_overdue(&self) -> bool {
        self.budget_left.is_some_and(|left| left < 0)
    }

    /// All of it in one sentence.
    pub fn sentence(&self) -> String {
        let mut rest = vec![format!("since {}", span(self.now.saturating_sub(self.since)))];
        match self.budget_left {
            Some(left) if left < 0 => rest.push(format!("overdue by {}", span(-left))),
            Some(left) => rest.push(format!("{} of its budget left", span(left))),
            None => {}
        }
        match self.next_try.map(|then| then.saturating_sub(self.now)) {
            Some(left) if left > 0 && self.looked_at => {
                rest.push(format!("looked at with the others there, next try in {} at the latest", span(left)));
            }
            Some(left) if left > 0 => rest.push(format!("next try in {}", span(left))),
            Some(_) => rest.push("tried now".into()),
            None => {}
        }
        format!("{} ({}; {})", self.what, rest.join(", "), self.who.acts())
    }
}

impl Who {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Moganite => "moganite",
            Self::FarSide => "far-side",
            Self::Operator => "operator",
        }
    }

    fn acts(self) -> &'static str {
        match self {
            Self::Moganite => "moganite goes on by itself",
            Self::FarSide => "the far side has to act",
            Self::Operator => "an operator has to act",
        }
    }
}

fn broken_plugin(flow: &Flow, Broken { backend, digest, calls, why, .. }: &Broken) -> String {
    let plugin = label(flow, digest);
    format!(
        "{plugin} broke {calls} times in a row at {backend}, where one call at a time tries it again; the last: {why}"
    )
}

fn label(flow: &Flow, digest: &Digest) -> String {
    let known = flow.progress.plugin.as_deref().filter(|label| label.contains(digest.short()));
    known.map_or_else(|| format!("plugin {}", digest.short()), str::to_owned)
}

/// Who called it by which name is known from the last call.
fn stopped_plugin(flow: &Flow, stopped: &Stopped, how: PluginStop, paused: &Paused) -> String {
    let plugin = label(flow, &stopped.digest);
    let back = match how {
        PluginStop::Disabled => "enable it",
        PluginStop::Denied => "allow it",
    };
    format!("{plugin} is {}: {}; {back}, or hand the flow over to another plugin", how.as_str(), paused.why)
}

/// What a flow that may run is held up by.
fn held_up(flow: &Flow, ahead: Option<&Ahead>) -> (String, Who) {
    let progress = &flow.progress;
    match (&flow.exclusive, ahead) {
        (Some(turn), Some(Ahead { first, in_line: 1 })) => {
            (format!("its turn at {turn}: flow {first} is ahead"), Who::Moganite)
        }
        (Some(turn), Some(Ahead { first, in_line })) => {
            (format!("its turn at {turn}: flow {first} is ahead, and {} more", in_line - 1), Who::Moganite)
        }
        _ if progress.note.is_empty() => ("its next call".into(), Who::Moganite),
        _ => match &progress.backend {
            Some(backend) => (format!("{backend}: {}", progress.note), Who::FarSide),
            None => (progress.note.clone(), Who::Moganite),
        },
    }
}

/// Two units are enough for people.
fn span(ms: Millis) -> String {
    let s = ms / 1000;
    let (d, h, min) = (s / 86_400, s / 3600 % 24, s / 60 % 60);
    match (d, h, min) {
        (0, 0, 0) => format!("{s} s"),
        (0, 0, min) => format!("{min} min"),
        (0, h, min) => format!("{h} h {min} min"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::{Fault, FaultKind, FlowId, InstanceId, Name, Position, Progress};
    use crate::store::Standing;

    const NOW: Millis = 10_000_000;

    fn name(text: &str) -> Name {
        Name::parse("name", text).unwrap()
    }

    /// Four minutes at its task, polled again in half a minute.
    fn flow() -> Flow {
        Flow {
            id: FlowId::fresh(),
            row: 0,
            kind: "instance.delete".into(),
            version: 1,
            project: name("default"),
            instance: InstanceId::fresh(),
            position: Position { phase: Phase::Forward, task: 0, attempt: 1, round: 1 },
            revision: 3,
            state: Vec::new(),
            checkpoint: None,
            task_since: NOW - 240_000,
            wake: Some(NOW + 30_000),
            shown: false,
            cancel: false,
            fault: None,
            progress: Progress {
                note: "the node is cleaning".into(),
                backend: Some("ironic-1".into()),
                ..Progress::default()
            },
            exclusive: None,
            place: None,
            follows: None,
            backend: Some(name("ironic-1")),
            paused: None,
            created_at: NOW - 300_000,
            updated_at: NOW - 60_000,
        }
    }

    fn say(flow: &Flow, obstacles: &Obstacles) -> String {
        Waits::of(flow, obstacles, NOW, Duration::from_secs(7200)).unwrap().sentence()
    }

    #[test]
    fn a_wait_says_what_since_when_how_much_is_left_when_next_and_who() {
        assert_eq!(
            say(&flow(), &Obstacles::default()),
            "ironic-1: the node is cleaning (since 4 min, 1 h 56 min of its budget left, next try in 30 s; the far side has to act)"
        );
        let shown = Flow { shown: true, ..flow() };
        assert!(
            say(&shown, &Obstacles::default())
                .contains("looked at with the others there, next try in 30 s at the latest")
        );
        let mut late = flow();
        late.progress.budget_ms = Some(60_000);
        assert!(say(&late, &Obstacles::default()).contains("overdue by 3 min"));
        assert!(Waits::of(&late, &Obstacles::default(), NOW, Duration::ZERO).unwrap().is_overdue());
    }

    #[test]
    fn who_is_ahead_is_named_and_how_many_stand_between() {
        let mut flow = flow();
        (flow.exclusive, flow.place) = (Some("pod-a/compose".into()), Some(flow.task_since));
        flow.progress = Progress::default();
        let first = FlowId::fresh();
        let ahead = [(flow.id, Ahead { first, in_line: 3 })].into();
        let said = say(&flow, &Obstacles { ahead, ..Obstacles::default() });
        assert!(said.starts_with(&format!("its turn at pod-a/compose: flow {first} is ahead, and 2 more (")), "{said}");
        assert!(
            said.ends_with("(since 4 min, next try in 30 s; moganite goes on by itself)"),
            "its budget is whole: {said}"
        );
    }

    #[test]
    fn a_person_has_to_act_where_a_person_stopped_it() {
        let paused = || Paused { at: NOW - 3_600_000, why: "a switch is exchanged".into() };
        let of_flow = Flow { paused: Some(paused()), ..flow() };
        let of_backend = Obstacles { paused: [(name("ironic-1"), paused())].into(), ..Obstacles::default() };
        let all = Standing { frozen: Some(paused()), ..Standing::default() };
        for said in [
            say(&of_flow, &Obstacles::default()),
            say(&flow(), &of_backend),
            say(&flow(), &Obstacles { standing: all, ..Obstacles::default() }),
        ] {
            assert!(said.contains("a switch is exchanged (since 1 h 0 min; an operator has to act)"), "{said}");
        }
    }

    #[test]
    fn a_plugin_that_is_stopped_is_named_with_what_to_do() {
        let digest = Digest::of(b"plugin");
        let (mut flow, at) = (flow(), NOW - 3_600_000);
        flow.progress.plugin = Some(format!("ironic@0.1.0 sha256:{}", digest.short()));
        let disabled = Some(Paused { at, why: "it loses machines".into() });
        let stopped = Stopped { digest, disabled, denied: None };
        let said = say(&flow, &Obstacles { stopped: [(flow.id, stopped)].into(), ..Obstacles::default() });
        assert!(said.starts_with("ironic@0.1.0 sha256:"), "{said}");
        assert!(said.contains("is disabled: it loses machines; enable it, or hand the flow over"), "{said}");
        assert!(said.ends_with("(since 1 h 0 min; an operator has to act)"), "{said}");
    }

    #[test]
    fn a_plugin_that_broke_too_often_is_named_with_when_it_is_tried_again() {
        let (flow, digest) = (flow(), Digest::of(b"plugin"));
        let (until, since, why) = (Some(NOW + 120_000), NOW - 60_000, "it crashed".to_owned());
        let broken = Broken { backend: name("ironic-1"), digest, calls: 6, until, why, since };
        let said = say(&flow, &Obstacles { broken: [(flow.id, broken)].into(), ..Obstacles::default() });
        assert!(said.contains("broke 6 times in a row at ironic-1"), "{said}");
        assert!(said.contains("the last: it crashed (since 1 min,"), "{said}");
        assert!(said.ends_with("next try in 2 min; moganite goes on by itself)"), "{said}");
    }

    #[test]
    fn one_that_follows_says_what_the_other_waits_for() {
        let mut before = flow();
        before.position.phase = Phase::NeedsOperator;
        before.fault = Some(Fault::new(FaultKind::Broken, "the disks still hold data"));
        let follower = Flow { wake: None, follows: Some(before.id), ..flow() };
        let id = before.id;
        let said = say(&follower, &Obstacles { before: [(follower.id, before)].into(), ..Obstacles::default() });
        assert!(said.contains(&format!("flow {id} to end, which waits for an operator must look")), "{said}");
        assert!(said.ends_with("an operator has to act)"), "{said}");
    }
}
