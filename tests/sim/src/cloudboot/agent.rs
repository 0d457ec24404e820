//! What agents and installers report. None of it needs a token: whoever reaches CloudBoot can add a server or forge progress.

use serde_json::json;

use super::body;
use super::{Answered, content, done, refused};
use crate::call::Call;
use crate::world::World;

/// An upsert of the pool, unless the server was entered as a device.
pub(super) fn product_info(world: &World, call: &Call) -> Answered {
    let body = body::object(call)?;
    let (sn, company) = (body.text("Sn")?, body.text("Company")?);
    if sn.is_empty() || company.is_empty() {
        return Err(refused("SN不能为空"));
    }
    let now = world.clock.spaced();
    let mut state = world.state();
    if state.cloudboot.device(&sn).is_some() {
        return Ok(content(&json!({"Result": "the device has been entered"})));
    }
    let mut report = json!({});
    for key in
        ["Sn", "Company", "Product", "ModelName", "Ip", "Mac", "Nic", "Cpu", "CpuSum", "Memory", "MemorySum", "Disk"]
    {
        report[key] = body.value(key);
    }
    for key in ["DiskSum", "Motherboard", "Raid", "Oob", "IsVm", "NicDevice"] {
        report[key] = body.value(key);
    }
    state.cloudboot.discover(&report, now.trim_end_matches(" UTC"));
    Ok(done())
}

pub(super) fn install_info(world: &World, call: &Call) -> Answered {
    let body = body::object(call)?;
    let (sn, title) = (body.text("Sn")?, body.text("Title")?);
    let progress = body.value("InstallProgress").as_f64().ok_or_else(|| refused("参数错误"))?;
    if progress != -1.0 && !(0.0..=1.0).contains(&progress) {
        return Err(refused("安装进度参数不正确"));
    }
    match world.state().cloudboot.progress(&sn, &title, progress) {
        true => Ok(content(&json!({"Result": "true"}))),
        false => Err(refused("该设备不在安装列表里")),
    }
}

pub(super) fn mac_info(world: &World, call: &Call) -> Answered {
    let sn = body::object(call)?.text("Sn")?;
    let mut state = world.state();
    let known = state.cloudboot.device(&sn).map(|device| device.sn.clone()).ok_or_else(|| refused("设备不存在!"))?;
    state.cloudboot.pxe.insert(known);
    Ok(done())
}

pub(super) fn is_in_install_list(world: &World, call: &Call) -> Answered {
    let sn = body::object(call)?.text("Sn")?;
    let state = world.state();
    let listed = state.cloudboot.device(&sn).is_some_and(|device| device.status.is_listed());
    Ok(content(&json!({"Result": listed.to_string()})))
}
