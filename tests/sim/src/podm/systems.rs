//! The systems of the pool as their BMC shows them: what they have, their power, the boot source, and the virtual drive. Power changes at
//! once. A drive is found under the system and under its manager.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::pieces::Composed;
use super::pool::{MEMORY_TYPE, MODEL};
use super::{collection, error, not_found, ok};
use crate::call::{Answer, Call};
use crate::machine::Machine;
use crate::options::RedfishDialect;
use crate::world::World;

const RESETS: [&str; 6] = ["On", "ForceOn", "ForceOff", "GracefulShutdown", "GracefulRestart", "ForceRestart"];

pub(super) fn answer(world: &World, call: &Call, rest: &[&str]) -> Answer {
    let mut state = world.state();
    let [kind, rest @ ..] = rest else { return not_found(call) };
    let dialect = world.options.redfish_dialect;
    let [id, rest @ ..] = rest else {
        let composed = state.pod.pieces.systems.iter().filter(|system| !system.hidden).map(|system| &system.id);
        let ids = state.pooled().map(|machine| &machine.id).chain(composed);
        let mut body = collection(&format!("/redfish/v1/{kind}"), ids.map(|id| format!("/redfish/v1/{kind}/{id}")));
        if dialect.is_dmtf() && *kind == "Systems" {
            body["@odata.id"] = json!("/redfish/v1/System");
        }
        return ok(&body);
    };
    let composed = state.pod.pieces.system(id).cloned();
    if composed.as_ref().is_some_and(|system| system.hidden) {
        return not_found(call);
    }
    match (state.machine_mut(id), composed) {
        (Some(machine), Some(system)) if (&call.method, *kind, rest) == (&Method::GET, "Systems", &[]) => {
            ok(&of_pieces(&system, self::system(machine), dialect))
        }
        (Some(machine), _) => of_machine(machine, call, kind, rest),
        (None, Some(system)) if (&call.method, *kind, rest) == (&Method::GET, "Systems", &[]) => {
            let path = format!("/redfish/v1/Systems/{id}");
            ok(&of_pieces(&system, json!({"@odata.id": path, "Id": id, "Links": {}}), dialect))
        }
        _ => not_found(call),
    }
}

/// What makes it a composed one. The emulator of the DMTF as shipped shows what was posted and next to nothing beside it.
fn of_pieces(composed: &Composed, mut body: Value, dialect: RedfishDialect) -> Value {
    let blocks: Vec<Value> = composed
        .blocks
        .iter()
        .map(|block| json!({"@odata.id": format!("{}/ResourceBlocks/{block}", super::composition::SERVICE)}))
        .collect();
    if dialect == RedfishDialect::DmtfEmulator {
        return json!({
            "@odata.id": body["@odata.id"], "Id": composed.id, "Name": composed.name, "ProcessorSummary": {},
            "MemorySummary": {"TotalSystemMemoryGiB": 0}, "Links": {"ResourceBlocks": blocks},
        });
    }
    body["Name"] = json!(composed.name);
    body["SystemType"] = json!("Composed");
    body["Links"]["ResourceBlocks"] = json!(blocks);
    if dialect.is_dmtf() {
        // The unit is wrong, and the uuid says nothing.
        body["MemorySummary"]["TotalSystemMemoryGiB"] =
            json!(body["MemorySummary"]["TotalSystemMemoryGiB"].as_u64().map(|gib| gib * 1024));
        body["UUID"] = json!("00000000-0000-0000-0000-000000000000");
    }
    body
}

fn of_machine(machine: &mut Machine, call: &Call, kind: &str, rest: &[&str]) -> Answer {
    let base = format!("/redfish/v1/{kind}/{}", machine.id);
    match (&call.method, kind, rest) {
        (_, "Systems" | "Managers", ["VirtualMedia", rest @ ..]) => {
            media(machine, call, &format!("{base}/VirtualMedia"), rest)
        }
        (&Method::GET, "Systems", []) => ok(&system(machine)),
        (&Method::PATCH, "Systems", []) => set_boot(machine, &call.json()["Boot"]),
        (&Method::POST, "Systems", ["Actions", "ComputerSystem.Reset"]) => reset(machine, &call.json()["ResetType"]),
        (&Method::GET, "Systems", [what]) => {
            let count = match *what {
                "Processors" | "Memory" => 2,
                "EthernetInterfaces" => machine.macs.len(),
                "SimpleStorage" => 1,
                _ => return not_found(call),
            };
            ok(&collection(&format!("{base}/{what}"), (1..=count).map(|at| format!("{base}/{what}/{at}"))))
        }
        (&Method::GET, "Systems", [what, at]) => {
            match at.parse().ok().and_then(|at: usize| part(machine, what, at.checked_sub(1)?)) {
                Some(body) => ok(&body),
                None => not_found(call),
            }
        }
        (&Method::GET, "Managers", []) => ok(&json!({
            "@odata.id": base, "@odata.type": "#Manager.v1_3_1.Manager", "Id": machine.id, "Name": "BMC", "ManagerType": "BMC",
            "Status": {"State": "Enabled", "Health": "OK"}, "VirtualMedia": {"@odata.id": format!("{base}/VirtualMedia")},
            "Links": {"ManagerForServers": [{"@odata.id": machine.path()}]},
        })),
        (&Method::GET, "Chassis", []) => {
            ok(&json!({"@odata.id": base, "Id": machine.id, "Name": "Sled", "ChassisType": "Sled"}))
        }
        _ => not_found(call),
    }
}

fn system(machine: &Machine) -> Value {
    let path = machine.path();
    let link = |what: &str| json!({"@odata.id": format!("{path}/{what}")});
    json!({
        "@odata.id": path, "@odata.type": "#ComputerSystem.v1_4_0.ComputerSystem", "Id": machine.id, "Name": format!("System {}", machine.id),
        "SystemType": "Physical", "UUID": machine.uuid, "SerialNumber": machine.serial,
        "PowerState": power(machine), "Status": {"State": "Enabled", "Health": "OK"},
        "ProcessorSummary": {"Count": 2, "Model": MODEL}, "MemorySummary": {"TotalSystemMemoryGiB": machine.memory_mib / 1024},
        "Processors": link("Processors"), "Memory": link("Memory"), "EthernetInterfaces": link("EthernetInterfaces"),
        "SimpleStorage": link("SimpleStorage"), "VirtualMedia": link("VirtualMedia"),
        "Boot": {
            "BootSourceOverrideEnabled": machine.boot.enabled, "BootSourceOverrideTarget": machine.boot.target,
            "BootSourceOverrideMode": machine.boot.mode,
            "BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "Cd", "Hdd"],
        },
        "Links": {
            "Chassis": [{"@odata.id": format!("/redfish/v1/Chassis/{}", machine.id)}],
            "ManagedBy": [{"@odata.id": format!("/redfish/v1/Managers/{}", machine.id)}],
        },
        "Actions": {"#ComputerSystem.Reset": {"target": format!("{path}/Actions/ComputerSystem.Reset"), "ResetType@Redfish.AllowableValues": RESETS}},
    })
}

/// One processor, module, interface or controller, counted from 0. Cores and memory are split over two.
fn part(machine: &Machine, what: &str, at: usize) -> Option<Value> {
    let (id, path) = ((at + 1).to_string(), format!("{}/{what}/{}", machine.path(), at + 1));
    let status = json!({"State": "Enabled", "Health": "OK"});
    match what {
        "Processors" if at < 2 => {
            let cores = half(u64::from(machine.cores), at);
            Some(json!({
                "@odata.id": path, "Id": id, "ProcessorType": "CPU", "ProcessorArchitecture": "x86", "InstructionSet": "x86-64",
                "Manufacturer": "Intel(R) Corporation", "Model": MODEL, "MaxSpeedMHz": 3700, "TotalCores": cores, "TotalThreads": cores, "Status": status,
            }))
        }
        "Memory" if at < 2 => Some(json!({
            "@odata.id": path, "Id": id, "MemoryDeviceType": MEMORY_TYPE, "CapacityMiB": half(machine.memory_mib, at),
            "DataWidthBits": 64, "OperatingSpeedMhz": 2400, "Status": status,
        })),
        "EthernetInterfaces" => machine.macs.get(at).map(|mac| {
            json!({
                "@odata.id": path, "Id": id, "Name": format!("eth{at}"), "MACAddress": mac, "PermanentMACAddress": mac,
                "SpeedMbps": 10_000, "IPv4Addresses": [], "Status": status,
            })
        }),
        "SimpleStorage" if at == 0 => {
            let device = |disk: &crate::machine::Disk| json!({"Name": disk.serial, "CapacityBytes": disk.gib << 30, "Status": status});
            Some(json!({"@odata.id": path, "Id": id, "Devices": machine.disks.iter().map(device).collect::<Vec<_>>()}))
        }
        _ => None,
    }
}

/// How much of a whole the first or second of two parts has.
pub(crate) fn half(whole: u64, at: usize) -> u64 {
    if at == 0 { whole.div_ceil(2) } else { whole / 2 }
}

fn power(machine: &Machine) -> &'static str {
    if machine.running { "On" } else { "Off" }
}

fn reset(machine: &mut Machine, kind: &Value) -> Answer {
    match kind.as_str() {
        Some("On" | "ForceOn" | "GracefulRestart" | "ForceRestart") => machine.running = true,
        Some("ForceOff" | "GracefulShutdown") => machine.running = false,
        _ => return error(StatusCode::BAD_REQUEST, &format!("{kind} is no ResetType that this system knows")),
    }
    Answer::empty(StatusCode::NO_CONTENT)
}

fn set_boot(machine: &mut Machine, boot: &Value) -> Answer {
    let Some(boot) = boot.as_object() else {
        return error(StatusCode::BAD_REQUEST, "only Boot can be changed");
    };
    for (key, kept) in [
        ("BootSourceOverrideTarget", &mut machine.boot.target),
        ("BootSourceOverrideEnabled", &mut machine.boot.enabled),
        ("BootSourceOverrideMode", &mut machine.boot.mode),
    ] {
        if let Some(value) = boot.get(key).and_then(Value::as_str) {
            value.clone_into(kept);
        }
    }
    Answer::empty(StatusCode::NO_CONTENT)
}

fn media(machine: &mut Machine, call: &Call, base: &str, rest: &[&str]) -> Answer {
    match (&call.method, rest) {
        (&Method::GET, []) => ok(&collection(base, std::iter::once(format!("{base}/Cd")))),
        (&Method::GET, ["Cd"]) => ok(&json!({
            "@odata.id": format!("{base}/Cd"), "Id": "Cd", "Name": "Virtual CD", "MediaTypes": ["CD", "DVD"],
            "Image": machine.media, "ImageName": machine.media, "Inserted": machine.media.is_some(), "WriteProtected": true,
            "ConnectedVia": if machine.media.is_some() { "URI" } else { "NotConnected" },
            "Actions": {
                "#VirtualMedia.InsertMedia": {"target": format!("{base}/Cd/Actions/VirtualMedia.InsertMedia")},
                "#VirtualMedia.EjectMedia": {"target": format!("{base}/Cd/Actions/VirtualMedia.EjectMedia")},
            },
        })),
        (&Method::POST, ["Cd", "Actions", "VirtualMedia.InsertMedia"]) => match call.json()["Image"].as_str() {
            Some(image) => {
                machine.media = Some(image.to_owned());
                Answer::empty(StatusCode::NO_CONTENT)
            }
            None => error(StatusCode::BAD_REQUEST, "Image is missing"),
        },
        (&Method::POST, ["Cd", "Actions", "VirtualMedia.EjectMedia"]) => {
            machine.media = None;
            Answer::empty(StatusCode::NO_CONTENT)
        }
        _ => not_found(call),
    }
}
