//! Stand-ins for the far sides: Valence, the pod manager behind it (which is also the BMC of every machine), and Ironic, over one world that
//! remembers the truth. Read `world.rs` and `machine.rs` for what is true, then one face: `podm.rs`, `valence.rs`, `ironic.rs`;
//! `exchange.rs` is the way of every request, `faults.rs` what can go wrong on it. What each face imitates, with the release that was
//! observed, is in the README.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

use std::io;
use std::sync::Arc;

use serde::Serialize;

mod basic;
mod call;
mod clock;
mod cloudboot;
mod control;
mod exchange;
mod faults;
mod ironic;
mod ledger;
mod log;
mod machine;
mod options;
mod outage;
mod podm;
mod valence;
mod wire;
mod world;

pub use cloudboot::ledger::{CloudBoot, CloudBootDevice};
pub use control::Settings;
pub use exchange::Side;
pub use faults::{Fault, Kind};
pub use ledger::{Data, Ironic, IronicNode, Ledger, Machines, Pod, PodNode, Valence, ValenceRecord};
pub use log::Entry;
pub use options::{Dialect, DriveErase, Options, RedfishDialect};
pub use podm::pool::NodeState;

use exchange::exchange;
use wire::{Server, bind, spawn_server};
use world::World;

/// A running simulator. Dropping it closes its ports and cuts every connection.
pub struct Sim {
    world: Arc<World>,
    addresses: Addresses,
    _servers: [Server; 5],
}

/// Where the faces listen, each `http://127.0.0.1:PORT`.
#[derive(Clone, Debug, Serialize)]
pub struct Addresses {
    pub valence: String,
    /// The pod manager, and the address of every BMC.
    pub podm: String,
    pub ironic: String,
    pub cloudboot: String,
    pub control: String,
}

impl Sim {
    /// Binds the ports and begins to serve, on the present tokio runtime.
    pub async fn start(options: Options) -> io::Result<Self> {
        let ports = [options.valence_port, options.podm_port, options.ironic_port, options.control_port];
        let [valence, podm, ironic, control] =
            [bind(ports[0]).await?, bind(ports[1]).await?, bind(ports[2]).await?, bind(ports[3]).await?];
        let address =
            |listener: &tokio::net::TcpListener| listener.local_addr().map(|address| format!("http://{address}"));
        let cloudboot = bind(options.cloudboot_port).await?;
        let addresses = Addresses {
            valence: address(&valence)?,
            podm: address(&podm)?,
            ironic: address(&ironic)?,
            cloudboot: address(&cloudboot)?,
            control: address(&control)?,
        };
        let world = World::new(options);
        let addresses = world.addresses.get_or_init(|| addresses).clone();
        let face = |side: Side| {
            let world = world.clone();
            move |call| exchange(world.clone(), side, call)
        };
        let controlled = world.clone();
        let servers = [
            spawn_server(valence, Some(&world), face(Side::Valence)),
            spawn_server(podm, Some(&world), face(Side::Podm)),
            spawn_server(ironic, Some(&world), face(Side::Ironic)),
            spawn_server(cloudboot, Some(&world), face(Side::Cloudboot)),
            spawn_server(control, None, move |call| control::answer(controlled.clone(), call)),
        ];
        cloudboot::spawn_idle(&world);
        Ok(Self { world, addresses, _servers: servers })
    }

    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The account of what is true now.
    pub fn ledger(&self) -> Ledger {
        Ledger::of(&self.world.state())
    }

    /// Every request that arrived after the `n`th.
    pub fn log_after(&self, n: u64) -> Vec<Entry> {
        self.world.log.after(n)
    }

    /// Sets one switch.
    pub fn fault(&self, fault: Fault) {
        self.world.faults.add(fault);
    }

    /// Every switch that is set, with how often it fired.
    pub fn faults(&self) -> Vec<Fault> {
        self.world.faults.list()
    }

    /// How many requests of this side were open at the same time, at most, since this was asked last.
    pub fn most_at_once(&self, side: Side) -> usize {
        self.world.log.most_at_once(side)
    }

    pub fn clear_faults(&self) {
        self.world.faults.clear();
    }

    pub fn change(&self, settings: Settings) {
        settings.apply(&self.world);
    }

    /// Moves the clock forward, ms.
    pub fn advance(&self, ms: u64) {
        self.world.clock.advance(ms);
    }
}
