//! Reading devices and their logs. None of it needs a token.

use serde_json::{Value, json};

use super::body;
use super::store::{Device, Store};
use super::{Answered, content, refused};
use crate::call::Call;
use crate::world::World;

/// The poll call.
pub(super) fn by_sn(world: &World, call: &Call) -> Answered {
    let sn = call.parameter("sn").unwrap_or_default();
    let state = world.state();
    state.cloudboot.device(sn).map(|device| content(&row(device))).ok_or_else(|| refused("设备不存在!"))
}

pub(super) fn by_id(world: &World, call: &Call) -> Answered {
    let id = body::object(call)?.number("ID")?;
    let state = world.state();
    state.cloudboot.by_id(id).map(|device| content(&row(device))).ok_or_else(|| refused("record not found"))
}

/// Newest first. Without rows the list is null; a keyword is compared as a whole.
pub(super) fn list(world: &World, call: &Call) -> Answered {
    let body = body::object(call)?;
    let (keyword, status) = (body.text("Keyword")?, body.text("Status")?);
    if [&keyword, &status].iter().any(|text| text.contains('\'')) {
        return Err(refused("Error 1064: You have an error in your SQL syntax"));
    }
    let (limit, offset) = (body.number("Limit")? as usize, body.number("Offset")? as usize);
    let state = world.state();
    let wanted = |device: &&Device| {
        (keyword.is_empty() || [&device.sn, &device.hostname, &device.ip, &device.batch].contains(&&keyword))
            && (status.is_empty() || device.status.word() == status)
    };
    let mut found: Vec<&Device> = state.cloudboot.devices.iter().filter(wanted).collect();
    found.sort_by_key(|device| std::cmp::Reverse(device.id));
    let rows: Vec<Value> =
        found.iter().skip(offset).take(limit).map(|device| listed(&state.cloudboot, device)).collect();
    let list = if rows.is_empty() { Value::Null } else { rows.into() };
    Ok(content(&json!({"list": list, "recordCount": found.len(), "NoDataKeyword": null})))
}

/// Without a Type there are no rows; rows outlive their device.
pub(super) fn logs(world: &World, call: &Call) -> Answered {
    let body = body::object(call)?;
    let (device, kind) = (body.number("DeviceID")?, body.text("Type")?);
    let state = world.state();
    let rows: Vec<Value> = (state.cloudboot.logs.iter().rev())
        .filter(|log| log.device == device && log.kind == kind)
        .map(|log| json!({"ID": log.id, "DeviceID": log.device, "Title": log.title, "Type": log.kind, "Content": ""}))
        .collect();
    Ok(content(&if rows.is_empty() { Value::Null } else { rows.into() }))
}

fn row(device: &Device) -> Value {
    json!({
        "ID": device.id, "CreatedAt": "2026-01-01T00:00:00+08:00", "UpdatedAt": "2026-01-01T00:00:00+08:00",
        "DeletedAt": null, "BatchNumber": device.batch, "Sn": device.sn, "Hostname": device.hostname, "Ip": device.ip,
        "ManageIp": "", "NetworkID": device.network_id, "ManageNetworkID": 0, "OsID": device.os_id,
        "HardwareID": device.hardware_id, "SystemID": device.system_id, "Location": "", "LocationID": device.location_id,
        "AssetNumber": device.asset, "Status": device.status.word(), "InstallProgress": device.progress,
        "InstallLog": "", "IsSupportVm": "No", "UserID": device.user_id,
    })
}

fn listed(store: &Store, device: &Device) -> Value {
    let mut row = row(device);
    row["InstallLog"] = store.logs.iter().rev().find(|log| log.device == device.id).map(|log| log.title.clone()).into();
    row["OwnerName"] = "admin".into();
    row["OobIp"] = store.discovered(&device.sn).map(|found| found.told["Oob"].clone()).unwrap_or_default();
    row
}
