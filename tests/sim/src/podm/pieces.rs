//! The pool in pieces, beside the pool of whole systems: blocks of processors with memory and interfaces, blocks of drives, and the systems
//! that were composed from them. A reservation is advice: anybody may flip it, nothing enforces it, and decomposing does not clear it. A
//! drive keeps whose data is on it from one system to the next. What HTTP makes of all this is in `podm/composition.rs` and `podm/compose.rs`.

use uuid::Uuid;

use super::pool::NodeState;
use crate::call::Answer;
use crate::machine::Disk;
use crate::options::Options;

/// The zones; a system is composed within one.
pub(crate) const ZONES: [&str; 2] = ["Zone-1", "Zone-2"];

#[derive(Default)]
pub(crate) struct Pieces {
    pub(crate) blocks: Vec<Block>,
    pub(crate) systems: Vec<Composed>,
    pub(crate) tasks: Vec<Task>,
    made: u32,
}

/// One resource block.
pub(crate) struct Block {
    /// `C1`... with processors, `S1`... with drives.
    pub(crate) id: String,
    pub(crate) zone: &'static str,
    pub(crate) cores: u32,
    pub(crate) memory_mib: u64,
    pub(crate) macs: Vec<String>,
    pub(crate) drives: Vec<Drive>,
    pub(crate) reserved: bool,
    /// Unusable until somebody repairs it.
    pub(crate) failed: bool,
}

pub(crate) struct Drive {
    pub(crate) serial: String,
    pub(crate) gib: u64,
    /// In the machine while that exists.
    pub(crate) disk: Option<Disk>,
    pub(crate) erase_on_detach: bool,
    pub(crate) was_erased: bool,
    pub(crate) is_erasing: bool,
}

/// A system made of blocks. Its machine has the same id.
#[derive(Clone)]
pub(crate) struct Composed {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) blocks: Vec<String>,
    pub(crate) state: NodeState,
    /// Somebody else's.
    pub(crate) foreign: bool,
    /// Held, but shown to nobody.
    pub(crate) hidden: bool,
}

/// What was answered 202.
pub(crate) struct Task {
    pub(crate) id: String,
    /// None: it runs.
    pub(crate) outcome: Option<Answer>,
}

impl Pieces {
    pub(crate) fn new(options: &Options, namespace: Uuid) -> Self {
        let unique = |what: String| Uuid::new_v5(&namespace, what.as_bytes()).simple().to_string();
        // Every second one is half as big, so that there is something to choose.
        let half = |at: usize| 1 + at % 2;
        let compute = (0..options.blocks).map(|at| {
            let hex = unique(format!("compute block {at}"));
            let mac = |nic: usize| format!("52:55:{}:{}:{}:{}{nic:x}", &hex[0..2], &hex[2..4], &hex[4..6], &hex[6..7]);
            Block {
                cores: options.cores / half(at) as u32,
                memory_mib: options.memory_mib / half(at) as u64,
                macs: (0..options.nics.min(16)).map(mac).collect(),
                ..Block::empty(format!("C{}", at + 1), ZONES[at / 2 % 2])
            }
        });
        let storage = (0..options.blocks * 2).map(|at| {
            let serial = format!("DRV-{}", &unique(format!("storage block {at}"))[..12]);
            let drive = Drive::new(serial, options.disk_gib * half(at) as u64);
            Block { drives: vec![drive], ..Block::empty(format!("S{}", at + 1), ZONES[at / 2 % 2]) }
        });
        Self { blocks: compute.chain(storage).collect(), ..Self::default() }
    }

    pub(crate) fn block(&self, id: &str) -> Option<&Block> {
        self.blocks.iter().find(|block| block.id == id)
    }

    pub(crate) fn block_mut(&mut self, id: &str) -> Option<&mut Block> {
        self.blocks.iter_mut().find(|block| block.id == id)
    }

    pub(crate) fn system(&self, id: &str) -> Option<&Composed> {
        self.systems.iter().find(|system| system.id == id)
    }

    /// The systems that have this block, whoever sees them.
    pub(crate) fn holders<'a>(&'a self, block: &'a str) -> impl Iterator<Item = &'a Composed> {
        self.systems.iter().filter(move |system| system.blocks.iter().any(|id| id == block))
    }

    /// In the standard's words.
    pub(crate) fn state_of(&self, block: &Block) -> &'static str {
        let mut holders = self.holders(&block.id).filter(|system| !system.hidden).peekable();
        if block.failed || holders.peek().is_some_and(|system| system.state == NodeState::Failed) {
            return "Failed";
        }
        if holders.peek().is_none() {
            return "Unused";
        }
        if holders.any(|system| system.state == NodeState::Assembling) { "Composing" } else { "Composed" }
    }

    pub(crate) fn begin_task(&mut self) -> String {
        self.made += 1;
        let id = self.made.to_string();
        self.tasks.push(Task { id: id.clone(), outcome: None });
        id
    }

    pub(crate) fn end_task(&mut self, id: &str, outcome: Answer) {
        if let Some(task) = self.tasks.iter_mut().find(|task| task.id == id) {
            task.outcome = Some(outcome);
        }
    }

    /// An id that no system of this pod has.
    pub(crate) fn fresh_id(&mut self) -> String {
        self.made += 1;
        format!("Composed-{}", self.made)
    }
}

impl Block {
    fn empty(id: String, zone: &'static str) -> Self {
        let (macs, drives) = (Vec::new(), Vec::new());
        Self { id, zone, cores: 0, memory_mib: 0, macs, drives, reserved: false, failed: false }
    }
}

impl Drive {
    fn new(serial: String, gib: u64) -> Self {
        let disk = Some(Disk { serial: serial.clone(), gib, owner: None });
        Self { serial, gib, disk, erase_on_detach: false, was_erased: false, is_erasing: false }
    }
}
