//! The conductor's work after a 202: the node passes through its state, the machine is asked, the state changes, and a little later the lock
//! is released. After a failed deployment the reason is gone from `last_error` and is found in the history only.

use std::sync::Arc;

use super::bmc::Bmc;
use super::history::note;
use super::inspect::inspect;
use super::state::{CONDUCTOR, Provision, Work};
use super::store::Node;
use crate::faults::Kind;
use crate::world::World;

/// Does one transition, from the passing state to the release of the lock.
pub(super) async fn run(world: Arc<World>, uuid: String, work: Work) {
    let takes = match work {
        Work::Deploy => world.options.deploy_ms + share(&uuid, world.options.deploy_spread_ms),
        _ => world.options.step_ms,
    };
    if world.faults.fires(Kind::RestartDuring).is_some() {
        world.clock.sleep(takes / 2).await;
        resume_after_restart(&world, &uuid, work);
        return;
    }
    world.clock.sleep(takes).await;
    let outcome = match work {
        Work::Verify => verify(&world, &uuid).await,
        Work::Deploy => deploy(&world, &uuid).await,
        Work::Undeploy => undeploy(&world, &uuid).await,
        Work::Provide => clean(&world, &uuid, false),
        Work::Clean => clean(&world, &uuid, true),
        Work::Inspect => match bmc(&world, &uuid) {
            Ok(bmc) => inspect(&world, &uuid, &bmc).await.map_err(Failed::from),
            Err(reason) => Err(reason.into()),
        },
        Work::Manage | Work::Adopt => Ok(()),
    };
    match outcome {
        Ok(()) => end(&world, &uuid, reached(&world, &uuid, work), None, None),
        Err(Failed { sentence, vanishes: true, .. }) => {
            fail_in_passing(&world, &uuid, &sentence, work).await;
            end(&world, &uuid, work.failure(), Some(work.end()), None);
        }
        Err(Failed { sentence, at, .. }) => {
            let event_type = if at.is_some() { "cleaning" } else { work.event_type() };
            on(&world, &uuid, |node| note(&world, node, event_type, &sentence));
            // A deployment keeps its target, and a cleaning that was asked for by hand.
            let kept = matches!(work, Work::Deploy | Work::Clean).then_some(work.end());
            end(&world, &uuid, at.unwrap_or(work.failure()), kept, Some(sentence));
        }
    }
    let longer = world.faults.fires(Kind::SlowLockRelease).map_or(0, |fault| fault.ms.unwrap_or(1_000));
    world.clock.sleep(world.options.lock_ms + longer).await;
    on(&world, &uuid, |node| node.locked = false);
}

/// A part of `whole` that is always the same for this uuid, and evenly spread over many.
fn share(uuid: &str, whole: u64) -> u64 {
    let sum = uuid.bytes().fold(0x811c_9dc5_u32, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    // The last bytes move the low bits most.
    let mixed = (sum ^ (sum >> 15)).wrapping_mul(0x2c1b_3c6d);
    whole * u64::from(mixed ^ (mixed >> 12)) / u64::from(u32::MAX)
}

/// Why a transition failed, and whether the power action that follows wipes the reason from `last_error`.
struct Failed {
    sentence: String,
    vanishes: bool,
    /// Where it ends, when it is not where this work's failures end.
    at: Option<Provision>,
}

impl From<String> for Failed {
    fn from(sentence: String) -> Self {
        Self { sentence, vanishes: false, at: None }
    }
}

async fn verify(world: &Arc<World>, uuid: &str) -> Result<(), Failed> {
    let bmc = bmc(world, uuid)?;
    if let Some(fault) = world.faults.fires(Kind::ManageFails) {
        return Err(fault
            .message
            .unwrap_or_else(|| format!("Failed to get power state for node {uuid}: the BMC does not answer"))
            .into());
    }
    let power =
        bmc.power(world).await.map_err(|reason| format!("Failed to get power state for node {uuid}: {reason}"))?;
    if bmc.system().is_some() {
        on(world, uuid, |node| node.power_on = Some(power));
    }
    Ok(())
}

async fn deploy(world: &Arc<World>, uuid: &str) -> Result<(), Failed> {
    let step = |reason: String| Failed::from(format!("Deploy step deploy.deploy failed: {reason}"));
    let bmc = bmc(world, uuid)?;
    if bmc.power(world).await.map_err(step)? {
        bmc.set_power(world, "ForceOff").await.map_err(step)?;
    }
    let (image, owner) = read(world, uuid, |node| {
        let info = &node.document["instance_info"];
        let image = ["boot_iso", "image_source", "kernel"].iter().find_map(|key| info[*key].as_str());
        (image.unwrap_or_default().to_owned(), node.owner_mark())
    })
    .unwrap_or_default();
    bmc.insert(world, &image).await.map_err(step)?;
    bmc.boot_from(world, "Cd").await.map_err(step)?;
    let failing = world.faults.fires(Kind::DeployFails);
    if failing.as_ref().is_none_or(|fault| fault.work.unwrap_or(true)) {
        write_disks(world, &bmc, &owner);
    }
    if let Some(fault) = failing {
        let reason =
            fault.message.unwrap_or_else(|| "Virtual media mount failed: the image could not be fetched".to_owned());
        bmc.set_power(world, "ForceOff").await.map_err(step)?;
        return Err(Failed { vanishes: true, ..step(reason) });
    }
    bmc.set_power(world, "On").await.map_err(step)?;
    on(world, uuid, |node| {
        node.power_on = Some(true);
        node.boot_device = Some(("cdrom".to_owned(), true));
    });
    Ok(())
}

async fn undeploy(world: &Arc<World>, uuid: &str) -> Result<(), Failed> {
    let torn = |reason: String| Failed::from(format!("Failed to tear down: {reason}"));
    let bmc = bmc(world, uuid)?;
    if let Some(fault) = world.faults.fires(Kind::UndeployError) {
        return Err(torn(fault.message.unwrap_or_else(|| "the BMC does not answer".to_owned())));
    }
    bmc.set_power(world, "ForceOff").await.map_err(torn)?;
    bmc.eject(world).await.map_err(torn)?;
    forget_instance(world, uuid);
    world.clock.sleep(world.options.step_ms).await;
    clean(world, uuid, false)
}

/// What undeploying empties, once the machine is off: the instance's fields and its allocation.
fn forget_instance(world: &World, uuid: &str) {
    let mut state = world.state();
    state.ironic.allocations.retain(|allocation| allocation.node.as_deref() != Some(uuid));
    if let Some(node) = state.ironic.node_mut(uuid) {
        node.forget_instance();
        node.power_on = Some(false);
        node.provision = Provision::Cleaning;
    }
}

/// Where a success ends: a retired node stays manageable after its automated cleaning. Without one it becomes available even so.
fn reached(world: &World, uuid: &str, work: Work) -> Provision {
    let held_back = read(world, uuid, |node| node.flag("retired") && node.cleans()).unwrap_or(false);
    match work {
        Work::Provide | Work::Undeploy if held_back => Provision::Manageable,
        _ => work.end(),
    }
}

/// Erases the disks, if the node's automated cleaning is on or the cleaning was asked for by hand. A failure puts the node into
/// maintenance.
fn clean(world: &World, uuid: &str, by_hand: bool) -> Result<(), Failed> {
    let mut state = world.state();
    let Some(node) = state.ironic.node_mut(uuid).filter(|node| by_hand || node.cleans()) else { return Ok(()) };
    if !by_hand && node.maintenance {
        return Err(Failed {
            at: Some(Provision::CleanFailed),
            ..String::from("Cleaning a node in maintenance mode is not allowed").into()
        });
    }
    if let Some(fault) = world.faults.fires(Kind::CleanFails) {
        let reason =
            fault.message.unwrap_or_else(|| "the agent reported a failure of erase_devices_metadata".to_owned());
        let sentence = format!("Failed to clean node {uuid}: {reason}");
        node.maintenance = true;
        node.fault = Some("clean failure");
        node.maintenance_reason = Some(sentence.clone());
        return Err(Failed { at: Some(Provision::CleanFailed), ..sentence.into() });
    }
    let system = node.system().filter(|_| !by_hand || node.erases_by_hand).map(str::to_owned);
    if let Some(machine) = system.and_then(|system| state.machine_mut(&system)) {
        machine.erase_disks();
    }
    Ok(())
}

fn write_disks(world: &World, bmc: &Bmc, owner: &str) {
    let mut state = world.state();
    if let Some(machine) = bmc.system().and_then(|id| state.machine_mut(id)) {
        machine.write_disks(owner);
    }
}

/// The reason shows for a moment while the state is still the passing one; the power action that follows wipes it.
async fn fail_in_passing(world: &World, uuid: &str, sentence: &str, work: Work) {
    on(world, uuid, |node| {
        note(world, node, work.event_type(), sentence);
        node.last_error = Some(sentence.to_owned());
    });
    world.clock.sleep(world.options.lock_ms).await;
    on(world, uuid, |node| {
        node.last_error = None;
        node.power_on = Some(false);
    });
}

fn resume_after_restart(world: &World, uuid: &str, work: Work) {
    on(world, uuid, |node| {
        let sentence = format!(
            "The {} state can't be resumed by conductor {CONDUCTOR}. Moving to fail state.",
            node.provision.as_str()
        );
        note(world, node, "UNKNOWN", &sentence);
        node.last_error = Some(sentence);
        node.provision = work.failure();
        node.target = (work == Work::Deploy).then_some(Provision::Active);
        node.locked = false;
    });
}

fn end(world: &World, uuid: &str, state: Provision, target: Option<Provision>, last_error: Option<String>) {
    on(world, uuid, |node| {
        node.provision = state;
        node.target = target;
        node.last_error = last_error;
        node.provision_updated_at = Some(world.clock.iso());
    });
}

fn bmc(world: &World, uuid: &str) -> Result<Bmc, String> {
    read(world, uuid, Bmc::of).unwrap_or_else(|| Err(format!("Node {uuid} could not be found.")))
}

fn read<T>(world: &World, uuid: &str, look: impl FnOnce(&Node) -> T) -> Option<T> {
    world.state().ironic.node(uuid).map(look)
}

fn on(world: &World, uuid: &str, change: impl FnOnce(&mut Node)) {
    if let Some(node) = world.state().ironic.node_mut(uuid) {
        change(node);
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn shares_are_spread_over_the_whole_and_each_uuid_keeps_its_own() {
        let shares: Vec<_> = (0..100).map(|n| share(&format!("00000000-0000-4000-8000-{n:012}"), 1_000)).collect();
        for tenth in 0..10 {
            assert!(shares.iter().any(|share| share / 100 == tenth), "{shares:?}");
        }
        assert!(shares.iter().all(|share| *share <= 1_000));
        assert_eq!(share("a", 0), 0);
    }
}
