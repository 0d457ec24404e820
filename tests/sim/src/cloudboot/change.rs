//! Changing, reinstalling, cancelling and deleting devices, watched for what must never be done: a server that is deleted while it runs a
//! user's system, and one that is installed anew while it does.

use super::body::{self, Item};
use super::enter::check_unique;
use super::store::{Device, Status};
use super::{Answered, done, network, refused, users};
use crate::call::Call;
use crate::world::{State, World};

/// Overwrites every field; the status stays, the progress does not.
pub(super) fn update(world: &World, call: &Call) -> Answered {
    for item in body::batch(call)? {
        users::check(world, &item)?;
        let known = known(world, item.number("ID")?)?;
        let changed = Device {
            hostname: item.text("Hostname")?,
            ip: item.text("Ip")?,
            asset: item.text("AssetNumber")?,
            network_id: item.number("NetworkID")?,
            os_id: item.number("OsID")?,
            system_id: item.number("SystemID")?,
            hardware_id: item.number("HardwareID")?,
            location_id: item.number("LocationID")?,
            progress: 0.0,
            ..known
        };
        if changed.hostname.is_empty() || changed.ip.is_empty() || changed.network_id == 0 || changed.os_id == 0 {
            return Err(refused("请将信息填写完整!"));
        }
        let mut state = world.state();
        check_unique(&state, &changed)?;
        network::of(&changed.ip).ok_or_else(|| refused("未匹配到网段"))?;
        state.cloudboot.retire_logs(changed.id);
        if let Some(row) = state.cloudboot.device_mut(&changed.sn.clone()) {
            *row = changed;
        }
    }
    Ok(done())
}

/// An id that does not exist is a success for an Administrator.
pub(super) fn reinstall(world: &World, call: &Call) -> Answered {
    for item in body::batch(call)? {
        let id = of(world, &item)?;
        let mut state = world.state();
        let Some(known) = state.cloudboot.by_id(id).cloned() else { continue };
        state.watch_reinstall(&known);
        state.set_status(&known, Status::PreInstall);
        state.cloudboot.retire_logs(id);
    }
    Ok(done())
}

/// Does not touch the server, and does nothing to a device that is installed.
pub(super) fn cancel(world: &World, call: &Call) -> Answered {
    for item in body::batch(call)? {
        let known = known(world, of(world, &item)?)?;
        if known.status != Status::Success {
            world.state().set_status(&known, Status::Failure);
        }
    }
    Ok(done())
}

/// Takes the pool's row too.
pub(super) fn delete(world: &World, call: &Call) -> Answered {
    for item in body::batch(call)? {
        let known = known(world, of(world, &item)?)?;
        let mut state = world.state();
        let in_use = state.cloudboot.server_mut(&known.sn).is_some_and(|server| server.is_in_use());
        if in_use {
            state.alarms.push(format!("deleted while running: {}, asset {}", known.sn, known.asset));
        }
        let store = &mut state.cloudboot;
        store.pool.retain(|row| !row.sn.eq_ignore_ascii_case(&known.sn));
        store.devices.retain(|device| device.id != known.id);
        store.pxe.remove(&known.sn);
        store.given_back += 1;
        store.log(known.id, "删除设备", "operate");
    }
    Ok(done())
}

fn of(world: &World, item: &Item) -> Result<u64, crate::call::Answer> {
    users::check(world, item)?;
    item.number("ID")
}

fn known(world: &World, id: u64) -> Result<Device, crate::call::Answer> {
    world.state().cloudboot.by_id(id).cloned().ok_or_else(|| refused("record not found"))
}

impl State {
    fn set_status(&mut self, known: &Device, status: Status) {
        self.cloudboot.pxe.remove(&known.sn);
        if let Some(row) = self.cloudboot.device_mut(&known.sn) {
            (row.status, row.progress) = (status, 0.0);
        }
    }

    /// A device that is installed and whose server runs is about to be wiped at its next network boot.
    pub(super) fn watch_reinstall(&mut self, known: &Device) {
        let runs = self.cloudboot.server_mut(&known.sn).is_some_and(|server| server.is_on());
        if known.status == Status::Success && runs {
            self.alarms.push(format!("reinstalled while success: {}, asset {}", known.sn, known.asset));
        }
    }
}
