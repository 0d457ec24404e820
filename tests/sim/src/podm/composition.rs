//! The CompositionService: resource blocks with what is in them, their reservation, and the zones with what may be asked of them. Shapes are
//! those of DSP2050 1.2; what the DMTF's emulator and Sunfish do otherwise is marked where it is done.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::pieces::{Block, Pieces, ZONES};
use super::{collection, drives, error, not_found, ok};
use crate::call::{Answer, Call};
use crate::options::RedfishDialect;
use crate::world::World;

pub(super) const SERVICE: &str = "/redfish/v1/CompositionService";

pub(super) fn answer(world: &std::sync::Arc<World>, call: &Call, rest: &[&str]) -> Answer {
    match (&call.method, rest) {
        (&Method::GET, []) => ok(&service(world.options.redfish_dialect)),
        (&Method::GET, ["ResourceBlocks"]) => {
            let blocks: Vec<String> = world.state().pod.pieces.blocks.iter().map(path).collect();
            ok(&listed(world, &format!("{SERVICE}/ResourceBlocks"), blocks))
        }
        (&Method::GET, ["ResourceZones"]) => {
            let zones = ZONES.iter().map(|zone| format!("{SERVICE}/ResourceZones/{zone}")).collect();
            ok(&listed(world, &format!("{SERVICE}/ResourceZones"), zones))
        }
        (&Method::GET, ["ResourceZones", zone]) => match ZONES.iter().find(|known| *known == zone) {
            Some(zone) => ok(&shown_zone(&world.state().pod.pieces, zone)),
            None => unknown(world, call),
        },
        (&Method::GET, ["Capabilities"]) => ok(&capabilities()),
        (_, ["ResourceBlocks", id, rest @ ..]) => block(world, call, id, rest),
        _ => not_found(call),
    }
}

pub(super) fn path(block: &Block) -> String {
    format!("{SERVICE}/ResourceBlocks/{}", block.id)
}

/// With the ETag of what it shows.
pub(super) fn tagged(body: &Value) -> Answer {
    ok(body).with_header("etag", &etag(body))
}

/// None when the request may go on.
pub(super) fn check_tag(world: &World, call: &Call, shown: &Value) -> Option<Answer> {
    match call.header("if-match") {
        Some(tag) if tag != etag(shown) => Some(error(StatusCode::PRECONDITION_FAILED, "the ETag is another one")),
        None if world.options.redfish_dialect == RedfishDialect::Strict => {
            Some(error(StatusCode::PRECONDITION_REQUIRED, "If-Match is needed"))
        }
        _ => None,
    }
}

/// The emulator of the DMTF answers 200 and the number.
fn unknown(world: &World, call: &Call) -> Answer {
    if world.options.redfish_dialect.is_dmtf() { ok(&json!(404)) } else { not_found(call) }
}

fn etag(body: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    body.to_string().hash(&mut hasher);
    format!("\"{:x}\"", hasher.finish())
}

fn service(dialect: RedfishDialect) -> Value {
    let version = if dialect.is_dmtf() { "v1_0_0" } else { "v1_2_0" };
    let mut body = json!({
        "@odata.id": SERVICE, "@odata.type": format!("#CompositionService.{version}.CompositionService"), "Id": "CompositionService",
        "Name": "Composition Service", "ServiceEnabled": true, "Status": {"State": "Enabled", "Health": "OK"},
        "ResourceBlocks": {"@odata.id": format!("{SERVICE}/ResourceBlocks")},
        "ResourceZones": {"@odata.id": format!("{SERVICE}/ResourceZones")},
    });
    if !dialect.is_dmtf() {
        body["AllowOverprovisioning"] = json!(false);
        body["AllowZoneAffinity"] = json!(false);
    }
    body
}

/// The emulator of the DMTF keeps the members under Links.
fn listed(world: &World, path: &str, members: Vec<String>) -> Value {
    let mut body = collection(path, members.into_iter());
    if world.options.redfish_dialect.is_dmtf() {
        let members = body["Members"].take();
        body["Links"] = json!({"Members@odata.count": members.as_array().map(Vec::len), "Members": members});
        if let Some(body) = body.as_object_mut() {
            body.remove("Members");
            body.remove("Members@odata.count");
        }
    }
    body
}

fn shown_zone(pieces: &Pieces, zone: &str) -> Value {
    let blocks: Vec<Value> = pieces
        .blocks
        .iter()
        .filter(|block| block.zone == zone)
        .map(|block| json!({"@odata.id": path(block)}))
        .collect();
    json!({
        "@odata.id": format!("{SERVICE}/ResourceZones/{zone}"), "@odata.type": "#Zone.v1_1_0.Zone", "Id": zone, "Name": zone,
        "Status": {"State": "Enabled", "Health": "OK"}, "Links": {"ResourceBlocks": blocks},
        "@Redfish.CollectionCapabilities": {
            "@odata.type": "#CollectionCapabilities.v1_1_0.CollectionCapabilities",
            "Capabilities": [{
                "UseCase": "ComputerSystemComposition", "CapabilitiesObject": {"@odata.id": format!("{SERVICE}/Capabilities")},
                "Links": {"TargetCollection": {"@odata.id": "/redfish/v1/Systems"}},
            }],
        },
    })
}

fn capabilities() -> Value {
    json!({
        "@odata.id": format!("{SERVICE}/Capabilities"), "@odata.type": "#ComputerSystem.v1_4_0.ComputerSystem", "Id": "Capabilities",
        "Name": "Capabilities for the zone", "Name@Redfish.RequiredOnCreate": true, "Name@Redfish.SetOnlyOnCreate": true,
        "Description@Redfish.OptionalOnCreate": true, "Links@Redfish.RequiredOnCreate": true,
        "Links": {"ResourceBlocks@Redfish.RequiredOnCreate": true, "ResourceBlocks@Redfish.UpdatableAfterCreate": false},
    })
}

fn block(world: &std::sync::Arc<World>, call: &Call, id: &str, rest: &[&str]) -> Answer {
    if let ["Storage", "1", "Drives", at, rest @ ..] = rest {
        return drives::answer(world, call, id, at, rest);
    }
    let mut state = world.state();
    let dialect = world.options.redfish_dialect;
    let Some(block) = state.pod.pieces.block(id) else { return unknown(world, call) };
    match (&call.method, rest) {
        (&Method::GET, []) => tagged(&shown(&state.pod.pieces, block, dialect)),
        (&Method::GET, [what, at]) => {
            match at.parse::<usize>().ok().and_then(|at| part(block, what, at.checked_sub(1)?)) {
                Some(body) => ok(&body),
                None => not_found(call),
            }
        }
        (&Method::PATCH, []) if !dialect.is_dmtf() => {
            if let Some(refused) = check_tag(world, call, &shown(&state.pod.pieces, block, dialect)) {
                return refused;
            }
            let Some(reserved) = call.json()["CompositionStatus"]["Reserved"].as_bool() else {
                return error(
                    StatusCode::BAD_REQUEST,
                    "only CompositionStatus.Reserved can be changed, to true or false",
                );
            };
            if let Some(block) = state.pod.pieces.block_mut(id) {
                block.reserved = reserved;
            }
            Answer::empty(StatusCode::NO_CONTENT)
        }
        _ => error(StatusCode::METHOD_NOT_ALLOWED, "not allowed here"),
    }
}

fn shown(pieces: &Pieces, block: &Block, dialect: RedfishDialect) -> Value {
    let base = path(block);
    let links = |what: &str, count: usize| -> Vec<Value> {
        (1..=count).map(|at| json!({"@odata.id": format!("{base}/{what}/{at}")})).collect()
    };
    let as_shipped = dialect == RedfishDialect::DmtfEmulator;
    let systems: Vec<Value> = pieces
        .holders(&block.id)
        .filter(|system| !as_shipped && !system.hidden)
        .map(|system| json!({"@odata.id": format!("/redfish/v1/Systems/{}", system.id)}))
        .collect();
    let state = if as_shipped { "Unused" } else { pieces.state_of(block) };
    let is_compute = block.cores > 0;
    let mut body = json!({
        "@odata.id": base, "@odata.type": "#ResourceBlock.v1_3_0.ResourceBlock", "Id": block.id, "Name": format!("Block {}", block.id),
        "ResourceBlockType": [if is_compute { "Compute" } else { "Storage" }], "Status": {"State": "Enabled", "Health": "OK"},
        "CompositionStatus": {
            "CompositionState": state, "Reserved": block.reserved, "SharingCapable": false, "MaxCompositions": 1,
            "NumberOfCompositions": systems.len(),
        },
        "Processors": links("Processors", usize::from(is_compute)), "Memory": links("Memory", if is_compute { 2 } else { 0 }),
        "EthernetInterfaces": links("EthernetInterfaces", block.macs.len()),
        "Storage": links("Storage", usize::from(!block.drives.is_empty())),
        "Links": {
            "ComputerSystems": systems, "Zones": [{"@odata.id": format!("{SERVICE}/ResourceZones/{}", block.zone)}],
        },
    });
    if dialect.is_dmtf() {
        body["CompositionStatus"] = json!({"CompositionState": state, "Reserved": block.reserved.to_string()});
        body["SimpleStorage"] = json!(links("SimpleStorage", usize::from(!block.drives.is_empty())));
        for key in ["ResourceBlockType", "Storage"] {
            body.as_object_mut().map(|body| body.remove(key));
        }
    }
    body
}

/// What a block is made of, counted from 0. The memory is in two modules.
fn part(block: &Block, what: &str, at: usize) -> Option<Value> {
    let (id, base) = ((at + 1).to_string(), format!("{}/{what}/{}", path(block), at + 1));
    let status = json!({"State": "Enabled", "Health": "OK"});
    match what {
        "Processors" if at == 0 && block.cores > 0 => Some(json!({
            "@odata.id": base, "Id": id, "Name": "CPU", "ProcessorType": "CPU", "ProcessorArchitecture": "x86", "InstructionSet": "x86-64",
            "TotalCores": block.cores, "TotalThreads": block.cores * 2, "Status": status,
        })),
        "Memory" if at < 2 && block.memory_mib > 0 => Some(json!({
            "@odata.id": base, "Id": id, "Name": "DIMM", "MemoryType": "DRAM", "CapacityMiB": super::systems::half(block.memory_mib, at),
            "Status": status,
        })),
        "EthernetInterfaces" => block.macs.get(at).map(|mac| {
            json!({"@odata.id": base, "Id": id, "Name": format!("eth{at}"), "MACAddress": mac, "SpeedMbps": 10_000, "Status": status})
        }),
        "Storage" if at == 0 && !block.drives.is_empty() => {
            let drives: Vec<Value> =
                (1..=block.drives.len()).map(|at| json!({"@odata.id": format!("{base}/Drives/{at}")})).collect();
            Some(json!({"@odata.id": base, "@odata.type": "#Storage.v1_5_0.Storage", "Id": id, "Name": "Storage", "Drives": drives}))
        }
        "SimpleStorage" if at == 0 && !block.drives.is_empty() => {
            let device = |drive: &super::pieces::Drive| json!({"Name": "SATA disk", "CapacityBytes": drive.gib << 30, "Status": status});
            Some(json!({"@odata.id": base, "Id": id, "Name": "Storage", "Devices": block.drives.iter().map(device).collect::<Vec<_>>()}))
        }
        _ => None,
    }
}
