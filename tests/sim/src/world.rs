//! What is true, whatever the faces say: the machines with their power, their virtual media and what lies on their disks; and the
//! alarms, raised when something happened that must never happen. The faces keep their own records beside it, under the same lock.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use uuid::Uuid;

use crate::Addresses;
use crate::clock::Clock;
use crate::cloudboot::store::Store as CloudBootStore;
use crate::faults::Faults;
use crate::ironic::store::Store as IronicStore;
use crate::log::Log;
use crate::machine::Machine;
use crate::options::{Dialect, Options};
use crate::outage::Outage;
use crate::podm::pieces::Pieces;
use crate::podm::pool::Pod;
use crate::valence::records::Records;

pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) outage: Outage,
    pub(crate) log: Log,
    /// Set once, when every port is bound.
    pub(crate) addresses: OnceLock<Addresses>,
    state: Mutex<State>,
}

/// Everything that changes. Held for the length of one deed, never while waiting.
pub(crate) struct State {
    pub(crate) machines: Vec<Machine>,
    pub(crate) pod: Pod,
    pub(crate) valence: Records,
    pub(crate) ironic: IronicStore,
    pub(crate) cloudboot: CloudBootStore,
    pub(crate) alarms: Vec<String>,
    pub(crate) settings: Settings,
    namespace: Uuid,
    made: u64,
}

/// What can be changed while it runs (`PUT /settings`).
pub(crate) struct Settings {
    pub(crate) dialect: Dialect,
    pub(crate) bmc_password: String,
    pub(crate) inspect_fails: bool,
    pub(crate) http_basic: Option<String>,
}

impl World {
    pub(crate) fn new(options: Options) -> Arc<Self> {
        let namespace =
            options.seed.map_or_else(Uuid::now_v7, |seed| Uuid::new_v5(&Uuid::NAMESPACE_OID, &seed.to_be_bytes()));
        let state = State {
            machines: (1..=options.systems).map(|number| Machine::new(&options, namespace, number)).collect(),
            pod: Pod { pieces: Pieces::new(&options, namespace), ..Pod::default() },
            valence: Records::default(),
            ironic: IronicStore::default(),
            cloudboot: CloudBootStore::new(&options),
            alarms: Vec::new(),
            settings: Settings {
                dialect: options.valence,
                bmc_password: options.bmc_password.clone(),
                inspect_fails: options.inspect_fails,
                http_basic: options.http_basic.clone(),
            },
            namespace,
            made: 0,
        };
        Arc::new(Self {
            clock: Clock::new(options.hand_clock),
            faults: Faults::default(),
            outage: Outage::default(),
            log: Log::default(),
            addresses: OnceLock::new(),
            state: Mutex::new(state),
            options,
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A uuid that no other thing of this world has.
    pub(crate) fn fresh_uuid(&mut self) -> String {
        self.made += 1;
        Uuid::new_v5(&self.namespace, format!("record {}", self.made).as_bytes()).to_string()
    }

    /// The whole systems: those that were not made of pieces.
    pub(crate) fn pooled(&self) -> impl DoubleEndedIterator<Item = &Machine> {
        self.machines.iter().filter(|machine| self.pod.pieces.system(&machine.id).is_none())
    }

    pub(crate) fn machine(&self, id: &str) -> Option<&Machine> {
        self.machines.iter().find(|machine| machine.id == id)
    }

    pub(crate) fn machine_mut(&mut self, id: &str) -> Option<&mut Machine> {
        self.machines.iter_mut().find(|machine| machine.id == id)
    }
}
