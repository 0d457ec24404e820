//! What an administrator of CloudBoot keeps: PXE templates, answer files, hardware templates, and the version. They never change here.

use serde_json::{Value, json};

use super::{Answered, body, content, refused};
use crate::call::Call;

pub(super) struct Template {
    pub(super) id: u64,
    pub(super) name: &'static str,
}

pub(super) const OS: [Template; 3] = [
    Template { id: 1, name: "centos6u7-x86_64" },
    Template { id: 2, name: "rhel7u2-x86_64" },
    Template { id: 3, name: "ubuntu1404-x86_64" },
];
pub(super) const SYSTEMS: [Template; 2] =
    [Template { id: 1, name: "centos6u7-x86_64-kvm" }, Template { id: 2, name: "rhel7u2-x86_64" }];
/// By `Company-ModelName`.
pub(super) const HARDWARE: [Template; 1] = [Template { id: 1, name: "Dell-R730" }];

pub(super) fn id_of(templates: &[Template], name: &str) -> Option<u64> {
    templates.iter().find(|template| template.name == name).map(|template| template.id)
}

/// The lists come with the full text of every template.
pub(super) fn list(call: &Call, templates: &[Template]) -> Answered {
    let row = |template: &Template| json!({"ID": template.id, "Name": template.name, "Pxe": "DEFAULT {sn}\n", "Content": "install\nrootpw --iscrypted x\n"});
    page(call, templates.iter().map(row).collect())
}

pub(super) fn hardware(call: &Call) -> Answered {
    let row = |template: &Template| {
        let (company, model) = template.name.split_once('-').unwrap_or((template.name, ""));
        json!({"ID": template.id, "Company": company, "ModelName": model, "ShowName": template.name, "Data": "[]"})
    };
    page(call, HARDWARE.iter().map(row).collect())
}

pub(super) fn platform(call: &Call) -> Answered {
    match body::object(call)?.text("Name")?.as_str() {
        "Version" => Ok(content(&json!({"ID": 1, "Name": "Version", "Content": "v1.5"}))),
        _ => Err(refused("record not found")),
    }
}

/// The rows that were asked for. No Limit: none, and the count is right all the same.
pub(super) fn page(call: &Call, rows: Vec<Value>) -> Answered {
    let body = body::object(call)?;
    let (limit, offset) = (body.number("Limit")? as usize, body.number("Offset")? as usize);
    let count = rows.len();
    let list: Vec<Value> = rows.into_iter().skip(offset).take(limit).collect();
    Ok(content(&json!({"list": list, "recordCount": count})))
}
