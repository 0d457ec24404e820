//! Refresh: Ironic keeps its own copy of a BMC's address and credential in `driver_info`; write it anew from the placeholders.

use crate::api::{Ironic, Said};
use crate::provision::note;
use crate::settings::Settings;
use moganite_driver::{
    ACCESS_ADDRESS, ACCESS_PASSWORD, ACCESS_USERNAME, Answer, Context, Holding, Undoing, fault, mark, wait,
};
use serde_json::json;

pub(crate) fn refresh(cx: &Context, what: &Holding) -> Answer<Undoing> {
    let settings = Settings::of(cx)?;
    let ironic = Ironic::of(&settings);
    ironic.check_version()?;
    let uuid = what.handle.clone().unwrap_or_else(|| mark::uuid(&what.mark).to_string());
    let Some(record) = ironic.node(&uuid)? else {
        return Ok(Undoing::Done(json!({ "rewritten": false }).to_string()));
    };
    if record.enrolled_as() != Some(what.mark.as_str()) {
        return Err(fault::conflict(format!("node {uuid} in ironic does not bear the mark {}", what.mark)));
    }
    if let Some(outside) = settings.filter.refuses(&record) {
        return Err(fault::conflict(outside));
    }
    // The manifest's places are /0/value, /1/value and /2/value: the order of these three is part of the contract with the gate.
    let ops = json!([
        { "op": "add", "path": "/driver_info/redfish_address", "value": ACCESS_ADDRESS },
        { "op": "add", "path": "/driver_info/redfish_username", "value": ACCESS_USERNAME },
        { "op": "add", "path": "/driver_info/redfish_password", "value": ACCESS_PASSWORD },
    ]);
    match ironic.patch(&uuid, &ops)? {
        Said::Done(_) => Ok(Undoing::Done(json!({ "rewritten": true }).to_string())),
        Said::Locked => wait(&(), settings.poll(), note(&record, "its lock's end")),
        other => Err(other.unexpected("rewriting the node's access")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moganite_driver::testing;

    #[test]
    fn the_placeholders_stand_where_the_manifest_has_its_places() {
        let manifest = include_str!("../../../plugins/ironic.toml");
        for (at, value) in [(0, "address"), (1, "username"), (2, "password")] {
            assert!(manifest.contains(&format!("pointer = \"/{at}/value\"\nvalue = \"access.{value}\"")), "{value}");
        }
        let uuid = mark::uuid("mg-a-1").to_string();
        let node = json!({ "uuid": uuid, "name": "mg-a-1", "extra": { "moganite_mark": "mg-a-1" } });
        testing::far_side(move |request| match request.method.as_str() {
            "PATCH" => {
                let ops = request.json();
                assert_eq!(ops[0]["value"], "{{access.address}}");
                assert_eq!(ops[1]["value"], "{{access.username}}");
                assert_eq!(ops[2]["value"], "{{access.password}}");
                testing::reply(200, json!({}))
            }
            _ if request.path == "/" => {
                let versions = json!({ "default_version": { "min_version": "1.1", "version": "1.115" } });
                testing::reply(200, versions)
            }
            _ => testing::reply(200, node.clone()),
        });
        let what = Holding { mark: "mg-a-1".into(), handle: Some(uuid), facts: "{}".into(), trail: None };
        let said = refresh(&testing::context("{}"), &what);
        assert!(matches!(said, Ok(Undoing::Done(receipt)) if receipt.contains("true")));
    }
}
