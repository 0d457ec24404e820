//! What composing and decomposing do to the hardware: the machine of a system comes and goes, and the disks move between it and their
//! drives with whatever is on them. Every decomposition is watched, as every release is.

use super::pieces::Composed;
use super::pool::NodeState;
use crate::machine::Machine;
use crate::world::State;

impl State {
    pub(super) fn put_together(&mut self, id: &str, name: &str, blocks: &[String], is_halved: bool) {
        let mut disks = Vec::new();
        let (mut cores, mut memory_mib, mut macs) = (0, 0, Vec::new());
        for block in self.pod.pieces.blocks.iter_mut().filter(|block| blocks.contains(&block.id)) {
            cores += block.cores;
            memory_mib += block.memory_mib;
            macs.extend(block.macs.clone());
            for drive in &mut block.drives {
                drive.was_erased = false;
                disks.extend(drive.disk.take());
            }
        }
        let memory_mib = if is_halved { memory_mib / 2 } else { memory_mib };
        let mut machine = Machine::of_pieces(id.to_owned(), self.fresh_uuid(), cores, memory_mib, macs);
        machine.disks = disks;
        self.machines.push(machine);
        self.pod.made += 1;
        self.pod.pieces.systems.push(Composed {
            id: id.to_owned(),
            name: name.to_owned(),
            blocks: blocks.to_vec(),
            state: NodeState::Assembling,
            foreign: false,
            hidden: false,
        });
    }

    /// Somebody else's system with the first of these blocks; it has no machine here.
    pub(super) fn compose_of_strangers(&mut self, blocks: &[String]) {
        let id = self.pod.pieces.fresh_id();
        let (name, blocks) = ("somebody-elses".to_owned(), blocks.iter().take(1).cloned().collect());
        let state = NodeState::Assembled;
        self.pod.pieces.systems.push(Composed { id, name, blocks, state, foreign: true, hidden: false });
    }

    pub(super) fn watch(&mut self, system: &Composed) {
        if system.foreign {
            self.alarms.push(format!("released a foreign system: {} at {}", system.name, system.id));
        }
        let shared = |block: &String| self.pod.pieces.holders(block).count() > 1;
        if !system.foreign && system.blocks.iter().any(shared) {
            self.alarms.push(format!("released while a block is in another system: {} at {}", system.name, system.id));
        }
        self.watch_machine(&system.name, &system.id);
    }

    /// `erases`: what was to be erased on detach is.
    pub(super) fn take_apart(&mut self, id: &str, erases: bool) {
        let Some(at) = self.pod.pieces.systems.iter().position(|system| system.id == id) else { return };
        let system = self.pod.pieces.systems.remove(at);
        self.pod.given_back += u64::from(!system.foreign);
        let Some(at) = self.machines.iter().position(|machine| machine.id == id) else { return };
        for mut disk in self.machines.remove(at).disks {
            let serial = disk.serial.clone();
            if let Some(drive) = self.drive_mut(&serial) {
                if drive.erase_on_detach && erases {
                    disk.owner = None;
                    drive.was_erased = true;
                }
                drive.disk = Some(disk);
            }
        }
    }

    pub(super) fn set_failed(&mut self, block: &str, failed: bool) {
        if let Some(block) = self.pod.pieces.block_mut(block) {
            block.failed = failed;
        }
    }
}
