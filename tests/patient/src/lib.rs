//! A driver of two calls: compose asks its far side, waits as long as the settings say, asks again and is done. Every verb asks something
//! under its mark, so that the far side's log has which version of the driver did what. For the test of swaps under load.

use moganite_driver::{
    Answer, Compose, Context, Deploy, DeployDoing, Deployed, Driver, Endpoint, Enroll, Erase, Fault, Holding, Identity,
    Node, NodeDoing, Observed, Order, Page, Part, PartKind, Power, PowerWish, Presence, Shape, Undoing, mark, wait,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub struct Patient;

moganite_driver::export!(Patient: compose, enroll, deploy);

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    park_ms: u64,
}

/// The one checkpoint: "I asked before".
#[derive(Serialize, Deserialize)]
struct Asked;

impl Driver for Patient {
    fn probe(_: Context) -> Answer<String> {
        Ok(r#"{"version": "patient", "problems": [], "abilities": {"erase": ["none", "quick", "full"]}}"#.into())
    }
}

impl Compose for Patient {
    fn compose(cx: Context, mark: String, want: Shape) -> Answer<NodeDoing> {
        let settings: Settings = cx.settings()?;
        if cx.resume::<Asked>()?.is_none() {
            ask("start", &mark)?;
            return wait(&Asked, Duration::from_millis(settings.park_ms), "the far side takes its time");
        }
        ask("poll", &mark)?;
        Ok(NodeDoing::Done(node(&mark, &want)))
    }

    fn find(_: Context, _: Holding) -> Answer<Presence> {
        Ok(Presence::Absent)
    }

    fn list(_: Context, _: String, _: Option<String>) -> Answer<Page> {
        Ok(Page { items: Vec::new(), next: None })
    }

    fn release(_: Context, _: Holding, _: Erase) -> Answer<Undoing> {
        Ok(undone())
    }
}

impl Enroll for Patient {
    fn enroll(_: Context, mark: String, made: Node) -> Answer<NodeDoing> {
        ask("enroll", &mark)?;
        Ok(NodeDoing::Done(Node { handle: mark::uuid(&mark).to_string(), parts: Vec::new(), access: None, ..made }))
    }

    fn find(_: Context, _: Holding) -> Answer<Presence> {
        Ok(Presence::Absent)
    }

    fn list(_: Context, _: String, _: Option<String>) -> Answer<Page> {
        Ok(Page { items: Vec::new(), next: None })
    }

    fn refresh(_: Context, _: Holding) -> Answer<Undoing> {
        Ok(undone())
    }

    fn unenroll(_: Context, _: Holding) -> Answer<Undoing> {
        Ok(undone())
    }
}

impl Deploy for Patient {
    fn deploy(_: Context, mark: String, what: Order) -> Answer<DeployDoing> {
        ask("deploy", &mark)?;
        Ok(DeployDoing::Done(Deployed { handle: what.node, addresses: "{}".into(), facts: "{}".into() }))
    }

    fn find(_: Context, _: Holding) -> Answer<Presence> {
        Ok(Presence::Absent)
    }

    fn list(_: Context, _: String, _: Option<String>) -> Answer<Page> {
        Ok(Page { items: Vec::new(), next: None })
    }

    fn undeploy(_: Context, _: Holding, _: Erase) -> Answer<Undoing> {
        Ok(undone())
    }

    fn set_power(_: Context, _: String, _: PowerWish) -> Answer<Undoing> {
        Ok(undone())
    }

    fn observe(_: Context, handles: Vec<String>) -> Answer<Vec<Observed>> {
        let seen = |handle| Observed { handle, power: Power::Unknown, state: String::new(), note: String::new() };
        Ok(handles.into_iter().map(seen).collect())
    }
}

fn ask(what: &str, mark: &str) -> Result<(), Fault> {
    Endpoint::named("far").get(&format!("/{what}/{mark}")).map(drop)
}

fn node(name: &str, want: &Shape) -> Node {
    let part = |id: &str, kind, size| Part { id: id.into(), kind, size, serial: None, properties: "{}".into() };
    Node {
        handle: name.to_owned(),
        identity: Identity {
            system_uuid: Some(mark::uuid(name).to_string()),
            serial: Some(name.to_owned()),
            macs: Vec::new(),
        },
        parts: vec![part("cpu", PartKind::Cpu, want.cores.into()), part("memory", PartKind::Memory, want.memory_mib)],
        place: None,
        access: None,
        facts: "{}".into(),
    }
}

fn undone() -> Undoing {
    Undoing::Done(r#"{"erased": "full", "method": "there never was a disk", "disks": []}"#.into())
}
