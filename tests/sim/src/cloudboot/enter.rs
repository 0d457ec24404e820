//! Entering a device, which also queues its install: `importDeviceForOpenApi` by names, `batchAdd` by ids. Both are upserts by serial number,
//! whoever's the row is; the first refuses a device that is installed, the second does not and checks less.

use super::body::{self, Item};
use super::store::{Device, Status};
use super::templates::{self, HARDWARE, OS, SYSTEMS};
use super::{Answered, done, failure, network, refused, users};
use crate::call::{Answer, Call};
use crate::faults::Kind;
use crate::world::{State, World};

/// Longest of every text column.
const LONGEST: usize = 255;

pub(super) fn import(world: &World, call: &Call) -> Answered {
    let item = body::object(call)?;
    let user_id = users::check(world, &item)?;
    let mut device = named(&item, user_id)?;
    let mut state = world.state();
    for (name, missing) in
        [("OsName", "操作系统模板名称不能为空"), ("SystemName", "系统安装模板不能为空"), ("Location", "位置不能为空")]
    {
        if item.text(name)?.is_empty() {
            return Err(refused(missing));
        }
    }
    if state.cloudboot.discovered(&device.sn).is_none() {
        return Err(failure("未在【资源池管理】里匹配到该SN，请先将该设备加电并进入BootOS!"));
    }
    if state.cloudboot.device(&device.sn).is_some_and(|known| known.status == Status::Success) {
        return Err(refused("该设备已安装成功，请使用【单台录入】的功能重新录入并安装"));
    }
    check_unique(&state, &device)?;
    device.network_id = network::of(&device.ip).ok_or_else(|| refused("未匹配到网段"))?.id;
    device.os_id = templates::id_of(&OS, &item.text("OsName")?).ok_or_else(|| refused("未匹配到操作系统"))?;
    device.system_id =
        templates::id_of(&SYSTEMS, &item.text("SystemName")?).ok_or_else(|| refused("未匹配到系统安装模板"))?;
    let hardware = item.text("HardwareName")?;
    if !hardware.is_empty() {
        device.hardware_id = templates::id_of(&HARDWARE, &hardware).ok_or_else(|| refused("未匹配到硬件配置模板"))?;
    }
    device.location_id = 1;
    state.enter(device);
    claimed_twice(world, &mut state, &item.text("Sn")?);
    Ok(done())
}

/// Neither template nor the network's id nor whether the address is in that network is looked at.
pub(super) fn add(world: &World, call: &Call) -> Answered {
    let items = body::batch(call)?;
    let mut devices = Vec::new();
    for item in &items {
        let user_id = users::check(world, item)?;
        let device = Device {
            network_id: item.number("NetworkID")?,
            os_id: item.number("OsID")?,
            system_id: item.number("SystemID")?,
            hardware_id: item.number("HardwareID")?,
            location_id: item.number("LocationID")?,
            ..named(item, user_id)?
        };
        if device.network_id == 0 || device.os_id == 0 {
            return Err(refused("请将信息填写完整!"));
        }
        let state = world.state();
        if state.cloudboot.discovered(&device.sn).is_none() {
            return Err(refused("未在【资源池管理】里匹配到该SN，请先将该设备加电并进入BootOS!"));
        }
        check_unique(&state, &device)?;
        network::of(&device.ip).ok_or_else(|| refused("未匹配到网段"))?;
        devices.push(device);
    }
    let mut state = world.state();
    devices.into_iter().for_each(|device| state.enter(device));
    Ok(done())
}

fn named(item: &Item, user_id: u64) -> Result<Device, Answer> {
    let device = Device {
        // Spaces inside are taken out.
        sn: item.text("Sn")?.replace([' ', '\t'], ""),
        hostname: item.text("Hostname")?,
        ip: item.text("Ip")?,
        asset: item.text("AssetNumber")?,
        user_id,
        ..Device::default()
    };
    if [&device.sn, &device.hostname, &device.ip].iter().any(|text| text.is_empty()) {
        return Err(refused("请将信息填写完整!"));
    }
    if [&device.sn, &device.hostname, &device.asset].iter().any(|text| text.len() > LONGEST) {
        return Err(refused("财编长度超过255限制"));
    }
    Ok(device)
}

pub(super) fn check_unique(state: &State, device: &Device) -> Result<(), Answer> {
    let mut others = state.cloudboot.devices.iter().filter(|other| !other.sn.eq_ignore_ascii_case(&device.sn));
    match others.find(|other| other.hostname == device.hostname || other.ip == device.ip) {
        Some(other) if other.hostname == device.hostname => Err(refused("该主机名已存在")),
        Some(_) => Err(refused("该IP已存在")),
        None => Ok(()),
    }
}

/// Somebody else enters the same server at the same moment, and comes second.
fn claimed_twice(world: &World, state: &mut State, sn: &str) {
    if world.faults.fires(Kind::ClaimedTwice).is_some()
        && let Some(device) = state.cloudboot.device_mut(sn)
    {
        (device.hostname, device.asset) = ("somebody-elses".to_owned(), "somebody-elses".to_owned());
        state.cloudboot.made -= 1;
    }
}

impl State {
    /// The upsert. The owner of a known row stays.
    fn enter(&mut self, device: Device) {
        let store = &mut self.cloudboot;
        let batch = format!("20260101{:03}", store.made + 1);
        let sn = device.sn.clone();
        let id = match store.device(&sn).cloned() {
            Some(known) => {
                self.watch_reinstall(&known);
                let store = &mut self.cloudboot;
                store.retire_logs(known.id);
                if let Some(row) = store.device_mut(&sn) {
                    *row = Device { id: known.id, sn: known.sn, user_id: known.user_id, batch, ..device };
                }
                known.id
            }
            None => {
                let id = store.fresh_id();
                store.made += 1;
                store.devices.push(Device { id, batch, ..device });
                id
            }
        };
        self.cloudboot.log(id, "录入新设备", "operate");
    }
}
