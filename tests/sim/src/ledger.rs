//! The world's own account: what was made, what was given back, what is held, which machines run, whose data lies where, and the alarms.
//! It reads the truth and asks no face, so that a side which lies about a release is found out.

use serde::Serialize;

use crate::cloudboot::ledger::CloudBoot;
use crate::podm::pool::NodeState;
use crate::world::State;

#[derive(Clone, Debug, Serialize)]
pub struct Ledger {
    pub pod: Pod,
    pub valence: Valence,
    pub ironic: Ironic,
    pub cloudboot: CloudBoot,
    pub machines: Machines,
    /// One sentence for each thing that must never happen, oldest first.
    pub alarms: Vec<String>,
}

/// The pod manager's nodes; those of strangers are kept apart and not counted.
#[derive(Clone, Debug, Serialize)]
pub struct Pod {
    pub made: u64,
    pub given_back: u64,
    pub held: Vec<PodNode>,
    pub foreign: Vec<PodNode>,
    /// The ids of the resource blocks that are reserved and in no system.
    pub reserved: Vec<String>,
}

/// A node, or a system composed of blocks.
#[derive(Clone, Debug, Serialize)]
pub struct PodNode {
    pub name: String,
    /// Of a composed system: its id.
    pub index: String,
    /// The pod manager's.
    pub uuid: String,
    /// The id of its system.
    pub system: String,
    pub state: NodeState,
    pub cores: u32,
    pub memory_mib: u64,
    /// The ids of its resource blocks; empty for a node of a whole system.
    pub blocks: Vec<String>,
    /// The serials of its disks.
    pub disks: Vec<String>,
}

/// Valence's records, whatever they still point at.
#[derive(Clone, Debug, Serialize)]
pub struct Valence {
    pub records: Vec<ValenceRecord>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ValenceRecord {
    pub name: String,
    pub uuid: String,
    pub index: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Ironic {
    pub made: u64,
    pub given_back: u64,
    pub held: Vec<IronicNode>,
}

#[derive(Clone, Debug, Serialize)]
pub struct IronicNode {
    pub name: Option<String>,
    pub uuid: String,
    pub provision_state: String,
    pub instance_uuid: Option<String>,
    /// The id of the system that it refers to.
    pub system: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Machines {
    /// The ids of the systems that are on.
    pub running: Vec<String>,
    pub data: Vec<Data>,
}

/// Data on a disk.
#[derive(Clone, Debug, Serialize)]
pub struct Data {
    /// The disk's serial.
    pub disk: String,
    /// Of a drive that is in no system: the id of its resource block.
    pub system: String,
    /// The name of the Ironic node that was deployed there, or its uuid when it had none.
    pub owner: String,
}

impl Ledger {
    pub(crate) fn of(state: &State) -> Self {
        let pieces = &state.pod.pieces;
        let disks = |system: &str| {
            let machine = state.machine(system);
            machine.iter().flat_map(|machine| &machine.disks).map(|disk| disk.serial.clone()).collect()
        };
        let systems = |foreign: bool| {
            pieces.systems.iter().filter(move |system| system.foreign == foreign).map(|system| PodNode {
                name: system.name.clone(),
                index: system.id.clone(),
                uuid: state.machine(&system.id).map_or(String::new(), |machine| machine.uuid.clone()),
                system: system.id.clone(),
                state: system.state,
                cores: state.machine(&system.id).map_or(0, |machine| machine.cores),
                memory_mib: state.machine(&system.id).map_or(0, |machine| machine.memory_mib),
                blocks: system.blocks.clone(),
                disks: disks(&system.id),
            })
        };
        let nodes = |foreign: bool| {
            state.pod.nodes.values().filter(move |node| node.foreign == foreign).map(|node| PodNode {
                name: node.name.clone(),
                index: node.index.to_string(),
                uuid: node.uuid.clone(),
                system: node.system.clone(),
                state: node.state,
                cores: state.machine(&node.system).map_or(0, |machine| machine.cores),
                memory_mib: state.machine(&node.system).map_or(0, |machine| machine.memory_mib),
                blocks: Vec::new(),
                disks: disks(&node.system),
            })
        };
        Self {
            pod: Pod {
                made: state.pod.made,
                given_back: state.pod.given_back,
                held: nodes(false).chain(systems(false)).collect(),
                foreign: nodes(true).chain(systems(true)).collect(),
                reserved: pieces
                    .blocks
                    .iter()
                    .filter(|block| block.reserved && pieces.holders(&block.id).next().is_none())
                    .map(|block| block.id.clone())
                    .collect(),
            },
            valence: Valence {
                records: state
                    .valence
                    .nodes
                    .values()
                    .map(|record| ValenceRecord {
                        name: record.name.clone(),
                        uuid: record.uuid.clone(),
                        index: record.index.clone(),
                    })
                    .collect(),
            },
            ironic: Ironic {
                made: state.ironic.made,
                given_back: state.ironic.given_back,
                held: state
                    .ironic
                    .nodes
                    .iter()
                    .map(|node| IronicNode {
                        name: node.name().map(str::to_owned),
                        uuid: node.uuid.clone(),
                        provision_state: node.provision.as_str().to_owned(),
                        instance_uuid: node.instance_uuid().map(str::to_owned),
                        system: node.system().map(str::to_owned),
                    })
                    .collect(),
            },
            cloudboot: CloudBoot::of(&state.cloudboot),
            machines: Machines {
                running: state
                    .machines
                    .iter()
                    .filter(|machine| machine.running)
                    .map(|machine| machine.id.clone())
                    .collect(),
                data: data(state),
            },
            alarms: state.alarms.clone(),
        }
    }
}

/// On the disks of every machine, and on the drives that are in none.
fn data(state: &State) -> Vec<Data> {
    let machines = state.machines.iter().flat_map(|machine| machine.disks.iter().map(|disk| (&machine.id, disk)));
    let blocks = state.pod.pieces.blocks.iter();
    let drives =
        blocks.flat_map(|block| block.drives.iter().filter_map(|drive| Some((&block.id, drive.disk.as_ref()?))));
    let data = machines.chain(drives).filter_map(|(place, disk)| {
        Some(Data { disk: disk.serial.clone(), system: place.clone(), owner: disk.owner.clone()? })
    });
    data.collect()
}
