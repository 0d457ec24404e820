//! The smallest driver that has every role. It talks to nobody: its nodes are made up from the shape and the mark, so
//! it needs no far side and leaves nothing behind. Copy it, then replace one verb at a time by what your far side
//! wants; the README is the way.

mod made_up;

use made_up::made_up;
use moganite_driver::{
    Answer, Claim, Compose, Context, Deploy, DeployDoing, Deployed, Driver, Enroll, Erase, Fault, Holding, Node,
    NodeDoing, Observed, Order, Page, Power, PowerWish, Presence, Shape, Undoing, fault, info, mark, wait,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

pub struct FromZero;

moganite_driver::export!(FromZero: compose, claim, enroll, deploy);

/// What an operator sets; `settings.schema.json` says the same to the host.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// `compose`, `claim`, `enroll` or `deploy`: that verb is rejected.
    fail: Option<String>,
    /// Milliseconds that each doing verb stays pending before it is done. 0: it is done at once.
    pending_ms: u64,
    /// The same for deploy alone, which otherwise takes `pending_ms`.
    deploy_ms: Option<u64>,
}

/// The one checkpoint: "I answered pending before".
#[derive(Serialize, Deserialize)]
struct Waited;

impl Driver for FromZero {
    fn probe(cx: Context) -> Answer<String> {
        cx.settings::<Settings>()?;
        Ok(json!({ "version": "made up", "problems": [], "abilities": { "erase": ["none", "quick", "full"] } })
            .to_string())
    }
}

impl Compose for FromZero {
    fn compose(cx: Context, mark: String, want: Shape) -> Answer<NodeDoing> {
        match first_call(&cx, "compose")? {
            Some(pending) => wait(&Waited, pending, "making up a node"),
            None => Ok(NodeDoing::Done(made_up(&mark, &want))),
        }
    }

    /// There is no far side that could have kept anything.
    fn find(_: Context, _: Holding) -> Answer<Presence> {
        Ok(Presence::Absent)
    }

    fn list(_: Context, _: String, _: Option<String>) -> Answer<Page> {
        Ok(nothing())
    }

    fn release(_: Context, _: Holding, level: Erase) -> Answer<Undoing> {
        Ok(undone(level))
    }
}

impl Claim for FromZero {
    fn claim(cx: Context, mark: String, want: Shape, _exclude: Vec<String>) -> Answer<NodeDoing> {
        match first_call(&cx, "claim")? {
            Some(pending) => wait(&Waited, pending, "making up a machine to lend"),
            None => Ok(NodeDoing::Done(made_up(&mark, &want))),
        }
    }

    /// There is no far side that could have kept anything.
    fn find(_: Context, _: Holding) -> Answer<Presence> {
        Ok(Presence::Absent)
    }

    fn list(_: Context, _: String, _: Option<String>) -> Answer<Page> {
        Ok(nothing())
    }

    fn unclaim(_: Context, _: Holding) -> Answer<Undoing> {
        Ok(Undoing::Done("{}".into()))
    }
}

impl Enroll for FromZero {
    /// The same machine under a handle of this side's own. It saw no part itself, so it answers none.
    fn enroll(cx: Context, mark: String, made: Node) -> Answer<NodeDoing> {
        match first_call(&cx, "enroll")? {
            Some(pending) => wait(&Waited, pending, "pretending to enroll"),
            None => Ok(NodeDoing::Done(Node {
                handle: mark::uuid(&mark).to_string(),
                parts: Vec::new(),
                access: None,
                ..made
            })),
        }
    }

    /// There is no far side that could have kept anything.
    fn find(_: Context, _: Holding) -> Answer<Presence> {
        Ok(Presence::Absent)
    }

    fn list(_: Context, _: String, _: Option<String>) -> Answer<Page> {
        Ok(nothing())
    }

    fn refresh(_: Context, _: Holding) -> Answer<Undoing> {
        Ok(Undoing::Done("{}".into()))
    }

    fn unenroll(_: Context, _: Holding) -> Answer<Undoing> {
        Ok(Undoing::Done("{}".into()))
    }
}

impl Deploy for FromZero {
    fn deploy(cx: Context, _mark: String, what: Order) -> Answer<DeployDoing> {
        info!("deploying {} as {}", what.node, what.hostname);
        match first_call(&cx, "deploy")? {
            Some(pending) => wait(&Waited, pending, "pretending to write the image"),
            None => Ok(DeployDoing::Done(Deployed { handle: what.node, addresses: "{}".into(), facts: "{}".into() })),
        }
    }

    /// There is no far side that could have kept anything.
    fn find(_: Context, _: Holding) -> Answer<Presence> {
        Ok(Presence::Absent)
    }

    fn list(_: Context, _: String, _: Option<String>) -> Answer<Page> {
        Ok(nothing())
    }

    fn undeploy(_: Context, _: Holding, level: Erase) -> Answer<Undoing> {
        Ok(undone(level))
    }

    fn set_power(_: Context, _: String, _: PowerWish) -> Answer<Undoing> {
        Ok(Undoing::Done("{}".into()))
    }

    /// Nobody remembers here whether it was undeployed: on would keep a deleted instance from being gone.
    fn observe(_: Context, handles: Vec<String>) -> Answer<Vec<Observed>> {
        let seen = |handle| Observed { handle, power: Power::Unknown, state: "made up".into(), note: String::new() };
        Ok(handles.into_iter().map(seen).collect())
    }
}

/// How long this verb is to be pending, on its first call; none when it is to be done now.
fn first_call(cx: &Context, verb: &str) -> Result<Option<Duration>, Fault> {
    let settings: Settings = cx.settings()?;
    if settings.fail.as_deref() == Some(verb) {
        return Err(fault::rejected(format!("the settings of this backend say that {verb} fails")));
    }
    let pending = settings.deploy_ms.filter(|_| verb == "deploy").unwrap_or(settings.pending_ms);
    let waited = cx.resume::<Waited>()?.is_some();
    Ok((pending > 0 && !waited).then(|| Duration::from_millis(pending)))
}

fn nothing() -> Page {
    Page { items: Vec::new(), next: None }
}

fn undone(level: Erase) -> Undoing {
    let erased = match level {
        Erase::None => "none",
        Erase::Quick => "quick",
        Erase::Full => "full",
    };
    Undoing::Done(json!({ "erased": erased, "method": "there never was a disk", "disks": [] }).to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::testing;

    fn want() -> Shape {
        Shape {
            cores: 4,
            memory_mib: 8_192,
            disks_gib: vec![100],
            nics_mbps: vec![1_000],
            devices: Vec::new(),
            class: None,
            traits: Vec::new(),
            properties: "{}".into(),
        }
    }

    #[test]
    fn a_repeated_compose_answers_the_same_node() {
        let answer = || FromZero::compose(testing::context("{}"), "mg-a-1".into(), want());
        assert_eq!(answer(), answer());
        let Ok(NodeDoing::Done(node)) = answer() else { panic!("{:?}", answer()) };
        assert_eq!(node.handle, "mg-a-1");
        assert_eq!(node.parts.len(), 4);
    }

    #[test]
    fn a_verb_waits_once_and_then_is_done() {
        let mut cx = testing::context(r#"{"pending_ms": 20}"#);
        let Ok(NodeDoing::Pending(pause)) = FromZero::compose(cx.clone(), "mg-a-1".into(), want()) else { panic!() };
        assert_eq!(pause.after, 20);
        cx.checkpoint = Some(pause.checkpoint);
        assert!(matches!(FromZero::compose(cx, "mg-a-1".into(), want()), Ok(NodeDoing::Done(_))));
    }

    #[test]
    fn the_verb_named_by_fail_is_rejected_and_no_other() {
        let cx = || testing::context(r#"{"fail": "compose"}"#);
        assert!(matches!(FromZero::compose(cx(), "mg-a-1".into(), want()), Err(Fault::Rejected(_))));
        assert!(FromZero::claim(cx(), "mg-a-1".into(), want(), Vec::new()).is_ok());
    }
}
