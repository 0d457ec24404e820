//! A driver that does what no driver may, one case at a time, chosen by the settings: `{"case": "spin", "verb":
//! "compose"}`. The host's tests load it to show that each promise of the sandbox holds. In every other verb, and
//! without a case, it behaves and makes things up. `case.rs` has the list of cases.

mod case;
mod greedy;
mod network;
mod session;
mod words;

use case::{Act, Role, Settings, Verb};
use moganite_driver::{
    Answer, Claim, Compose, Context, Deploy, DeployDoing, Deployed, Driver, Enroll, Erase, Fault, Held, Holding,
    Identity, Node, NodeDoing, Observed, Order, Page, Part, PartKind, Power, PowerWish, Presence, Shape, Undoing,
    fault, mark,
};

pub struct Misbehave;

moganite_driver::export!(Misbehave: compose, claim, enroll, deploy);

impl Driver for Misbehave {
    fn probe(cx: Context) -> Answer<String> {
        Ok(match case::act(&cx, Role::Driver, Verb::Probe)? {
            Act::Facts(facts) => facts,
            Act::Text(text) => serde_json::json!({ "version": text, "problems": [text] }).to_string(),
            _ => r#"{"version": "misbehaving", "problems": [], "abilities": {}}"#.into(),
        })
    }
}

impl Compose for Misbehave {
    fn compose(cx: Context, mark: String, want: Shape) -> Answer<NodeDoing> {
        made(&cx, Role::Compose, Verb::Compose, machine(mark, &want))
    }

    fn find(cx: Context, what: Holding) -> Answer<Presence> {
        presence(&cx, Role::Compose, what)
    }

    fn list(cx: Context, site: String, _: Option<String>) -> Answer<Page> {
        page(&cx, Role::Compose, &site)
    }

    fn release(cx: Context, _: Holding, _: Erase) -> Answer<Undoing> {
        undone(&cx, Role::Compose, Verb::Release)
    }
}

impl Claim for Misbehave {
    /// One machine, and no other when that one is excluded.
    fn claim(cx: Context, mark: String, want: Shape, exclude: Vec<String>) -> Answer<NodeDoing> {
        if exclude.contains(&mark) {
            return Err(fault::capacity("the one machine is excluded"));
        }
        made(&cx, Role::Claim, Verb::Claim, machine(mark, &want))
    }

    fn find(cx: Context, what: Holding) -> Answer<Presence> {
        presence(&cx, Role::Claim, what)
    }

    fn list(cx: Context, site: String, _: Option<String>) -> Answer<Page> {
        page(&cx, Role::Claim, &site)
    }

    fn unclaim(cx: Context, _: Holding) -> Answer<Undoing> {
        undone(&cx, Role::Claim, Verb::Unclaim)
    }
}

impl Enroll for Misbehave {
    fn enroll(cx: Context, mark: String, node: Node) -> Answer<NodeDoing> {
        made(&cx, Role::Enroll, Verb::Enroll, Node { handle: mark::uuid(&mark).to_string(), access: None, ..node })
    }

    fn find(cx: Context, what: Holding) -> Answer<Presence> {
        presence(&cx, Role::Enroll, what)
    }

    fn list(cx: Context, site: String, _: Option<String>) -> Answer<Page> {
        page(&cx, Role::Enroll, &site)
    }

    fn refresh(cx: Context, _: Holding) -> Answer<Undoing> {
        undone(&cx, Role::Enroll, Verb::Refresh)
    }

    fn unenroll(cx: Context, _: Holding) -> Answer<Undoing> {
        undone(&cx, Role::Enroll, Verb::Unenroll)
    }
}

impl Deploy for Misbehave {
    fn deploy(cx: Context, _: String, what: Order) -> Answer<DeployDoing> {
        let deployed = Deployed { handle: what.node, addresses: "{}".into(), facts: "{}".into() };
        Ok(match case::act(&cx, Role::Deploy, Verb::Deploy)? {
            Act::Behave | Act::Many(_) | Act::Identity(_) => DeployDoing::Done(deployed),
            Act::Pause(pause) => DeployDoing::Pending(pause),
            Act::Facts(facts) => DeployDoing::Done(Deployed { facts, ..deployed }),
            Act::Handle(handle) => DeployDoing::Done(Deployed { handle, ..deployed }),
            Act::Text(text) => {
                let said = said(&text);
                DeployDoing::Done(Deployed { addresses: said.clone(), facts: said, ..deployed })
            }
        })
    }

    fn find(cx: Context, what: Holding) -> Answer<Presence> {
        presence(&cx, Role::Deploy, what)
    }

    fn list(cx: Context, site: String, _: Option<String>) -> Answer<Page> {
        page(&cx, Role::Deploy, &site)
    }

    fn undeploy(cx: Context, _: Holding, _: Erase) -> Answer<Undoing> {
        undone(&cx, Role::Deploy, Verb::Undeploy)
    }

    fn set_power(cx: Context, _: String, _: PowerWish) -> Answer<Undoing> {
        undone(&cx, Role::Deploy, Verb::SetPower)
    }

    /// Off: nothing that it made up runs.
    fn observe(cx: Context, handles: Vec<String>) -> Answer<Vec<Observed>> {
        let act = case::act(&cx, Role::Deploy, Verb::Observe)?;
        let word = |text: &str, usual: &str| if text.is_empty() { usual.to_owned() } else { text.to_owned() };
        let (text, many) = match act {
            Act::Text(text) | Act::Facts(text) => (text, 1),
            Act::Many(many) => (String::new(), many),
            _ => (String::new(), 1),
        };
        let seen = |handle: &String| Observed {
            handle: handle.clone(),
            power: if text.is_empty() { Power::Unknown } else { Power::Off },
            state: word(&text, "made up"),
            note: text.clone(),
        };
        Ok(handles.iter().cycle().take(handles.len() * many).map(seen).collect())
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

fn made(cx: &Context, role: Role, verb: Verb, node: Node) -> Result<NodeDoing, Fault> {
    Ok(match case::act(cx, role, verb)? {
        Act::Behave => NodeDoing::Done(node),
        Act::Pause(pause) => NodeDoing::Pending(pause),
        Act::Facts(facts) => NodeDoing::Done(Node { facts, ..node }),
        Act::Handle(handle) => NodeDoing::Done(Node { handle, ..node }),
        Act::Identity(identity) => NodeDoing::Done(Node { identity, ..node }),
        Act::Text(text) => {
            let Node { mut parts, mut identity, .. } = node;
            for part in &mut parts {
                part.id = text.clone();
                part.serial = Some(text.clone());
            }
            identity.serial = Some(text.clone());
            NodeDoing::Done(Node { facts: said(&text), place: Some(text), parts, identity, ..node })
        }
        Act::Many(many) => {
            let part = Part { id: "p".into(), kind: PartKind::Other, size: 1, serial: None, properties: "{}".into() };
            NodeDoing::Done(Node { parts: vec![part; many], ..node })
        }
    })
}

fn undone(cx: &Context, role: Role, verb: Verb) -> Result<Undoing, Fault> {
    Ok(match case::act(cx, role, verb)? {
        Act::Behave | Act::Handle(_) | Act::Identity(_) | Act::Many(_) => {
            Undoing::Done(r#"{"erased": "full", "method": "there never was a disk", "disks": []}"#.into())
        }
        Act::Pause(pause) => Undoing::Pending(pause),
        Act::Facts(facts) => Undoing::Done(facts),
        Act::Text(text) => {
            Undoing::Done(serde_json::json!({ "erased": "full", "method": text, "disks": [text] }).to_string())
        }
    })
}

fn presence(cx: &Context, role: Role, what: Holding) -> Result<Presence, Fault> {
    let held = |mark: String, handle: String, state: String| {
        Presence::Present(Held { mark, handle, note: state.clone(), state })
    };
    let settings: Settings = cx.settings()?;
    Ok(match (case::act(cx, role, Verb::Find)?, what.handle) {
        (Act::Handle(handle), _) => held(what.mark, handle, "made up".into()),
        (Act::Text(text) | Act::Facts(text), handle) => held(what.mark, handle.unwrap_or_default(), text),
        (_, Some(handle)) if settings.kept => held(what.mark, handle, "made up".into()),
        _ => Presence::Absent,
    })
}

fn page(cx: &Context, role: Role, site: &str) -> Result<Page, Fault> {
    let held = |handle: String, text: &str| Held {
        mark: format!("mg-{site}-never-1"),
        handle,
        state: text.into(),
        note: text.into(),
    };
    let items = match case::act(cx, role, Verb::List)? {
        Act::Handle(handle) => vec![held(handle, "made up")],
        Act::Text(text) | Act::Facts(text) => vec![held("h".into(), &text)],
        Act::Many(many) => (0..many).map(|n| held(format!("h{n}"), "made up")).collect(),
        _ => Vec::new(),
    };
    Ok(Page { items, next: None })
}

/// A JSON object with this text as key and as value.
fn said(text: &str) -> String {
    serde_json::json!({ "note": text, text: text }).to_string()
}
