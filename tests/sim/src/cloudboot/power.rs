//! Power, through `ipmitool` on CloudBoot's host: the serial number is compared first, then the state. No call only reads the state.

use std::sync::Arc;

use super::body;
use super::machine::spawn_boot;
use super::{Answered, done, refused, users};
use crate::call::Call;
use crate::faults::Kind;
use crate::world::World;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    On,
    Off,
    Restart,
    /// One boot from the network, begun now.
    Pxe,
}

pub(super) async fn act(world: &Arc<World>, call: &Call, action: Action) -> Answered {
    for item in body::batch(call)? {
        users::check(world, &item)?;
        let (sn, oob) = (item.text("Sn")?, item.text("OobIp")?);
        let (username, password) = (item.text("Username")?, item.text("Password")?);
        if [&oob, &username, &password].iter().any(|text| text.is_empty()) {
            return Err(refused("OOB IP、用户名、密码不能为空"));
        }
        if world.state().cloudboot.discovered(&sn).is_none() {
            return Err(refused("record not found"));
        }
        let is_on = reach(world, &sn, &oob, &username, &password)?;
        match (action, is_on) {
            (Action::On, true) => return Err(refused("该设备已开机")),
            (Action::Off | Action::Restart, false) => return Err(refused("该设备已关机")),
            _ if world.faults.fires(Kind::PowerIgnored).is_some() => {}
            (Action::Off, true) => world.state().cloudboot.server_mut(&sn).into_iter().for_each(|one| one.turn_off()),
            (Action::On | Action::Restart, _) => spawn_boot(world, &sn, false),
            (Action::Pxe, _) => spawn_boot(world, &sn, true),
        }
    }
    Ok(done())
}

/// Whether the server behind this BMC is on, if it is the one that is meant.
fn reach(world: &World, sn: &str, oob: &str, username: &str, password: &str) -> Result<bool, crate::call::Answer> {
    let away = || refused("校验设备实际SN失败: exit status 1");
    if world.faults.fires(Kind::BmcAway).is_some() {
        return Err(away());
    }
    let state = world.state();
    let server = state.cloudboot.servers.iter().find(|server| server.oob == oob).ok_or_else(away)?;
    if username != world.options.bmc_username || password != state.settings.bmc_password {
        return Err(away());
    }
    if server.sn != sn {
        return Err(refused(&format!("SN校验失败: 实际SN {}, 录入SN {sn}", server.sn)));
    }
    Ok(server.is_on())
}
