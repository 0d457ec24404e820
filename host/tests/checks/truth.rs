//! Two questions after each run, answered by the far sides' own ledger: is anything left behind? Is the instance's state true?

use moganite::model::{Holding, InstanceId, InstanceState, Phase, Role};
use moganite::store::HoldingFilter;
use moganite_sim::{IronicNode, Ledger};

use crate::play::flows_of;
use crate::world::World;

/// Every flow of this instance ended: what it says of itself is so, and what is held out there is on our list.
pub(crate) fn of(world: &World, id: InstanceId) -> Result<(), String> {
    let (instance, gone) = world.run("a look", world.store().instance(None, id))?.unwrap().unwrap();
    let filter = HoldingFilter { instance: Some(id), ..HoldingFilter::default() };
    let holdings = world.run("a look", world.store().holdings(filter))?.unwrap();
    let ledger = world.sim.ledger();
    let mut untrue = Vec::new();
    for flow in world.run("a look", flows_of(world.store(), id))? {
        let own = format!("{}-", flow.id.0.simple());
        if flow.position.phase == Phase::Reverted && holdings.iter().any(|it| it.operation.0.starts_with(&own)) {
            untrue.push(format!("{} ended reverted and holds something still", flow.kind));
        }
    }
    let runs = runs(&ledger, &holdings);
    match (instance.state, gone) {
        (_, true) if !holdings.is_empty() => untrue.push("it is gone and holds something".to_owned()),
        (_, true) => (),
        (InstanceState::Active, _) => match runs {
            None => untrue.push("it is active and nothing is deployed".into()),
            // CloudBoot shows nobody its machines' power: there `off` is what was wished, when the answer was lost.
            Some(on) if on == instance.off && !is_blind(&holdings) => {
                untrue.push(format!("its machine is on: {on}, and it says off: {}", instance.off));
            }
            Some(_) => (),
        },
        (InstanceState::Failed, _) => {
            if runs == Some(true) {
                untrue.push("it failed and its machine runs".into());
            }
            if instance.reason.is_none() {
                untrue.push("it failed without a reason".into());
            }
            if instance.composed == Some(false) && holdings.iter().any(|it| it.role == Role::Compose) {
                untrue.push("it says that nothing is composed and holds a composed node".into());
            }
        }
        (state, _) => untrue.push(format!("every flow ended and it is still {}", state.as_str())),
    }
    let by_hand = world.by_hand.borrow();
    // What runs already is ours from the end of its adoption on, and not touched before.
    for node in ledger.ironic.held.iter().filter(|node| instance.order.adopting && by_hand.contains(&node.uuid)) {
        let runs = node.system.as_ref().is_some_and(|system| ledger.machines.running.contains(system));
        if node.provision_state != "active" || !runs {
            untrue.push(format!("the machine that was not ours is {}, and runs: {runs}", node.provision_state));
        }
    }
    untrue.extend(unheld(world, &ledger, &holdings));
    untrue.extend(ledger.alarms.iter().map(|alarm| format!("alarm: {alarm}")));
    if untrue.is_empty() { Ok(()) } else { Err(format!("{}; {}", untrue.join("; "), said(&holdings))) }
}

/// Whether the running side tells nobody whether a machine is on.
fn is_blind(holdings: &[Holding]) -> bool {
    holdings.iter().any(|held| held.role == Role::Deploy && held.backend.as_str().starts_with("cb-"))
}

/// Nothing is held by anybody, here or there.
pub(crate) fn nothing_left(world: &World) -> Result<(), String> {
    let holdings = world.run("a look", world.store().holdings(HoldingFilter::default()))?.unwrap();
    let mut left: Vec<_> = holdings.iter().map(|it| format!("our list has {}", one(it))).collect();
    let ledger = world.sim.ledger();
    left.extend(unheld(world, &ledger, &[]));
    left.extend(ledger.alarms.iter().map(|alarm| format!("alarm: {alarm}")));
    if left.is_empty() { Ok(()) } else { Err(format!("left behind: {}", left.join("; "))) }
}

/// Whether what is deployed runs; None when nothing is deployed.
fn runs(ledger: &Ledger, holdings: &[Holding]) -> Option<bool> {
    let deployed = holdings.iter().find(|it| it.role == Role::Deploy)?;
    let handle = deployed.handle.as_deref()?;
    if let Some(node) = ledger.ironic.held.iter().find(|node| node.uuid == handle) {
        let system = node.system.as_ref()?;
        return (node.provision_state == "active").then(|| ledger.machines.running.contains(system));
    }
    let device = ledger.cloudboot.held.iter().find(|device| device.sn == handle)?;
    (device.status == "success").then(|| ledger.cloudboot.running.contains(&device.sn))
}

/// One line for each thing out there that is on none of these holdings.
fn unheld(world: &World, ledger: &Ledger, holdings: &[Holding]) -> Vec<String> {
    let by_hand = world.by_hand.borrow();
    let others = |system: &String| {
        let still = |node: &&IronicNode| by_hand.contains(&node.uuid) && node.provision_state == "active";
        let mut nodes = ledger.ironic.held.iter().filter(still);
        nodes.any(|node| node.system.as_ref() == Some(system))
    };
    let ours = |name: &str| holdings.iter().any(|it| name.contains(&it.mark.0) || it.handle.as_deref() == Some(name));
    let mut left = Vec::new();
    for node in ledger.pod.held.iter().filter(|node| !ours(&node.name) && !ours(&node.index)) {
        left.push(format!("the pod manager holds {} ({:?})", node.name, node.state));
    }
    for block in &ledger.pod.reserved {
        left.push(format!("block {block} is reserved and in no system"));
    }
    for record in ledger.valence.records.iter().filter(|record| !ours(&record.name)) {
        left.push(format!("Valence has a record of {}", record.name));
    }
    for node in &ledger.ironic.held {
        let preset = world.presets.contains(&node.uuid);
        let name = node.name.as_deref().unwrap_or_default();
        if !preset && !ours(&node.uuid) && !ours(name) {
            left.push(format!("Ironic holds {name} {} in {}", node.uuid, node.provision_state));
        }
        if preset && !ours(&node.uuid) && node.instance_uuid.is_some() {
            left.push(format!("the pre-set node {name} is claimed"));
        }
        let free = node.provision_state == "available" || by_hand.contains(&node.uuid);
        if preset && !ours(&node.uuid) && !free {
            left.push(format!("the pre-set node {name} is {}", node.provision_state));
        }
    }
    for device in ledger.cloudboot.held.iter().filter(|device| !ours(&device.sn)) {
        left.push(format!("CloudBoot holds {} as {}", device.sn, device.hostname));
    }
    for server in &ledger.cloudboot.lost {
        left.push(format!("CloudBoot lost the inventory of {server}"));
    }
    if !holdings.iter().any(|it| it.role == Role::Deploy) {
        let running = ledger.machines.running.iter().chain(&ledger.cloudboot.running);
        let running = running.filter(|machine| !others(machine));
        left.extend(running.map(|machine| format!("the machine {machine} runs")));
        // CloudBoot cannot erase, and the flavor says so.
        let data = ledger.machines.data.iter().filter(|data| !others(&data.system));
        left.extend(data.map(|data| format!("data of {} is on disk {}", data.owner, data.disk)));
    }
    left
}

fn said(holdings: &[Holding]) -> String {
    if holdings.is_empty() {
        return "our list is empty".into();
    }
    format!("our list has {}", holdings.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn one(it: &Holding) -> String {
    let fault = it.fault.as_ref().map_or(String::new(), |fault| format!(" ({})", fault.message));
    format!("{} {} {} {}{fault}", it.role.as_str(), it.mark, it.state.as_str(), it.handle.as_deref().unwrap_or("?"))
}
