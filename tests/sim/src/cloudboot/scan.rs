//! The pool of discovered servers.

use serde_json::{Value, json};

use super::body;
use super::store::{Discovered, Store};
use super::{Answered, content, done, refused, users};
use crate::call::Call;
use crate::world::World;

/// Newest first; entered devices are left out unless asked for.
pub(super) fn list(world: &World, call: &Call) -> Answered {
    let body = body::object(call)?;
    let keyword = body.text("Keyword")?;
    if keyword.contains('\'') {
        return Err(refused("Error 1064: You have an error in your SQL syntax"));
    }
    let (limit, offset) = (body.number("Limit")? as usize, body.number("Offset")? as usize);
    let entered = body.text("IsShowEnteredDevice")? == "Yes";
    let state = world.state();
    let store = &state.cloudboot;
    let wanted = |row: &&Discovered| {
        (entered || store.device(&row.sn).is_none())
            && (keyword.is_empty() || row.sn.eq_ignore_ascii_case(&keyword) || row.told["Ip"] == keyword.as_str())
    };
    let mut found: Vec<&Discovered> = store.pool.iter().filter(wanted).collect();
    found.sort_by_key(|row| std::cmp::Reverse(row.id));
    let rows: Vec<Value> = found.iter().skip(offset).take(limit).map(|row| shown(store, row)).collect();
    Ok(content(&json!({"list": rows, "recordCount": found.len(), "NoDataKeyword": null})))
}

pub(super) fn view(world: &World, call: &Call) -> Answered {
    let id = body::object(call)?.number("ID")?;
    let state = world.state();
    let row = state.cloudboot.pool.iter().find(|row| row.id == id).ok_or_else(|| refused("record not found"))?;
    Ok(content(&shown(&state.cloudboot, row)))
}

pub(super) fn assign_owner(world: &World, call: &Call) -> Answered {
    for item in body::batch(call)? {
        users::check(world, &item)?;
        let (id, user_id) = (item.number("ID")?, item.number("UserID")?);
        let mut state = world.state();
        let row = state.cloudboot.pool.iter_mut().find(|row| row.id == id);
        row.ok_or_else(|| refused("record not found"))?.user_id = user_id;
    }
    Ok(done())
}

fn shown(store: &Store, row: &Discovered) -> Value {
    let mut shown = row.told.clone();
    shown["ID"] = row.id.into();
    shown["Sn"] = row.sn.clone().into();
    shown["DeviceID"] = store.device(&row.sn).map_or(0, |device| device.id).into();
    shown["UserID"] = row.user_id.into();
    shown["OwnerName"] = "".into();
    shown["IsShowInScanList"] = "Yes".into();
    shown["BootosLastActiveTime"] = row.last_active.clone().into();
    shown
}
