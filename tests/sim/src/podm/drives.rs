//! The drives of the storage blocks, and how they are erased: by the action Drive.SecureErase, which takes its time, or by RSD's property
//! EraseOnDetach when the system is decomposed. Erasing one in a running machine is not refused.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::compose::accepted;
use super::composition::{check_tag, path, tagged};
use super::pieces::{Block, Drive};
use super::{error, not_found};
use crate::call::{Answer, Call};
use crate::faults::Kind;
use crate::options::{DriveErase, RedfishDialect};
use crate::world::{State, World};

pub(super) fn answer(world: &Arc<World>, call: &Call, block: &str, at: &str, rest: &[&str]) -> Answer {
    let mut state = world.state();
    let pieces = &mut state.pod.pieces;
    let Some(at) = at.parse::<usize>().ok().and_then(|at| at.checked_sub(1)) else { return not_found(call) };
    let Some(found) = pieces.block(block).and_then(|block| Some((block, block.drives.get(at)?))) else {
        return not_found(call);
    };
    let shown = shown(found.0, found.1, at, world.options.drive_erase);
    let serial = found.1.serial.clone();
    match (&call.method, rest) {
        (&Method::GET, []) => tagged(&shown),
        (&Method::PATCH, []) if world.options.drive_erase == DriveErase::OnDetach => {
            if let Some(refused) = check_tag(world, call, &shown) {
                return refused;
            }
            let wish = call.json()["Oem"]["Intel_RackScale"]["EraseOnDetach"].as_bool();
            let Some((wish, drive)) = wish.zip(state.drive_mut(&serial)) else {
                return error(StatusCode::BAD_REQUEST, "only Oem.Intel_RackScale.EraseOnDetach can be changed");
            };
            drive.erase_on_detach = wish;
            Answer::empty(StatusCode::NO_CONTENT)
        }
        (&Method::POST, ["Actions", "Drive.SecureErase"]) if world.options.drive_erase == DriveErase::Secure => {
            erase(world, &mut state, serial)
        }
        _ => error(StatusCode::METHOD_NOT_ALLOWED, "not allowed here"),
    }
}

/// 202 with a task monitor; of Sunfish 204, and only the drive's Operations tell of it.
fn erase(world: &Arc<World>, state: &mut State, serial: String) -> Answer {
    let Some(drive) = state.drive_mut(&serial) else { return error(StatusCode::NOT_FOUND, "no such drive") };
    if drive.is_erasing {
        return error(StatusCode::CONFLICT, "the drive is being erased");
    }
    drive.is_erasing = true;
    let task = state.pod.pieces.begin_task();
    let (later, monitored) = (world.clone(), task.clone());
    let fails = world.faults.fires(Kind::EraseFails).is_some();
    tokio::spawn(async move {
        later.clock.sleep(later.options.erase_ms).await;
        let mut state = later.state();
        if !fails && let Some(disk) = state.disk_mut(&serial) {
            disk.owner = None;
        }
        if let Some(drive) = state.drive_mut(&serial) {
            drive.is_erasing = false;
        }
        let outcome = if fails {
            error(StatusCode::INTERNAL_SERVER_ERROR, "the drive could not be erased")
        } else {
            Answer::empty(StatusCode::NO_CONTENT)
        };
        state.pod.pieces.end_task(&monitored, outcome);
    });
    if world.options.redfish_dialect == RedfishDialect::Sunfish {
        return Answer::empty(StatusCode::NO_CONTENT);
    }
    accepted(&task)
}

fn shown(block: &Block, drive: &Drive, at: usize, erase: DriveErase) -> Value {
    let base = format!("{}/Storage/1/Drives/{}", path(block), at + 1);
    let mut body = json!({
        "@odata.id": base, "@odata.type": "#Drive.v1_7_0.Drive", "Id": (at + 1).to_string(), "Name": "Drive", "MediaType": "SSD", "Protocol": "NVMe",
        "CapacityBytes": drive.gib << 30, "SerialNumber": drive.serial, "Status": {"State": "Enabled", "Health": "OK"}, "Operations": [],
    });
    if drive.is_erasing {
        body["Operations"] = json!([{"OperationName": "Erasing Drive", "PercentageComplete": 0}]);
    }
    match erase {
        DriveErase::Secure => {
            body["Actions"] = json!({"#Drive.SecureErase": {"target": format!("{base}/Actions/Drive.SecureErase")}});
        }
        DriveErase::OnDetach => {
            let erased = json!({"EraseOnDetach": drive.erase_on_detach, "DriveErased": drive.was_erased});
            body["Oem"] = json!({"Intel_RackScale": erased});
        }
        DriveErase::None => {}
    }
    body
}

impl State {
    pub(super) fn drive_mut(&mut self, serial: &str) -> Option<&mut Drive> {
        let mut drives = self.pod.pieces.blocks.iter_mut().flat_map(|block| &mut block.drives);
        drives.find(|drive| drive.serial == serial)
    }

    /// The medium of a drive, in a machine or not.
    fn disk_mut(&mut self, serial: &str) -> Option<&mut crate::machine::Disk> {
        let machines = self.machines.iter_mut().flat_map(|machine| &mut machine.disks);
        let drives = self.pod.pieces.blocks.iter_mut().flat_map(|block| &mut block.drives);
        machines.chain(drives.filter_map(|drive| drive.disk.as_mut())).find(|disk| disk.serial == serial)
    }
}
