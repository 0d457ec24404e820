//! The pool's rules: which system a node gets, and what a release does to it. Indexes are reused: a new node gets the lowest that is
//! free, so a stale record of somebody may point at a foreign node. Every release is watched: a machine that is still in Ironic, or
//! still running, raises an alarm.

use std::collections::BTreeMap;

use serde::Serialize;

use super::pieces::Pieces;
use crate::faults::{Faults, Kind};
use crate::world::State;

/// The pod manager's records.
#[derive(Default)]
pub(crate) struct Pod {
    /// By index, from 1.
    pub(crate) nodes: BTreeMap<u32, Node>,
    pub(crate) made: u64,
    pub(crate) given_back: u64,
    pub(crate) pieces: Pieces,
}

/// A composed node.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) index: u32,
    pub(crate) uuid: String,
    pub(crate) name: String,
    pub(crate) description: String,
    /// The id of its system.
    pub(crate) system: String,
    pub(crate) state: NodeState,
    /// Held, but shown to nobody.
    pub(crate) hidden: bool,
    /// Somebody else's.
    pub(crate) foreign: bool,
    /// Memory that the pod manager tells, MiB, where it is not the system's.
    pub(crate) told_memory_mib: Option<u64>,
}

/// RSD's ComposedNodeState.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum NodeState {
    Allocating,
    Allocated,
    Assembling,
    Assembled,
    Failed,
}

/// What is asked of the pool. Zero or none: no wish.
#[derive(Default)]
pub(crate) struct Wish {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) cores: u32,
    pub(crate) memory_mib: u64,
    pub(crate) model: Option<String>,
    pub(crate) memory_type: Option<String>,
}

/// The model and memory type of every system here.
pub(crate) const MODEL: &str = "Intel(R) Xeon(R)";
pub(crate) const MEMORY_TYPE: &str = "DDR4";

impl Pod {
    /// A node that the API shows.
    pub(crate) fn shown(&self, index: &str) -> Option<&Node> {
        index.parse().ok().and_then(|index: u32| self.nodes.get(&index)).filter(|node| !node.hidden)
    }

    pub(crate) fn holders<'a>(&'a self, system: &'a str) -> impl Iterator<Item = &'a Node> {
        self.nodes.values().filter(move |node| node.system == system)
    }

    fn free_index(&self) -> u32 {
        (1..).find(|index| !self.nodes.contains_key(index)).unwrap_or(u32::MAX)
    }
}

impl State {
    /// Takes a free system for a node, in state `Allocating`; its index. None: no system fits that is free.
    pub(crate) fn allocate(&mut self, wish: Wish, faults: &Faults) -> Option<u32> {
        let system = self.system_for(&wish, faults)?;
        let halved = faults.fires(Kind::HalfMemory);
        let machine = self.machine_mut(&system)?;
        let asked = if wish.memory_mib == 0 { machine.built_memory_mib } else { wish.memory_mib };
        if halved.is_some() {
            machine.memory_mib = asked / 2;
        }
        let index = self.pod.free_index();
        let told_memory_mib = halved.filter(|fault| fault.lies).map(|_| asked);
        self.insert_node(Node { told_memory_mib, ..Node::new(index, wish.name, wish.description, system) });
        self.pod.made += 1;
        Some(index)
    }

    /// Gives a node back: its system is shut down and goes back into the pool, unless another node has it too.
    pub(crate) fn release(&mut self, index: u32) {
        self.watch_release(index);
        self.remove_node(index);
    }

    /// Somebody else releases a node. Nobody's fault, so no alarm.
    pub(crate) fn release_out_of_band(&mut self, index: u32) {
        self.remove_node(index);
    }

    /// Somebody else composes a node, and gets this index if it is free. Takes no system when the pool is full.
    pub(crate) fn compose_foreign(&mut self, index: u32) {
        let system = self
            .pooled()
            .rev()
            .find(|machine| self.pod.holders(&machine.id).next().is_none())
            .map(|machine| machine.id.clone());
        let node = Node::new(index, "somebody-elses".to_owned(), String::new(), system.unwrap_or_default());
        self.insert_node(Node { foreign: true, state: NodeState::Assembled, ..node });
    }

    fn insert_node(&mut self, node: Node) {
        let uuid = self.fresh_uuid();
        self.pod.nodes.entry(node.index).or_insert(Node { uuid, ..node });
    }

    fn remove_node(&mut self, index: u32) {
        let Some(node) = self.pod.nodes.remove(&index) else { return };
        self.pod.given_back += u64::from(!node.foreign);
        if self.pod.holders(&node.system).next().is_none()
            && let Some(machine) = self.machine_mut(&node.system)
        {
            machine.reset();
        }
    }

    fn watch_release(&mut self, index: u32) {
        let Some(node) = self.pod.nodes.get(&index) else { return };
        if self.pod.holders(&node.system).count() > 1 {
            return;
        }
        let (name, system) = (node.name.clone(), node.system.clone());
        if node.foreign {
            self.alarms.push(format!("released a foreign node: {name} at index {index}"));
        }
        self.watch_machine(&name, &system);
    }

    /// The alarms that hold for every machine that is given back.
    pub(super) fn watch_machine(&mut self, name: &str, system: &str) {
        if let Some(enrolled) = self.ironic.node_of_system(system) {
            self.alarms
                .push(format!("released while enrolled: {name}, system {system}, is still Ironic's node {enrolled}"));
        }
        if self.machine(system).is_some_and(|machine| machine.running) {
            self.alarms.push(format!("released while running: {name}, system {system}"));
        }
    }

    fn system_for(&self, wish: &Wish, faults: &Faults) -> Option<String> {
        let twice = self.pod.nodes.values().find(|node| node.state == NodeState::Assembled && !node.foreign);
        if let Some(node) = twice
            && faults.fires(Kind::SameSystemTwice).is_some()
        {
            return Some(node.system.clone());
        }
        let fits = self.pooled().filter(|machine| {
            machine.cores >= wish.cores
                && machine.built_memory_mib >= wish.memory_mib
                && wish.model.as_deref().is_none_or(|model| model == MODEL)
                && wish.memory_type.as_deref().is_none_or(|kind| kind == MEMORY_TYPE)
        });
        let mut free = fits.filter(|machine| self.pod.holders(&machine.id).next().is_none());
        free.next().map(|machine| machine.id.clone())
    }
}

impl Node {
    fn new(index: u32, name: String, description: String, system: String) -> Self {
        Self {
            index,
            uuid: String::new(),
            name,
            description,
            system,
            state: NodeState::Allocating,
            hidden: false,
            foreign: false,
            told_memory_mib: None,
        }
    }

    pub(crate) fn path(&self) -> String {
        format!("/redfish/v1/Nodes/{}", self.index)
    }
}
