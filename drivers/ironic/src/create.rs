//! The create: what Ironic is told of a composed node, and who is in the way when it refuses.

use crate::api::{Ironic, Said, read};
use crate::node::Record;
use crate::settings::Settings;
use moganite_driver::{
    ACCESS_ADDRESS, ACCESS_PASSWORD, ACCESS_USERNAME, Access, Answer, Node, Part, PartKind, fault, mark,
};
use serde_json::{Value, json};

/// Creates the node, without the fields that this Ironic is too old for. Whoever has the name already is the conflict; Ironic's answer does not say who, so it is asked.
pub(crate) fn create(ironic: &Ironic, body: &Value, mark: &str) -> Answer<Record> {
    let mut body = body.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|field, _| ironic.knows(field));
    }
    match ironic.post("/v1/nodes", &body)? {
        Said::Done(body) => read(body),
        Said::Conflict(why) => {
            let uuid = mark::uuid(mark).to_string();
            match (ironic.node(&uuid)?, ironic.node(mark)?) {
                (Some(record), _) => Ok(record),
                (None, Some(other)) => {
                    Err(fault::conflict(format!("node {} in ironic has the name {mark}", other.uuid)))
                }
                (None, None) => Err(fault::retry(why)),
            }
        }
        Said::Refused(why) => Err(fault::rejected(format!("ironic refused the node: {why}"))),
        other => Err(other.unexpected("creating the node")),
    }
}

/// The body of the create.
pub(crate) fn body(settings: &Settings, mark: &str, made: &Node) -> Answer<Value> {
    let access = access(made)?;
    let mut body = json!({
        "uuid": mark::uuid(mark).to_string(),
        "name": mark,
        "driver": "redfish",
        "driver_info": {
            "redfish_address": ACCESS_ADDRESS,
            "redfish_system_id": access.path,
            "redfish_username": ACCESS_USERNAME,
            "redfish_password": ACCESS_PASSWORD,
            "redfish_verify_ca": settings.redfish_verify_ca,
        },
        "properties": told(settings, &made.parts),
        "extra": { "moganite_mark": mark },
        "automated_clean": settings.automated_clean,
    });
    for (interface, name) in settings.interfaces() {
        body[interface] = name.into();
    }
    for (field, value) in [("resource_class", &settings.resource_class), ("conductor_group", &settings.conductor_group)]
    {
        if let Some(value) = value {
            body[field] = value.as_str().into();
        }
    }
    Ok(body)
}

pub(crate) fn access(made: &Node) -> Answer<&Access> {
    let access = made.access.as_ref().ok_or_else(|| {
        fault::rejected(format!("node {} comes without access: its composer must say how it is managed", made.handle))
    })?;
    if access.protocol != "redfish" {
        return Err(fault::rejected(format!(
            "node {} is managed by {}, and this driver enrolls redfish only",
            made.handle, access.protocol
        )));
    }
    Ok(access)
}

/// What Ironic is told of the machine. With `inspect` it is told nothing that its inspection answers, or nobody could tell afterwards
/// what it saw from what it was told.
fn told(settings: &Settings, parts: &[Part]) -> Value {
    let mut properties = json!({ "cpu_arch": settings.cpu_arch });
    if !settings.inspect {
        let sizes = |kind| parts.iter().filter(move |part| part.kind == kind).map(|part| part.size);
        properties["cpus"] = sizes(PartKind::Cpu).sum::<u64>().into();
        properties["memory_mb"] = sizes(PartKind::Memory).sum::<u64>().into();
        properties["local_gb"] = sizes(PartKind::Disk).min().unwrap_or(0).into();
    }
    properties
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::{Fault, Identity};

    fn made() -> Node {
        let part = |kind, size| Part { id: "p".into(), kind, size, serial: None, properties: "{}".into() };
        Node {
            handle: "h".into(),
            identity: Identity { system_uuid: None, serial: None, macs: Vec::new() },
            parts: vec![
                part(PartKind::Cpu, 4),
                part(PartKind::Cpu, 4),
                part(PartKind::Memory, 16_384),
                part(PartKind::Disk, 100),
            ],
            place: None,
            access: Some(Access {
                protocol: "redfish".into(),
                path: "/redfish/v1/Systems/1".into(),
                properties: "{}".into(),
            }),
            facts: "{}".into(),
        }
    }

    #[test]
    fn the_create_carries_placeholders_and_no_secret() {
        let settings =
            serde_json::from_value(json!({ "deploy_interface": "ramdisk", "inspect": false, "owner": "us" })).unwrap();
        let sent = body(&settings, "mg-a-1", &made()).unwrap();
        assert_eq!(
            sent,
            json!({
                "uuid": mark::uuid("mg-a-1").to_string(),
                "name": "mg-a-1",
                "driver": "redfish",
                "driver_info": {
                    "redfish_address": "{{access.address}}",
                    "redfish_system_id": "/redfish/v1/Systems/1",
                    "redfish_username": "{{access.username}}",
                    "redfish_password": "{{access.password}}",
                    "redfish_verify_ca": true,
                },
                "properties": { "cpu_arch": "x86_64", "cpus": 8, "memory_mb": 16_384, "local_gb": 100 },
                "extra": { "moganite_mark": "mg-a-1" },
                "automated_clean": true,
                "deploy_interface": "ramdisk",
            })
        );
    }

    #[test]
    fn an_ironic_that_inspects_is_told_nothing_that_it_will_see() {
        let sent = body(&Settings::default(), "mg-a-1", &made()).unwrap();
        assert_eq!(sent["properties"], json!({ "cpu_arch": "x86_64" }));
    }

    #[test]
    fn a_node_that_is_not_managed_by_redfish_is_rejected_in_words() {
        let mut made = made();
        made.access.as_mut().unwrap().protocol = "ipmi".into();
        let refused = body(&Settings::default(), "mg-a-1", &made);
        assert!(matches!(refused, Err(Fault::Rejected(why)) if why.contains("ipmi")));
    }
}
