//! A driver that does what no driver may, one case at a time, chosen by the settings: `{"case": "spin", "verb":
//! "compose"}`. The host's tests load it to show that each promise of the sandbox holds. In every other verb, and
//! without a case, it behaves and makes things up. `case.rs` has the list of cases.

mod case;
mod greedy;
mod network;
mod session;

use case::{Act, Settings, Verb};
use moganite_driver::{
    Answer, Claim, Compose, Context, Deploy, DeployDoing, Deployed, Driver, Enroll, Erase, Fault, Held, Holding,
    Identity, Node, NodeDoing, Observed, Order, Page, Part, PartKind, Power, PowerWish, Presence, Shape, Undoing,
    fault, mark,
};

pub struct Misbehave;

moganite_driver::export!(Misbehave: compose, claim, enroll, deploy);

impl Driver for Misbehave {
    fn probe(_: Context) -> Answer<String> {
        Ok(r#"{"version": "misbehaving", "problems": [], "abilities": {}}"#.into())
    }
}

impl Compose for Misbehave {
    fn compose(cx: Context, mark: String, want: Shape) -> Answer<NodeDoing> {
        made(&cx, Verb::Compose, machine(mark, &want))
    }

    fn find(_: Context, what: Holding) -> Answer<Presence> {
        Ok(presence(what))
    }

    fn list(_: Context, _: String, _: Option<String>) -> Answer<Page> {
        Ok(Page { items: Vec::new(), next: None })
    }

    fn release(cx: Context, _: Holding, _: Erase) -> Answer<Undoing> {
        undone(&cx, Verb::Release)
    }
}

impl Claim for Misbehave {
    /// One machine, and no other when that one is excluded.
    fn claim(cx: Context, mark: String, want: Shape, exclude: Vec<String>) -> Answer<NodeDoing> {
        if exclude.contains(&mark) {
            return Err(fault::capacity("the one machine is excluded"));
        }
        made(&cx, Verb::Claim, machine(mark, &want))
    }

    fn find(_: Context, what: Holding) -> Answer<Presence> {
        Ok(presence(what))
    }

    fn list(_: Context, _: String, _: Option<String>) -> Answer<Page> {
        Ok(Page { items: Vec::new(), next: None })
    }

    fn unclaim(cx: Context, _: Holding) -> Answer<Undoing> {
        undone(&cx, Verb::Unclaim)
    }
}

impl Enroll for Misbehave {
    fn enroll(cx: Context, mark: String, node: Node) -> Answer<NodeDoing> {
        made(&cx, Verb::Enroll, Node { handle: mark::uuid(&mark).to_string(), access: None, ..node })
    }

    fn find(_: Context, what: Holding) -> Answer<Presence> {
        Ok(presence(what))
    }

    fn list(_: Context, _: String, _: Option<String>) -> Answer<Page> {
        Ok(Page { items: Vec::new(), next: None })
    }

    fn refresh(_: Context, _: Holding) -> Answer<Undoing> {
        Ok(Undoing::Done("{}".into()))
    }

    fn unenroll(cx: Context, _: Holding) -> Answer<Undoing> {
        undone(&cx, Verb::Unenroll)
    }
}

impl Deploy for Misbehave {
    fn deploy(cx: Context, _: String, what: Order) -> Answer<DeployDoing> {
        let deployed = Deployed { handle: what.node, addresses: "{}".into(), facts: "{}".into() };
        Ok(match case::act(&cx, Verb::Deploy)? {
            Act::Behave => DeployDoing::Done(deployed),
            Act::Pause(pause) => DeployDoing::Pending(pause),
            Act::Facts(facts) => DeployDoing::Done(Deployed { facts, ..deployed }),
            Act::Handle(handle) => DeployDoing::Done(Deployed { handle, ..deployed }),
        })
    }

    fn find(_: Context, what: Holding) -> Answer<Presence> {
        Ok(presence(what))
    }

    fn list(_: Context, _: String, _: Option<String>) -> Answer<Page> {
        Ok(Page { items: Vec::new(), next: None })
    }

    fn undeploy(cx: Context, _: Holding, _: Erase) -> Answer<Undoing> {
        undone(&cx, Verb::Undeploy)
    }

    fn set_power(_: Context, _: String, _: PowerWish) -> Answer<Undoing> {
        Ok(Undoing::Done("{}".into()))
    }

    fn observe(cx: Context, handles: Vec<String>) -> Answer<Vec<Observed>> {
        cx.settings::<Settings>()?;
        let seen = |handle| Observed { handle, power: Power::On, state: "made up".into(), note: String::new() };
        Ok(handles.into_iter().map(seen).collect())
    }
}

fn machine(mark: String, want: &Shape) -> Node {
    let part = |id: &str, kind, size| Part { id: id.into(), kind, size, serial: None, properties: "{}".into() };
    let uuid = mark::uuid(&mark);
    let [.., a, b, c, d] = uuid.into_bytes();
    Node {
        handle: mark.clone(),
        identity: Identity {
            system_uuid: Some(uuid.to_string()),
            serial: Some(mark),
            macs: vec![format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}")],
        },
        parts: vec![part("cpu", PartKind::Cpu, want.cores.into()), part("memory", PartKind::Memory, want.memory_mib)],
        place: None,
        access: None,
        facts: "{}".into(),
    }
}

fn made(cx: &Context, verb: Verb, node: Node) -> Result<NodeDoing, Fault> {
    Ok(match case::act(cx, verb)? {
        Act::Behave => NodeDoing::Done(node),
        Act::Pause(pause) => NodeDoing::Pending(pause),
        Act::Facts(facts) => NodeDoing::Done(Node { facts, ..node }),
        Act::Handle(handle) => NodeDoing::Done(Node { handle, ..node }),
    })
}

fn undone(cx: &Context, verb: Verb) -> Result<Undoing, Fault> {
    Ok(match case::act(cx, verb)? {
        Act::Behave | Act::Handle(_) => {
            Undoing::Done(r#"{"erased": "full", "method": "there never was a disk", "disks": []}"#.into())
        }
        Act::Pause(pause) => Undoing::Pending(pause),
        Act::Facts(facts) => Undoing::Done(facts),
    })
}

fn presence(what: Holding) -> Presence {
    match what.handle {
        Some(handle) => {
            Presence::Present(Held { mark: what.mark, handle, state: "made up".into(), note: String::new() })
        }
        None => Presence::Absent,
    }
}
